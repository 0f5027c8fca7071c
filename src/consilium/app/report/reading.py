"""Reads a report whose parts may be missing, and writes its numbers."""

from collections.abc import Iterable, Mapping
from math import floor, log10
from typing import Any

from consilium.app.report.markup import Markup, html
from consilium.app.report.numbers import FIGURE_TITLES, NOTHING, number

Report = Mapping[str, Any]
FEWEST_DIGITS, USUAL_DIGITS, MOST_DIGITS = 4, 5, 8
_P_VALUES = ("p_value", "p_holm", "p_set", "p_lower", "p_upper")


def part(report: Report, *names: str) -> Mapping[str, Any]:
    """Return a mapping deep inside a report; an empty one where it is missing.

    Examples
    --------
    >>> part({"split": {"lockbox": None}}, "split", "lockbox"), part({"a": {"b": {"c": 1}}}, "a", "b")
    ({}, {'c': 1})
    """
    found: Any = report
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def rows(found: Any) -> list[Mapping[str, Any]]:
    """Return the mappings of a list; none where there is no list."""
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def reals(found: Any) -> list[float]:
    """Return the numbers of a list; none where there is no list."""
    return [v for v in found if real(v) is not None] if isinstance(found, list) else []


def real(value: Any) -> float | None:
    """Return a number, or None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def pairs(found: Any) -> list[list[float]]:
    """Return the (time, value) pairs of a line; those without a value are left out."""
    if isinstance(found, Mapping):
        found = found.get("equity")
    if not isinstance(found, list):
        return []
    return [p for p in found if isinstance(p, list) and len(p) == 2 and None not in map(real, p)]


def chance(p: float | None) -> str:
    """Write as much of a p-value as is worth reading.

    Examples
    --------
    >>> chance(0.000012), chance(0.0312), chance(0.412), chance(None)
    ('< 0.0001', '0.0312', '0.41', '–')
    """
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def digits_of(found: Iterable[Mapping[str, Any]]) -> int:
    """Decimals that show two digits of the narrowest interval, or of the smallest difference without one.

    Examples
    --------
    >>> wide, narrow = {"low": -0.0055, "high": -0.0029}, {"low": -0.0000187, "high": -0.0000023}
    >>> digits_of([wide]), digits_of([wide, narrow])
    (4, 7)
    """
    widths = []
    for row in found:
        low, high, difference = (real(row.get(key)) for key in ("low", "high", "difference"))
        width = difference if low is None or high is None else (high - low) / 2.0
        if width:
            widths.append(abs(width))
    smallest = min(widths, default=1.0)
    return min(MOST_DIGITS, max(FEWEST_DIGITS, 1 - floor(log10(max(smallest, 1e-12)))))


def gap(value: float | None, digits: int = USUAL_DIGITS) -> str:
    """Write a difference with its sign.

    Examples
    --------
    >>> gap(-0.00049), gap(0.0), gap(None), gap(0.0000123, 7)
    ('-0.00049', '0', '–', '+0.0000123')
    """
    if value is None:
        return NOTHING
    return f"{value:+.{digits}f}" if value else "0"


def span(low: float | None, high: float | None, digits: int = USUAL_DIGITS) -> str:
    """Write an interval of differences.

    Examples
    --------
    >>> span(-0.001, 0.002, 3), span(None, 0.1)
    ('[-0.001, +0.002]', '–')
    """
    if low is None or high is None:
        return NOTHING
    return f"[{gap(low, digits)}, {gap(high, digits)}]"


def written(name: str, value: Any) -> str:
    """Write a value by the name of its field, as `number` does, and p-values and losses as they need it.

    Examples
    --------
    >>> written("p_value", 0.031), written("half_brier", 0.32041), written("ic", 0.03), written("rows", None)
    ('0.0310', '0.32041', '0.03', '–')
    """
    if isinstance(value, list):
        return ", ".join(written(name, item) for item in value) or NOTHING
    if isinstance(value, float) and name in _P_VALUES:
        return chance(value)
    if isinstance(value, float) and (name == "half_brier" or name.endswith("difference")):
        return f"{value:.5f}"
    if isinstance(value, float) and name == "ic":
        return f"{value:g}"
    percent = name.endswith(("return", "share", "accuracy", "drawdown", "win_rate", "coverage", "cancelled"))
    if isinstance(value, float) and not percent and name not in FIGURE_TITLES:
        return f"{value:,.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return number("share" if percent and isinstance(value, float) else name, value)


def word_kind(word: object) -> str:
    """Return the colour of a word."""
    text = str(word or "")
    if text in ("better", "helps") or text.startswith("pays"):
        return "better"
    return "worse" if text in ("worse", "harms") else "even"


class Footnotes:
    """Numbers the reasons under one table.

    Examples
    --------
    >>> notes = Footnotes()
    >>> notes.mark("–", "too few"), notes.mark("0", None)
    ('<span title="too few">–<sup>1</sup></span>', '0')
    >>> notes.listed()
    '<ol class="soft reasons" aria-label="Reasons"><li>too few</li></ol>'
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: object, reason: Any) -> Markup:
        """Write a text with the number of its reason; without a reason, the text."""
        if not reason:
            return html(text)
        told = str(reason)
        if told not in self._texts:
            self._texts.append(told)
        place = self._texts.index(told) + 1
        return Markup(f'<span title="{html(told)}">{html(text)}<sup>{place}</sup></span>')

    def missing(self, value: Any, text: object, reason: Any) -> Markup:
        """Write a text; only where the value is missing, with the number of the reason."""
        return self.mark(text, reason if value is None else None)

    def listed(self) -> Markup:
        """Write the reasons; nothing where there are none."""
        lines = "".join(f"<li>{html(text)}</li>" for text in self._texts)
        return Markup(f'<ol class="soft reasons" aria-label="Reasons">{lines}</ol>' if lines else "")
