"""A round whose updates nobody sees: secure sums, each with fresh keys, until one gives a mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.federated.quantising import Scale, dequantise
from consilium.federated.rounds import (
    Closed,
    Excluded,
    RoundEffect,
    RoundOutcome,
    RoundPlan,
    StartAttempt,
    Tick,
    Withdrawn,
)


def most_barred(colluders: int) -> int:
    """Return how many may be left out for the rest of a session because they were found at fault.

    No more than may collude: participants take the coordinator's word for who it was.
    """
    return max(1, colluders)


def barred_after(barred: Mapping[str, str], outcome: RoundOutcome, colluders: int) -> dict[str, str]:
    """Return who is asked no more after a round, and why: those found at fault, as many as that may be."""
    found = dict(barred)
    for name, why in outcome.faults.items():
        if len(found) < most_barred(colluders):
            found.setdefault(name, f"in round {outcome.plan.number}: {why}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptDone:
    """A secure sum was decoded.

    Parameters
    ----------
    attempt
        Which one.
    total
        Integer sum of the survivors' vectors, shape (size,).
    survivors
        Ids.
    excluded
        Reasons by id, of those who were refused or fell silent.
    claimed
        What survivors said of themselves.
    faults
        By id, why it is at fault beyond doubt: also where its own update counts.
    """

    attempt: int
    total: NDArray[np.int64]
    survivors: tuple[str, ...]
    excluded: Mapping[str, str] = field(default_factory=dict)
    claimed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """A secure sum ended without a sum.

    Parameters
    ----------
    attempt
        Which one.
    why
        In one line.
    released
        Whether shares may be out: no later attempt of the round may then use the same updates.
    excluded
        Reasons by id, of those who shall not be in the next one.
    faults
        By id, why it is at fault beyond doubt.
    """

    attempt: int
    why: str
    released: bool = False
    excluded: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


class SecureRound:
    """Begins secure sums until one succeeds, attempts run out, or shares may be out.

    Parameters
    ----------
    plan
        What the round is.
    begun
        Attempts of this round that were begun before, >= 0: their numbers are used up.
    barred
        By id, why it is asked no more: found at fault in a round before.
    """

    def __init__(
        self, plan: RoundPlan, *, begun: int = 0, barred: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.plan = plan
        self._begun = begun
        self.scale = Scale(clip=plan.clip, clip_int=plan.clip_int)
        self.attempt = begun
        self._left = tuple(plan.by_id)
        self._excluded = {name: why for name, why in barred.items() if name in plan.by_id}
        self._faults: dict[str, str] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._closed

    @property
    def size(self) -> int:
        """Numbers of the vector that is summed."""
        return self.plan.dimension + (1 if self.plan.with_bit else 0)

    @property
    def current(self) -> StartAttempt:
        """The attempt that is on: for who finds the round again."""
        return StartAttempt(attempt=self.attempt, members=self._left, size=self.size, groups=self._groups())

    def start(self) -> list[RoundEffect]:
        """Begin the first attempt, or say that there are too few to begin."""
        return self._next("no attempt was made")

    def handle(self, event: AttemptDone | AttemptFailed | Tick | Withdrawn) -> list[RoundEffect]:
        """Take what happened; return what to do. What belongs to an earlier attempt changes nothing."""
        if self._closed:
            return []
        if isinstance(event, Withdrawn):
            # The attempt that is on will miss it; the next one does not ask.
            if event.participant in self.plan.by_id:
                self._excluded.setdefault(event.participant, event.reason)
            return []
        if isinstance(event, Tick):
            late = event.now >= self.plan.ts_cut_off
            return self._fail(f"no sum before the cut-off of round {self.plan.number}") if late else []
        if event.attempt != self.attempt:
            return []
        for name, why in event.excluded.items():
            if name in self.plan.by_id:
                self._excluded.setdefault(name, why)
        for name, why in event.faults.items():
            if name in self.plan.by_id:
                self._faults[name] = self._excluded[name] = why
        if isinstance(event, AttemptDone):
            return self._finish(event)
        if event.released:
            return self._fail(f"{event.why}; shares may be out, so the updates are not used again")
        return self._next(event.why)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold; public all of it."""
        return {
            "plan": self.plan.as_dict(),
            "begun": self._begun,
            "attempt": self.attempt,
            "left": list(self._left),
            "excluded": dict(self._excluded),
            "faults": dict(self._faults),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Return to where `state` was taken: its attempt goes on, or `AttemptFailed` begins the next one."""
        made = cls(RoundPlan.from_dict(state["plan"]), begun=int(state["begun"]))
        made.attempt, made._left = int(state["attempt"]), tuple(state["left"])
        made._excluded, made._faults = dict(state["excluded"]), dict(state.get("faults", {}))
        return made

    def _next(self, why: str) -> list[RoundEffect]:
        plan = self.plan
        self._left = tuple(name for name in self._left if name not in self._excluded)
        if len(self._left) < plan.least:
            return self._fail(f"a round needs >= {plan.least} participants; got {len(self._left)}: {why}")
        if self.attempt - self._begun >= plan.attempts:
            return self._fail(f"no sum in {plan.attempts} attempts; the last: {why}")
        self.attempt += 1
        return [self.current]

    def _groups(self) -> int:
        # Fewer participants fill fewer groups of the same size.
        return max(1, self.plan.groups * len(self._left) // len(self.plan.members))

    def _finish(self, done: AttemptDone) -> list[RoundEffect]:
        survivors = tuple(sorted(done.survivors))
        try:
            share_below = self._require(done, survivors)
        except InvalidValue as refused:
            # The sum is out: whatever is wrong with it, these updates are not summed again.
            return self._fail(str(refused))
        for name in self.plan.by_id:
            if name not in survivors:
                self._excluded.setdefault(name, f"fell silent in attempt {done.attempt}")
        self._excluded = {name: why for name, why in self._excluded.items() if name not in survivors}
        self._excluded |= self._faults
        whole = sum(self.plan.shares[name] for name in survivors)
        mean = dequantise(done.total[: self.plan.dimension], self.scale) / whole
        self._closed = True
        return [
            Closed(
                outcome=RoundOutcome(
                    plan=self.plan,
                    mean=mean,
                    survivors=survivors,
                    excluded=self._reasons(),
                    attempts=self.attempt - self._begun,
                    share_below=share_below,
                    claimed={name: done.claimed[name] for name in survivors if name in done.claimed},
                    faults=dict(self._faults),
                )
            )
        ]

    def _require(self, done: AttemptDone, survivors: tuple[str, ...]) -> float | None:
        """Refuse what honest participants cannot have summed to; return the share within the clip."""
        if not survivors or not set(survivors) <= set(self._left):
            raise InvalidValue(
                "survivors must have been asked", survivors[:5], "look at the attempt's roster"
            )
        if done.total.shape != (self.size,):
            raise InvalidValue(f"a sum must have shape ({self.size},)", done.total.shape, "sum whole vectors")
        most = len(survivors) * self.scale.norm_bound(self.plan.dimension)
        norm = sqrt(float(np.sum(np.square(done.total[: self.plan.dimension], dtype=np.float64))))
        if norm > most:
            raise InvalidValue(
                f"the norm of a sum of {len(survivors)} clipped updates must be <= {most}",
                f"{norm:.0f}",
                "somebody did not clip; in a secret sum nobody can say who: ask others, or use mode visible",
            )
        if not self.plan.with_bit:
            return None
        below = int(done.total[-1])
        if not 0 <= below <= len(survivors):
            raise InvalidValue(
                f"the count of updates within the clip must lie in [0, {len(survivors)}]", below, "ask others"
            )
        return below / len(survivors)

    def _fail(self, why: str) -> list[RoundEffect]:
        self._closed = True
        return [
            Closed(
                outcome=RoundOutcome(
                    plan=self.plan,
                    excluded=self._reasons(),
                    attempts=self.attempt - self._begun,
                    failed=why,
                    faults=dict(self._faults),
                )
            )
        ]

    def _reasons(self) -> tuple[Excluded, ...]:
        return tuple(Excluded(participant=name, reason=why) for name, why in sorted(self._excluded.items()))
