"""The coordinator's own judgement of a session's models, where it has rows that nobody learned from."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.local_task import SYNTHETIC, local_task
from consilium.domain import ConsiliumError, DataProblem, UsageError
from consilium.federated.tasks import Task

COORDINATOR: Final = "coordinator"
CANDLES: Final = "candles"


class Judge:
    """Judges parameters by the task's own measures; the task is made at the first judgement.

    Digits are judged on the images that belong to nobody, candles on a file of the coordinator's machine.

    Parameters
    ----------
    task, options
        As the session settles them.
    owners
        All who were admitted.
    data
        Candles of the coordinator; None without.

    Raises
    ------
    UsageError
        Candles for a task that does not learn from them.
    """

    def __init__(
        self, task: str, options: Mapping[str, Any], owners: tuple[str, ...], *, data: str | None = None
    ) -> None:
        if data is not None and task != CANDLES:
            raise UsageError("candles to judge by go with the task candles", f"task {task}", "leave them out")
        self.data = data
        self._task, self._options, self._owners = task, dict(options), owners
        self._made: Task | None = None
        self._lock = Lock()

    @property
    def hindrance(self) -> str:
        """Why no model can be judged, whatever it is; empty where one can."""
        try:
            self._require_rows()
        except DataProblem as why:
            return str(why)
        return ""

    def __call__(self, parameters: NDArray[np.float64]) -> dict[str, float]:
        """Return how good parameters are.

        Raises
        ------
        ConsiliumError
            They cannot be judged, and why.
        """
        self._require_rows()
        try:
            return dict(self._task_here().evaluate(parameters))
        except ConsiliumError:
            raise
        except Exception as error:  # a library's own: the round must not be lost for it
            raise DataProblem(
                "the coordinator must be able to judge", f"{type(error).__name__}: {error}"[:300], "mend it"
            ) from error

    def _require_rows(self) -> None:
        if self._task == SYNTHETIC:
            raise DataProblem("a model must learn something to be judged", "task synthetic", "it cannot be")
        if self._task == CANDLES and self.data is None:
            raise DataProblem(
                "the coordinator must have candles to judge by",
                "none",
                "name a file on its machine when the session is created: --judge-data",
            )

    def _task_here(self) -> Task:
        with self._lock:
            if self._made is None:
                data = None if self.data is None else Path(self.data)
                if data is not None and not data.exists():
                    raise DataProblem("candles to judge by must be on this machine", data, "correct the path")
                self._made = local_task(self._task, self._options, self._owners, owner=COORDINATOR, data=data)
            return self._made
