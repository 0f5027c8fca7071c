"""A file that is gone leaves a hole that is told: sessions rise over it, and bars are not built in it."""

from pathlib import Path

import numpy as np
import pytest

from book_exchange import START_NS
from consilium.domain.time import DAY_NS, SECOND_NS
from consilium.market.book.archive import read_books
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.sources import load_book
from consilium.market.collector.compaction import compact
from consilium.market.recordings import RecordedFiles
from recorder_cases import exchange, feed, files, recorder, trade


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with recorder(tmp_path, every=20) as into:
        for number in range(100):
            into.take_trade(trade(number))
        feed(into, exchange(), 0, 100)
    assert len(files(tmp_path)) == len(files(tmp_path, "trades")) == 5
    return tmp_path


def test_a_whole_folder_is_one_session(folder: Path) -> None:
    assert load_book(folder).session.tolist() == [0] * 100
    assert RecordedFiles([folder]).trade_gaps("BTCUSDT") == []


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_the_session_rises_where_a_file_is_gone(folder: Path, gone: int) -> None:
    files(folder)[gone].unlink()
    session = load_book(folder).session
    assert session.tolist() == [0] * 20 * gone + [1] * 20 * (4 - gone)


def test_each_hole_counts_and_a_range_of_time_sees_those_inside(folder: Path) -> None:
    paths = files(folder)
    for gone in (1, 3):
        paths[gone].unlink()
    whole = read_books(folder)
    assert np.unique(whole.session).tolist() == [0, 1, 2]
    part = read_books(folder, start=int(whole.ts_event[25]))
    assert np.unique(part.session).tolist() == [0, 1]


def test_sessions_of_several_runs_stay_apart_over_a_hole(folder: Path) -> None:
    with recorder(folder, every=20) as into:
        feed(into, exchange(), 200, 260)
    assert np.unique(load_book(folder).session).tolist() == [0, 1]
    files(folder)[1].unlink()
    assert np.unique(load_book(folder).session).tolist() == [0, 1, 2]


def test_joining_hides_no_hole(folder: Path) -> None:
    files(folder)[2].unlink()
    before = load_book(folder).session
    counts = compact(folder, before=START_NS + 2 * DAY_NS, min_free_bytes=0)
    assert counts["files_after"] < counts["files_before"]
    assert np.array_equal(load_book(folder).session, before)
    for path in files(folder)[:1]:
        path.unlink()
    assert load_book(folder).session.tolist() == [0] * 40


@pytest.mark.parametrize("apart", [False, True])
def test_bars_are_not_made_where_a_file_of_trades_is_gone(folder: Path, apart: bool) -> None:
    files(folder, "trades")[2].unlink()
    found = RecordedFiles(files(folder, "trades") if apart else [folder])
    gaps, trades = found.trade_gaps("BTCUSDT"), found.trades("BTCUSDT")
    assert gaps == [(trade(39).ts_event, trade(60).ts_event)]
    bars = bars_from_trades(trades, SECOND_NS // 10, gaps=gaps)
    inside = (bars.ts_close > trade(39).ts_event) & (bars.ts_open <= trade(60).ts_event)
    assert len(bars) > 10
    assert not inside.any()
