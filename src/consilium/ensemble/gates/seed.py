"""The gates of the seeds: enough voters, agreement, confidence and lean."""

from dataclasses import dataclass
from typing import ClassVar

from consilium.ensemble.gates import Facts, Gates
from consilium.ensemble.voting import PASS, TOLERANCE, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGates(Gates):
    """The gates of seeds 002 and 004, read on the rule's confidence.

    Parameters
    ----------
    min_voters
        Voters needed, >= 0, default 2; abstainers do not count.
    min_agreement
        Least share of heads for the winner (of weight, for rules that say so), default 0.6.
    confidence_threshold
        Least confidence of the rule, default 0.5 (0.69 in seed 002).
    neutral_threshold
        Least ``|p_up - p_down|``, default 0.1.

    Examples
    --------
    >>> SeedGates(confidence_threshold=0.69).min_agreement
    0.6

    References
    ----------
    Seed 004, 3, EnsembleConfig; seed 002, 5.
    """

    name: ClassVar[str] = "seed"
    volatility_gate: ClassVar[bool] = True
    min_voters: int = 2
    min_agreement: float = 0.6
    confidence_threshold: float = 0.5
    neutral_threshold: float = 0.1

    def verdicts(self, verdict: Verdict, facts: Facts) -> dict[str, str]:
        """Judge coverage, agreement, confidence and lean; a figure equal to its threshold passes."""
        agreement = verdict.support if facts.by_support else verdict.agreement
        down, _, up = verdict.probabilities
        return {
            "coverage": (
                PASS
                if facts.voters >= self.min_voters
                else f"below_min_voters: {facts.voters}, needs {self.min_voters:g}"
            ),
            "agreement": _least("below_min_agreement", agreement, self.min_agreement),
            "confidence": _least("below_confidence_threshold", verdict.confidence, self.confidence_threshold),
            "neutral": _least("below_neutral_threshold", abs(up - down), self.neutral_threshold),
        }


def _least(reason: str, value: float, threshold: float) -> str:
    if value >= threshold - TOLERANCE:
        return PASS
    return f"{reason}: {value:.3f}, needs {threshold:g}"
