"""Sessions small enough for tests: owners with keys, terms, plans and updates."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from consilium.domain import Update
from consilium.federated.aggregators.mean import Mean
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import masked_input
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.primitives import KeyPair, new_signing_key
from consilium.federated.registration import Registration
from consilium.federated.rounds import Closed, Member, RoundEffect, RoundOutcome, RoundPlan
from consilium.federated.secure_round import SecureRound
from consilium.federated.session import Mode, Terms
from consilium.federated.visible_round import VisibleRound

SECOND = 1_000_000_000
D = 4


@dataclass
class Desk:
    """Owners with their keys; participant ``x-1`` belongs to owner ``x``."""

    names: tuple[str, ...]
    stakes: dict[str, int] = field(default_factory=dict)
    keys: dict[str, KeyPair] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {name: new_signing_key(SystemEntropy()) for name in self.names}

    @property
    def owners(self) -> OwnerList:
        return OwnerList(
            owners=tuple(
                Owner(owner=name, key=keys.public, stake=self.stakes.get(name, 10))
                for name, keys in self.keys.items()
            )
        )

    def registration(self, name: str, terms: Terms, **changed: Any) -> Registration:
        given: dict[str, Any] = {
            "participant": f"{name}-1",
            "owner": name,
            "session": terms.session,
            "key": self.keys[name].public,
            "capabilities": (terms.task, str(terms.mode)),
            "examples": 100,
        }
        return Registration(**{**given, **changed}).signed(self.keys[name].private)


def terms_of(**changed: Any) -> Terms:
    given: dict[str, Any] = {
        "session": "s",
        "task": "digits",
        "mode": Mode.VISIBLE,
        "rounds": 5,
        "delta": 0.4,
    }
    return Terms(**{**given, **changed})


def running(desk: Desk, terms: Terms, parameters: np.ndarray | None = None) -> SessionCoordinator:
    """Return a session in which all owners have joined."""
    kept = SessionCoordinator(terms, desk.owners, np.zeros(D) if parameters is None else parameters)
    kept.move("open", ts=0)
    for name in desk.names:
        kept.register(desk.registration(name, terms))
    kept.move("running", ts=0)
    return kept


def plan_of(names: tuple[str, ...] = ("a", "b", "c"), **changed: Any) -> RoundPlan:
    weights = changed.pop("weights", {})
    staleness = changed.pop("staleness", {})
    given: dict[str, Any] = {
        "session": "s",
        "number": 1,
        "mode": Mode.VISIBLE,
        "members": tuple(
            Member(
                participant=name,
                weight=weights.get(name, 1),
                base_version="v1",
                staleness=staleness.get(name, 0),
            )
            for name in names
        ),
        "dimension": D,
        "clip": 1.0,
        "clip_int": 65_536,
        "with_bit": False,
        "least": 2,
        "attempts": 3,
        "exponent": 0.5,
        "ts_opened": 0,
        "ts_cut_off": 60 * SECOND,
    }
    return RoundPlan(**{**given, **changed})


def update_of(name: str = "a", delta: Any = (0.1, 0.2, 0.0, -0.1), **changed: Any) -> Update:
    given: dict[str, Any] = {
        "participant": name,
        "round": 1,
        "base_version": "v1",
        "delta": np.array(delta, dtype=np.float64),
        "num_examples": 100,
    }
    return Update(**{**given, **changed})


def outcome_in(effects: list[RoundEffect]) -> RoundOutcome:
    """Return the outcome in effects that close a round."""
    (closed,) = (effect for effect in effects if isinstance(effect, Closed))
    return closed.outcome


def mean_in(outcome: RoundOutcome) -> np.ndarray:
    """Return the mean of a round that gave one."""
    assert outcome.mean is not None, outcome.failed
    return outcome.mean


EXAMPLES = {"a": 100, "b": 100, "c": 100}


def visible_round(**changed: Any) -> VisibleRound:
    return VisibleRound(plan_of(**changed), Mean(), EXAMPLES)


def secret_round(**changed: Any) -> SecureRound:
    return SecureRound(plan_of(mode=Mode.SUM, **changed))


def secret_sum(deltas: dict[str, list[float]], machine: SecureRound, within: int = 1) -> np.ndarray:
    vectors = [
        masked_input(update_of(name, delta), bool(within), machine.plan, SystemEntropy())
        for name, delta in deltas.items()
    ]
    total: np.ndarray = np.sum(vectors, axis=0)
    return total
