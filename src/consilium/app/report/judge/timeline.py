"""The split of time drawn as lanes: development, lock-box, unseen symbols."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.markup import Markup, html
from consilium.app.report.reading import part, rows
from consilium.domain import from_iso, to_iso

_LANES = (
    ("development", "Development", "dev"),
    ("lockbox", "Lock-box", "box"),
    ("unseen", "Unseen symbols", "new"),
)


def timeline(split: Mapping[str, Any]) -> Markup:
    """Draw when each part and each of its folds was forecast; nothing without dates.

    Parameters
    ----------
    split
        As in the report.
    """
    lanes = [(title, kind, _bars(part(split, key))) for key, title, kind in _LANES]
    seen = [ts for _, _, bars in lanes for bar in bars for ts in bar[:2]]
    if not seen or max(seen) <= min(seen):
        return Markup()
    begin, end = min(seen), max(seen)
    drawn = "".join(
        f'<div class="lane"><span class="lane-name">{html(title)}</span>'
        f'<span class="lane-time">{"".join(_bar(bar, kind, begin, end) for bar in bars)}</span></div>'
        for title, kind, bars in lanes
        if bars
    )
    told = "; ".join(
        f"{title} {_day(min(b[0] for b in bars))} to {_day(max(b[1] for b in bars))}"
        for title, _, bars in lanes
        if bars
    )
    return Markup(
        f"<figure><figcaption>Time runs to the right; numbered blocks are folds, each forecast from what "
        f'lies left of it</figcaption><div class="timeline" role="img" aria-label="{html(told)}">{drawn}'
        f'<div class="lane"><span class="lane-name"></span><span class="lane-ends"><span>{_day(begin)}</span>'
        f"<span>{_day(end)}</span></span></div></div></figure>"
    )


Bar = tuple[int, int, str]


def _bars(stage: Mapping[str, Any]) -> list[Bar]:
    """The whole part first, then its folds, as (first, last, label)."""
    found = [(stage.get("first"), stage.get("last"), "")]
    found += [
        (fold.get("test_first"), fold.get("test_last"), str(place + 1))
        for place, fold in enumerate(rows(stage.get("folds")))
    ]
    read = [(_time(first), _time(last), label) for first, last, label in found]
    return [(first, last, label) for first, last, label in read if first is not None and last is not None]


def _bar(bar: Bar, kind: str, begin: int, end: int) -> str:
    first, last, label = bar
    left = round(100.0 * (first - begin) / (end - begin), 3)
    width = round(max(100.0 * (last - first) / (end - begin), 0.4), 3)
    shape = "fold" if label else "whole"
    return (
        f'<i class="{shape} {kind}" style="left:{left}%;width:{width}%" '
        f'title="{_day(first)} to {_day(last)}">{label}</i>'
    )


def _time(text: Any) -> int | None:
    try:
        return from_iso(text)
    except (TypeError, ValueError):
        return None


def _day(ts: int) -> str:
    return to_iso(ts)[:10]
