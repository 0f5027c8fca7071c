"""The judge's page taken apart, and reports with parts left out."""

import re
from collections.abc import Iterator
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

from consilium.app.report.judge.page import SECTIONS, body

VOID = {"meta", "link", "br", "img", "input", "hr"}
UNDEFINED = re.compile(r"\b(None(?! of |: )|nan|NaN|inf)\b")
FILLED_BY_CANDLES = [anchor for anchor in SECTIONS if anchor != "fills"]
"""Only orders that were walked through books have a section about their fills."""


class Outline(HTMLParser):
    """Collects tags and texts; refuses tags that do not close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def named(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        found = [attributes for name, attributes in self.tags if name == tag]
        return [a for a in found if kind in (a.get("class") or "").split()] if kind else found

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def shown(report: dict[str, Any]) -> Outline:
    return Outline("\n".join(body(report).values()))


def without(report: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    changed = deepcopy(report)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = None
    return changed


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a report; of lists the first row, but no name or number in them."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if not isinstance(key, int) or (key == 0 and isinstance(item, dict)):
            yield from places(item, (*path, key))


def short(report: dict[str, Any]) -> dict[str, Any]:
    """The report with short lines, so that one page takes milliseconds."""
    cut = deepcopy(report)
    for line in ("equity", "drawdown", "buy_and_hold"):
        cut["economics"][line] = cut["economics"][line][:3]
    cut["economics"]["held_equal_volatility"]["equity"] = []
    cut["weights"] = {name: values[:3] for name, values in cut["weights"].items()}
    cut["table"]["rows"] = cut["table"]["rows"][:2]
    cut["models"] = dict(list(cut["models"].items())[:1])
    cut["baselines"] = {}
    cut["calibration"] = {"consensus": cut["calibration"]["consensus"]}
    del cut["config"]
    return cut
