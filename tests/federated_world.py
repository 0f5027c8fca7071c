"""A whole session in one process, small enough for tests."""

from collections.abc import Callable
from typing import Any

from consilium.app.carriers.memory import Lose
from consilium.app.federated.learning import InProcess
from consilium.app.federated.summing import Seat
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import Learner
from consilium.federated.local import LocalPlan
from consilium.federated.primitives import new_signing_key
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.session import Mode
from consilium.federated.tasks.digits import Digits
from federated_cases import Desk, terms_of


def digits_world(
    count: int = 6,
    *,
    lose: Lose | None = None,
    absent: Callable[[str, int], bool] | None = None,
    stakes: dict[str, int] | None = None,
    alpha: float = 0.5,
    hidden: int = 0,
    **terms: Any,
) -> InProcess:
    """Return a running session on digits among ``d00-1``, ``d01-1``, ..."""
    names = tuple(f"d{number:02}" for number in range(count))
    desk = Desk(names, stakes or {})
    agreed = terms_of(
        **{
            "mode": Mode.SUM,
            "delta": 0.25,
            "gamma": 0.0,
            "rounds": 2,
            "local": LocalPlan(epochs=1, learning_rate=0.01),
            **terms,
        }
    )
    task = Digits(tuple(f"{name}-1" for name in names), alpha=alpha, hidden=hidden)
    kept = SessionCoordinator(agreed, desk.owners, task.initial())
    kept.move("open", ts=0)
    for name in names:
        kept.register(desk.registration(name, agreed, examples=task.examples(f"{name}-1")))
    kept.move("running", ts=0)
    seats = {
        f"{name}-1": Seat(
            learner=Learner(f"{name}-1", task, agreed), identity=Identity(name, desk.keys[name])
        )
        for name in names
    }
    hub = Identity("hub", new_signing_key(SystemEntropy()))
    return InProcess(kept, hub, seats, judge=task.evaluate, lose=lose, absent=absent)
