"""Trades are recorded each once and in order, and those that never came are named."""

from pathlib import Path

import numpy as np

from book_exchange import STEP_NS
from consilium.market.book.archive import read_trades
from consilium.market.collector.gap_log import read_gaps
from consilium.market.collector.trade_queue import LATE_NS, TradeQueue
from recorder_cases import (
    assert_same,
    exchange,
    feed,
    files,
    recorded_trades,
    recorder,
    trade,
    true_trades,
)


def test_trades_are_written_every_thousand_and_with_the_books(tmp_path: Path) -> None:
    trades = [trade(i) for i in range(1, 1_251)]
    with recorder(tmp_path) as kept:
        for each in trades[:1_003]:
            kept.take_trade(each)
        assert (kept.buffered, len(files(tmp_path, "trades"))) == (3, 1)
        feed(kept, exchange(), 0, 1_000)
        assert (kept.buffered, len(files(tmp_path, "trades"))) == (0, 2)
        for each in trades[1_003:]:
            kept.take_trade(each)
    assert_same(recorded_trades(tmp_path), true_trades(trades))
    assert kept.counts["bytes_trades"] == sum(path.stat().st_size for path in files(tmp_path, "trades"))
    series = read_trades(tmp_path)
    np.testing.assert_array_equal(series.price, [each.price / 1e8 for each in trades])
    np.testing.assert_array_equal(series.size, [each.size / 1e8 for each in trades])
    np.testing.assert_array_equal(series.taker_buy, [each.taker_buy for each in trades])


def test_a_trade_is_kept_once_over_a_lost_connection(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        for number in (5, 6, 7, 5, 6, 7, 8, 8, 9):
            kept.take_trade(trade(number))
    assert kept.counts["trades"] == 5
    assert kept.counts["duplicate_trades"] == 4
    assert_same(recorded_trades(tmp_path), true_trades([trade(i) for i in range(5, 10)]))
    assert read_gaps(tmp_path) == []


def test_a_trade_that_comes_late_takes_its_place(tmp_path: Path) -> None:
    with recorder(tmp_path, every=3) as kept:
        for number in (1, 2, 5, 6, 7, 4, 3, 8):
            kept.take_trade(trade(number))
        assert len(files(tmp_path, "trades")) == 1
    assert_same(recorded_trades(tmp_path), true_trades([trade(i) for i in range(1, 9)]))
    assert kept.counts["missing_trades"] == kept.counts["duplicate_trades"] == 0
    assert read_gaps(tmp_path) == []


def test_what_follows_a_hole_waits_until_it_counts_as_missing(tmp_path: Path) -> None:
    steps = 4 * LATE_NS // STEP_NS
    with recorder(tmp_path, every=3) as kept:
        for number in (1, 2, 5, 6, 7, steps + 4):
            kept.take_trade(trade(number))
        assert files(tmp_path, "trades") == []
        kept.take_trade(trade(steps + 5))
        # 3 and 4 are given up after ten seconds; the longer hole waits on
        assert recorded_trades(tmp_path).trade_id.tolist() == [1, 2, 5, 6, 7]
        kept.take_trade(trade(4))
        assert kept.counts["duplicate_trades"] == 1
    first, second = read_gaps(tmp_path)
    assert (first["kind"], first["cause"], first["first_id"], first["last_id"]) == ("trades", "missing", 3, 4)
    assert (first["ts_begin"], first["ts_end"]) == (trade(2).ts_local, trade(5).ts_local)
    assert (first["ts_event_begin"], first["ts_event_end"]) == (trade(2).ts_event, trade(5).ts_event)
    assert (second["first_id"], second["last_id"]) == (8, steps + 3)
    assert kept.counts["missing_trades"] == 2 + steps - 4
    assert recorded_trades(tmp_path).trade_id.tolist() == [1, 2, 5, 6, 7, steps + 4, steps + 5]


def test_a_new_run_knows_the_last_trade(tmp_path: Path) -> None:
    with recorder(tmp_path) as first:
        for number in range(1, 11):
            first.take_trade(trade(number))
    with recorder(tmp_path) as second:
        for number in (9, 10, 14, 15):
            second.take_trade(trade(number))
    assert second.counts["duplicate_trades"] == 2
    (gap,) = read_gaps(tmp_path)
    assert (gap["first_id"], gap["last_id"], gap["ts_begin"]) == (11, 13, None)
    assert recorded_trades(tmp_path).trade_id.tolist() == [*range(1, 11), 14, 15]


def test_trades_of_two_days_lie_in_two_folders(tmp_path: Path) -> None:
    day = 86_400 * 10**9
    late = [trade(i, ts=(20_000 * day - 2) + i) for i in range(5)]
    with recorder(tmp_path) as kept:
        for each in late:
            kept.take_trade(each)
    assert [path.stem.split("_")[1] for path in files(tmp_path, "trades")] == ["2", "3"]
    assert len(read_trades(tmp_path, start=20_000 * day)) == 3
    assert_same(recorded_trades(tmp_path), true_trades(late))


def test_a_queue_keeps_no_more_than_it_may() -> None:
    queue = TradeQueue(size=10)
    for number in range(1, 16):
        assert queue.add(trade(number))
        shed = queue.shed()
        assert (shed is not None) == (number > 10)
    assert len(queue) == 10
    assert queue.ready().trade_id.tolist() == list(range(6, 16))


def test_holes_in_what_was_shed_are_forgotten() -> None:
    queue = TradeQueue(size=3)
    for number in (1, 3, 4, 5, 6):
        queue.add(trade(number))
        queue.shed()
    assert queue.writable == 3
    assert queue.settle(None) == []


def test_trades_dated_back_are_read_by_their_times(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        for number, ts in ((1, 50), (2, 40), (3, 40)):
            kept.take_trade(trade(number)._replace(ts_event=ts))
    assert read_trades(tmp_path).ts_event.tolist() == [40, 40, 50]
    assert read_trades(tmp_path).size.tolist() == [size / 1e8 for size in (3, 4, 2)]
    assert recorded_trades(tmp_path).trade_id.tolist() == [1, 2, 3]
