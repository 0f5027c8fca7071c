"""The frame of every page: head, style, scripts, and the rule that the browser must ask no host."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files as resources
from typing import Any

from plotly.offline import get_plotlyjs

from consilium.app.report.markup import Markup, html
from consilium.app.report.numbers import count_told, duration
from consilium.domain.wording import counted

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; form-action 'none'; base-uri 'none'"
)
"""The browser itself forbids the page any request."""
Chart = tuple[list[dict[str, Any]], dict[str, Any]]


def frame(
    title: str,
    header: Markup,
    parts: Iterable[str],
    footer: Markup,
    charts: Mapping[str, Chart | None],
    styles: Iterable[str] = ("page.css",),
) -> str:
    """Put the parts of a page into one document that stands alone.

    Parameters
    ----------
    title
        Of the window.
    header, parts, footer
        HTML.
    charts
        By the id of their place; None is left out.
    styles
        Style sheets of this room, in order.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html(title)}</title>",
            f"<style>\n{''.join(_resource(name) for name in styles)}</style></head><body>",
            header,
            "<main>",
            *(part for part in parts if part),
            "</main>",
            footer,
            "<noscript><p>The charts need scripts; all figures are in the tables.</p></noscript>",
            f'<script type="application/json" id="charts">{_chart_data(charts)}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>\n{_resource('page.js')}</script>",
            "</body></html>",
            "",
        ]
    )


def heading(title: str, data: Mapping[str, Any], links: Mapping[str, str]) -> Markup:
    """The title, what was read, and links to the sections by their anchors."""
    symbols = data.get("symbols") or []
    what = [
        str(data.get("source") or ""),
        f"{counted(len(symbols), 'symbol')}",
        f"{count_told(data.get('bars'), 'bar')} of {duration(data.get('interval_ns') or 0)}",
        f"{data.get('first') or ''} to {data.get('last') or ''}",
    ]
    items = "".join(f'<li><a href="#{html(anchor)}">{html(name)}</a></li>' for anchor, name in links.items())
    line = html(" · ".join(part for part in what if part))
    return Markup(
        f'<header><h1>{html(title)}</h1><p class="soft">{line}</p>'
        f'<nav aria-label="Sections"><ul>{items}</ul></nav></header>'
    )


def closing(config_hash: object) -> Markup:
    """The last line of a page."""
    return Markup(
        "<footer><p>Past results of a paper account; no advice. Configuration "
        f"<code>{html(str(config_hash or '')[:12])}</code>.</p></footer>"
    )


def _chart_data(charts: Mapping[str, Chart | None]) -> str:
    data = [{"id": name, "data": c[0], "layout": c[1]} for name, c in charts.items() if c is not None]
    # A closing tag inside a text would end the script element early.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return resources("consilium.app.report").joinpath(name).read_text(encoding="utf-8")
