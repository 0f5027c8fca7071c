"""Judging beside the rounds: a model is judged in a thread of its own, and its figures join its report."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.guard import Guard
from consilium.app.federated.judging import Judge
from consilium.app.federated.session_folder import SessionFolder
from consilium.domain import ConsiliumError
from consilium.federated.report import BEING_JUDGED, NO_JUDGE, RoundReport

MOST_WAITING: Final = 8
"""Models that wait; of more the oldest is left out, so that slow judging holds no memory without end."""
LEFT_OUT: Final = f"more than {MOST_WAITING} rounds were over before this one could be judged"
LOST: Final = "the coordinator ended before this model was judged, and later rounds had moved it"

Heard = Callable[[Mapping[str, Any]], None]
Model = NDArray[np.float64]


class JudgedLater:
    """Judges the models of one session in the order of their rounds, without holding the session.

    Parameters
    ----------
    folder
        Of the session; the report of each round is there.
    guard
        Of the session; held only while figures are written down.
    judge
        Says how good a model is; nobody if not given.
    heard
        Gets each report once its model is judged.
    """

    def __init__(
        self, folder: SessionFolder, guard: Guard, judge: Judge | None, heard: Heard | None = None
    ) -> None:
        self._folder, self._guard, self._judge, self._heard = folder, guard, judge, heard
        self._waiting: deque[tuple[int, Model]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def note(self) -> str:
        """What a report says in the place of figures when its round closes."""
        return NO_JUDGE if self._judge is None else self._judge.hindrance or BEING_JUDGED

    def add(self, report: RoundReport, parameters: Model) -> None:
        """Judge the model of a round, if its report waits for that."""
        if report.performance_note == BEING_JUDGED:
            self._add(report.number, parameters)

    def resume(self, version: str, parameters: Model) -> None:
        """Go on after a restart: judge the newest model, and say of others that they were not."""
        for report in self._folder.reports():
            if report["performance_note"] == BEING_JUDGED and not report["failed"]:
                if report["version"] == version:
                    self._add(report["number"], parameters)
                else:
                    self._write(report["number"], None, LOST)

    def _add(self, number: int, parameters: Model) -> None:
        with self._lock:
            self._waiting.append((number, parameters))
            left = self._waiting.popleft()[0] if len(self._waiting) > MOST_WAITING else None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="network-judge", daemon=True)
                self._thread.start()
        if left is not None:
            self._write(left, None, LEFT_OUT)

    def _run(self) -> None:
        assert self._judge is not None  # noqa: S101 - nothing waits without a judge
        while True:
            with self._lock:
                if not self._waiting or self._guard.broken:
                    self._thread = None
                    return
                number, parameters = self._waiting.popleft()
            figures, note = None, ""
            try:
                figures = self._judge(parameters)
            except ConsiliumError as error:
                note = str(error)
            try:
                self._write(number, figures, note)
            except ConsiliumError:
                continue  # the session was let go of: who opens it again judges it again

    def _write(self, number: int, figures: Mapping[str, float] | None, note: str) -> None:
        with self._guard.changing():
            found = next((one for one in self._folder.reports(number) if one["number"] == number), None)
            if found is None:
                return
            found |= {"performance": None if figures is None else dict(figures), "performance_note": note}
            self._folder.add_report(found)
        if self._heard is not None:
            self._heard(found)
