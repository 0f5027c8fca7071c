"""Real streams and faulty lines, recorded and read back: what is on the disk is what the exchange said."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from book_exchange import known_exchange, recording
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff, TradeMessage
from consilium.market.book.rebuild import rebuild
from consilium.market.book.sources import load_book, load_trades
from consilium.market.book.streams import StreamReader, read_recording
from consilium.market.collector.binance import Binance
from consilium.market.collector.collector import Collector
from consilium.market.collector.gap_log import read_gaps
from consilium.market.collector.recording import Recorder
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.faults import Faults
from consilium.market.replay.tape import Tape
from recorder_cases import SYMBOL, recorded_books, recorded_trades, recorder

BOOKS_A_DAY = 864_000
MOST_BYTES = 90_000_000


def record(path: Path, kept: Recorder) -> None:
    """Hand the books and trades of a raw recording to a recorder."""
    reader, keeper = StreamReader(), BookKeeper(SYMBOL, levels=20)
    for line in read_recording(path):
        message = (
            reader.snapshot(line.payload, line.ts_local, SYMBOL)
            if line.is_snapshot
            else reader.read(line.payload, line.ts_local)
        )
        if isinstance(message, TradeMessage):
            kept.take_trade(message)
        elif isinstance(message, DepthSnapshot):
            if keeper.take_snapshot(message):
                kept.take_book(keeper)
        elif isinstance(message, Diff) and keeper.take_diff(message):
            kept.take_book(keeper)


@pytest.mark.shared
@pytest.mark.parametrize("market", ["spot", pytest.param("usdm", marks=pytest.mark.long)])
def test_a_real_stream_is_read_back_as_it_was_rebuilt_and_fits_the_disk(
    books_l20: Path, tmp_path: Path, market: str
) -> None:
    path = books_l20 / "raw" / f"binance_{market}_btcusdt_20240808.jsonl.gz"
    with recorder(tmp_path) as kept:
        record(path, kept)
    expected = rebuild(path, SYMBOL)
    books, trades = load_book(tmp_path), load_trades(tmp_path)
    for name in ("ts_event", "session", "bid_price", "bid_size", "ask_price", "ask_size"):
        np.testing.assert_array_equal(getattr(books, name), getattr(expected.books, name), err_msg=name)
    for name in ("ts_event", "price", "size", "taker_buy"):
        np.testing.assert_array_equal(getattr(trades, name), getattr(expected.trades, name), err_msg=name)
    assert read_gaps(tmp_path) == []
    assert kept.counts["bytes_books"] / len(books) * BOOKS_A_DAY < MOST_BYTES
    assert kept.counts["shallow"] == expected.shallow


def test_no_fault_of_the_line_gets_a_wrong_row_onto_the_disk(tmp_path: Path) -> None:
    known = known_exchange(6, diffs=1_200)
    faults = Faults(
        drop=0.01, duplicate=0.02, delay=0.002, delay_s=0.02, reorder=0.01, corrupt=0.01,
        disconnect=0.002, stale_snapshot=0.3,
    )  # fmt: skip
    kept = recorder(tmp_path, every=50, now=time.time_ns, clock=time.monotonic_ns)

    async def scene() -> Collector:
        async with (
            ReplayExchange([Tape(SYMBOL, recording(known))], speed=60.0, faults=faults, seed=3) as exchange,
            Binance(
                "spot", rest_url=exchange.rest_url, stream_url=exchange.stream_url, timeout_s=5.0
            ) as venue,
        ):
            collector = Collector(
                venue, [SYMBOL], kept, now=time.time_ns, first_pause_s=0.01, longest_pause_s=0.05
            )
            stop = asyncio.Event()
            running = asyncio.create_task(collector.run(stop))
            await asyncio.wait_for(exchange.finished.wait(), timeout=30)
            await asyncio.sleep(0.3)
            stop.set()
            await running
            return collector

    collector = asyncio.run(scene())
    kept.close()
    books, trades = recorded_books(tmp_path), recorded_trades(tmp_path)
    assert len(books) == kept.counts["books"] == collector.counts["books"] - kept.counts["old_books"] > 300
    for row in range(len(books)):
        bids, asks = known.top(int(books.update[row]), 20)
        found = zip(books.bid_price[row], books.bid_size[row], strict=True)
        assert [(price, size) for price, size in found if size] == bids
        found = zip(-books.ask_price[row], books.ask_size[row], strict=True)
        assert [(price, size) for price, size in found if size] == asks
    gaps = read_gaps(tmp_path)
    closed = [gap for gap in gaps if gap["kind"] == "books" and gap["ts_end"] is not None]
    assert len(closed) == sum(gap.ts_end is not None for gap in collector.gaps) > 2
    assert int(books.session[-1]) == len(set(books.session.tolist())) - 1 >= len(closed)
    # what is neither recorded nor logged as missing does not exist
    missing = {
        number
        for gap in gaps
        if gap["kind"] == "trades"
        for number in range(gap["first_id"], gap["last_id"] + 1)
    }
    had = set(trades.trade_id.tolist())
    assert len(had) == len(trades)
    assert had.isdisjoint(missing)
    assert had | missing == set(range(min(had), max(had) + 1))
    assert missing
