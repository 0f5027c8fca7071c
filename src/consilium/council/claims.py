"""What an outside source may claim: it can make things look worse, never better.

Own sources, and those that the desk names in ``trusted_sources``, count in full.
"""

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType

from consilium.domain import Figure, Missing, ModelFigures, ModelReported

OUTSIDE = "outside:"
MOST_CLAIMED: Mapping[str, float] = MappingProxyType({"win_rate": 0.60, "sharpe": 1.5, "winning_days": 4.0})
"""No row of the table loosens anything on figures such as these."""


def is_trusted(source: str, trusted: Iterable[str]) -> bool:
    """Return whether a source is our own, or one that the desk trusts.

    Examples
    --------
    >>> is_trusted("account:paper", ()), is_trusted("outside:desk", ()), is_trusted("outside:desk", ["desk"])
    (True, False, True)
    """
    return not source.startswith(OUTSIDE) or source.removeprefix(OUTSIDE) in trusted


def capped(name: str, value: float | None) -> float | None:
    """Return a figure of an untrusted account, at most as good as what loosens nothing.

    Examples
    --------
    >>> capped("win_rate", 0.9), capped("win_rate", 0.3), capped("drawdown", 0.9), capped("sharpe", None)
    (0.6, 0.3, 0.9, None)
    """
    return value if value is None or name not in MOST_CLAIMED else min(value, MOST_CLAIMED[name])


def combined_models(reports: Iterable[ModelReported], trusted: Set[str]) -> dict[str, ModelFigures]:
    """Combine what is said of each model by the worse value.

    A claim of an untrusted source counts only where a trusted one gives the same figure of that model: alone
    it would weigh the model, or ask for research on it.
    """
    reports = sorted(reports, key=lambda report: (report.source, report.model))
    found: dict[str, ModelFigures] = {}
    for report in reports:
        if is_trusted(report.source, trusted):
            found[report.model] = _with(found.get(report.model), report)
    for report in reports:
        if report.model in found and not is_trusted(report.source, trusted):
            found[report.model] = _lowered(found[report.model], report)
    return found


def _with(before: ModelFigures | None, report: ModelReported) -> ModelFigures:
    return ModelFigures(
        sharpe=_least(None if before is None else before.sharpe, report.sharpe),
        win_rate=_least(None if before is None else before.win_rate, report.win_rate),
        days=report.days if before is None else min(before.days, report.days),
        staleness_days=_most(None if before is None else before.staleness_days, report.staleness_days),
    )


def _lowered(known: ModelFigures, claim: ModelReported) -> ModelFigures:
    old = known.staleness_days
    return ModelFigures(
        sharpe=known.sharpe if isinstance(known.sharpe, Missing) else _least(known.sharpe, claim.sharpe),
        win_rate=(
            known.win_rate if isinstance(known.win_rate, Missing) else _least(known.win_rate, claim.win_rate)
        ),
        days=known.days,
        staleness_days=old if isinstance(old, Missing) else _most(old, claim.staleness_days),
    )


def _least(first: Figure | None, second: float | None) -> Figure:
    known = [value for value in (first, second) if isinstance(value, int | float)]
    return min(known) if known else Missing.INSUFFICIENT


def _most(first: Figure | None, second: float | None) -> Figure:
    known = [value for value in (first, second) if isinstance(value, int | float)]
    return max(known) if known else Missing.UNKNOWN
