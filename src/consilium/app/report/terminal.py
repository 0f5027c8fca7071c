"""The report in a terminal: compact tables, and the verdict as the last lines."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from consilium.app.report.account import trading_rows
from consilium.app.report.fills import fills_lines, fills_tables
from consilium.app.report.judge import terminal as judge
from consilium.app.report.judge.verdicts import which_way
from consilium.app.report.numbers import (
    NOTHING,
    TRADING_TITLES,
    after_label,
    count_told,
    duration,
    number,
    percent,
)
from consilium.app.report.plain import JUDGE_SCHEMA, checked
from consilium.app.report.sections import forecasters
from consilium.app.report.sets import sets_line
from consilium.domain.wording import counted

_FIGURES = {
    "log_loss": "log-loss",
    "brier": "Brier",
    "ece": "ECE",
    "mcc": "MCC",
    "ic": "IC",
    "accuracy": "accuracy",
    "coverage": "coverage",
}
_ACCOUNT = ("net_return", "sharpe", "max_drawdown", "trades", "fees", "halts")


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print a report; the last lines are the verdicts, and of the judge which way prices move.

    Parameters
    ----------
    report
        A report of the schema ``consilium.backtest/1`` or ``consilium.judge/1``.
    console
        Where to print.

    Raises
    ------
    InvalidValue
        Another schema.

    Examples
    --------
    >>> console = Console(width=80, no_color=True)
    >>> verdict = {"word": "worse", "text": "worse than climatology.", "trading_text": "It lost 3.1 %."}
    >>> print_report({"schema": "consilium.backtest/1", "judgement": verdict}, console)
    Trading verdict: It lost 3.1 %.
    Verdict: worse than climatology.
    """
    clean = checked(report)
    judged = clean["schema"] == JUDGE_SCHEMA
    if clean.get("data"):
        _plain(console, _heading(clean["data"]))
    for table in judge.tables(clean) if judged else (_figures(clean), _accounts(clean), *fills_tables(clean)):
        if table.row_count:
            console.print(table)
    for line in judge.lines(clean) if judged else _lines(clean):
        _plain(console, line)
    found = clean.get("judgement") or {}
    word = f"{found['trading_word']}. " if found.get("trading_word") else ""
    _plain(
        console, f"Trading verdict: {word}{after_label(found.get('trading_text') or '', 'Trading verdict')}"
    )
    text = after_label(str(found.get("text") or found.get("word") or "none"), "Verdict")
    word = str(found.get("word") or "") if judged else ""
    _plain(console, f"Verdict: {text if text.startswith(word) else f'{word}. {text}'}")
    if judged and which_way(clean):
        _plain(console, which_way(clean).capitalize())


def _plain(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


def _heading(data: Mapping[str, Any]) -> str:
    symbols = data.get("symbols") or []
    return (
        f"{data.get('source', '')}: {counted(len(symbols), 'symbol')}, "
        f"{count_told(data.get('bars'), 'bar')} of {duration(data.get('interval_ns') or 0)}, "
        f"{data.get('first', '')} to {data.get('last', '')}"
    )


def _figures(report: Mapping[str, Any]) -> Table:
    rows = {name: row for name, (_, row) in forecasters(report).items() if row}
    table = _table("Forecasts", "forecaster")
    for title in _FIGURES.values():
        table.add_column(title, justify="right")
    table.add_column("no skill", justify="right")
    for name, row in rows.items():
        folds = row.get("no_skill_folds")
        cells = [number(key, (row.get(key) or {}).get("value")) for key in _FIGURES]
        table.add_row(Text(name), *cells, NOTHING if folds is None else str(folds))
    return table


def _accounts(report: Mapping[str, Any]) -> Table:
    table = _table("Paper account after costs", "run")
    for key in _ACCOUNT:
        table.add_column(TRADING_TITLES[key].lower(), justify="right")
    for name, cells in trading_rows(report):
        table.add_row(Text(name), *(cells[key] for key in _ACCOUNT))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    table.add_column(first, no_wrap=True)
    return table


def _lines(report: Mapping[str, Any]) -> list[str]:
    gates = report.get("consensus", {}).get("gates", {})
    opened = [f"{name} {row['actionable']:,} ({percent(row['share'])})" for name, row in gates.items()]
    lines = [f"Gates opened: {', '.join(opened)}"] if opened else []
    lines += filter(None, [sets_line(report)])
    lines += fills_lines(report)
    lines += [f"Data: {finding}" for finding in report.get("data", {}).get("findings", [])]
    lines += [f"Failure: {failure}" for failure in report.get("failures", [])]
    return lines + [f"Note: {note}" for note in report.get("notes", [])]
