"""Whether the sets of the conformal gate held what came, month by month."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.markup import Markup, html, paragraph, table
from consilium.app.report.numbers import NOTHING, percent
from consilium.app.report.reading import Report, part, real, rows

_TOLD = (
    "A set names the directions that cannot be ruled out. It should hold what came in the target share of "
    "cases, whatever the forecasts are worth: far below, it promises too much. A singleton names one "
    "direction only; no other set lets a trade through."
)


def sets_table(report: Report) -> Markup:
    """Coverage and singletons of each month against the target; nothing without that gate."""
    found, target = _months(report), target_of(report)
    begin = str(part(report, "split", "lockbox").get("first") or "")[:7]
    lines: list[tuple[object, ...]] = [
        (_named(row, begin), *_cells(row.get("outcomes"), row.get("coverage"), row.get("singletons")))
        for row in found
    ]
    if len(found) > 1:
        lines.append(("all months", *_cells(*overall(report))))
    aim = "" if target is None else f" (target {percent(target)})"
    return Markup(
        table(
            "Conformal sets by month",
            ("Month", "Outcomes", f"Held what came{aim}", "Singletons"),
            lines,
        )
        + (paragraph(_TOLD, "soft under") if lines else "")
    )


def sets_line(report: Report) -> str:
    """Tell overall coverage and singletons in one line; nothing without that gate.

    Examples
    --------
    >>> month = {"month": "2024-03", "outcomes": 2_000, "coverage": 0.8125, "singletons": 0.3}
    >>> ensemble = {"conformal": 0.2}
    >>> sets_line({"consensus": {"conformal": [month]}, "config": {"settings": {"ensemble": ensemble}}})
    'Conformal sets: 81.2 % of 2,000 held what came (target 80.0 %), 30.0 % singletons'
    """
    outcomes, coverage, singletons = overall(report)
    if outcomes is None or coverage is None:
        return ""
    target = target_of(report)
    told = f"Conformal sets: {percent(coverage)} of {outcomes:,.0f} held what came"
    told += "" if target is None else f" (target {percent(target)})"
    return told if singletons is None else f"{told}, {percent(singletons)} singletons"


def target_of(report: Report) -> float | None:
    """Return the share of outcomes that the sets should hold; None where it was not set."""
    missed = part(report, "config", "settings", "ensemble").get("conformal")
    share = real(missed.get("alpha") if isinstance(missed, Mapping) else missed)
    return None if share is None else 1.0 - share


def overall(report: Report) -> tuple[float | None, float | None, float | None]:
    """Return outcomes, coverage and share of singletons of all months; None where nothing is known."""
    found = _months(report)
    outcomes = sum(real(row.get("outcomes")) or 0 for row in found)
    if not outcomes:
        return None, None, None
    return outcomes, _mean(found, "coverage"), _mean(found, "singletons")


def _mean(found: list[Mapping[str, Any]], key: str) -> float | None:
    counted = [
        (weight, value)
        for row in found
        if (weight := real(row.get("outcomes"))) is not None and (value := real(row.get(key))) is not None
    ]
    total = sum(weight for weight, _ in counted)
    return sum(weight * value for weight, value in counted) / total if total else None


def _months(report: Report) -> list[Mapping[str, Any]]:
    return rows(part(report, "consensus").get("conformal"))


def _named(row: Mapping[str, Any], begin: str) -> Markup:
    month = str(row.get("month") or "?")
    return Markup(f"{html(month)}{' <small>development</small>' if month < begin else ''}")


def _cells(outcomes: Any, coverage: Any, singletons: Any) -> tuple[str, str, str]:
    count = real(outcomes)
    return NOTHING if count is None else f"{count:,.0f}", _share(coverage), _share(singletons)


def _share(value: Any) -> str:
    share = real(value)
    return NOTHING if share is None else percent(share)
