"""Laws of a recording: whatever comes, what is read is what was taken, bit for bit, each row once."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from book_exchange import START_NS
from consilium.domain.time import DAY_NS
from consilium.market.book.changes import from_changes, to_changes
from consilium.market.collector.compaction import compact
from consilium.market.collector.gap_log import read_gaps
from consilium.market.collector.port import Gap
from recorder_cases import (
    SYMBOL,
    assert_same,
    exchange,
    kept_books,
    recorded_books,
    recorded_trades,
    recorder,
    trade,
    true_books,
    true_trades,
)

BOOKS = 400
GAP = Gap(symbol=SYMBOL, cause="gap", ts_begin=1, ts_end=2, ts_event_begin=1, ts_event_end=2)


@st.composite
def ladders(draw: st.DrawFn) -> tuple["np.ndarray", "np.ndarray", bool]:
    """One side of some books: distinct prices, best first, then levels that are not there."""
    rows, levels = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    there = draw(arrays(np.int64, (rows, 9), elements=st.integers(0, 3)))
    rising = draw(st.booleans())
    price, size = np.zeros((2, rows, levels), dtype=np.int64)
    for row, amounts in enumerate(there):
        keys = np.flatnonzero(amounts)[:: 1 if rising else -1][:levels]
        price[row, : len(keys)], size[row, : len(keys)] = keys + 5, amounts[keys]
    return price, size, rising


@given(ladders(), st.integers(1, 14))
def test_changes_give_back_every_row(side: tuple["np.ndarray", "np.ndarray", bool], block: int) -> None:
    price, size, rising = side
    changes = to_changes(price, size, block)
    assert changes.counts.sum() == len(changes.price) == len(changes.size)
    back = from_changes(changes, levels=price.shape[1], block=block, rising=rising)
    np.testing.assert_array_equal(back[0], price)
    np.testing.assert_array_equal(back[1], size)


@dataclass
class Run:
    """A recorder that is used in every way, and the rows and sessions that must come of it."""

    folder: Path
    every: int
    at: int = 0
    trades: int = 0
    breaks: bool = True
    sessions: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin(0)

    def begin(self, first: int) -> None:
        """Follow the exchange from a book that may have been taken before."""
        self.kept = recorder(self.folder, every=self.every, ring=60)
        self.source = kept_books(exchange(), first, BOOKS)
        for _ in range(self.at - first):
            self.kept.take_book(next(self.source))

    def books(self, count: int) -> None:
        for _ in range(min(count, BOOKS - self.at)):
            self.kept.take_book(next(self.source))
            self.sessions.append((self.sessions[-1] if self.sessions else -1) + self.breaks)
            self.at, self.breaks = self.at + 1, False

    def deal(self, count: int) -> None:
        for number in range(self.trades, self.trades + count):
            self.kept.take_trade(trade(number))
        self.trades += count

    def again(self, count: int) -> None:
        """Give trades that came before."""
        for number in range(max(self.trades - count, 0), self.trades):
            self.kept.take_trade(trade(number))

    def gap(self, _: int) -> None:
        self.kept.take_gap(GAP)
        self.breaks = True

    def flush(self, _: int) -> None:
        self.kept.flush()
        assert self.kept.buffered == 0

    def restart(self, count: int) -> None:
        self.kept.close()
        self.breaks = True
        self.begin(max(self.at - count, 0))

    def join(self, _: int) -> None:
        compact(self.folder, before=START_NS + DAY_NS)


STEPS = {"books": 60, "deal": 60, "again": 30, "gap": 1, "flush": 1, "restart": 40, "join": 1}
steps = st.sampled_from(sorted(STEPS)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(1, STEPS[name]))
)


@given(st.lists(steps, max_size=14), st.integers(5, 50))
def test_whatever_is_taken_is_read_back_each_row_once(actions: list[tuple[str, int]], every: int) -> None:
    with TemporaryDirectory() as name:
        run = Run(Path(name), every)
        for action, count in actions:
            getattr(run, action)(count)
        run.kept.close()
        assert len(read_gaps(run.folder)) >= [action for action, _ in actions].count("gap")
        if run.sessions:
            found = recorded_books(run.folder)
            assert_same(found, true_books(exchange(), 0, run.at), but=("session",))
            assert found.session.tolist() == run.sessions
        if run.trades:
            assert_same(recorded_trades(run.folder), true_trades([trade(i) for i in range(run.trades)]))
