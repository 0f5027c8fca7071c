"""The report of a council's replay: in a terminal, as Markdown, and as one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from consilium.app import files
from consilium.domain.wording import counted

HEAD = ("", "return", "drawdown", "halted", "frozen", "fills", "return with it", "drawdown with it", "says")
ALONE = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #8884}"
    "th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}"
)


def rows_of(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the table with and without the council and each rule."""
    others = {"no council": report["worth"]["council"]}
    small = report["no_council_small"]
    if small is not None:
        others[f"no council, {small['profile']}"] = small
    others |= {f"without {rule}": of for rule, of in report["worth"].items() if rule != "council"}
    return [
        (*_row("council", report["council"]), "", "", ""),
        *((*_row(name, of["without"]), *_difference(of)) for name, of in others.items()),
    ]


def _row(name: str, account: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{account['net_return']:+.2%}",
        f"{account['max_drawdown']:.2%}",
        f"{account['halted']:.1%}",
        f"{account['frozen']:.1%}",
        str(account["fills"]),
    )


def _difference(worth: Mapping[str, Any]) -> tuple[str, str, str]:
    found = worth["difference"]
    return _interval(found["net_return"]), _interval(found["drawdown"]), worth["word"]


def _interval(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:+.2%}"
    return f"{found['value']:+.2%} ({found['low']:+.2%} to {found['high']:+.2%})"


def rule_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return when each rule fired."""
    return [
        (rule, str(told["count"]), str(told["most_in_a_day"]), told["first"], ", ".join(told["times"][1:4]))
        for rule, told in report["rules"].items()
    ]


def lines_of(report: Mapping[str, Any]) -> list[str]:
    """Return what stands below the tables."""
    figures, advice = report["figures"], report["advice"]
    share = [
        "none" if figures[name] is None else f"{figures[name]:.1%}"
        for name in ("conflicts_share", "overrides_share")
    ]
    return [
        f"Decisions: {figures['decisions']}, {figures['decisions_an_hour']:.2f} an hour; "
        f"conflicts {share[0]}; overrides {share[1]}; freezes {figures['freezes_a_week']:.2f} a week; "
        f"reviews {figures['reviews']}.",
        _advice_line(advice),
        f"In the end {report['council']['ended']}"
        + (
            f", held by {', '.join(report['council']['holds_left'])}."
            if report["council"]["holds_left"]
            else "."
        ),
        *(f"Note: {note}" for note in report["notes"]),
    ]


def _advice_line(advice: Mapping[str, Any]) -> str:
    if not advice["rows"]:
        return "Learned advice: nothing to score yet."
    head = (
        f"Learned advice (nav falls by more than {advice['depth']:.0%} within {advice['horizon_bars']} bars; "
        f"{advice['events']} of {advice['rows']} closes, {advice['falls']} falls): "
        f"Brier {advice['learned']:.4f}, past rate {advice['rate']:.4f}, fixed rule R1 {advice['rule']:.4f}"
    )
    if advice["over_rule_se"] is None or advice["over_rate_se"] is None:
        return f"{head}; too little to compare."
    against = (
        f"; less the rate {advice['over_rate']:+.4f} (se {advice['over_rate_se']:.4f}), less the rule "
        f"{advice['over_rule']:+.4f} (se {advice['over_rule_se']:.4f})"
    )
    return f"{head}{against}: {'it has earned a say' if advice['earned'] else 'it has not earned a say'}."


def heading(report: Mapping[str, Any]) -> str:
    """Return what was played."""
    data = report["data"]
    made = "trained for this" if data["trained"] else "stored"
    run = f"run {data['run']}, {made}" if data["run"] else "signals of a file"
    return (
        f"{data['source']}: {counted(len(data['symbols']), 'symbol')}, {counted(data['closes'], 'close')}, "
        f"{counted(round(data['days']), 'day')} "
        f"from {data['first']}; {run}"
    )


def print_replay(report: Mapping[str, Any], console: Any) -> None:
    """Print a replay."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(heading(report)), soft_wrap=True)
    for title, head, rows in _tables(report):
        if not rows:
            continue
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for place, name in enumerate(head):
            table.add_column(name, justify="left" if place in (0, len(head) - 1) else "right")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    for line in lines_of(report):
        console.print(Text(line), soft_wrap=True)


def markdown(report: Mapping[str, Any]) -> str:
    """Return a replay as Markdown."""
    parts = [heading(report)]
    for title, head, rows in _tables(report):
        if rows:
            lines = [head, tuple("---" for _ in head), *rows]
            parts.append(f"**{title}**\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in lines))
    return "\n\n".join([*parts, *lines_of(report)]) + "\n"


def write_html(report: Mapping[str, Any], path: Path) -> None:
    """Write a replay as one page that asks no other host.

    Raises
    ------
    OutputProblem
        The file cannot be written.
    """
    parts = [f"<h1>Council replay</h1><p>{escape(heading(report))}</p>"]
    for title, head, rows in _tables(report):
        if rows:
            cells = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
            parts.append(f"<h2>{escape(title)}</h2><table><tr>{_cells('th', head)}</tr>{cells}</table>")
    parts += [f"<p>{escape(line)}</p>" for line in lines_of(report)]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Council replay</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{ALONE}">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    files.write_text(path, page)


def _cells(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)


def _tables(report: Mapping[str, Any]) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    return [
        ("With and without", HEAD, rows_of(report)),
        ("When each rule fired", ("rule", "times", "most in 24 h", "first", "then"), rule_rows(report)),
    ]
