"""Recordings at some paths: files of levels and trades, folders of them, the folder of a recorder."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilium.app.observe import observe
from consilium.domain import DataProblem, UnknownName
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.messages import TradeMessage
from consilium.market.collector.recording import Recorder
from consilium.market.recordings import RecordedFiles, is_recording
from consilium.market.simulator import SimulatedBooks
from recorded_books import MS_NS, SECOND_NS, market, write_levels, write_trades


def test_the_trades_beside_a_file_of_levels_are_found(tmp_path: Path) -> None:
    made = market(40)
    levels = write_levels(tmp_path, made.book)
    write_trades(tmp_path, made.trades)
    found = RecordedFiles([levels])
    assert found.symbols == ("BTCUSDT",)
    np.testing.assert_array_equal(found.book("BTC/USDT").bid_size, made.book.bid_size)
    np.testing.assert_array_equal(found.trades("btcusdt").price, made.trades.price)


def test_a_path_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    made = market(20)
    levels, trades = write_levels(tmp_path, made.book), write_trades(tmp_path, made.trades)
    assert len(RecordedFiles([levels, trades, tmp_path]).book("BTCUSDT")) == len(made.book)


def test_books_without_trades_are_refused_when_trades_are_asked_for(tmp_path: Path) -> None:
    found = RecordedFiles([write_levels(tmp_path, market(20).book)])
    with pytest.raises(DataProblem, match="BTCUSDT needs recorded trades; got only binance_spot_btcusdt_l20"):
        found.trades("BTCUSDT")


def test_a_symbol_of_two_venues_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    made, other = market(20), market(20, symbol="ETHUSDT")
    for venue in ("binance_spot", "binance_usdm"):
        write_trades(tmp_path, made.trades, venue)
    write_trades(tmp_path, other.trades)
    found = RecordedFiles([tmp_path])
    with pytest.raises(DataProblem, match="of one venue; got binance_spot and binance_usdm"):
        found.trades("BTCUSDT")
    assert len(found.trades("ETHUSDT")) == len(other.trades)


def test_the_files_of_several_days_are_one_series_with_a_session_each(tmp_path: Path) -> None:
    made = market(60)
    half = len(made.book) // 2
    write_levels(tmp_path, made.book.slice(half, None), day="20240102")
    write_levels(tmp_path, made.book.slice(0, half), day="20240101")
    joined = RecordedFiles([tmp_path]).book("BTCUSDT")
    np.testing.assert_array_equal(joined.ts_event, made.book.ts_event // MS_NS * MS_NS)
    assert joined.session[[0, half - 1, half, -1]].tolist() == [0, 0, 1, 1]


def test_files_that_cover_one_time_are_refused(tmp_path: Path) -> None:
    made = market(20)
    for day in ("20240101", "20240102"):
        write_levels(tmp_path, made.book, day=day)
    with pytest.raises(DataProblem, match="must follow one another"):
        RecordedFiles([tmp_path]).book("BTCUSDT")


def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataProblem, match=r"a\.parquet must hold books .* or trades"):
        RecordedFiles([tmp_path / "a.parquet"])
    with pytest.raises(DataProblem, match="must hold recorded books or trades; got none"):
        RecordedFiles([tmp_path])
    with pytest.raises(UnknownName, match="recorded symbol"):
        RecordedFiles([write_levels(tmp_path, market(20).book)]).book("DOGEUSDT")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataProblem, match=r"b\.parquet must be a readable"):
        RecordedFiles([tmp_path / "b.parquet"])
    assert not is_recording(tmp_path / "absent")


def test_bars_are_not_made_where_trades_are_missing() -> None:
    trades = market(30).trades
    whole = bars_from_trades(trades, SECOND_NS)
    begin, end = int(whole.ts_open[5]) + 7, int(whole.ts_open[8]) + 1
    part = bars_from_trades(trades, SECOND_NS, gaps=[(begin, end)])
    assert sorted(set(whole.ts_open.tolist()) - set(part.ts_open.tolist())) == whole.ts_open[5:9].tolist()
    kept = np.isin(whole.ts_open, part.ts_open)
    np.testing.assert_array_equal(part.close, whole.close[kept])
    with pytest.raises(DataProblem, match="one whole bar"):
        bars_from_trades(trades, SECOND_NS, gaps=[(0, 2 * int(whole.ts_open[-1]))])


def test_simulated_books_hold_one_symbol_and_say_the_same_again() -> None:
    made = SimulatedBooks(count=3, span_ns=30 * SECOND_NS, strength=0.5, seed=3)
    first = made.book("SIM01")
    assert not np.array_equal(first.bid_size, made.book("SIM02").bid_size)
    np.testing.assert_array_equal(first.bid_size, made.book("SIM01").bid_size)
    with pytest.raises(UnknownName):
        made.trade_gaps("SIM03")


def test_the_folder_of_a_recorder_is_a_recording_with_its_gaps(tmp_path: Path) -> None:
    with Recorder(tmp_path, venue="binance_spot", min_free_bytes=0, now=lambda: 0) as recorder:
        for number, (ts, price) in enumerate(((1, 100), (2, 101), (9, 99), (10, 98)), start=1):
            recorder.take_trade(_message(number + 5 * (number > 2), ts * SECOND_NS, price))
    found = RecordedFiles([tmp_path])
    assert found.symbols == ("BTCUSDT",)
    assert found.trades("BTCUSDT").price.tolist() == [100.0, 101.0, 99.0, 98.0]
    assert found.trade_gaps("BTCUSDT") == [(2 * SECOND_NS, 9 * SECOND_NS)]
    bars = bars_from_trades(found.trades("BTCUSDT"), SECOND_NS, gaps=found.trade_gaps("BTCUSDT"))
    assert bars.ts_open.tolist() == [SECOND_NS]


def test_one_file_out_of_the_folder_of_a_recorder_keeps_its_gaps(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", venue="binance_spot", min_free_bytes=0, now=lambda: 0) as recorder:
        for number, (ts, price) in enumerate(((1, 100), (2, 101), (9, 99), (10, 98)), start=1):
            recorder.take_trade(_message(number + 5 * (number > 2), ts * SECOND_NS, price))
    (file,) = (tmp_path / "r" / "trades").rglob("*.parquet")
    found = observe(str(file), None, bar="1s")
    assert found.panel["BTCUSDT"].ts_open.tolist() == [SECOND_NS]
    assert "missed trades (1 gaps)" in found.findings[0]
    assert RecordedFiles([file, tmp_path / "r"]).trade_gaps("BTCUSDT") == [(2 * SECOND_NS, 9 * SECOND_NS)]
    alone = file.rename(tmp_path / file.name)
    assert RecordedFiles([alone]).trade_gaps("BTCUSDT") == [(2 * SECOND_NS, 9 * SECOND_NS)]  # by its numbers


def _message(number: int, ts: int, price: int) -> TradeMessage:
    unit = 100_000_000
    return TradeMessage("BTCUSDT", ts, ts, number, price * unit, unit, True)
