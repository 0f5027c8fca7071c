"""What the judge says where the truth is known, and what it has said before."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.reading import Footnotes, Report, part, real, rows, word_kind, written
from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, percent


def controls_section(report: Report) -> Markup:
    """Negative and positive controls, and the table of power."""
    found = part(report, "controls")
    return section(
        "controls",
        "Controls: the judge on data whose truth is known",
        paragraph(found.get("text") or found.get("reason")),
        _said(
            "No signal: the judge must not find one",
            "World",
            "name",
            rows(found.get("negative")),
            "The whole path, from raw bars to verdict, on prices in which nothing can be known. 'better' "
            "here would be a false alarm.",
        ),
        _said(
            "Planted signal: the judge should find it",
            "Planted IC",
            "ic",
            rows(found.get("positive")),
            "The whole path on simulated prices that hold a signal of the stated strength.",
        ),
        _power(part(found, "power")),
    )


def _said(caption: str, first: str, key: str, found: list[Mapping[str, Any]], told: str) -> Markup:
    notes = Footnotes()
    lines = [
        (
            written(key, row.get(key)) if row.get(key) is not None else NOTHING,
            Markup(
                f'<span class="{word_kind(row.get("word"))}-text">'
                f"{notes.missing(row.get('word'), row.get('word') or NOTHING, row.get('reason'))}</span>"
            ),
            row.get("text") or NOTHING,
        )
        for row in found
    ]
    return Markup(
        table(caption, (first, "Word", "Told"), lines, "text")
        + notes.listed()
        + (paragraph(told, "soft under") if lines else "")
    )


def _power(found: Mapping[str, Any]) -> Markup:
    scale = Scale(0.0, 1.0, zero=None)
    notes, lines = Footnotes(), []
    for row in rows(found.get("rows")):
        hits, runs, low, high = (real(row.get(key)) for key in ("hits", "runs", "low", "high"))
        rate = hits / runs if hits is not None and runs else None
        ends = NOTHING if low is None or high is None else f"{percent(low)} to {percent(high)}"
        shown = NOTHING if rate is None else percent(rate)
        lines.append(
            (
                f"{written('ic', row.get('ic'))}{' (no signal)' if real(row.get('ic')) == 0.0 else ''}",
                strip(scale, rate, low, high, text=f"{shown}, {ends}"),
                notes.missing(rate, shown, row.get("reason")),
                ends,
                f"{written('hits', row.get('hits'))} of {written('runs', row.get('runs'))}",
            )
        )
    if not lines:
        return paragraph(f"What this judge can see: {found['reason']}.") if found.get("reason") else Markup()
    axis = Markup('<span class="ends"><span>0 %</span><span>100 %</span></span>')
    measured = "; ".join(
        f"{key} {found[key]}" for key in ("date", "worlds", "command") if found.get(key) is not None
    )
    return Markup(
        table("What this judge can see", ("Planted IC", axis, "Said better", "95 % interval", "Runs"), lines)
        + notes.listed()
        + (paragraph(Markup(f"Measured: <code>{html(measured)}</code>"), "soft") if measured else "")
        + paragraph(found.get("text"))
        + paragraph(
            "How often the verdict says 'better' when the signal is truly that strong. In the row without a "
            "signal every hit is a false alarm; where the other rows are low, 'not distinguishable' does not "
            "mean that there is nothing.",
            "soft under",
        )
    )


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
