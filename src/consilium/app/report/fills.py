"""Fills from recorded books, beside the same signals filled on candles."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from consilium.app.report.markup import Markup, bullets, paragraph, section, table
from consilium.app.report.numbers import NOTHING, number, percent

Report = Mapping[str, Any]
Rows = list[tuple[str, ...]]

FIGURE_HEADS = (
    "Orders",
    "Sent",
    "Filled",
    "In part",
    "Not",
    "Fills",
    "Maker share",
    "Slippage",
    "of it waiting",
    "Beyond candles",
    "First fill",
    "Last fill",
)
ACCOUNT_HEADS = (
    "Filled",
    "Net return",
    "Max drawdown",
    "Trades",
    "Orders filled",
    "Fills",
    "Traded value",
    "Fees",
)
COST_HEADS = ("Costs", "By walking the book", "On candles")
MEANINGS = (
    "Slippage: what was paid above (got below) the mid at the time of the order, in bp of the value; for a "
    "stop, beyond its stop price. Of it waiting: how far the mid had moved when the first fill came. Beyond "
    "candles: what was paid above the price that the next bar's open with half a spread and impact would "
    "give. First and last fill: median time from the order."
)


def figure_rows(report: Report) -> Rows:
    """Return a row of cells for all orders and one for each purpose."""
    found = (report.get("fills") or {}).get("figures") or {}
    return [(name, *_figure_cells(row)) for name, row in found.items()]


def _figure_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        *(number("orders", row.get(key)) for key in ("orders", "filled", "in_part", "unfilled", "fills")),
        NOTHING if row.get("maker_share") is None else percent(row["maker_share"]),
        *(basis_points(row.get(key)) for key in ("slippage", "waiting_slippage", "beyond_candles")),
        *(seconds(row.get(key)) for key in ("seconds_first", "seconds_last")),
    )


def account_rows(report: Report) -> Rows:
    """Return a row of cells for the account on books and one for that on candles."""
    names = {"book": "by walking the book", "candles": "on candles"}
    found = (report.get("fills") or {}).get("accounts") or {}
    keys = ("trades", "orders_filled", "fills", "traded_value", "fees")
    return [
        (
            names[name],
            *map(_fine, (row["net_return"], row["max_drawdown"])),
            *(number(k, row.get(k)) for k in keys),
        )
        for name, row in found.items()
        if row is not None and name in names
    ]


def cost_rows(report: Report) -> Rows:
    """Return net returns at multiples of all costs."""
    found = (report.get("fills") or {}).get("costs") or []
    return [(f"{row['multiple']:g}x", _fine(row["book"]), _fine(row["candles"])) for row in found]


def _fine(value: float | None) -> str:
    """Write a return of minutes: it is small."""
    return NOTHING if value is None else percent(value, 3)


def ended_lines(report: Report) -> list[str]:
    """Say what was refused before it was sent, which orders were not filled whole, and why.

    Examples
    --------
    >>> ended_lines({"fills": {"refused": {}, "ended": {"rejected": {"stale_book": 2}, "expired": {}}}})
    ['Refused before sending: none.', 'Orders rejected: stale_book 2.', 'Orders expired: none.']
    """
    found = report.get("fills") or {}
    if not found:
        return []
    told = {"Refused before sending": found.get("refused") or {}}
    told |= {f"Orders {status}": reasons for status, reasons in (found.get("ended") or {}).items()}
    return [
        f"{what}: {', '.join(f'{why} {count:,}' for why, count in reasons.items()) or 'none'}."
        for what, reasons in told.items()
    ]


def told_settings(report: Report) -> str:
    """Say how orders met the books."""
    found = (report.get("fills") or {}).get("settings") or {}
    if not found:
        return ""
    entry = "at market"
    if found["entry"] == "limit":
        before = percent(found["queue"], 0)
        entry = f"at a limit for {found['patience_ms'] / 1_000:g} s, {before} of the level before it"
    return (
        f"Filled by walking the book: {found['latency_ms']:g} ms of latency, entries {entry}, fees maker "
        f"{percent(found['maker_fee'], 3)}, taker {percent(found['taker_fee'], 3)}."
    )


def basis_points(value: float | None) -> str:
    """Write a fraction in basis points.

    Examples
    --------
    >>> basis_points(0.000123), basis_points(-0.00002), basis_points(None)
    ('1.23 bp', '-0.20 bp', '–')
    """
    return NOTHING if value is None else f"{1e4 * value:.2f} bp"


def seconds(value: float | None) -> str:
    """Write a time in seconds, or in milliseconds below one.

    Examples
    --------
    >>> seconds(0.05), seconds(2.0)
    ('50 ms', '2.0 s')
    """
    if value is None:
        return NOTHING
    return f"{1_000 * value:.0f} ms" if value < 1.0 else f"{value:.1f} s"


def fills_section(report: Report) -> Markup:
    """What the fills were like, and what the candle assumption hides; nothing where candles filled all."""
    if not report.get("fills"):
        return Markup()
    return section(
        "fills",
        "Fills",
        paragraph(told_settings(report)),
        table("The same signals, filled in two ways", ACCOUNT_HEADS, account_rows(report)),
        table("Fills by walking the book", FIGURE_HEADS, figure_rows(report)),
        paragraph(MEANINGS, "soft under"),
        bullets(ended_lines(report)),
        table("Net return at multiples of fees, spread, depth and impact", COST_HEADS, cost_rows(report)),
    )


def fills_tables(report: Report) -> list[Table]:
    """Return the tables of the terminal."""
    return [
        _terminal("Filled by walking the book", FIGURE_HEADS, figure_rows(report)),
        _terminal("The same signals, filled in two ways", ACCOUNT_HEADS, account_rows(report)),
        _terminal("Net return at multiples of all costs", COST_HEADS, cost_rows(report)),
    ]


def fills_lines(report: Report) -> list[str]:
    """Return the lines of the terminal."""
    return [line for line in (told_settings(report), *ended_lines(report)) if line]


def _terminal(title: str, heads: Sequence[str], rows: Rows) -> Table:
    made = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    made.add_column(heads[0].lower(), no_wrap=True)
    for head in heads[1:]:
        made.add_column(head.lower(), justify="right")
    for row in rows:
        made.add_row(Text(row[0]), *row[1:])
    return made
