"""Intervals drawn inside a table, one a row, on one scale: a forest plot that needs no script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consilium.app.report.markup import Markup, html, paragraph, table
from consilium.app.report.reading import Footnotes, chance, digits_of, gap, real, span, word_kind

HEADS = ("Difference", "95 % interval")


@dataclass(frozen=True, slots=True)
class Scale:
    """The common scale of all strips of one table.

    Parameters
    ----------
    low, high
        Its ends, low < high.
    zero
        Where the line is drawn; None for none.
    """

    low: float
    high: float
    zero: float | None = 0.0

    @classmethod
    def over(cls, values: Iterable[float | None], zero: float | None = 0.0) -> "Scale":
        """Hold all the values, and the line, with a little air at both ends.

        Examples
        --------
        >>> Scale.over([1.0, None, 3.0])
        Scale(low=-0.12, high=3.12, zero=0.0)
        """
        seen = [v for v in (*values, zero) if v is not None] or [0.0]
        low, high = min(seen), max(seen)
        air = 0.04 * (high - low) or 1.0
        return cls(low=low - air, high=high + air, zero=zero)

    def place(self, value: float) -> float:
        """Return where a value lies, in percent of the width.

        Examples
        --------
        >>> Scale(0.0, 4.0).place(1.0), Scale(0.0, 4.0).place(9.0)
        (25.0, 100.0)
        """
        share = (value - self.low) / (self.high - self.low)
        return round(100.0 * min(1.0, max(0.0, share)), 3)


def strip(
    scale: Scale,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    kind: str = "even",
    text: str = "",
    ticks: Sequence[float] = (),
) -> Markup:
    """Draw one interval with its point; ``ticks`` are further points."""
    inner = []
    if scale.zero is not None:
        inner.append(f'<i class="zero" style="left:{scale.place(scale.zero)}%"></i>')
    if low is not None and high is not None:
        begin, end = scale.place(low), scale.place(high)
        width = max(round(end - begin, 3), 0.4)
        inner.append(f'<i class="span" style="left:{begin}%;width:{width}%"></i>')
    inner += [f'<i class="tick" style="left:{scale.place(tick)}%"></i>' for tick in ticks]
    if value is not None:
        inner.append(f'<i class="dot" style="left:{scale.place(value)}%"></i>')
    label = html(text or "no value")
    return Markup(f'<span class="strip {html(kind)}" role="img" aria-label="{label}">{"".join(inner)}</span>')


def forest(
    caption: str,
    first: str,
    found: Sequence[Mapping[str, Any]],
    names: Sequence[object],
    columns: Mapping[str, str],
    explanation: object = "",
    *,
    ends: tuple[str, str] = ("better", "worse"),
) -> Markup:
    """Draw rows with ``difference``, ``low``, ``high`` as a table with a strip a row.

    Parameters
    ----------
    caption, first
        Of the table and of its first column.
    found
        The rows; ``word`` decides the colour, ``reason`` becomes a footnote.
    names
        What stands in the first column, one a row.
    columns
        Further fields and their titles; fields that begin with ``p_`` are p-values.
    explanation
        One line below, in plain words.
    ends
        What lies below 0, and what above.
    """
    if not found:
        return Markup()
    notes = Footnotes()
    scale = Scale.over(real(row.get(key)) for row in found for key in ("difference", "low", "high"))
    lines = [
        (name, _strip_of(scale, row), *_cells(row, columns, notes))
        for name, row in zip(names, found, strict=True)
    ]
    axis = Markup(f'<span class="ends"><span>← {html(ends[0])}</span><span>{html(ends[1])} →</span></span>')
    return Markup(
        table(caption, (first, axis, *HEADS, *columns.values()), lines, "forest")
        + notes.listed()
        + paragraph(explanation, "soft under")
        + paragraph(_STRICTER if any(map(_leans, found)) else "", "soft under")
    )


_STRICTER = (
    "An interval that leaves out 0 is not enough: the word rests on the test behind p, which is stricter. "
    "The interval shows the size and decides nothing."
)


def _leans(row: Mapping[str, Any]) -> bool:
    """Whether an interval leaves out 0 while the word says nothing."""
    low, high = real(row.get("low")), real(row.get("high"))
    if low is None or high is None or low <= 0.0 <= high:
        return False
    return word_kind(row.get("word")) == "even"


def _strip_of(scale: Scale, row: Mapping[str, Any]) -> Markup:
    value, low, high = (real(row.get(key)) for key in ("difference", "low", "high"))
    digits = digits_of([row])
    text = f"{gap(value, digits)} {span(low, high, digits)}"
    return strip(scale, value, low, high, kind=word_kind(row.get("word")), text=text)


def _cells(row: Mapping[str, Any], columns: Mapping[str, str], notes: Footnotes) -> list[Markup]:
    value, low, high = (real(row.get(key)) for key in ("difference", "low", "high"))
    reason, digits = row.get("reason"), digits_of([row])
    cells = [
        notes.missing(value, gap(value, digits), reason),
        notes.missing(low, span(low, high, digits), reason),
    ]
    for key in columns:
        found = row.get(key)
        if key == "word":
            left_out = "left out" if row.get("excluded") else str(found or "–")
            cells.append(
                Markup(f'<span class="{word_kind(found)}-text">{notes.mark(left_out, reason)}</span>')
            )
        elif key.startswith("p_"):
            cells.append(notes.missing(found, chance(real(found)), reason))
        elif isinstance(found, int) and not isinstance(found, bool):
            cells.append(html(f"{found:,}"))
        else:
            number = real(found)
            shown = found if isinstance(found, str) else "–" if number is None else f"{number:.2f}"
            if key == "smallest_visible" and number is not None:
                shown = f"{number:.{digits}f}"
            cells.append(notes.missing(found, shown, reason))
    return cells
