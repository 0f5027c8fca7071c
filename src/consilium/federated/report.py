"""What is told of a round: what was learned, who took part, who did not and why, and what is promised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consilium.domain import ConsiliumError
from consilium.federated.rounds import Excluded, Floats, RoundOutcome

Judging = Callable[[Floats], Mapping[str, float]]
"""Says how good parameters are."""

NO_JUDGE = "this coordinator has no rows of its own to judge a model on"
BEING_JUDGED = "its model is being judged: ask again"
NOT_LEARNED = "nothing was learned, so the model is the one before"
NO_PRIVACY = "no noise is added, so no epsilon can be stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """How many of whom.

    Parameters
    ----------
    registered, eligible, chosen
        Who joined, who could be chosen, who was.
    survivors
        Whose updates count.
    dropped
        Chosen, and not among the survivors.
    attempts
        Secure sums that were tried.
    """

    registered: int
    eligible: int
    chosen: int
    survivors: int
    dropped: int
    attempts: int

    @classmethod
    def of(cls, outcome: RoundOutcome, registered: int, eligible: int) -> "Participation":
        """Count who took part in a round."""
        chosen, survivors = len(outcome.plan.members), len(outcome.survivors)
        return cls(
            registered=registered,
            eligible=eligible,
            chosen=chosen,
            survivors=survivors,
            dropped=chosen - survivors,
            attempts=outcome.attempts,
        )

    def as_dict(self) -> dict[str, int]:
        """Return what JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """The report of one round.

    Parameters
    ----------
    session, number, mode
        Which round.
    base_version, version
        Of the model before and after; the same where the round failed.
    performance
        The coordinator's own judgement of the new model, on rows that nobody learned from; None without any,
        and ``performance_note`` says why.
    claimed
        What participants said of themselves, by id: shown, never trusted, and no part of any weight.
    participation
        How many of whom.
    survivors
        Whose updates count.
    privacy
        None: no privacy accounting in this session; ``privacy_note`` says why.
    next_round_eligibility
        Who may be chosen for the next round.
    excluded
        Without whom the round went on, and why; and who was found at fault, whose update may count.
    clip, share_below
        L2 bound of this round, and the share of survivors within it; None where nobody was asked.
    clip_enforced
        Whether the clip was checked, or each participant's own word.
    weights
        The public weight table of the round.
    owners, terms
        Hashes of the owner list and of the terms.
    failed
        Why nothing was learned; empty where something was.
    threats
        What is promised and what is not.
    """

    session: str
    number: int
    mode: str
    base_version: str
    version: str
    participation: Participation
    survivors: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    next_round_eligibility: tuple[str, ...]
    weights: Mapping[str, int]
    owners: str
    terms: str
    clip: float
    clip_enforced: bool
    threats: tuple[str, ...]
    share_below: float | None = None
    performance: Mapping[str, float] | None = None
    performance_note: str = ""
    claimed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    privacy: None = None
    privacy_note: str = NO_PRIVACY
    failed: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "participation": self.participation.as_dict(),
            "excluded": [one.as_dict() for one in self.excluded],
            "survivors": list(self.survivors),
            "next_round_eligibility": list(self.next_round_eligibility),
            "weights": dict(self.weights),
            "threats": list(self.threats),
            "performance": None if self.performance is None else dict(self.performance),
            "claimed": {name: dict(said) for name, said in self.claimed.items()},
        }


def judged_by(judge: Judging | None, parameters: Floats, note: str) -> tuple[dict[str, float] | None, str]:
    """Return the judgement of a model, or why there is none: ``note`` where nobody judges."""
    if judge is None:
        return None, note
    try:
        return dict(judge(parameters)), ""
    except ConsiliumError as error:
        return None, str(error)
