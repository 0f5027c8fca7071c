"""What the judge says where the truth is known, and what it has said before."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, number
from consilium.app.report.reading import Footnotes, Report, part, real, rows, word_kind, written


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
            "would be a false alarm; with shifted labels only if it tells which way too, for volatility "
            "outlasts a day. Which way: the forecast against its own mirror image, UP and DOWN exchanged.",
        ),
        _said(
            "Planted signal: one seed each; how often it is found stands below",
            rows(found.get("positive")),
            "The whole path on simulated prices that hold a signal of the stated strength: IC is the "
            "correlation of the signal with the next bar.",
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
    "verdict": "Verdict better",
    "climatology": "Beats climatology",
    "direction": "Which way told",
    "rejected": "Mirror rejected",
}


def _power(found: Mapping[str, Any]) -> Markup:
    every, notes = rows(found.get("rows")), Footnotes()
    if not every:
        why = f": {found['reason']}" if found.get("reason") else ""
        return paragraph(f"What this judge can see was not measured{why}." if found else "")
    shown = [key for key in _RATES if any(_of(row, key) for row in every)]
    counts = {real(row.get("runs")) for row in every}
    same = counts.pop() if len(counts) == 1 else None
    caption = "What this judge can see" + ("" if same is None else f", in {same:,.0f} worlds of each kind")
    lines = [
        (_world(row, counted=same is None), *(_share(_of(row, key), row, notes) for key in shown))
        for row in every
    ]
    return Markup(
        table(caption, ("World", *(_RATES[key] for key in shown)), lines, "power")
        + notes.listed()
        + _measured(found)
        + paragraph(found.get("text"))
        + paragraph(
            "The share of worlds in which it is said, with its 95\u00a0% interval; lines run from 0 to "
            "100\u00a0%. Verdict better: better than climatology, than the best single model and than equal "
            "weight. Which way told: better than its own mirror image, UP and DOWN exchanged. Mirror "
            "rejected: better or worse than it. In worlds without a signal a hit is a false alarm (with "
            "shifted labels: one that tells which way); where the rows with a signal are low, 'not "
            "distinguishable' does not mean that there is nothing.",
            "soft under",
        )
    )


def _of(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The rate of one statement; that of the verdict lies in the row itself."""
    return row if key == "verdict" else part(row, key)


def rate_of(row: Mapping[str, Any]) -> float | None:
    """Return the share of hits.

    Examples
    --------
    >>> rate_of({"hits": 3, "runs": 20}), rate_of({"hits": None})
    (0.15, None)
    """
    hits, runs = real(row.get("hits")), real(row.get("runs"))
    return hits / runs if hits is not None and runs else None


def _world(row: Mapping[str, Any], *, counted: bool) -> Markup:
    ic, runs, name = (row.get(key) for key in ("ic", "runs", "name"))
    told = "no signal" if ic == 0.0 else f"planted IC {written('ic', ic)}"
    below = [told] if name and told.removeprefix("planted ") not in str(name) else []
    below += [str(row["size"])] if row.get("size") else []
    below += [f"{runs:,.0f} worlds"] if counted and real(runs) is not None else []
    small = f"<small>{html(', '.join(below))}</small>" if below else ""
    return Markup(f"{html(name or told)}{small}")


def _share(found: Mapping[str, Any], row: Mapping[str, Any], notes: Footnotes) -> Markup:
    rate, low, high = rate_of(found), real(found.get("low")), real(found.get("high"))
    if rate is None:
        return notes.missing(rate, NOTHING, found.get("reason") or row.get("reason"))
    told = f"{100 * rate:.1f} %"
    ends = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    drawn = strip(Scale(0.0, 1.0, zero=None), rate, low, high, text=f"{told}, {ends}")
    return Markup(f"{told}{f'<small>{ends}</small>' if ends else ''}{drawn}")


def _measured(found: Mapping[str, Any]) -> Markup:
    date, worlds, command = (found.get(key) for key in ("date", "worlds", "command"))
    told = "Measured" + (f" on {html(date)}" if date else "")
    told += f": {html(str(worlds).rstrip('.'))}" if worlds else ""
    told += f", by <code>{html(command)}</code>" if command else ""
    return paragraph(Markup(f"{told}."), "soft under") if date or worlds or command else Markup()
