"""The sections of the page about the account, the data and the configuration."""

import json
from collections.abc import Mapping
from typing import Any

from consilium.app.report.charts import NO_DRAWDOWN, idle
from consilium.app.report.markup import Markup, bullets, chart_place, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, TRADING_TITLES, duration, number, percent

Report = Mapping[str, Any]
MAIN = "this run"


def trading_rows(report: Report) -> list[tuple[str, dict[str, str]]]:
    """Figures of the account and of its variants, written; the account first."""
    runs = {MAIN: report.get("trading", {})} | dict(report.get("trading_variants", {}))
    return [
        (name, {key: number(key, run.get(key)) for key in TRADING_TITLES})
        for name, run in runs.items()
        if run
    ]


def trading_section(report: Report) -> Markup:
    """What the account did, against buy and hold, and what other gates and limits would have done."""
    trading = report.get("trading", {})
    rows = [(name, *cells.values()) for name, cells in trading_rows(report)]
    parts = [
        paragraph(
            "After fees, spread and impact. The Sharpe ratio is of daily returns in UTC, flat days "
            "in; it is not given below 30 days. One account proves nothing by itself.",
            "soft",
        ),
        table("The account, and the same forecasts under other gates and limits", _HEADS, rows),
    ]
    if trading.get("equity"):
        parts.append(chart_place("chart-equity", "Equity against buy and hold", _ends(trading)))
    if trading.get("drawdown") and idle(trading.get("trades"), trading["drawdown"]):
        parts.append(paragraph(NO_DRAWDOWN))
    elif trading.get("drawdown"):
        deepest = max(abs(value) for _, value in trading["drawdown"] if value is not None)
        parts.append(
            chart_place("chart-drawdown", "Drawdown from the running peak", f"Deepest: {percent(deepest)}")
        )
    return section("trading", "Trading", *parts) if rows else Markup()


_HEADS = ("Run", *TRADING_TITLES.values())


def _ends(trading: Mapping[str, Any]) -> str:
    text = f"Equity from {trading['equity'][0][1]:,.2f} to {trading['equity'][-1][1]:,.2f}"
    if trading.get("buy_and_hold"):
        text += f"; buy and hold ends at {trading['buy_and_hold'][-1][1]:,.2f}"
    return text


def data_section(report: Report) -> Markup:
    """What was read, and what was found in it."""
    data = report.get("data") or {}
    symbols = data.get("symbols") or []
    rows = [
        ("Source", data.get("source") or NOTHING),
        ("Symbols", f"{len(symbols)}: {', '.join(symbols[:12])}{' …' if len(symbols) > 12 else ''}"),
        ("Bars", f"{number('bars', data.get('bars'))} of {duration(data.get('interval_ns') or 0)}"),
        ("From", data.get("first") or NOTHING),
        ("To", data.get("last") or NOTHING),
        ("Digest", Markup(f"<code>{html(data.get('digest') or NOTHING)}</code>")),
    ]
    findings = data.get("findings") or []
    return section(
        "data",
        "Data",
        table("What was read", ("What", "Value"), rows, "text"),
        Markup("<h3>Findings</h3>"),
        bullets(findings) or paragraph("Nothing was found to be wrong."),
    )


def folds_section(report: Report) -> Markup:
    """When each fold was tested, and which models had skill before it."""
    folds = report.get("split", {}).get("folds", [])
    models = list(dict.fromkeys(name for fold in folds for name in fold.get("skilled", {})))
    rows = [
        (
            str(place + 1),
            fold.get("test_first", NOTHING),
            fold.get("test_last", NOTHING),
            number("rows", fold.get("rows")),
            *(_skill(fold.get("skilled", {}).get(name)) for name in models),
        )
        for place, fold in enumerate(folds)
    ]
    return (
        section(
            "folds",
            "Folds",
            paragraph(
                "Each fold is trained on what came before it. A model without skill on its calibration slice "
                "says what climatology says in that fold (no_skill).",
                "soft",
            ),
            table(
                "Test parts, and the models with skill in each",
                ("Fold", "First", "Last", "Rows", *models),
                rows,
            ),
        )
        if rows
        else Markup()
    )


def _skill(skilled: bool | None) -> str:
    return NOTHING if skilled is None else "skill" if skilled else "no_skill"


def failures_section(report: Report) -> Markup:
    """What went wrong, and what must be known to read the report."""
    failures, notes = report.get("failures") or [], report.get("notes") or []
    return section(
        "notes",
        "Failures and notes",
        Markup("<h3>Failures</h3>"),
        bullets(failures) or paragraph("Nothing failed."),
        Markup("<h3>Notes</h3>") if notes else "",
        bullets(notes),
    )


def configuration_section(report: Report) -> Markup:
    """The configuration and its hash, registered before the test part was read."""
    config = json.dumps(report.get("config", {}), indent=2, sort_keys=True, ensure_ascii=False)
    return section(
        "configuration",
        "Configuration",
        Markup(f"<p>Hash <code>{html(report.get('config_hash') or NOTHING)}</code></p>"),
        Markup(f'<pre tabindex="0"><code>{html(config)}</code></pre>'),
    )
