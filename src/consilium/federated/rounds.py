"""One round above the secure sum: what it is planned to be, what may happen to it, and what comes of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, UnknownName
from consilium.domain.checks import require_at_least, require_positive
from consilium.federated.session import Mode

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One who was chosen.

    Parameters
    ----------
    participant
        Its id.
    weight
        Public weight, >= 1; claimed rows never weigh.
    base_version
        Of the model that it trains from.
    staleness
        Versions that its model is behind, >= 0; 0 but in buffered rounds.
    """

    participant: str
    weight: int
    base_version: str
    staleness: int = 0

    def __post_init__(self) -> None:
        require_at_least(f"weight of {self.participant}", self.weight, 1)
        require_at_least(f"staleness of {self.participant}", self.staleness, 0)


@dataclass(frozen=True, kw_only=True)
class RoundPlan:
    """What a round is, fixed and public before anybody masks anything.

    Parameters
    ----------
    session, number
        Which round, from 1.
    mode
        What the coordinator sees.
    members
        In the order of ids, which differ.
    dimension
        Numbers of an update, >= 1.
    clip, clip_int
        L2 bound of an update, and the integer that stands for it.
    with_bit
        Whether one more number says if the update was within the clip.
    least
        Fewest survivors, >= 1.
    attempts
        Most secure sums, >= 1.
    exponent
        a of the factor ``(1 + staleness)^-a``, >= 0.
    groups
        Random groups of which each has a sum of its own, >= 1; 1 but in mode grouped.
    ts_opened, ts_cut_off
        When it began, and when it goes on without stragglers; UTC nanoseconds.
    eligible
        Of whom the members were drawn, in the order of ids; empty where there is no draw.
    """

    session: str
    number: int
    mode: Mode
    members: tuple[Member, ...]
    dimension: int
    clip: float
    clip_int: int
    with_bit: bool
    least: int
    attempts: int
    exponent: float
    ts_opened: int
    ts_cut_off: int
    groups: int = 1
    eligible: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("number", "dimension", "clip_int", "least", "attempts", "groups"):
            require_at_least(name, getattr(self, name), 1)
        require_positive("clip", self.clip)
        ids = [one.participant for one in self.members]
        if ids != sorted(set(ids)) or not ids:
            raise InvalidValue("members of a round must differ, in the order of ids", ids[:5], "sort them")
        if self.ts_cut_off <= self.ts_opened:
            raise InvalidValue("the cut-off must come after the opening", self.ts_cut_off, "give it time")

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        plain = {part.name: getattr(self, part.name) for part in fields(self)}
        plain |= {"mode": str(self.mode), "eligible": list(self.eligible)}
        return plain | {"members": [asdict(one) for one in self.members]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "RoundPlan":
        """Read what `as_dict` wrote.

        Raises
        ------
        InvalidValue
            Fields that are missing, too many, or outside their bounds.
        """
        try:
            members = tuple(Member(**one) for one in plain["members"])
            eligible = tuple(plain.get("eligible", ()))
            return cls(**{**plain, "mode": Mode(plain["mode"]), "members": members, "eligible": eligible})
        except (KeyError, TypeError) as error:
            raise InvalidValue(
                "a plan must have the fields of a round", f"{error}", "restore a whole one"
            ) from None

    @cached_property
    def by_id(self) -> Mapping[str, Member]:
        """Members by id."""
        return MappingProxyType({one.participant: one for one in self.members})

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Weight of each over the largest, in (0, 1]: by their sum the sum of updates is divided."""
        largest = max(one.weight for one in self.members)
        return MappingProxyType({one.participant: one.weight / largest for one in self.members})

    @cached_property
    def factors(self) -> Mapping[str, float]:
        """By what each multiplies its clipped update before it masks: share x (1 + staleness)^-a, <= 1."""
        return MappingProxyType(
            {
                one.participant: self.shares[one.participant] * (1.0 + one.staleness) ** -self.exponent
                for one in self.members
            }
        )

    def member(self, participant: str) -> Member:
        """Return a member by id.

        Raises
        ------
        UnknownName
            It was not chosen.
        """
        if participant not in self.by_id:
            raise UnknownName(f"member of round {self.number}", participant, self.by_id)
        return self.by_id[participant]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """One without whom a round went on, and why: value, bound and cure in one line."""

    participant: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return what JSON can hold."""
        return {"participant": self.participant, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoundOutcome:
    """What came of a round.

    Parameters
    ----------
    plan
        What it was.
    mean
        Weighted mean of the survivors' updates, shape (d,); None where it failed.
    survivors
        Whose updates are in it, in the order of ids.
    excluded
        Whose are not, and why; and those at fault, whose are where they are among the survivors.
    attempts
        Secure sums that were tried; 0 where updates are seen.
    share_below
        Of the survivors, within the clip; None where nobody was asked.
    failed
        Why there is no mean; empty where there is one.
    claimed
        What survivors said of themselves: shown, never trusted.
    faults
        By id, why it is at fault beyond doubt: it is asked in no later round.
    """

    plan: RoundPlan
    mean: Floats | None = None
    survivors: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    attempts: int = 0
    share_below: float | None = None
    failed: str = ""
    claimed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


# What a round does, in order.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A participant is told whether its update counts."""

    participant: str
    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """A secure sum is to begin among these, with fresh keys; attempts count from 1 within a round."""

    attempt: int
    members: tuple[str, ...]
    size: int
    """Numbers of the vector that is summed, the bit included."""
    groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Closed:
    """The round is over; nothing follows."""

    outcome: RoundOutcome


RoundEffect = Answered | StartAttempt | Closed


# What happens to a round.


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The time is now, UTC nanoseconds."""

    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A participant leaves this round out, and says why: its training diverged, for example."""

    participant: str
    reason: str
