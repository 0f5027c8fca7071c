"""The simulated book: possible at every instant, and as predictable as it says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.market.book.checks import check_books, check_trades
from consilium.market.features import compute_features, feature_names
from consilium.market.simulator import BookHabits, SimulatedBook, simulate_book

LONG = 60_000


@pytest.fixture(scope="module")
def known() -> SimulatedBook:
    return simulate_book(snapshots=LONG, seed=3, strength=0.6)


@pytest.fixture(scope="module")
def unknown() -> SimulatedBook:
    return simulate_book(snapshots=LONG, seed=3, strength=0.0)


def _imbalance(market: SimulatedBook) -> NDArray[np.float64]:
    bid, ask = market.book.bid_size[:, 0], market.book.ask_size[:, 0]
    ratio: NDArray[np.float64] = (bid - ask) / (bid + ask)
    return ratio


def _flow_imbalance(market: SimulatedBook) -> NDArray[np.float64]:
    """Order flow imbalance of the touch by Cont, Kukanov and Stoikov, eq. 3, row t for (t-1, t]."""
    book = market.book
    bp, bq, ap, aq = (a[:, 0] for a in (book.bid_price, book.bid_size, book.ask_price, book.ask_size))
    flow = np.where(bp[1:] >= bp[:-1], bq[1:], 0.0) - np.where(bp[1:] <= bp[:-1], bq[:-1], 0.0)
    flow = flow - np.where(ap[1:] <= ap[:-1], aq[1:], 0.0) + np.where(ap[1:] >= ap[:-1], aq[:-1], 0.0)
    return np.concatenate([[0.0], flow])


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("habits", [BookHabits(), BookHabits(move_rate=0.4, empty_share=0.5, widest=20)])
def test_books_and_trades_pass_the_checks_of_recorded_ones(habits: BookHabits) -> None:
    market = simulate_book(snapshots=5_000, seed=11, strength=0.3, habits=habits)
    check_books(market.book)
    check_trades(market.trades)


def test_prices_lie_on_the_tick_grid_and_sizes_on_the_lot_grid(known: SimulatedBook) -> None:
    book, habits = known.book, BookHabits()
    for price in (book.bid_price, book.ask_price):
        assert np.abs(price / habits.tick_size - np.rint(price / habits.tick_size)).max() < 1e-6
    for size in (book.bid_size, book.ask_size, known.trades.size):
        assert np.abs(size / habits.lot_size - np.rint(size / habits.lot_size)).max() < 1e-6
    np.testing.assert_allclose(book.mid, known.half_ticks * habits.tick_size / 2, rtol=1e-12)


def test_the_spread_is_mostly_one_tick_and_sometimes_more(known: SimulatedBook) -> None:
    ticks = np.rint((known.book.ask_price[:, 0] - known.book.bid_price[:, 0]) / BookHabits().tick_size)
    assert ticks.min() == 1
    assert 0.7 < np.mean(ticks == 1) < 0.99


def test_a_level_that_lacks_orders_comes_last_and_is_marked() -> None:
    habits = BookHabits(empty_share=0.5, depth_memory=5_000.0)
    book = simulate_book(snapshots=3_000, seed=2, levels=60, habits=habits).book
    missing = np.isnan(book.ask_price)
    assert missing.any()
    assert (book.ask_size[missing] == 0).all()
    check_books(book)


def test_trades_print_between_the_old_touch_and_the_new_one(known: SimulatedBook) -> None:
    book, trades = known.book, known.trades
    after = np.searchsorted(book.ts_event, trades.ts_event)
    assert after.min() >= 1
    ask, bid = book.ask_price[:, 0], book.bid_price[:, 0]
    buys, sells = trades.taker_buy, ~trades.taker_buy
    price = trades.price
    highest = np.maximum(ask[after - 1], ask[after])
    assert ((price >= ask[after - 1]) & (price <= highest))[buys].all()
    lowest = np.minimum(bid[after - 1], bid[after])
    assert ((price <= bid[after - 1]) & (price >= lowest))[sells].all()


def test_trades_of_an_interval_never_take_more_than_the_level_showed(known: SimulatedBook) -> None:
    book, trades = known.book, known.trades
    after = np.searchsorted(book.ts_event, trades.ts_event)
    rows = np.random.default_rng(0).choice(len(book) - 1, 3_000, replace=False) + 1
    for row in rows:
        here = slice(*np.searchsorted(after, [row, row + 1]))
        prices, sizes = book.ask_price[row - 1], book.ask_size[row - 1]
        bought = trades.taker_buy[here]
        for price in np.unique(trades.price[here][bought]):
            total = trades.size[here][bought & (trades.price[here] == price)].sum()
            assert total <= sizes[prices == price].sum() + 1e-9


def test_some_market_orders_walk_the_book(known: SimulatedBook) -> None:
    trades = known.trades
    same = (np.diff(trades.ts_event) == 0) & (np.diff(trades.taker_buy.astype(int)) == 0)
    assert (same & (np.diff(trades.price) != 0)).sum() > 100


def test_the_share_of_moves_that_follow_the_flow_is_a_half_and_a_quarter_of_the_strength(
    known: SimulatedBook,
) -> None:
    moves = np.sign(np.diff(known.half_ticks))
    moved = moves != 0
    hits = (moves == np.sign(known.signal[:-1]))[moved]
    assert abs(hits.mean() - (0.5 + 0.6 / 4)) < 4 * 0.5 / np.sqrt(moved.sum())


@pytest.mark.parametrize("horizon", [1, 10, 30])
def test_the_information_coefficient_is_the_one_that_is_stated(known: SimulatedBook, horizon: int) -> None:
    change = (known.half_ticks[horizon:] - known.half_ticks[:-horizon]).astype(float)
    measured = _correlation(known.expected_direction[:-horizon], change)
    error = np.sqrt((horizon + 2 * known.flow_memory) / LONG)
    assert abs(measured - known.information_coefficient(horizon)) < 3 * error
    assert known.information_coefficient(horizon) > 0.1


def test_the_flow_of_a_snapshot_moves_the_mid_after_it_and_not_the_one_before() -> None:
    market = simulate_book(snapshots=20_000, seed=8, strength=1.0, habits=BookHabits(flow_memory=0.1))
    moves = np.diff(market.half_ticks).astype(float)
    assert _correlation(market.signal[:-1], moves) == pytest.approx(
        market.information_coefficient(1), abs=4 / np.sqrt(20_000)
    )
    assert abs(_correlation(market.signal[1:], moves)) < 4 / np.sqrt(20_000)


def test_what_can_be_seen_of_the_flow_forecasts_the_mid(known: SimulatedBook) -> None:
    change = (known.half_ticks[10:] - known.half_ticks[:-10]).astype(float)
    flow = np.convolve(_flow_imbalance(known), np.ones(10))[: LONG - 10]
    assert _correlation(_imbalance(known)[:-10], change) > 0.08
    assert _correlation(flow, change) > 0.08


def test_without_strength_nothing_that_can_be_seen_forecasts_the_mid(unknown: SimulatedBook) -> None:
    moves = np.diff(unknown.half_ticks).astype(float)
    before = np.concatenate([[0.0], moves[:-1]])
    seen = (unknown.signal[:-1], _imbalance(unknown)[:-1], _flow_imbalance(unknown)[:-1], before)
    for values in seen:
        assert abs(_correlation(values, moves)) < 4 / np.sqrt(LONG)
    assert unknown.information_coefficient(10) == 0.0


def test_the_flow_moves_size_and_trades_as_much_when_it_means_nothing(
    known: SimulatedBook, unknown: SimulatedBook
) -> None:
    np.testing.assert_array_equal(known.signal, unknown.signal)
    for market in (known, unknown):
        assert _correlation(market.signal, _imbalance(market)) > 0.3


def test_a_move_of_the_mid_shows_in_the_order_flow_of_its_own_interval(unknown: SimulatedBook) -> None:
    moves = np.diff(unknown.half_ticks).astype(float)
    assert _correlation(_flow_imbalance(unknown)[1:], moves) > 0.3


def test_more_snapshots_leave_the_earlier_ones_as_they_were() -> None:
    short = simulate_book(snapshots=4_500, seed=5, strength=0.4)
    long = simulate_book(snapshots=9_000, seed=5, strength=0.4)
    for name in ("bid_price", "bid_size", "ask_price", "ask_size"):
        np.testing.assert_array_equal(getattr(short.book, name), getattr(long.book, name)[:4_500])
    for name in ("ts_event", "price", "size", "taker_buy"):
        np.testing.assert_array_equal(
            getattr(short.trades, name), getattr(long.trades, name)[: len(short.trades)]
        )


def test_another_seed_gives_another_market() -> None:
    one, other = (simulate_book(snapshots=100, seed=seed) for seed in (1, 2))
    assert not np.array_equal(one.book.bid_size, other.book.bid_size)


def test_candles_of_the_same_market_carry_all_candle_features(known: SimulatedBook) -> None:
    bars = known.candles()
    assert len(bars) == LONG // 10 - 1
    names = feature_names("candle62")
    assert np.isfinite(compute_features(bars, names)[1_000:]).all()


@pytest.mark.parametrize(
    ("wish", "bound"),
    [
        ({"snapshots": 1}, "snapshots"),
        ({"strength": 1.1}, "strength"),
        ({"interval_ns": 0}, "interval_ns"),
        ({"levels": 0}, "levels"),
        ({"habits": BookHabits(start_price=0.2)}, "bids must stay above"),
    ],
)
def test_a_wish_outside_its_bound_is_refused(wish: dict[str, object], bound: str) -> None:
    with pytest.raises(InvalidValue, match=bound):
        simulate_book(**{"snapshots": 50, "seed": 1, **wish})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("tick_size", 0.0), ("move_rate", 0.7), ("widest", 0)])
def test_habits_outside_their_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=name):
        BookHabits(**{name: value})  # type: ignore[arg-type]
