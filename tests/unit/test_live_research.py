"""How a research desk finds its tasks in the journal."""

from pathlib import Path
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

import pytest

from consilium.app.live.records import RESEARCH_ENDED as ENDED
from consilium.app.live.research import DECIDED, ResearchDesk
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal, open_journal


def decided(name: str, task: str = "model_retraining", kind: str = "RESEARCH_TASK") -> Any:
    body = {
        "decision_id": name,
        "decision_type": kind,
        "payload": {"task_type": task, "model_name": "xgboost"},
        "ts_event": 1,
    }
    return envelope(body, stream="council", ts_recorded=1, trace_id="t", topic=DECIDED, cause_id=name)


def ended(name: str) -> Any:
    body = {"decision_id": name, "task_type": "model_retraining", "outcome": "done", "ts_event": 2}
    return envelope(body, stream="council", ts_recorded=1, trace_id="t", topic=ENDED, cause_id=name)


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    made = open_journal(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    yield made
    made.close()


def names(desk: ResearchDesk) -> list[str]:
    return [task["decision_id"] for task in desk.pending()]


def test_a_task_waits_under_any_number_of_newer_decisions(journal: Journal) -> None:
    desk = ResearchDesk(SimpleNamespace(journal=journal))
    journal.append(
        [decided("first"), decided("study", "risk_analysis"), decided("grid", "backtest_strategy")]
    )
    journal.append([decided(f"mode{n}", kind="MODE_CHANGE") for n in range(1_200)])
    assert names(desk) == names(ResearchDesk(SimpleNamespace(journal=journal))) == ["first", "study"]
    journal.append([decided("second"), ended("first")])
    assert names(desk) == ["study", "second"]


def test_nothing_is_read_while_nothing_new_is_there(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = ResearchDesk(SimpleNamespace(journal=journal))
    journal.append([decided("first")])
    assert names(desk) == ["first"]

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("the journal was read again")

    monkeypatch.setattr(journal, "read", refused)
    assert names(desk) == ["first"]


def test_a_task_behind_another_training_asks_nothing_of_the_pipeline(journal: Journal) -> None:
    training = SimpleNamespace(status=lambda: {"is_training": True})
    desk = ResearchDesk(SimpleNamespace(journal=journal, training=training))  # seen_by_research is not there
    journal.append([decided("first")])
    (task,) = desk.pending()
    assert desk.carry_out(task, Flag()) is False
