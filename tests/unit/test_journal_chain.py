"""What a row is, and how it is chained."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from consilium.bus.codec import canonical, to_wire
from consilium.bus.journal.canonical import canonical_json
from consilium.bus.journal.chain import event_of, link, row_of
from consilium.domain import InvalidValue
from journal_cases import event


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({"payload": {"x": float("nan")}}, "finite"),
        ({"payload": {"x": [1.0, {"y": float("-inf")}]}}, "finite"),
        ({"payload": {"x": object()}}, "JSON"),
        ({"payload": {1: 2}}, "JSON"),
        ({"payload": [1]}, "JSON object"),
        ({"payload": {"x": "\ud800"}}, "JSON"),
        ({"topic": "a\0b"}, "zero character"),
        ({"stream": "\ud800"}, "Unicode"),
        ({"ts_event": 2**63}, "64 bits"),
        ({"ts_recorded": 1.5}, "64 bits"),
    ],
)
def test_what_would_not_come_back_the_same_is_refused(change: dict[str, Any], bound: str) -> None:
    with pytest.raises(InvalidValue, match=bound):
        row_of(replace(event(1), **change))


def test_a_row_hashes_the_canonical_json_of_the_event_as_it_travels() -> None:
    given = event(3)
    previous = bytes(range(32))
    assert link(previous, row_of(given)) == sha256(previous + canonical(to_wire(given))).digest()
    assert event_of(row_of(given)) == given


@pytest.mark.parametrize(
    "payload",
    [{}, {"b": 1, "a": ["☃", 0.1, 1e300, None]}, {"nothing": None, "n": {"z": 1, "y": "null"}}],
)
def test_payloads_are_written_as_the_codec_writes_them(payload: dict[str, Any]) -> None:
    assert canonical_json(payload) == canonical(payload)
