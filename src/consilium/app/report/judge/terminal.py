"""The report of the judge in a terminal: 80 columns, the verdicts as the last lines."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from consilium.app.report.fills import fills_lines
from consilium.app.report.judge.controls import rate_of
from consilium.app.report.judge.economics import account_rows
from consilium.app.report.judge.forecasts import best_in_hindsight, everyone, no_skill
from consilium.app.report.judge.past import by_origin, words_of
from consilium.app.report.judge.registration import opened
from consilium.app.report.judge.variants import ability
from consilium.app.report.judge.verdicts import unseen_of
from consilium.app.report.numbers import NOTHING, number, percent
from consilium.app.report.reading import (
    Report,
    chance,
    digits_of,
    gap,
    part,
    real,
    rows,
    span,
)
from consilium.app.report.sets import sets_line
from consilium.domain import short_model

POINT = 1e-4
MOST_LINES = 4
"""Of findings, failures and notes each; the page has all of them."""
_FIGURES = {
    "log_loss": "log-loss",
    "brier": "Brier",
    "ece": "ECE",
    "mcc": "MCC",
    "ic": "IC",
    "accuracy": "acc.",
}
_ACCOUNT = {
    "net_return": "net return",
    "sharpe": "Sharpe",
    "max_drawdown": "drawdown",
    "trades": "trades",
    "fees": "fees",
}


def tables(report: Report) -> list[Table]:
    """The tables, without the empty ones."""
    built = (_primary(report), _figures(report), _parts(report), _accounts(report))
    return [table for table in built if table.row_count]


def lines(report: Report) -> list[str]:
    """What stands below the tables, one fact a line."""
    return [
        *filter(
            None,
            (told(report) for told in (opened, _ability, _diversity, sets_line, _luck, _controls, _power)),
        ),
        *fills_lines(report),
        *_some("Data", part(report, "data").get("findings")),
        *_some("Failure", report.get("failures")),
        *_some("Note", report.get("notes")),
        *_past(report),
    ]


def _table(title: str, first: str, heads: Iterable[str]) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    table.add_column(first, no_wrap=True, overflow="ellipsis")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _primary(report: Report) -> Table:
    heads = ("difference", "95 % interval", "p", "word")
    table = _table("Half-Brier in points of 0.0001, consensus less", "", heads)
    found = rows(part(report, "primary").get("comparisons"))
    unseen = part(unseen_of(report), "comparison")
    found = [*found, {**unseen, "against": "climatology, unseen"}] if unseen else found
    for row in found:
        word = "left out" if row.get("excluded") else str(row.get("word") or row.get("reason") or NOTHING)
        table.add_row(
            Text(_short(str(row.get("against") or "?"))),
            *_points(row),
            chance(real(row.get("p_value"))),
            Text(word),
        )
    return table


def _points(row: Mapping[str, Any]) -> tuple[str, str]:
    """Write a difference and its interval in points of 0.0001: two digits of the interval's width."""
    scaled = {
        key: None if (value := real(row.get(key))) is None else value / POINT
        for key in ("difference", "low", "high")
    }
    digits = max(1, digits_of([row]) - 4)
    return gap(scaled["difference"], digits), span(scaled["low"], scaled["high"], digits)


def _short(name: str) -> str:
    named = name.removeprefix("the ").replace("best single model", "best single")
    return named.replace("xgboost", short_model("xgboost")).replace("lightgbm", short_model("lightgbm"))


def _figures(report: Report) -> Table:
    table = _table("Forecasts in the lock-box", "forecaster", (*_FIGURES.values(), "no skill"))
    best = best_in_hindsight(report)
    for name, (_, figures) in everyone(report).items():
        cells = [number(key, real(part(figures, key).get("value"))) for key in _FIGURES]
        silent, _ = no_skill(report, name, figures)
        mark = " *" if name in best else ""
        table.add_row(Text(f"{short_model(name)}{mark}"), *cells, NOTHING if silent is None else str(silent))
    if best and table.row_count:
        table.caption = "* best of the pool in hindsight, never a comparator"
        table.caption_justify = "left"
    return table


