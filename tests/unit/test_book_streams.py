"""Messages are read whole or refused by name; recordings too."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from consilium.domain.errors import DataProblem
from consilium.market.book.messages import BestPrices, DepthSnapshot, Diff, Refused, TradeMessage
from consilium.market.book.scaled import REMEMBERED, ScaledTexts, to_float, to_scaled
from consilium.market.book.streams import StreamReader, read_recording
from consilium.market.replay.faults import Faults, FaultyWire

DIFF: dict[str, object] = {
    "e": "depthUpdate", "E": 7, "T": 6, "s": "BTCUSDT", "U": 11, "u": 15, "pu": 9,
    "b": [["100.10", "0.250"]], "a": [["100.20", "0.000"]],
}  # fmt: skip
TRADE: dict[str, object] = {
    "e": "trade", "E": 7, "T": 6, "s": "BTCUSDT", "t": 5, "p": "100.10", "q": "0.5", "m": True,
}  # fmt: skip
BEST: dict[str, object] = {"u": 4, "s": "BTCUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}


def read(data: object) -> object:
    return StreamReader().read(json.dumps(data).encode(), 99)


def test_a_futures_diff_is_dated_by_the_match_and_says_what_it_follows() -> None:
    found = read({"stream": "btcusdt@depth@0ms", "data": DIFF})
    assert isinstance(found, Diff)
    assert (found.ts_event, found.ts_local, found.previous, found.linked) == (6_000_000, 99, 9, True)
    assert (found.bids, found.asks) == ([(10_010_000_000, 25_000_000)], [(-10_020_000_000, 0)])


def test_trades_and_best_prices_are_read() -> None:
    trade, best = read(TRADE), read(BEST)
    assert isinstance(trade, TradeMessage)
    assert (trade.price, trade.size, trade.taker_buy) == (10_010_000_000, 50_000_000, False)
    assert isinstance(best, BestPrices)
    assert (best.last, best.bid, best.ask) == (4, (150_000_000, 200_000_000), (-160_000_000, 300_000_000))


def test_what_is_no_market_data_is_passed_over() -> None:
    assert read({"result": None, "id": 1}) is None


MOST = "92233720368.54775807"
"""What 64 bits hold in units of 1e-8."""

BAD_LEVELS = (
    "92233720368.54775808",
    "9" * 400,
    "NaN",
    "-1",
    "1e3",
    "",
    ".",
    "0x1",
    "inf",
    "1.2.3",
    "0.123456789",
    None,
    5,
    1.5,
    True,
)


@pytest.mark.parametrize("size", BAD_LEVELS)
def test_a_size_that_cannot_be_refuses_the_whole_message(size: object) -> None:
    for data in (DIFF | {"b": [["1", "1"], ["100.1", size]]}, TRADE | {"q": size}, BEST | {"A": size}):
        found = read(data)
        assert isinstance(found, Refused)
        assert found.name == "bad_level"


@pytest.mark.parametrize("price", [*BAD_LEVELS, "0", "-5", "0.000"])
def test_a_price_that_cannot_be_refuses_the_whole_message(price: object) -> None:
    for data in (DIFF | {"a": [[price, "1"]]}, TRADE | {"p": price}, BEST | {"b": price}):
        found = read(data)
        assert isinstance(found, Refused)
        assert found.name == "bad_level"


def test_the_largest_number_that_can_be_kept_is_read() -> None:
    diff, trade = read(DIFF | {"b": [[MOST, MOST]]}), read(TRADE | {"q": MOST})
    assert isinstance(diff, Diff)
    assert diff.bids == [(2**63 - 1, 2**63 - 1)]
    assert isinstance(trade, TradeMessage)
    assert trade.size == 2**63 - 1


BROKEN = (
    {"U": "11"}, {"u": 11.5}, {"u": True}, {"u": 10}, {"pu": 11}, {"E": None, "T": None}, {"s": ""}, {"s": 5},
    {"E": 2**63, "T": 2**63}, {"T": 2**62}, {"u": 2**63},
    {"b": None}, {"b": [["1"]]}, {"b": [["1", "1", "1"]]}, {"b": 3}, {"a": [[["1"], "1"]]}, {"U": -1},
)  # fmt: skip


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_a_field_of_another_kind_is_corrupt(change: dict[str, object]) -> None:
    found = read(DIFF | change)
    assert isinstance(found, Refused)
    assert found.name == "corrupt"


@pytest.mark.parametrize("payload", [b"", b"[1]", b"5", b"null", b'"x"', b'{"data":5}', b"\xff\xfe", b"{"])
def test_what_is_not_an_object_is_corrupt_or_nothing(payload: bytes) -> None:
    found = StreamReader().read(payload, 0)
    assert found is None or (isinstance(found, Refused) and found.name == "corrupt")


def test_every_message_that_the_replay_bends_is_refused() -> None:
    wire = FaultyWire(np.random.default_rng(5))
    reader = StreamReader()
    for data in (DIFF, TRADE, BEST):
        payload = json.dumps({"stream": "x", "data": data}, separators=(",", ":")).encode()
        for _ in range(300):
            assert isinstance(reader.read(wire.bend(payload), 0), Refused)


def test_a_snapshot_says_whether_it_is_the_whole_book() -> None:
    body = json.dumps({"lastUpdateId": 3, "bids": [["2", "1"]], "asks": [["3", "1"], ["4", "1"]]}).encode()
    found = StreamReader().snapshot(body, 0, "BTCUSDT", 2)
    assert isinstance(found, DepthSnapshot)
    assert (found.last, found.bids_end, found.asks_end) == (3, True, False)
    for bad in (b"{", b"[]", body.replace(b"3,", b'"3",', 1)):
        refused = StreamReader().snapshot(bad, 0, "BTCUSDT")
        assert isinstance(refused, Refused)
        assert refused.name == "corrupt"


def test_the_json_of_the_standard_library_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = read(DIFF)
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert read(DIFF) == quick
    assert isinstance(StreamReader().read(b"{", 0), Refused)
    assert isinstance(read(DIFF | {"b": [["1", float("nan")]]}), Refused)


def test_scaled_numbers_are_exact_and_forgotten_in_time() -> None:
    rng = np.random.default_rng(3)
    for value in rng.integers(0, 10**15, 500):
        text = f"{value // 10**8}.{value % 10**8:08d}"
        assert to_scaled(text) == value
        assert to_float(int(value)) == float(text)
    texts = ScaledTexts()
    for i in range(REMEMBERED + 5):
        assert texts[str(i)] == i * 10**8
    assert len(texts) == 5


def test_a_recording_is_read_line_by_line_and_refused_where_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl.gz"
    path.write_bytes(gzip.compress(b'5 {"a":1}\n7 {"lastUpdateId":1}\n'))
    lines = list(read_recording(path))
    assert [(line.ts_local, line.is_snapshot) for line in lines] == [(5, False), (7, True)]
    path.write_bytes(gzip.compress(b"5 {}\nnonsense\n"))
    with pytest.raises(DataProblem, match="line 2"):
        list(read_recording(path))
    path.write_bytes(gzip.compress(b"5 {}\n" * 100)[:-20])
    with pytest.raises(DataProblem, match="readable"):
        list(read_recording(path))
    with pytest.raises(DataProblem, match="readable"):
        list(read_recording(tmp_path / "absent.jsonl"))


def test_faults_are_drawn_from_their_seed_and_as_often_as_asked() -> None:
    faults = Faults(drop=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1, delay=0.1)
    sent = [str(i).encode() * 3 for i in range(3_000)]

    def carried(seed: int) -> tuple[list[object], FaultyWire]:
        wire = FaultyWire(np.random.default_rng(seed))
        return [wire.carry(payload, faults) for payload in sent], wire

    first, wire = carried(1)
    assert carried(1)[0] == first
    assert carried(2)[0] != first
    for name in ("drop", "duplicate", "reorder", "corrupt", "delay"):
        assert 200 < wire.counts[name] < 400, name
