"""What becomes of research tasks: trainings of the service's own desk, and studies in a process each.

A task is a decision in the journal; one that has no end there is done again after a stop or a kill.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from threading import Event as Flag
from typing import Any, Protocol

import orjson

from consilium.app.child_environment import without_secrets
from consilium.app.council.stress import stress_report
from consilium.app.live.studies import STUDIES, write_report
from consilium.app.live.training import TrainingDesk, training_data
from consilium.app.settings import Settings
from consilium.bus.codec import message_of
from consilium.bus.journal import Journal
from consilium.domain import ArtefactRefused, ConsiliumError
from consilium.domain.governance import DecisionKind

DECIDED, ENDED = "ai.federation.decision_made", "research.ended"
TRIALS = 30
"""Of a search for parameters, by Optuna."""

EPOCHS, BATCH = 100, 32
PAGE = 1_000
"""Rows of the journal that are looked through at a time."""

POLL_S = 0.2
ENDED_WITH_SERVICE = "cancelled by service"

log = logging.getLogger("consilium.council")


class System(Protocol):
    """What a research desk needs of the living system."""

    settings: Settings
    journal: Journal
    training: TrainingDesk

    def council_now(self) -> int:
        """Return the council's time."""

    def research_ended(self, message: Mapping[str, Any]) -> None:
        """Write down how a task ended."""

    def seen_by_research(self) -> tuple[Sequence[str], str, int, Mapping[str, Any]]:
        """Return loaded models, the first symbol, the newest close, and the account with its candles."""