def _parts(report: Report) -> Table:
    heads = ("difference", "95 % interval", "p (Holm)", "word")
    table = _table("What each part adds, in points of 0.0001", "part", heads)
    for row in rows(part(report, "ablations").get("forecast")):
        word = str(row.get("word") or NOTHING)
        table.add_row(
            Text(_short(str(row.get("part") or "?"))),
            *_points(row),
            chance(real(row.get("p_holm"))),
            Text(word),
        )
    return table


def _accounts(report: Report) -> Table:
    table = _table("Paper account after costs", "account", _ACCOUNT.values())
    for name, cells in account_rows(report):
        table.add_row(Text(name), *(cells[key] for key in _ACCOUNT))
    return table


def _ability(report: Report) -> str:
    found = part(report, "table")
    every = rows(found.get("rows"))
    if not every:
        return ""
    told = f"Rules x policies: {ability(part(found, 'spa'))}" if part(found, "spa") else ""
    members = sum(bool(row.get("in_set")) for row in every)
    return f"{told} {members} of {len(every)} are in the confidence set.".strip()


def _diversity(report: Report) -> str:
    found = part(report, "diversity")
    text = found.get("text")
    if text:
        return f"Models: {text}"
    effective = real(found.get("effective"))
    return "" if effective is None else f"Effective number of independent models: {effective:.1f}"


_LUCK = (
    ("deflated Sharpe", "deflated_sharpe", "probability", "> 0.95"),
    ("PBO", "overfitting", "probability", "< 0.2"),
    ("permutation p", "permutation", "p_value", "< 0.05"),
)


def _luck(report: Report) -> str:
    found = part(report, "economics")
    told = [_against_luck(name, part(found, key), field, needs) for name, key, field, needs in _LUCK]
    return f"Luck: {', '.join(told)}" if found else ""


def _against_luck(name: str, found: Mapping[str, Any], field: str, needs: str) -> str:
    """Write one test; where there is no figure, why there is none."""
    value = real(found.get(field))
    if value is not None:
        return f"{name} {chance(value)} (needs {needs})"
    return f"{name} {NOTHING} (needs {needs}; {found.get('reason') or 'not computed'})"


def _controls(report: Report) -> str:
    """Say what was said about each world of this run."""
    said = [
        f"{row.get('name') or 'IC ' + str(row.get('ic'))} {row.get('word') or 'not run'}"
        for kind in ("negative", "positive")
        for row in rows(part(report, "controls").get(kind))
    ]
    return f"Controls: {'; '.join(said)}" if said else ""


def _power(report: Report) -> str:
    """Say how often a signal of known strength is found, for each size of world."""
    by_size: dict[str, list[Report]] = {}
    for row in rows(part(report, "controls", "power").get("rows")):
        by_size.setdefault(str(row.get("size") or ""), []).append(row)
    return "; ".join(filter(None, (_power_of(size, every) for size, every in by_size.items())))


def _power_of(size: str, every: list[Report]) -> str:
    said = _shares([(real(row.get("ic")), rate_of(row)) for row in every])
    which = _shares([(real(row.get("ic")), rate_of(part(row, "direction"))) for row in every])
    told = f"This judge says better in {said}" if said else ""
    told += f"; it tells which way in {which}" if told and which else ""
    return f"{told} ({size})" if told and size else told


def _shares(found: list[tuple[float | None, float | None]]) -> str:
    """Write rates by the signal that was planted; of worlds without one the highest."""
    known = [(ic, rate) for ic, rate in found if ic is not None and rate is not None]
    alarms = [rate for ic, rate in known if ic == 0.0]
    told = [f"{percent(max(alarms), 0)} without signal"] if alarms else []
    return ", ".join([*told, *(f"{percent(rate, 0)} at IC {ic:g}" for ic, rate in known if ic)])


def _some(label: str, found: Any) -> list[str]:
    every = [str(text) for text in found] if isinstance(found, list) else []
    told = [f"{label}: {text}" for text in every[:MOST_LINES]]
    rest = len(every) - MOST_LINES
    return [*told, f"{label}: {rest} more in the report"] if rest > 0 else told


def _past(report: Report) -> list[str]:
    return [
        f"Earlier verdicts {where}: {', '.join(f'{word} {count}' for word, count in words_of(found).items())}"
        for where, found in by_origin(report).items()
    ]
