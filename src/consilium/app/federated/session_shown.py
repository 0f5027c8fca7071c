"""How a session is shown to those who ask: where it stands, what is agreed, which round is on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import UnknownName
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.rounds import StartAttempt
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.threats import statement
from consilium.federated.visible_round import VisibleRound

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one owner may see now.

    Parameters
    ----------
    change
        Mark of it: with another one something is new.
    attempt
        Round and attempt that are on; None between rounds.
    messages
        For it, encoded.
    """

    change: int
    attempt: tuple[int, int] | None
    messages: tuple[bytes, ...]


def stands(
    kept: SessionCoordinator, start: StartAttempt | None, machine: SumCoordinator | None, waiting: str
) -> dict[str, Any]:
    """Return how a session stands.

    Parameters
    ----------
    kept
        The session.
    start, machine
        The attempt that is on, and its machine; None without.
    waiting
        Why no round is on, where one should be.
    """
    session = kept.session
    return {
        "session": kept.terms.session,
        "state": str(session.state),
        "reason": session.reason or waiting,
        "task": kept.terms.task,
        "mode": str(kept.terms.mode),
        "rounds": kept.terms.rounds,
        "done": session.done,
        "joined": len(kept.registry),
        "admitted": len(kept.owners.owners),
        "dimension": len(kept.parameters),
        "version": kept.version,
        "ts_changed": session.ts_changed,
        "round": _on(kept, start, machine),
    }


def agreed(kept: SessionCoordinator, hub: Identity, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a participant must know before it joins."""
    return {
        "terms": kept.terms.as_dict(),
        "terms_digest": kept.terms.digest(),
        "options": dict(options),
        "owners_digest": kept.owners.digest(),
        "coordinator": {"name": hub.owner, "key": hub.signing.public.hex()},
        "threats": list(statement(kept.terms, max(1, len(kept.registry)), admitted=len(kept.owners.owners))),
    }


def arrays_of(kept: SessionCoordinator) -> dict[str, NDArray[np.float64]]:
    """Return the model and what its optimizer keeps; public both."""
    state = {f"optimizer/{name}": value for name, value in kept.optimizer_state.items()}
    return {"parameters": kept.parameters, **state}


def planned(kept: SessionCoordinator, start: StartAttempt | None) -> dict[str, Any] | None:
    """Return the round that is on, as each participant checks it; None between rounds."""
    if kept.round is None or start is None:
        return None
    plan = kept.round.plan
    return {
        "number": plan.number,
        "attempt": start.attempt,
        "groups": start.groups,
        "members": [
            {
                "participant": one.participant,
                "owner": owner_of(kept, one.participant),
                "weight": one.weight,
                "base_version": one.base_version,
                "staleness": one.staleness,
                "asked": one.participant in start.members,
            }
            for one in plan.members
        ],
        "eligible": list(plan.eligible),
        "barred": sorted(kept.barred.keys() & plan.by_id.keys()),
        "clip": plan.clip,
        "clip_int": plan.clip_int,
        "with_bit": plan.with_bit,
        "dimension": plan.dimension,
        "exponent": plan.exponent,
        "least": plan.least,
        "attempts": plan.attempts,
        "plan_groups": plan.groups,
        "ts_opened": plan.ts_opened,
        "ts_cut_off": plan.ts_cut_off,
        "version": kept.version,
    }


def owner_of(kept: SessionCoordinator, participant: str) -> str:
    """Return whose participant it is.

    Raises
    ------
    UnknownName
        It has not joined.
    """
    joined = kept.registry.joined
    if participant not in joined:
        raise UnknownName("participant", participant, joined)
    return joined[participant].registration.owner


def _on(
    kept: SessionCoordinator, start: StartAttempt | None, machine: SumCoordinator | None
) -> dict[str, Any] | None:
    if kept.round is None or start is None:
        return None
    stage, waits = _stage(kept, machine)
    return {
        "number": kept.number,
        "attempt": start.attempt,
        "stage": stage,
        "waits_for": list(waits[:MOST_SHOWN]),
        "ts_opened": kept.round.plan.ts_opened,
        "ts_cut_off": kept.round.plan.ts_cut_off,
    }


def _stage(kept: SessionCoordinator, machine: SumCoordinator | None) -> tuple[str, tuple[str, ...]]:
    """Return what a round is at, and for whom it waits."""
    if isinstance(kept.round, VisibleRound):
        return "updates", kept.round.waits_for
    if machine is None:
        return "closing", ()
    return machine.stage.name.lower(), tuple(machine.waits_for())