class ResearchDesk:
    """Carries out one task after the other, oldest first.

    Parameters
    ----------
    system
        The living system.
    studies
        Whether it does the studies, which take long, or all else.
    """

    def __init__(self, system: Any, *, studies: bool = False) -> None:
        self._system: System = system
        self._studies = studies
        self._after = 0
        self._open: dict[str, dict[str, Any]] = {}
        """Tasks without an end up to that place of the journal, in order."""

    def run(self, stop: Flag) -> None:
        """Work until told to stop; nothing that goes wrong with one task ends it."""
        pause = self._system.settings.council.tick_s
        while not stop.wait(pause):
            for task in self.pending():
                if stop.is_set():
                    return
                try:
                    if not self.carry_out(task, stop):
                        break
                except ConsiliumError as error:
                    self._end(task, "failed", reason=str(error))
                except Exception as error:
                    log.warning("research: %s", error, exc_info=True)
                    self._end(task, "failed", reason=f"unexpected {type(error).__name__}: {error}")

    def pending(self) -> list[dict[str, Any]]:
        """Return the tasks that were decided and have no end, oldest first; each row is read once."""
        journal = self._system.journal
        head = journal.head().offset
        while self._after < head:
            rows = journal.read(self._after, PAGE, topics=[DECIDED, ENDED])
            for row in rows:
                self._note(row.event.topic, message_of(row.event))
            self._after = (
                rows[-1].offset if len(rows) == PAGE else max(head, *(row.offset for row in rows), 0)
            )
        return list(self._open.values())

    def _note(self, topic: str, body: dict[str, Any]) -> None:
        if topic == ENDED:
            self._open.pop(body["decision_id"], None)
            return
        asked = body["decision_type"] == DecisionKind.RESEARCH_TASK.value
        if asked and (body["payload"]["task_type"] in STUDIES) == self._studies:
            self._open[body["decision_id"]] = body

    def carry_out(self, task: Mapping[str, Any], stop: Flag) -> bool:
        """Do one task; False where it has to wait, as behind another training."""
        payload = task["payload"]
        kind, model = str(payload["task_type"]), str(payload.get("model_name") or "")
        log.info("research: %s %s begins", kind, model)
        if kind in ("model_retraining", "hyperparameter_tuning"):
            return self._train(task, model, TRIALS if kind == "hyperparameter_tuning" else 0, stop)
        if kind == "risk_analysis":
            _, _, ts, seen = self._system.seen_by_research()
            self._report(task, stress_report(ts, **seen))
            return True
        return self._study(task, kind, model, stop)

    def _train(self, task: Mapping[str, Any], model: str, trials: int, stop: Flag) -> bool:
        training = self._system.training
        if training.status()["is_training"]:
            return False
        _, symbol, _, _ = self._system.seen_by_research()
        try:
            status = training.start(
                architecture=model,
                symbol=symbol,
                epochs=EPOCHS,
                batch_size=BATCH,
                by="researcher",
                trace_id=f"research-{task['decision_id']}",
                trials=trials,
            )
        except ArtefactRefused as error:
            if "one training" in error.bound:
                return False
            raise
        while not training.wait(POLL_S):
            if stop.is_set():
                return False
        reason = str(training.status()["error"])
        if reason == ENDED_WITH_SERVICE:
            return False  # and is done again
        self._end(task, "failed" if reason else "done", reason=reason, training_id=status["training_id"])
        return True

    def _study(self, task: Mapping[str, Any], kind: str, model: str, stop: Flag) -> bool:
        if kind not in STUDIES:
            self._end(task, "failed", reason=f"no such research as {kind}")
            return True
        settings = self._system.settings
        models, _, ts, _ = self._system.seen_by_research()
        if not models:
            self._end(task, "failed", reason="no model is loaded")
            return True
        data, bar = training_data(settings)
        asked = {
            "kind": kind,
            "decision_id": task["decision_id"],
            "model": model or models[0],
            "models": list(models),
            "data": data,
            "bar": bar,
            "until": ts,
            "out": str(self._path(task)),
            "settings": settings.model_dump(
                mode="json", exclude={"api_key", "council", "database_url", "redis_url"}
            ),
        }
        reason = _carried_out(asked, stop)
        if stop.is_set():
            return False
        if reason:
            self._end(task, "failed", reason=reason)
        else:
            self._end(task, "done", report=str(self._path(task).relative_to(settings.data_dir)))
        return True

    def _path(self, task: Mapping[str, Any]) -> Any:
        return self._system.settings.data_dir / "research" / f"{task['decision_id']}.json"

    def _report(self, task: Mapping[str, Any], report: Mapping[str, Any]) -> None:
        path = self._path(task)
        write_report(
            path, {"decision_id": task["decision_id"], "task_type": task["payload"]["task_type"], **report}
        )
        self._end(task, "done", report=str(path.relative_to(self._system.settings.data_dir)))

    def _end(self, task: Mapping[str, Any], outcome: str, **more: str) -> None:
        payload = task["payload"]
        log.info("research: %s %s: %s", payload["task_type"], outcome, more)
        self._system.research_ended(
            {
                "decision_id": task["decision_id"],
                "task_type": payload["task_type"],
                "model_name": payload.get("model_name") or "",
                "outcome": outcome,
                "reason": "",
                "report": "",
                "training_id": "",
                **more,
                "ts_event": self._system.council_now(),
            }
        )


def _carried_out(asked: Mapping[str, Any], stop: Flag, poll_s: float = POLL_S) -> str:
    """Let a process do a study; return why it could not, nothing if it could."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium.app.live.studies"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=without_secrets(os.environ),
    )
    try:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(orjson.dumps(dict(asked)) + b"\n")
        process.stdin.flush()
        while process.poll() is None:
            if stop.wait(poll_s):
                return "the service ended"
    except BrokenPipeError:
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        words = [] if process.stderr is None else process.stderr.read().decode("utf-8", "replace").split("\n")
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                _close(pipe.close)
    told = [word.strip() for word in words if word.strip()]
    return "" if process.returncode == 0 else (told or ["no last words"])[-1][:300]


def _close(closed: Callable[[], None]) -> None:
    try:
        closed()
    except OSError:
        return
