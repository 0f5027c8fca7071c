"""What `federate simulate` was asked for: one synthetic round, or the training of a task."""

from dataclasses import dataclass
from typing import Any, Protocol

from consilium.app.federated.simulation import Simulated, simulate
from consilium.app.federated.training import DEFAULT_ROUNDS, TASK_CLIP_INT, Trained, train
from consilium.app.stages import ProgressCall
from consilium.domain import UnknownName, UsageError
from consilium.federated.session import Mode
from consilium.federated.tasks import TASKS


class Runnable(Protocol):
    """Something that runs and reports."""

    def run(self, progress: ProgressCall) -> dict[str, Any]:
        """Return the report."""
        ...


@dataclass(frozen=True, slots=True)
class OneRound:
    """A round of synthetic updates."""

    asked: Simulated

    def run(self, progress: ProgressCall) -> dict[str, Any]:
        """Return its report."""
        return simulate(self.asked, progress)


@dataclass(frozen=True, slots=True)
class Training:
    """Rounds that train a task."""

    asked: Simulated
    task: Trained

    def run(self, progress: ProgressCall) -> dict[str, Any]:
        """Return their report."""
        return train(self.asked, self.task, progress)


def simulated(
    *,
    mode: str,
    params: int | None,
    task: str | None,
    rounds: int | None,
    data: str | None,
    clip_int: int | None,
    **given: Any,
) -> Runnable:
    """Read what was asked for.

    Raises
    ------
    UsageError, UnknownName
        Options that are out of their bounds, or that exclude each other.
    """
    if mode not in list(Mode):
        raise UnknownName("--mode", mode, [str(one) for one in Mode])
    if clip_int is not None:
        given["clip_int"] = clip_int
    if task is None:
        for name, value in (("--rounds", rounds), ("--data", data)):
            if value is not None:
                raise UsageError(f"{name} goes with --task", value, "add --task digits")
        if params is not None:
            given["params"] = params
        return OneRound(Simulated(mode=Mode(mode), **given))
    if task not in TASKS:
        raise UnknownName("--task", task, TASKS)
    if params is not None:
        raise UsageError("--params is that of the model with --task", params, "leave it out")
    if data is not None and task != "candles":
        raise UsageError("--data goes with --task candles", data, "leave it out")
    given.setdefault("clip_int", TASK_CLIP_INT)
    asked = Simulated(mode=Mode(mode), **given)
    return Training(asked, Trained(task=task, rounds=DEFAULT_ROUNDS if rounds is None else rounds, data=data))
