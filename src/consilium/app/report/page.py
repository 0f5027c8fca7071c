"""The report as one HTML page that asks no host for anything."""

import json
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from consilium.app import files
from consilium.app.report import charts
from consilium.app.report.account import (
    configuration_section,
    data_section,
    failures_section,
    folds_section,
    trading_section,
)
from consilium.app.report.markup import Markup, html
from consilium.app.report.numbers import duration, number
from consilium.app.report.plain import checked
from consilium.app.report.sections import consensus_section, figures_section, verdict_section

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; form-action 'none'; base-uri 'none'"
)
"""The browser itself forbids the page any request."""
_SECTIONS = (
    verdict_section,
    figures_section,
    consensus_section,
    trading_section,
    folds_section,
    data_section,
    failures_section,
    configuration_section,
)


def write_html(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as one self-contained page, whole or not at all.

    Parameters
    ----------
    report
        A report of the schema ``consilium.backtest/1``.
    path
        The file to write.

    Raises
    ------
    InvalidValue
        Another schema.
    OutputProblem
        The file cannot be written.
    """
    text = page(report)
    files.write_text(path, text)


def page(report: Mapping[str, Any]) -> str:
    """Return the page; see `write_html`.

    Examples
    --------
    >>> verdict = {"word": "worse", "text": "worse than climatology."}
    >>> text = page({"schema": "consilium.backtest/1", "judgement": verdict})
    >>> '<section class="verdict worse" id="verdict"' in text, "<h2" in text
    (True, True)
    """
    clean = checked(report)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Backtest: {html(clean.get('judgement', {}).get('word', 'no verdict'))}</title>",
            f"<style>\n{_resource('page.css')}</style></head><body>",
            _header(clean),
            "<main>",
            *(part for build in _SECTIONS if (part := build(clean))),
            "</main>",
            _footer(clean),
            "<noscript><p>The charts need scripts; all figures are in the tables.</p></noscript>",
            f'<script type="application/json" id="charts">{_chart_data(clean)}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>\n{_resource('page.js')}</script>",
            "</body></html>",
            "",
        ]
    )


def _header(report: Mapping[str, Any]) -> Markup:
    data = report.get("data", {})
    symbols = data.get("symbols", [])
    what = [
        str(data.get("source", "")),
        f"{len(symbols)} symbol{'' if len(symbols) == 1 else 's'}",
        f"{number('bars', data.get('bars'))} bars of {duration(data.get('interval_ns') or 0)}",
        f"{data.get('first', '')} to {data.get('last', '')}",
    ]
    names = ("forecasts", "consensus", "trading", "folds", "data", "notes", "configuration")
    links = "".join(f'<li><a href="#{name}">{name.capitalize()}</a></li>' for name in names)
    line = html(" · ".join(part for part in what if part))
    return Markup(
        f'<header><h1>Consilium backtest</h1><p class="soft">{line}</p>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
    )


def _footer(report: Mapping[str, Any]) -> Markup:
    return Markup(
        "<footer><p>Past results of a paper account; no advice. Configuration "
        f"<code>{html(str(report.get('config_hash', ''))[:12])}</code>.</p></footer>"
    )


def _chart_data(report: Mapping[str, Any]) -> str:
    trading = report.get("trading", {})
    built = {
        "chart-calibration": charts.calibration(report.get("calibration", {})),
        "chart-weights": charts.weights(report.get("weights", {})),
        "chart-equity": charts.equity(trading),
        "chart-drawdown": charts.drawdown(trading),
    }
    data = [{"id": name, "data": c[0], "layout": c[1]} for name, c in built.items() if c is not None]
    # A closing tag inside a text would end the script element early.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return resources("consilium.app.report").joinpath(name).read_text(encoding="utf-8")
