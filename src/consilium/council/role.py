"""What an officer is: a pure function of one briefing and of what it remembers itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from consilium.council.timers import Timers
from consilium.domain import Briefing, Decision, Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A ruling that an officer wants.

    Parameters
    ----------
    rule
        Row of the table.
    kind, payload, reason
        Of the decision; the payload has the seed's keys.
    holds
        Placed by it; one of the same owner, rule and key is replaced.
    releases
        Ids of holds that end by it: the officer's own only.
    overrides
        Id of the decision that it cancels (V1).
    """

    rule: str
    kind: str
    payload: Mapping[str, object]
    reason: str
    holds: tuple[Hold, ...] = ()
    releases: tuple[str, ...] = ()
    expires_at: int | None = None
    overrides: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What an officer concludes: proposals, and all that it wants to remember, as JSON values."""

    proposals: tuple[Proposal, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)


class Role(Protocol):
    """An officer."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    """Kinds of decisions that it may make."""

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Conclude from a briefing; the same briefing and memory give the same ruling.

        A calm briefing gives no proposal. Memory changes only where a condition changed: a briefing that
        differs in its time alone and lets nothing fall due gives the memory back as it was.
        """
        ...

    def review(self, briefing: Briefing, decisions: Sequence[Decision]) -> Sequence[Proposal]:
        """Return overrides of decisions that must not stand (V1); only the supervisor has any."""
        ...


class Follower:
    """An officer that overrides nobody."""

    def review(self, briefing: Briefing, decisions: Sequence[Decision]) -> Sequence[Proposal]:  # noqa: ARG002 the port's
        """Override nothing."""
        return ()


def conclude(proposals: Iterable[Proposal], timers: Timers) -> Ruling:
    """Return a ruling."""
    return Ruling(proposals=tuple(proposals), memory=timers.memory)
