"""What the judge says where the truth is known, and what it has said before."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.reading import Footnotes, Report, part, real, rows, word_kind, written
from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, number, percent


def controls_section(report: Report) -> Markup:
    """Negative and positive controls, and the table of power."""
    found = part(report, "controls")
    return section(
        "controls",
        "Controls: the judge on data whose truth is known",
        paragraph("The controls were left out: nothing shows that this run would stay silent on noise.")
        if "controls" in report and not found
        else "",
        paragraph(found.get("text") or found.get("reason")),
        _said(
            "No signal: the judge must not find one",
            rows(found.get("negative")),
            "The whole path, from raw bars to fills, on prices in which nothing can be known. 'better' here "
            "would be a false alarm.",
        ),
        _said(
            "Planted signal: the judge should find it",
            rows(found.get("positive")),
            "The whole path on simulated prices that hold a signal of the stated strength.",
        ),
        _power(part(found, "power")),
    )


def _said(caption: str, found: list[Mapping[str, Any]], told: str) -> Markup:
    notes = Footnotes()
    lines = [
        (
            row.get("name") or f"planted IC {written('ic', row.get('ic'))}",
            _worded(row.get("word"), row.get("reason") or "not run", notes),
            _worded(part(row, "mirrored").get("word"), part(row, "mirrored").get("reason"), notes),
            number("net_return", row.get("net_return")),
            number("trades", row.get("trades")),
            row.get("text") or NOTHING,
        )
        for row in found
    ]
    heads = ("World", "Verdict", "Which way", "Net return", "Trades", "Told")
    return Markup(
        table(caption, heads, lines, "text")
        + notes.listed()
        + (paragraph(told, "soft under") if lines else "")
    )


def _worded(word: Any, reason: Any, notes: Footnotes) -> Markup:
    shown = notes.missing(word, word or NOTHING, reason)
    return Markup(f'<span class="{word_kind(word)}-text">{shown}</span>')


_RATES = {
    "climatology": "Better than climatology",
    "direction": "Which way told",
    "rejected": "Mirror rejected",
}


def _power(found: Mapping[str, Any]) -> Markup:
    scale = Scale(0.0, 1.0, zero=None)
    notes, lines = Footnotes(), []
    every = rows(found.get("rows"))
    more = {key: title for key, title in _RATES.items() if any(part(row, key) for row in every)}
    for row in every:
        rate, ends = _rate(row)
        shown = NOTHING if rate is None else percent(rate)
        lines.append(
            (
                _world(row),
                strip(scale, rate, real(row.get("low")), real(row.get("high")), text=f"{shown}, {ends}"),
                notes.missing(rate, shown, row.get("reason")),
                ends,
                f"{written('hits', row.get('hits'))} of {written('runs', row.get('runs'))}",
                *(_share(part(row, key)) for key in more),
            )
        )
    if not lines:
        return paragraph(f"What this judge can see: {found['reason']}.") if found.get("reason") else Markup()
    axis = Markup('<span class="ends"><span>0 %</span><span>100 %</span></span>')
    heads = ("World", axis, "Verdict better", "95 % interval", "Runs", *more.values())
    return Markup(
        table("What this judge can see", heads, lines, "forest")
        + notes.listed()
        + _measured(found)
        + paragraph(found.get("text"))
        + paragraph(
            "How often it is said when the signal is truly that strong. In rows without a signal every hit "
            "is a false alarm; where the other rows are low, 'not distinguishable' does not mean that there "
            "is nothing. 'Mirror rejected': the forecast differs from its own mirror image, either way.",
            "soft under",
        )
    )


def _world(row: Mapping[str, Any]) -> Markup:
    ic = real(row.get("ic"))
    told = "no signal" if ic == 0.0 else f"planted IC {written('ic', ic)}"
    name = row.get("name")
    if name and told in str(name):
        return html(name)
    return Markup(f"{html(name)}<small>{html(told)}</small>") if name else html(told)


def _rate(row: Mapping[str, Any]) -> tuple[float | None, str]:
    hits, runs, low, high = (real(row.get(key)) for key in ("hits", "runs", "low", "high"))
    rate = hits / runs if hits is not None and runs else None
    return rate, NOTHING if low is None or high is None else f"{percent(low)} to {percent(high)}"


def _share(row: Mapping[str, Any]) -> Markup:
    rate, ends = _rate(row)
    return Markup(f"{NOTHING if rate is None else percent(rate)}<small>{html(ends)}</small>")


def _measured(found: Mapping[str, Any]) -> Markup:
    told = "; ".join(
        written(key, found[key])
        for key in ("date", "worlds", "command")
        if isinstance(found.get(key), str | int | float)
    )
    return paragraph(Markup(f"Measured: <code>{html(told)}</code>"), "soft") if told else Markup()


def past_section(report: Report) -> Markup:
    """What was said in earlier runs; none is taken back."""
    found = rows(report.get("past"))
    lines = [
        (
            row.get("run") or "?",
            row.get("ended") or NOTHING,
            row.get("data") or NOTHING,
            Markup(f"<code>{html(str(row.get('config_hash') or NOTHING)[:12])}</code>"),
            Markup(
                f'<span class="{word_kind(row.get("word"))}-text">{html(row.get("word") or NOTHING)}</span>'
            ),
            Markup(
                f'<span class="{word_kind(row.get("trading_word"))}-text">'
                f"{html(row.get('trading_word') or NOTHING)}</span>"
            ),
        )
        for row in found
    ]
    heads = ("Run", "Ended", "Data", "Configuration", "Verdict", "Trading verdict")
    caption = "Earlier verdicts, newest first" if _newest_first(found) else "Earlier verdicts"
    return section(
        "past",
        "Past verdicts",
        table(caption, heads, lines, "text"),
        paragraph(
            "All of them stay here. One 'better' after many tries is what chance would give.", "soft under"
        )
        if lines
        else paragraph("This is the first verdict in this run table.")
        if "past" in report
        else "",
    )


def _newest_first(found: list[Mapping[str, Any]]) -> bool:
    ended = [str(row.get("ended") or "") for row in found]
    return len(ended) > 1 and ended == sorted(ended, reverse=True)
