"""The money: accounts under other costs and gates, against simple rivals, and what luck would explain."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.reading import Footnotes, Report, chance, pairs, part, real, rows, written
from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, chart_place, paragraph, section, table
from consilium.app.report.numbers import NOTHING, TRADING_TITLES, number, percent

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
            "one bar later, is too thin to trade. Sharpe is of daily returns in UTC, flat days in, and not "
            "given below 30 days; its error tells how little one account proves.",
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
    if below:
        deepest = percent(max(abs(value) for _, value in below))
        drawn.append(chart_place("chart-drawdown", "Drawdown from the running peak", f"Deepest: {deepest}"))
    return drawn


def _rivals(found: Mapping[str, Any]) -> Markup:
    equal = part(found, "held_equal_volatility")
    own = next(iter(rows(found.get("accounts"))), {})
    flat = found.get("flat")
    lines: list[tuple[object, ...]] = []
    if own:
        lines.append(("the account", number("net_return", own.get("net_return")), ""))
    if found.get("buy_and_hold") is not None:
        lines.append(
            (
                "buy and hold",
                number("net_return", _held(found.get("buy_and_hold"))),
                "all symbols, equal money",
            )
        )
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
                "Held at equal volatility: so small a holding that it swings as much as the account. Who "
                "cannot beat it took risk, not skill.",
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
    if own is not None and median is not None and high is not None:
        scale = Scale.over([own, median, high])
        text = f"own {percent(own)}, median {percent(median)}, 95 % point {percent(high)}"
        kind = "better" if own > high else "even"
        drawn = strip(scale, own, None, None, kind=kind, text=text, ticks=(median, high))
    lines = [
        (
            f"{written('permutations', found.get('permutations'))} orders ({found.get('way') or 'permuted'})",
            drawn,
            notes.missing(own, number("net_return", own), reason),
            number("net_return", median),
            number("net_return", high),
            notes.missing(p, chance(p), reason),
        )
    ]
    heads = ("Permuted", "Dot: own; ticks: median, 95 %", "Own", "Median of luck", "95 % of luck", "p")
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


_TESTS = {
    "deflated_sharpe": (
        "Deflated Sharpe",
        {
            "probability": "chance that it is above luck",
            "sharpe": "Sharpe a day",
            "by_luck": "what the best of all trials shows by luck, a day",
            "trials": "trials",
            "independent": "independent ones",
            "days": "days",
        },
        "How likely the true Sharpe is above what the best of so many trials shows by luck; needs > 0.95.",
    ),
    "minimum_track_record": (
        "Minimum track record",
        {"days": "days that such returns must last", "have": "days there are"},
        "How long such returns would have to last before a Sharpe above 0 is shown.",
    ),
    "overfitting": (
        "Overfitting (PBO)",
        {
            "probability": "probability",
            "trials": "trials",
            "splits": "splits",
            "loss": "winner loses outside",
        },
        "How often the best variant of one half of the time is below the middle in the other; needs < 0.2.",
    ),
}


def _tests(found: Mapping[str, Any]) -> Markup:
    notes, lines = Footnotes(), []
    for key, (title, names, told) in _TESTS.items():
        value = found[key] if key in found else part(found, "deflated_sharpe").get(key)
        row = value if isinstance(value, Mapping) else {"days": value} if real(value) is not None else {}
        if not row and key not in found:
            continue
        main, *rest = names
        facts = [
            f"{names[name]} {written(name, row.get(name))}" for name in rest if row.get(name) is not None
        ]
        reason = row.get("reason")
        shown = notes.missing(row.get(main), written(main, row.get(main)), reason)
        lines.append((title, shown, "; ".join(facts) or NOTHING, row.get("text") or told))
    drawn = table("Could it be luck?", ("Test", "Value", "From", "What it says"), lines, "text")
    return Markup(drawn + notes.listed())


def _capacity(found: Any) -> Markup:
    if real(found) is not None:
        found = {"capacity": found}
    if not isinstance(found, Mapping) or not found:
        return Markup()
    notes = Footnotes()
    plain = {
        k: v for k, v in found.items() if k not in ("text", "reason", "rows") and not isinstance(v, Mapping)
    }
    listed = [(k, v) for k, v in plain.items() if not rows(v)]
    lines = [
        (key.replace("_", " "), notes.missing(value, written(key, value), found.get("reason")))
        for key, value in listed
    ]
    inner = [table("Capacity", ("What", "Value"), lines), notes.listed()]
    for key, value in found.items():
        steps = rows(value)
        if steps:
            heads = list(dict.fromkeys(name for step in steps for name in step))
            cells = [tuple(written(name, step.get(name)) for name in heads) for step in steps]
            inner.append(
                table(f"Capacity: {key.replace('_', ' ')}", [h.replace("_", " ") for h in heads], cells)
            )
    return Markup(
        "".join(inner)
        + paragraph(found.get("text"))
        + paragraph(
            "How much money the signals could carry before their own impact eats the edge.", "soft under"
        )
    )


def _books(found: Mapping[str, Any]) -> Markup:
    notes, lines = Footnotes(), []
    for name in found:
        row = part(found, name)
        cells = [
            notes.missing(row.get(key), number(_as(key), row.get(key)), row.get("reason"))
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
