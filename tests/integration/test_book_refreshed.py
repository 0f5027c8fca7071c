"""A book that is made deeper by snapshots newer than its diffs stays readable, in one session."""

import json

import pytest

from conftest import SHARED_DATA
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff
from consilium.market.book.streams import Recorded, StreamReader, read_recording
from consilium.market.replay.simulated import simulated_recording
from consilium.market.replay.tape import Tape

RAW = SHARED_DATA / "books" / "raw"
AHEAD = 7


def kept_with_an_exchange_ahead(symbol: str, lines: list[Recorded], depth: int) -> tuple[BookKeeper, int]:
    """Play a recording; who asks for a snapshot gets the exchange's book some messages later.

    Return the book, and how often it could not be read after it once could.
    """
    tape, reader, keeper = Tape(symbol, lines), StreamReader(), BookKeeper(symbol, levels=20)
    unreadable, begun = 0, False
    for i, message in enumerate(tape.messages):
        for later in tape.messages[AHEAD * bool(i) + i : i + AHEAD + 1]:
            tape.go_on(later)
        diff = reader.read(message.data, message.ts_local)
        if isinstance(diff, Diff):
            keeper.take_diff(diff)
        begun = begun or keeper.live
        unreadable += begun and not keeper.live
        if keeper.wants_snapshot and i % 5 == 0:
            answer = json.dumps(tape.snapshot(depth)).encode()
            found = reader.snapshot(answer, message.ts_local, symbol, depth)
            assert isinstance(found, DepthSnapshot)
            keeper.take_snapshot(found)
        unreadable += begun and not keeper.live
    return keeper, unreadable


@pytest.mark.parametrize("linked", [False, True])
def test_a_simulated_market_without_faults_has_no_gap_and_one_session(linked: bool) -> None:
    lines = simulated_recording("SIM00USDT", snapshots=1_500, seed=3, levels=40, linked=linked)
    keeper, unreadable = kept_with_an_exchange_ahead("SIM00USDT", lines, 24)
    assert keeper.counts["refreshed"] >= 5
    assert (unreadable, keeper.session, keeper.counts["gap"], keeper.cause) == (0, 0, 0, "")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["binance_spot_btcusdt", "binance_usdm_btcusdt"])
def test_a_real_recording_has_no_gap_and_one_session(name: str) -> None:
    path = RAW / f"{name}_20240808.jsonl.gz"
    if not path.exists():
        pytest.skip(f"shared data is absent: {path.name}")
    # As a collector meets it: the first snapshot is asked for, not put before the diffs.
    lines = [line for line in read_recording(path) if line.is_snapshot or b"@depth" in line.payload[:40]]
    keeper, unreadable = kept_with_an_exchange_ahead("BTCUSDT", lines, 100)
    assert keeper.counts["refreshed"] >= 1
    assert (unreadable, keeper.session, keeper.counts["gap"]) == (0, 0, 0)
