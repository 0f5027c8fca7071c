"""The money: accounts under other costs and gates, against simple rivals, and what luck would explain."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.charts import NO_DRAWDOWN, idle
from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, chart_place, paragraph, section, table
from consilium.app.report.numbers import NOTHING, TRADING_TITLES, number, percent
from consilium.app.report.reading import Footnotes, Report, chance, pairs, part, real, rows, written

COLUMNS = {
    "net_return": "Net return",
    "sharpe": "Sharpe",
    "sharpe_se": "± error",
    "sortino": "Sortino",
    "max_drawdown": "Max drawdown",
    "turnover": "Turnover",
    "fees": "Fees",
    "trades": "Trades",
    "win_rate": "Win rate",
}


def economics_section(report: Report) -> Markup:
    """Accounts, equity against its rivals, the tests of luck, capacity and the books of single models."""
    found = part(report, "economics")
    return section(
        "economics",
        "Economics",
        paragraph(found.get("text")),
        _accounts(found),
        *_curves(found),
        _rivals(found),
        _permutation(part(found, "permutation")),
        _tests(found),
        _capacity(found.get("capacity")),
        _books(part(found, "books")),
    )


def _accounts(found: Mapping[str, Any]) -> Markup:
    notes = Footnotes()
    lines = [
        (
            row.get("name") or "?",
            *(
                notes.missing(row.get(key), number(_as(key), row.get(key)), row.get("reason"))
                for key in COLUMNS
            ),
        )
        for row in rows(found.get("accounts"))
    ]
    return Markup(
        table(
            "The account, and the same signals under other costs, gates and limits",
            ("Account", *COLUMNS.values()),
            lines,
        )
        + notes.listed()
        + paragraph(
            "After fees, spread and impact. An edge that dies at twice the costs, or when every order comes "
            "one bar later, is too thin to trade. Sharpe: return by its swings, a year, of daily returns in "
            "UTC with flat days in; not given below 30 days; its error tells how little one account proves. "
            "Sortino: the same, counting only falls. Turnover: traded value a year, in times the money.",
            "soft under",
        )
        if lines
        else ""
    )


def _as(key: str) -> str:
    return "share" if key == "win_rate" else key


def _curves(found: Mapping[str, Any]) -> list[Markup]:
    own = pairs(found.get("equity"))
    if not own:
        return []
    told = f"Equity from {own[0][1]:,.2f} to {own[-1][1]:,.2f}"
    rival = pairs(found.get("buy_and_hold"))
    told += f"; buy and hold ends at {rival[-1][1]:,.2f}" if rival else ""
    drawn = [chart_place("chart-equity", "Equity against holding and against doing nothing", told)]
    below = pairs(found.get("drawdown"))
    if idle(trades_of(found), below):
        drawn.append(paragraph(NO_DRAWDOWN))
    elif below:
        deepest = percent(max(abs(value) for _, value in below))
        drawn.append(chart_place("chart-drawdown", "Drawdown from the running peak", f"Deepest: {deepest}"))
    return drawn


def trades_of(found: Mapping[str, Any]) -> Any:
    """Return how often the account traded."""
    return next(iter(rows(found.get("accounts"))), {}).get("trades")


def _rivals(found: Mapping[str, Any]) -> Markup:
    equal = part(found, "held_equal_volatility")
    own = next(iter(rows(found.get("accounts"))), {})
    flat = found.get("flat")
    lines: list[tuple[object, ...]] = []
    if own:
        lines.append(("the account", number("net_return", own.get("net_return")), ""))
    if found.get("buy_and_hold") is not None or real(found.get("buy_and_hold_return")) is not None:
        known = real(found.get("buy_and_hold_return"))
        held = _held(found.get("buy_and_hold")) if known is None else known
        told = "all symbols, equal money" + ("" if known is None else ", cost of the entry in")
        lines.append(("buy and hold", number("net_return", held), told))
    if equal:
        share = real(equal.get("share"))
        told = equal.get("reason") or (
            "" if share is None else f"{percent(share)} of the money held, the rest idle"
        )
        lines.append(("held at equal volatility", number("net_return", equal.get("net_return")), told))
    if lines:
        kept = real(part(found, "flat").get("net_return")) if isinstance(flat, Mapping) else real(flat)
        lines.append(("flat (doing nothing)", percent(kept or 0.0), ""))
    return Markup(
        table("Against simple rivals", ("What", "Net return", "How"), lines)
        + (
            paragraph(
                "Held at equal volatility: so small a holding that it swings as much as the account. An "
                "account that does not beat it was paid for risk, not for skill.",
                "soft under",
            )
            if lines
            else ""
        )
    )


def _held(found: Any) -> float | None:
    if isinstance(found, Mapping) and real(found.get("net_return")) is not None:
        return real(found.get("net_return"))
    line = pairs(found)
    return line[-1][1] / line[0][1] - 1.0 if line and line[0][1] else None


def _permutation(found: Mapping[str, Any]) -> Markup:
    if not found:
        return Markup()
    notes = Footnotes()
    own, median, high = (real(found.get(key)) for key in ("net_return", "median", "high"))
    p, reason = real(found.get("p_value")), found.get("reason")
    drawn: Markup | str = NOTHING
    if own is not None and median is not None and high is not None and (own, median) != (high, high):
        scale = Scale.over([own, median, high])
        text = f"own {percent(own)}, median {percent(median)}, 95 % point {percent(high)}"
        kind = "better" if own > high else "even"
        drawn = strip(scale, own, None, None, kind=kind, text=text, ticks=(median, high))
    lines = [
        (
            _orders(found),
            drawn,
            notes.missing(own, number("net_return", own), reason),
            number("net_return", median),
            number("net_return", high),
            notes.missing(p, chance(p), reason),
        )
    ]
    heads = ("Permuted", "Dot: own; ticks: luck", "Own", "Median of luck", "95 % of luck", "p")
    return Markup(
        table("The same signals at other times", heads, lines)
        + notes.listed()
        + paragraph(found.get("text"))
        + paragraph(
            "The signals are put at other times, with the same turnover. If that earns as much, the timing "
            "was luck; the net return here is of a simple account with equal costs.",
            "soft under",
        )
    )


def _orders(found: Mapping[str, Any]) -> str:
    told = f"{written('permutations', found.get('permutations'))} order{_ending(found.get('permutations'))}"
    block = real(found.get("block"))
    ways = {"blocks": "blocks of {} bar{s} or more", "rotation": "rotated"}
    length = NOTHING if block is None else f"{block:,.0f}"
    way = ways.get(str(found.get("way")), "").format(length, s=_ending(block))
    return f"{told}, {way}" if way else told


_FROM = {
    "deflated_sharpe": {
        "sharpe": "Sharpe {} a day",
        "by_luck": "{} a day by luck for the best of all",
        "probabilistic": "above 0 with chance {} if nothing else had been tried",
        "trials": "{} trial{s}",
        "independent": "{} of them independent",
        "variants": "{} variant{s} of this run",
        "earlier": "{} earlier run{s}",
        "without_returns": "{} more that left no returns",
        "days": "{} day{s}",
    },
    "overfitting": {
        "trials": "{} trial{s}",
        "splits": "{} split{s}",
        "loss": "the winner loses money outside in {}",
    },
}


def _tests(found: Mapping[str, Any]) -> Markup:
    if not found:
        return Markup()
    notes = Footnotes()
    luck, fitted = part(found, "deflated_sharpe"), part(found, "overfitting")
    days, why = _track_record(found)
    lines = [
        (
            "Deflated Sharpe",
            notes.missing(luck.get("probability"), _chance(luck), luck.get("reason") or "not computed"),
            _facts(luck, _FROM["deflated_sharpe"]),
            "How likely the true Sharpe is above the best of so many trials by luck; needs > 0.95.",
        ),
        (
            "Overfitting (PBO)",
            notes.missing(fitted.get("probability"), _chance(fitted), fitted.get("reason") or "not computed"),
            _facts(fitted, _FROM["overfitting"]),
            "How often the best of one half of the time is below the middle in the other; needs < 0.2.",
        ),
        (
            "Minimum track record",
            notes.missing(days, NOTHING if days is None else f"{days:,.0f}\u00a0days", why),
            _facts(luck, {"days": "{} day{s} of returns"}),
            "How long such returns would have to last before a Sharpe above 0 is shown.",
        ),
    ]
    return Markup(
        table("Could it be luck?", ("Test", "Value", "From", "What it says"), lines, "text wordy")
        + notes.listed()
    )


def _chance(found: Mapping[str, Any]) -> str:
    value = real(found.get("probability"))
    return NOTHING if value is None else f"{value:.3f}"


def _facts(found: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    told = []
    for key, text in texts.items():
        value = real(found.get(key))
        if value is not None:
            shown = percent(value) if key == "loss" else written(key, value)
            told.append(text.format(shown, s=_ending(value)))
    return "; ".join(told) or NOTHING


def _ending(count: Any) -> str:
    """Return the ending of a noun beside a count."""
    return "" if real(count) == 1.0 else "s"


def _track_record(found: Mapping[str, Any]) -> tuple[float | None, str]:
    luck = part(found, "deflated_sharpe")
    told = found.get("minimum_track_record", luck.get("minimum_track_record"))
    row = told if isinstance(told, Mapping) else {"days": told}
    why = row.get("reason") or luck.get("reason") or "the Sharpe ratio is not above 0"
    return real(row.get("days")), str(why)


def _capacity(found: Any) -> Markup:
    if not isinstance(found, Mapping) or not found:
        return Markup()
    steps, why = rows(found.get("rows")), found.get("reason")
    heads = list(dict.fromkeys(name for step in steps for name in step))
    titles = [_SIZES.get(head, head.replace("_", " ")) for head in heads]
    lines = [tuple(_sized(name, step.get(name)) for name in heads) for step in steps]
    return Markup(
        table("The same account with more money", titles, lines)
        + paragraph(found.get("text") or (f"No size earned anything{f': {why}' if why else ''}."))
        + paragraph(
            "How much money the signals carry before their own impact, and what the market cannot fill, eat "
            "the edge.",
            "soft under",
        )
    )


_SIZES = {
    "equity": "Money at the start",
    "net_return": "Net return",
    "profit": "Profit",
    "cancelled": "Not filled",
    "turnover": "Turnover",
}


def _sized(name: str, value: Any) -> str:
    found = real(value)
    if name in ("equity", "profit") and found is not None:
        return f"{found:,.0f}"
    return number("share" if name == "cancelled" else name, value)


def _books(found: Mapping[str, Any]) -> Markup:
    notes, lines = Footnotes(), []
    for name in found:
        row = part(found, name)
        reason = row.get("reason") or ("no trade" if row.get("trades") == 0 else None)
        cells = [
            notes.missing(row.get(key), number(_as(key), row.get(key)), reason)
            for key in ("net_return", "sharpe", "trades", "win_rate")
        ]
        lines.append((name, *cells))
    return Markup(
        table(
            "What each forecaster would have traded alone, after costs",
            ("Forecaster", "Net return", "Sharpe", "Trades", "Win rate"),
            lines,
        )
        + notes.listed()
        + (
            paragraph("A fixed stake on every forecast, no gates and no limits.", "soft under")
            if lines
            else ""
        )
    )


def account_rows(report: Report) -> list[tuple[str, dict[str, str]]]:
    """Accounts with their figures, written, for the terminal."""
    keys = [
        key for key in TRADING_TITLES if key in ("net_return", "sharpe", "max_drawdown", "trades", "fees")
    ]
    return [
        (str(row.get("name") or "?"), {key: number(key, row.get(key)) for key in keys})
        for row in rows(part(report, "economics").get("accounts"))
    ]
