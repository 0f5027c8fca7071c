"""The registered comparison, and the same month by month."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.strips import forest
from consilium.app.report.judge.verdicts import direction_of, unseen_of
from consilium.app.report.markup import Markup, chart_place, html, paragraph, section, table
from consilium.app.report.reading import (
    Footnotes,
    Report,
    digits_of,
    gap,
    part,
    real,
    rows,
    span,
    word_kind,
)
from consilium.domain.wording import counted

_COLUMNS = {
    "statistic": "Statistic",
    "critical": "Critical",
    "p_value": "p",
    "smallest_visible": "Smallest visible",
    "word": "Word",
}
_FEWER = {"p_value": "p", "n_timestamps": "Times", "word": "Word"}


def primary_section(report: Report) -> Markup:
    """The three comparisons that decide, the share of direction, and the unseen symbols."""
    found = rows(part(report, "primary").get("comparisons"))
    drawn = forest(
        "Half-Brier of the consensus less that of the other; below 0 the consensus is better",
        "Consensus against",
        found,
        [row.get("against") or "?" for row in found],
        _COLUMNS,
        "Half-Brier is the squared miss of the forecast probabilities: 0 is perfect, about 0.33 is a guess. "
        "The consensus must be better than all three. A comparison counts only if the statistic lies beyond "
        "the critical value; p is the chance of so large a difference if there were none. An effect below "
        "'smallest visible' could not have been seen in so much data.",
    )
    return section(
        "primary",
        "The registered comparison",
        drawn,
        _direction(report),
        _unseen(report),
    )


def _direction(report: Report) -> Markup:
    """Whether the forecast knows which way, by the share of the gain and against its own mirror image."""
    told, mirror = paragraph(direction_of(report).get("text")), part(report, "mirror")
    if mirror and mirror.get("low") == mirror.get("high"):
        # One draw of the bootstrap has two equal ends and is no interval.
        mirror = {**mirror, "low": None, "high": None}
    drawn = forest(
        "The consensus against its own mirror image, UP and DOWN exchanged",
        "Consensus against",
        [mirror] if mirror else [],
        ["its mirror image"] if mirror else [],
        _FEWER,
        "A forecast that is no better than its own mirror image knows how far prices move, but not which "
        "way.",
    )
    inner = told + drawn
    return Markup(f"<h3>Which way, or only how far?</h3>{inner}" if inner else "")


def _unseen(report: Report) -> Markup:
    unseen = unseen_of(report)
    title = Markup("<h3>Symbols that no model was trained on</h3>")
    if not unseen:
        return (
            Markup(title + paragraph("None: with ten or more symbols every fifth is kept unseen."))
            if part(report, "primary")
            else Markup()
        )
    comparison = part(unseen, "comparison")
    name = "climatology, unseen symbols"
    drawn = forest(
        "The same comparison on the unseen symbols alone",
        "Consensus against",
        [comparison] if comparison else [],
        [name] if comparison else [],
        _FEWER,
        "If an edge holds only on symbols that were trained on, it was learned by heart.",
    )
    return Markup(title + paragraph(unseen.get("text")) + drawn)


def months_section(report: Report) -> Markup:
    """The difference to climatology month by month, drawn and as a table."""
    found = rows(report.get("months"))
    if not found:
        return Markup()
    notes, digits = Footnotes(), digits_of(found)
    lines = [
        (
            row.get("month") or "?",
            _coloured(row, gap(real(row.get("difference")), digits)),
            notes.missing(
                real(row.get("low")),
                span(real(row.get("low")), real(row.get("high")), digits),
                row.get("reason"),
            ),
            f"{real(row.get('n_timestamps')) or 0:,.0f}",
        )
        for row in found
    ]
    differences = [real(row.get("difference")) or 0.0 for row in found]
    below, equal = sum(d < 0.0 for d in differences), sum(d == 0.0 for d in differences)
    told = f"{below} of {counted(len(found), 'month')} below 0" + (f", {equal} at 0" if equal else "")
    return section(
        "months",
        "Month by month",
        chart_place("chart-months", f"Consensus less climatology: {told}; below 0 is better", told),
        table(
            "Half-Brier difference by month",
            ("Month", "Difference", "95 % interval", "Times"),
            lines,
            "tight",
        ),
        notes.listed(),
        paragraph(
            "An edge that comes from one lucky month is none. Green or red: the interval lies on one side of "
            "0; hatched: too short for an interval. The intervals are not corrected for their "
            "number: about one month in twenty lies off by chance.",
            "soft under",
        ),
    )


def month_kind(row: Mapping[str, Any]) -> str:
    """Return the word of a month by its interval."""
    low, high = real(row.get("low")), real(row.get("high"))
    if low is None or high is None or low <= 0.0 <= high:
        return "not distinguishable"
    return "better" if high < 0.0 else "worse"


def _coloured(row: Mapping[str, Any], text: str) -> Markup:
    return Markup(f'<span class="{word_kind(month_kind(row))}-text">{html(text)}</span>')
