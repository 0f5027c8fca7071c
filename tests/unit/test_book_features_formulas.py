"""Each of the 50 formulas beside a slow one written from its definition, on made-up and on real books."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from book_cases import Floats, no_trades, real_book, rough_book
from book_naive import Naive
from consilium.domain.time import SECOND_NS
from consilium.market.book.checks import check_books
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BOOK50, compute_book_features
from consilium.market.features.book import BOOK

ROWS = 700
CHOSEN = 12


def _chosen(book: BookSeries, count: int = CHOSEN) -> list[int]:
    warm = np.flatnonzero(book.ts_event - book.ts_event[0] >= 30 * SECOND_NS)
    return sorted({int(i) for i in np.linspace(warm[0], warm[-1], count)})


def _pairs(book: BookSeries, trades: TradeSeries, count: int = CHOSEN) -> tuple[Floats, Floats]:
    naive, rows = Naive(book, trades), _chosen(book, count)
    slow = [[found[name] for name in BOOK50] for found in map(naive.row, rows)]
    return compute_book_features(book, trades)[rows], np.array(slow)


@cache
def _made_up(kind: str) -> tuple[Floats, Floats]:
    if kind == "rough":
        return _pairs(*rough_book(3, ROWS))
    if kind == "five levels":
        return _pairs(*rough_book(4, ROWS, levels=5, tick=1e-8, mid=2e-6))
    if kind == "still":
        return _pairs(*rough_book(5, ROWS, still=True))
    book, _ = rough_book(6, ROWS)
    return _pairs(book, no_trades())


@pytest.mark.parametrize("kind", ["rough", "five levels", "still", "no trades"])
@pytest.mark.parametrize("name", BOOK50)
def test_a_feature_is_what_its_definition_says(name: str, kind: str) -> None:
    fast, slow = _made_up(kind)
    column = BOOK50.index(name)
    np.testing.assert_allclose(fast[:, column], slow[:, column], rtol=1e-7, atol=1e-8)


@pytest.mark.shared
@pytest.mark.parametrize("market", ["spot_btcusdt", "usdm_ethusdt"])
def test_features_of_real_books_are_what_their_definitions_say(books_l20: Path, market: str) -> None:
    book, trades = real_book(books_l20, market)
    fast, slow = _pairs(book.slice(0, 1_100), trades.slice(0, 6_000), count=6)
    for column, name in enumerate(BOOK50):
        np.testing.assert_allclose(fast[:, column], slow[:, column], rtol=1e-6, atol=1e-7, err_msg=name)


def test_rough_books_are_possible_and_move_every_feature() -> None:
    for seed, levels in ((3, 20), (4, 5), (6, 20)):
        check_books(rough_book(seed, ROWS, levels=levels)[0])
    fast, _ = _made_up("rough")
    assert (np.ptp(fast, axis=0) > 0).all()


def test_in_a_market_that_stands_still_what_compares_now_with_then_is_zero() -> None:
    book, _ = rough_book(5, ROWS, still=True)
    whole = BookSeries(
        symbol=book.symbol,
        ts_event=book.ts_event,
        bid_price=np.repeat(book.bid_price[:1], ROWS, axis=0),
        bid_size=np.repeat(book.bid_size[:1], ROWS, axis=0),
        ask_price=np.repeat(book.ask_price[:1], ROWS, axis=0),
        ask_size=np.repeat(book.ask_size[:1], ROWS, axis=0),
    )
    last = dict(zip(BOOK50, compute_book_features(whole, no_trades())[-1], strict=True))
    moving = [name for name in BOOK50 if BOOK[name].warm_up_seconds and not name.startswith("cost")]
    assert {name: last[name] for name in moving} == dict.fromkeys(moving, 0.0)
    assert last["cost_buy_bps"] == last["cost_sell_bps"] == pytest.approx(last["spread_bps"] / 2)


def _two_snapshots(
    bids: tuple[tuple[float, float], tuple[float, float]], seconds: int = 1
) -> tuple[BookSeries, TradeSeries]:
    """Best bid (price, size) now and then, ask (102, 1) always."""
    (p0, s0), (p1, s1) = bids
    book = BookSeries(
        symbol="TEST",
        ts_event=np.array([0, seconds]) * SECOND_NS,
        bid_price=np.array([[p0], [p1]]),
        bid_size=np.array([[s0], [s1]]),
        ask_price=np.full((2, 1), 102.0),
        ask_size=np.ones((2, 1)),
    )
    return book, no_trades()


@pytest.mark.parametrize(
    ("then", "now", "flow"),
    [
        ((100.0, 3.0), (100.0, 5.0), 2.0),
        ((100.0, 3.0), (100.0, 1.0), -2.0),
        ((100.0, 3.0), (101.0, 2.0), 2.0),
        ((100.0, 3.0), (99.0, 7.0), -3.0),
    ],
)
def test_order_flow_counts_what_came_less_what_left(
    then: tuple[float, float], now: tuple[float, float], flow: float
) -> None:
    (value,) = compute_book_features(*_two_snapshots((then, now)), ["ofi_1_1s"])[1]
    assert value == flow / ((now[1] + 1.0) / 2)


def test_a_buy_walks_the_asks_and_takes_the_rest_at_the_last() -> None:
    book = BookSeries(
        symbol="TEST",
        ts_event=np.array([0, 1, 30]) * SECOND_NS,
        bid_price=np.tile([99.0, np.nan], (3, 1)),
        bid_size=np.tile([100.0, 0.0], (3, 1)),
        ask_price=np.tile([101.0, 103.0], (3, 1)),
        ask_size=np.tile([4.0, 3.0], (3, 1)),
    )
    trades = TradeSeries(
        symbol="TEST",
        ts_event=np.array([5, 6, 7]) * SECOND_NS,
        price=np.full(3, 101.0),
        size=np.array([0.2, 1.0, 9.0]),
        taker_buy=np.ones(3, dtype=bool),
    )
    buy, sell = compute_book_features(book, trades, ["cost_buy_bps", "cost_sell_bps"])[-1]
    # Ten median trades are 10: 4 at 101, 3 at 103 and 3 more at 103.
    assert buy == pytest.approx(((4 * 101 + 6 * 103) / 10 - 100) / 100 * 1e4)
    assert sell == pytest.approx(100.0)


def test_the_microprice_leans_to_where_the_queue_is_short() -> None:
    book, trades = _two_snapshots(((100.0, 3.0), (100.0, 3.0)))
    gap, balance = compute_book_features(book, trades, ["microprice_gap", "imbalance_1"])[0]
    assert gap == pytest.approx((102 * 3 + 100 * 1) / 4 / 2 - 101 / 2)
    assert gap == pytest.approx(balance / 2)


def test_a_given_tick_counts_the_spread_and_else_the_smallest_gap_so_far() -> None:
    book, trades = _two_snapshots(((100.0, 3.0), (101.0, 3.0)))
    assert compute_book_features(book, trades, ["spread_ticks"], tick_size=0.5)[:, 0].tolist() == [4.0, 2.0]
    assert compute_book_features(book, trades, ["spread_ticks"])[:, 0].tolist() == [1.0, 1.0]


def test_trades_at_the_time_of_a_snapshot_come_before_it() -> None:
    book, _ = _two_snapshots(((100.0, 3.0), (100.0, 3.0)))
    at = np.array([0, 1]) * SECOND_NS
    trades = TradeSeries(
        symbol="TEST",
        ts_event=at,
        price=np.array([7.0, 102.0]),
        size=np.array([9.0, 1.0]),
        taker_buy=np.array([False, True]),
    )
    rows = compute_book_features(book, trades, ["trade_imbalance_1s", "last_trade_gap"])
    # The trade at the first snapshot came before the recording began: it counts for nobody.
    assert math.isnan(rows[0, 0])
    assert rows[0, 1] == 0.0
    assert rows[1].tolist() == [1.0, 0.5]
