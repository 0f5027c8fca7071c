"""What earlier runs said, apart by where their data came from: none is taken back."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING
from consilium.app.report.reading import Report, rows, word_kind

Past = Mapping[str, Any]

WHERE = {
    "observed": "on real data",
    "sample": "on the bundled sample",
    "simulated": "on simulated markets",
}
"""By origin, in the order of what they say about markets."""

HEADS = ("Run", "Ended", "Data", "Configuration", "Verdict", "Trading verdict")


def past_section(report: Report) -> Markup:
    """What was said in earlier runs, one table for each origin of data."""
    found = by_origin(report)
    if not found:
        told = "No earlier run in this run table has ended with a verdict."
        return section("past", "Past verdicts", paragraph(told) if "past" in report else "")
    return section(
        "past",
        "Past verdicts",
        *(
            table(_caption(where, past), HEADS, [_line(row) for row in past], "text")
            for where, past in found.items()
        ),
        paragraph(
            "All of them stay here. One 'better' after many tries is what chance would give. A verdict on a "
            "simulated market says nothing about real ones, and is no look at them.",
            "soft under",
        ),
    )


def by_origin(report: Report) -> dict[str, list[Past]]:
    """Return earlier verdicts by where their data came from, written for people; real data first.

    Examples
    --------
    >>> past = [{"origin": "simulated", "word": "better"}, {"origin": "observed", "word": "worse"}]
    >>> {where: len(found) for where, found in by_origin({"past": past}).items()}
    {'on real data': 1, 'on simulated markets': 1}
    """
    found = rows(report.get("past"))
    told = {where: [row for row in found if row.get("origin") == origin] for origin, where in WHERE.items()}
    told["on data of unknown origin"] = [row for row in found if row.get("origin") not in WHERE]
    return {where: past for where, past in told.items() if past}


def words_of(past: list[Past]) -> dict[str, int]:
    """Count the words of verdicts, in the order in which they came.

    Examples
    --------
    >>> words_of([{"word": "worse"}, {"word": "better"}, {"word": "worse"}])
    {'worse': 2, 'better': 1}
    """
    counted: dict[str, int] = {}
    for row in past:
        word = str(row.get("word") or "none")
        counted[word] = counted.get(word, 0) + 1
    return counted


def _line(row: Past) -> tuple[object, ...]:
    return (
        row.get("run") or "?",
        row.get("ended") or NOTHING,
        row.get("data") or NOTHING,
        Markup(f"<code>{html(str(row.get('config_hash') or NOTHING)[:12])}</code>"),
        _worded(row.get("word")),
        _worded(row.get("trading_word")),
    )


def _worded(word: object) -> Markup:
    return Markup(f'<span class="{word_kind(word)}-text">{html(word or NOTHING)}</span>')


def _caption(where: str, past: list[Past]) -> str:
    ended = [str(row.get("ended") or "") for row in past]
    newest_first = len(ended) > 1 and ended == sorted(ended, reverse=True)
    return f"Earlier verdicts {where}{', newest first' if newest_first else ''}"
