"""Judging beside the rounds: whoever asks does not wait for it, and no figure is lost for a kill."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consilium.app.federated import judged_later
from consilium.app.federated.judging import Judge
from consilium.federated.local import LocalPlan
from desk_cases import World, kill, world

PLAN = LocalPlan(epochs=1)


@contextmanager
def held_judge(patch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A judge that says nothing before it is let go."""
    go, judged = threading.Event(), Judge.__call__

    def slow(self: Judge, parameters: Any) -> dict[str, float]:
        assert go.wait(60.0)
        return judged(self, parameters)

    patch.setattr(Judge, "__call__", slow)
    try:
        yield go
    finally:
        go.set()


def digits(folder: Path, **terms: Any) -> Any:
    return world(folder, count=3, task="digits", delta=0.1, local=PLAN, **terms)


def over(made: World, count: int) -> None:
    made.until(lambda: made.kept.session.done >= count, f"{count} rounds are over")


def test_a_slow_judge_holds_up_neither_rounds_nor_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_judge(monkeypatch) as go, digits(tmp_path, rounds=2) as made:
        made.join()
        made.start()
        over(made, 2)
        began = time.monotonic()
        reports = made.desk.of("s1").reports()
        assert made.desk.of("s1").summary()["state"] == "completed"
        assert time.monotonic() - began < 5.0
        assert [one["performance"] for one in reports] == [None, None]
        assert all("is being judged" in one["performance_note"] for one in reports)
        go.set()
        made.until(lambda: all(one["performance"] for one in made.desk.of("s1").reports()), "both are judged")
        reports = made.desk.of("s1").reports()
        assert [one["number"] for one in reports] == [1, 2]
        assert [one["performance_note"] for one in reports] == ["", ""]
        assert reports[0]["performance"] != reports[1]["performance"]


def test_who_comes_back_judges_the_newest_model_and_says_that_older_ones_were_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_judge(monkeypatch) as go, digits(tmp_path, rounds=2) as made:
        made.join()
        made.start()
        over(made, 2)
        kill(made)
        go.set()
        made.until(lambda: made.desk.of("s1").reports(2)[0]["performance"], "the last one is judged")
        first, last = made.desk.of("s1").reports()
        assert (first["performance"], first["performance_note"]) == (None, judged_later.LOST)
        assert set(last["performance"]) == {"accuracy", "log_loss"}


def test_of_more_models_than_may_wait_the_oldest_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged_later, "MOST_WAITING", 1)
    with held_judge(monkeypatch) as go, digits(tmp_path, rounds=4) as made:
        made.join()
        made.start()
        over(made, 4)
        go.set()
        made.until(lambda: made.desk.of("s1").reports(4)[0]["performance"], "the last one is judged")
        notes = [one["performance_note"] for one in made.desk.of("s1").reports()]
        assert notes == ["", judged_later.LEFT_OUT, judged_later.LEFT_OUT, ""]


def test_a_round_that_failed_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(Judge, "__call__", lambda _, parameters: asked.append(parameters))
    with digits(tmp_path, rounds=2, failed_rounds=1, cut_off_seconds=1) as made:
        made.lost = lambda _owner, _message: True
        made.join()
        made.start()
        over(made, 1)
        (report,) = made.desk.of("s1").reports()
        assert report["failed"]
        assert report["performance_note"] == "nothing was learned, so the model is the one before"
        assert asked == []
