"""What each part of the system adds, and how many opinions stand behind an agreement."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.strips import forest
from consilium.app.report.markup import Markup, paragraph, section, table
from consilium.app.report.numbers import NOTHING, number, percent
from consilium.app.report.reading import Footnotes, Report, part, real, rows, written


def parts_section(report: Report) -> Markup:
    """Ablations of forecasts and trades, and the effective number of models."""
    found = part(report, "ablations")
    forecast = rows(found.get("forecast"))
    return section(
        "parts",
        "What each part adds",
        forest(
            "Half-Brier of the whole less that without the part; below 0 the part helps",
            "Changed",
            forecast,
            [row.get("part") or "?" for row in forecast],
            {"p_value": "p", "p_holm": "p (Holm)", "word": "Word"},
            "The same forecasts are pooled again without one part: 'trust' with equal trust, 'without' with "
            "one model less. A part that neither helps nor harms is a part one could leave out.",
            ends=("helps", "harms"),
        ),
        _trading(found),
        paragraph(found.get("text")),
        diversity(part(report, "diversity")),
    )


def _trading(section: Mapping[str, Any]) -> Markup:
    notes, found = Footnotes(), rows(section.get("trading"))
    full = part(section, "full")
    if full and found:
        found = [{"part": "nothing: the full system", **full, "difference": 0.0, "low": None}, *found]
    lines = [
        (
            row.get("part") or "?",
            notes.missing(
                row.get("net_return"), number("net_return", row.get("net_return")), row.get("reason")
            ),
            number("trades", row.get("trades")),
            notes.missing(row.get("difference"), _points(real(row.get("difference"))), row.get("reason")),
            notes.missing(row.get("low"), _ends(row), row.get("reason")),
        )
        for row in found
    ]
    heads = ("Left out", "Net return", "Trades", "Full less this, a day", "95 % interval")
    return Markup(
        table("What the paper account would have made without the part", heads, lines, "tight")
        + notes.listed()
        + (
            paragraph(
                "Mean daily return of the full account less that of the other; above 0 the part made money.",
                "soft under",
            )
            if lines
            else ""
        )
    )


def _points(value: float | None) -> str:
    return NOTHING if value is None else f"{'+' if value > 0.0 else ''}{percent(value, 3)}"


def _ends(row: Mapping[str, Any]) -> str:
    low, high = real(row.get("low")), real(row.get("high"))
    return (
        NOTHING if low is None or high is None else f"[{_points(low)}, {_points(high)}]".replace(" %,", ",")
    )


_DIVERSITY = {
    "models": "Models",
    "speaking": "Models that say more than climatology",
    "effective": "Effective number of independent models",
    "mean_correlation": "Mean correlation of their errors",
}


def _short(key: str, value: Any) -> str:
    digits = 1 if key == "effective" else 2
    return f"{value:.{digits}f}" if isinstance(value, float) else written("models", value)


def diversity(found: Mapping[str, Any]) -> Markup:
    """How many independent models an agreement of all is worth."""
    if not found:
        return Markup()
    notes = Footnotes()
    lines = [
        (title, notes.missing(found.get(key), _short(key, found.get(key)), found.get("reason")))
        for key, title in _DIVERSITY.items()
        if key in found
    ]
    return Markup(
        "<h3>How many opinions is an agreement?</h3>"
        + paragraph(found.get("text"))
        + table("Independent models behind an agreement", ("What", "Value"), lines)
        + notes.listed()
        + paragraph("Seven models that err together are one opinion said seven times.", "soft under")
    )
