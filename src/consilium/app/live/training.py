"""Trains one model at a time, in a process of its own, while the service goes on."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, Protocol

import orjson

from consilium.app.child_environment import without_secrets
from consilium.app.membership import NO_BOOKS, reads_books
from consilium.app.settings import Settings
from consilium.domain import (
    ArtefactRefused,
    Clock,
    OutputProblem,
    TrainingEnded,
    TrainingStarted,
    UnknownName,
    UsageError,
    canonical_model,
    digest,
    names_in,
)
from consilium.models import FORECASTERS, GROUP, require_libraries

ENDING_S = 10.0
"""How long a training that is to end may take to write down where it was."""

_KEPT_LINES = 5


class Submit(Protocol):
    """Journals a message."""

    def __call__(self, message: Any, *, by: str, trace_id: str = "") -> object:
        """Journal a message under a name."""


def training_data(settings: Settings) -> tuple[str, str]:
    """Return the ``--data`` and ``--bar`` of a training that learns from what the service follows.

    Raises
    ------
    UsageError
        The service follows nothing that it could learn from.

    Examples
    --------
    >>> from consilium.app.settings import Live
    >>> training_data(Settings(live=Live(feed="replay:candles.parquet")))
    ('candles.parquet', '')
    """
    feed = settings.live.feed
    if feed.startswith("replay:"):
        return feed.removeprefix("replay:"), ""
    if feed.startswith("simulate"):
        return feed, ""
    raise UsageError(
        "a training needs candles that are there already",
        f"the feed '{feed}'" if feed else "no feed",
        "set live.feed to replay:PATH or simulate:..., or use consilium train",
    )


class TrainingDesk:
    """Starts, watches and ends trainings; one runs at a time.

    Parameters
    ----------
    settings
        Data folder, folds, features and the rest of a training.
    clock
        Dates what is journaled.
    submit
        Journals what happened; None for nobody.
    data
        Returns where candles come from, as ``--data`` and ``--bar``; the feed by default.
    until
        Returns the newest close that has been played: nothing later is learned from. None for all data.
    on_stored
        Called with the name of a model of which a new version was stored.

    Notes
    -----
    A training is walk-forward (``training.folds`` parts) and then one more on all rows. ``current_epoch`` and
    ``total_epochs`` are of the part that is taught now, ``progress_percent`` is of all parts.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        submit: Submit | None = None,
        *,
        data: Callable[[Settings], tuple[str, str]] = training_data,
        until: Callable[[], int] | None = None,
        on_stored: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._submit = submit
        self._data = data
        self._until = until
        self._on_stored = on_stored
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._cancelled_by = ""
        self._state = _State()

    def start(
        self,
        *,
        architecture: str,
        symbol: str,
        epochs: int,
        batch_size: int,
        by: str,
        trace_id: str = "",
        trials: int = 0,
    ) -> Mapping[str, Any]:
        """Begin a training, after a search for parameters in so many trials; return its status.

        Raises
        ------
        UnknownName
            No such model.
        ArtefactRefused
            Another training runs, these data cannot train this model, or a package that it needs is not
            installed.
        UsageError
            There are no candles to learn from.
        OutputProblem
            The machine has no process for it.
        """
        model = canonical_model(architecture)
        known = names_in(FORECASTERS, GROUP)
        if model not in known:
            raise UnknownName("architecture", architecture, known)
        if reads_books(model):
            raise ArtefactRefused(f"{model} must be given what it reads", "candles", NO_BOOKS)
        _require_libraries(model)
        data, bar = self._data(self._settings)
        asked = {
            "architecture": model,
            "symbol": symbol,
            "epochs": epochs,
            "batch_size": batch_size,
            "trials": trials,
            "data": data,
            "bar": bar,
            "until": None if self._until is None else self._until(),
            "settings": self._settings.model_dump(
                mode="json", exclude={"api_key", "council", "database_url", "redis_url"}
            ),
        }
        with self._lock:
            if self._state.running:
                raise ArtefactRefused(
                    "one training may run at a time",
                    f"{self._state.architecture}, which is at {self._state.percent():.0f} %",
                    "wait for its end, or cancel it",
                )
            now = self._clock.now_ns()
            state = _State(
                architecture=model,
                total_epochs=epochs,
                training_id=digest([model, symbol, now])[:16],
                by=by,
                trace_id=trace_id,
                running=True,
            )
            if self._submit is not None:
                self._submit(
                    TrainingStarted(
                        training_id=state.training_id,
                        model=model,
                        symbol=symbol,
                        epochs=epochs,
                        batch_size=batch_size,
                        by=by,
                        ts_event=now,
                    ),
                    by=by,
                    trace_id=trace_id,
                )
            self._state, self._cancelled_by = state, ""
            self._launch(asked, state)
            return state.told()

    def _launch(self, asked: Mapping[str, Any], state: "_State") -> None:
        """Start the process; where the machine refuses one the training has ended, and the desk is free."""
        self._process = self._watcher = None
        try:
            process = _spawned(asked)
        except OSError as error:
            told = error.strerror or type(error).__name__
            self._end(state, f"no process could be started: {told}", "")
            raise OutputProblem(
                "a training needs a process of its own", told, "free memory or processes, and start it again"
            ) from None
        self._process = process
        self._watcher = threading.Thread(
            target=self._watch, args=(process, state), name="training", daemon=True
        )
        self._watcher.start()

    def status(self) -> Mapping[str, Any]:
        """Return how far the training is, or how the last one ended."""
        return self._state.told()

    def cancel(self, *, by: str, trace_id: str = "") -> bool:
        """End the training that runs; its checkpoints stay, and what it has stored. False if none runs."""
        with self._lock:
            process, watcher = self._process, self._watcher
            if process is None or watcher is None or not self._state.running:
                return False
            self._cancelled_by = by
            self._state.trace_id = trace_id or self._state.trace_id
        process.terminate()
        watcher.join(ENDING_S)
        if watcher.is_alive():
            process.kill()
            watcher.join(ENDING_S)
        return True

    def close(self) -> None:
        """End with the service."""
        self.cancel(by="service")

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the training that runs; False if it is still running then."""
        watcher = self._watcher
        if watcher is not None:
            watcher.join(timeout_s)
        return not self._state.running

    def _watch(self, process: "subprocess.Popen[bytes]", state: "_State") -> None:
        """Read lines until the process ends, then say how it ended."""
        reason, version, ended = "", "", False
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - pipes were asked
        last_words: list[str] = []
        listener = threading.Thread(target=_listen, args=(process.stderr, last_words), daemon=True)
        listener.start()
        for line in process.stdout:
            with suppress(orjson.JSONDecodeError):
                told = orjson.loads(line)
                if told["kind"] == "end":
                    reason, version, ended = told["reason"], told["version"], True
                else:
                    state.take(told)
        code = process.wait()
        listener.join(1.0)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if not ended:
            words = last_words[-1] if last_words else "no last words"
            reason = f"the process ended with code {code}: {words}"
        self._end(state, reason, version)

    def _end(self, state: "_State", reason: str, version: str) -> None:
        by = self._cancelled_by
        outcome = "cancelled" if by and reason else "failed" if reason else "done"
        reason = "" if outcome == "cancelled" else reason
        if outcome == "done":
            state.done_share = 1.0
        state.error = f"cancelled by {by}" if outcome == "cancelled" else reason
        if self._submit is not None:
            ended = TrainingEnded(
                training_id=state.training_id,
                model=state.architecture,
                outcome=outcome,
                reason=reason,
                version=version,
                by=by or state.by,
                ts_event=self._clock.now_ns(),
            )
            try:
                self._submit(ended, by=by or state.by, trace_id=state.trace_id)
            except Exception as error:  # noqa: BLE001 - a journal that fails must not leave the desk taken
                state.error = state.error or f"the end could not be journaled: {error}"
        state.running = False
        if outcome == "done" and version and self._on_stored is not None:
            self._on_stored(state.architecture)


def _require_libraries(model: str) -> None:
    """Refuse what this machine cannot train as it is."""
    try:
        require_libraries(model)
    except UsageError as missing:
        raise ArtefactRefused(missing.bound, missing.value, missing.cure) from None


class _State:
    """What is known of one training."""

    def __init__(
        self,
        *,
        architecture: str = "",
        total_epochs: int = 0,
        training_id: str = "",
        by: str = "",
        trace_id: str = "",
        running: bool = False,
    ) -> None:
        self.architecture = architecture
        self.total_epochs = total_epochs
        self.training_id = training_id
        self.by = by
        self.trace_id = trace_id
        self.running = running
        self.error = ""
        self.done_share = 0.0
        self._parts = 1
        self._parts_done = 0
        self._part = ""
        self._epoch = 0
        self._loss: float | None = None
        self._best = inf

    def take(self, told: Mapping[str, Any]) -> None:
        """Take a line of the worker."""
        if told["kind"] == "plan":
            self._parts = told["parts"]
        elif told["kind"] == "stage":
            final = told["stage"] == "train for service"
            self._parts_done = self._parts - 1 if final else min(told["done"], self._parts - 1)
            self._advance(0.0)
        elif told["kind"] == "lap":
            if told["part"] != self._part:
                self._part, self._best = told["part"], inf
            self._epoch = min(told["over"], self.total_epochs)
            self._loss = told["loss"]
            if told["validation"] is not None:
                self._best = min(self._best, told["validation"])
            self._advance(told["share"])

    def _advance(self, share: float) -> None:
        self.done_share = max(self.done_share, (self._parts_done + share) / self._parts)

    def percent(self) -> float:
        """Return the share of all parts that is done, in per cent."""
        return round(100.0 * min(1.0, self.done_share), 1)

    def told(self) -> dict[str, Any]:
        """Return the status as the API shows it."""
        return {
            "is_training": self.running,
            "current_epoch": self._epoch,
            "total_epochs": self.total_epochs,
            "current_loss": self._loss,
            "best_loss": self._best if self._best < inf else None,
            "architecture": self.architecture or None,
            "progress_percent": self.percent(),
            "part": self._part,
            "training_id": self.training_id,
            "error": self.error,
        }


def _spawned(asked: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
    """Start a worker; it reads its request and lives no longer than its standard input is open."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium.app.live.training_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=without_secrets(os.environ),
    )
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with suppress(BrokenPipeError):
        process.stdin.write(orjson.dumps(asked) + b"\n")
        process.stdin.flush()
    return process


def _listen(pipe: Any, kept: list[str]) -> None:
    """Read what a process says beside its lines, and keep the last of it."""
    for line in pipe:
        kept.append(line.decode("utf-8", "replace").strip()[:300])
        del kept[:-_KEPT_LINES]
