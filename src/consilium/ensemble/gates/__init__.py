"""Gates come after the rule: they never change a direction or a probability, they say whether to act on it.

A verdict is ``pass``, ``reason: figures``, or ``not evaluated: why`` where a figure is missing. The last
never reads as a pass; it holds the consensus back only under ``strict``. One file for each preset.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from math import isfinite
from typing import ClassVar, NamedTuple

from consilium.domain import InvalidValue, UnknownName, lookup
from consilium.ensemble.voting import PASS, TOLERANCE, Verdict

NOT_EVALUATED = "not evaluated"

PRESETS = {
    "seed": "consilium.ensemble.gates.seed:SeedGates",
    "edge": "consilium.ensemble.gates.edge:EdgeGates",
}
"""Gate presets by name."""


class Facts(NamedTuple):
    """What gates read beside the rule's verdict.

    ``volatility`` is daily, None if unknown; ``expected_return`` is the pooled log return over the horizon.
    """

    voters: int
    volatility: float | None
    expected_return: float
    meta_confidence: float
    by_support: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates(ABC):
    """What every preset has; make one by `Gates.seed` or `Gates.edge`.

    Parameters
    ----------
    volatility_limit
        Daily volatility above which a consensus must be surer; a fraction, default 0.05.
    volatility_confidence
        The confidence it then needs, read before any boost; in [0, 1], default 0.70.
    strict
        Whether a gate that could not be evaluated holds the consensus back, default False.

    Raises
    ------
    InvalidValue
        A setting that is not finite, or negative.

    Examples
    --------
    >>> Gates.seed(confidence_threshold=0.69).name
    'seed'

    References
    ----------
    Seed 002, 4.3 (volatility).
    """

    name: ClassVar[str]
    volatility_gate: ClassVar[bool] = False
    signed: ClassVar[tuple[str, ...]] = ()
    volatility_limit: float = 0.05
    volatility_confidence: float = 0.70
    strict: bool = False

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value is None:
                continue
            if not isfinite(value):
                raise InvalidValue(f"{setting.name} must be finite", value, f"correct {setting.name}")
            if value < 0 and setting.name not in self.signed:
                raise InvalidValue(f"{setting.name} must be >= 0", value, "give a magnitude")

    @staticmethod
    def seed(**overrides: float | None) -> "Gates":
        """Make the preset of the seeds; ``overrides`` are settings of ``SeedGates``."""
        return make_gates("seed", **overrides)

    @staticmethod
    def edge(**overrides: float | None) -> "Gates":
        """Make the preset that asks for a gain after costs; ``overrides`` are settings of ``EdgeGates``."""
        return make_gates("edge", **overrides)

    @abstractmethod
    def verdicts(self, verdict: Verdict, facts: Facts) -> dict[str, str]:
        """Judge a verdict by every gate of the preset, in their order."""

    def volatility_verdict(self, verdict: Verdict, facts: Facts) -> str:
        """Ask for more confidence in a wild market: above the limit, ``base >= volatility_confidence``."""
        if facts.volatility is None:
            return f"{NOT_EVALUATED}: no volatility given"
        if facts.volatility <= self.volatility_limit:
            return PASS
        if verdict.base >= self.volatility_confidence - TOLERANCE:
            return PASS
        return (
            f"volatility_hold: volatility {facts.volatility:.4f} > {self.volatility_limit:g} "
            f"and confidence {verdict.base:.3f} < {self.volatility_confidence:g}"
        )


def make_gates(name: str, **overrides: float | None) -> Gates:
    """Make a preset by its name.

    Parameters
    ----------
    name
        A name in PRESETS or of an entry point of ``consilium.gates``.
    overrides
        Settings of the preset's class; the others keep their defaults.

    Raises
    ------
    UnknownName
        No such preset, or no such setting of it; the error lists the known ones.

    Examples
    --------
    >>> make_gates("edge", round_trip_cost=0.001).name
    'edge'
    """
    preset = lookup("gate preset", name, PRESETS, "consilium.gates")
    known = [setting.name for setting in fields(preset)]
    for override in overrides:
        if override not in known:
            raise UnknownName(f"setting of gates {name}", override, known)
    gates: Gates = preset(**overrides)
    return gates
