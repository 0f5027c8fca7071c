"""Pieces of accessible HTML; every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def html(text: object) -> Markup:
    """Escape a text, unless it is HTML already.

    Examples
    --------
    >>> html("a < b"), html(Markup("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    return text if isinstance(text, Markup) else Markup(escape(str(text)))


def section(anchor: str, title: str, *parts: str) -> Markup:
    """A section with a heading; empty parts are left out."""
    inner = "\n".join(part for part in parts if part)
    if not inner:
        return Markup()
    return Markup(
        f'<section id="{escape(anchor)}" aria-labelledby="{escape(anchor)}-title">\n'
        f'<h2 id="{escape(anchor)}-title">{escape(title)}</h2>\n{inner}\n</section>'
    )


def paragraph(text: object, kind: str = "") -> Markup:
    """A paragraph; nothing for an empty text."""
    if not text:
        return Markup()
    attribute = f' class="{escape(kind)}"' if kind else ""
    return Markup(f"<p{attribute}>{html(text)}</p>")


def bullets(items: Iterable[object]) -> Markup:
    """A list; nothing for no items."""
    lines = "".join(f"<li>{html(item)}</li>" for item in items)
    return Markup(f"<ul>{lines}</ul>" if lines else "")


def table(caption: str, heads: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "") -> Markup:
    """A table whose first column names its rows; nothing without rows. ``kind`` is its class."""
    body = "\n".join(
        f'<tr><th scope="row">{html(row[0])}</th>{"".join(map(_cell, row[1:]))}</tr>' for row in rows
    )
    if not body:
        return Markup()
    attribute = f' class="{escape(kind)}"' if kind else ""
    head = "".join(f'<th scope="col">{html(cell)}</th>' for cell in heads)
    return Markup(
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table{attribute}>\n"
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(content: object) -> str:
    # A number and its percent sign stay on one line.
    return f"<td>{html(content)}</td>".replace(" %", "\u00a0%")


def chart_place(anchor: str, title: str, text: str) -> Markup:
    """The place of a chart, with a text for those who cannot see it."""
    return Markup(
        f"<figure><figcaption>{escape(title)}</figcaption>\n"
        f'<div id="{escape(anchor)}" class="chart" role="img" aria-label="{escape(text)}"></div></figure>'
    )
