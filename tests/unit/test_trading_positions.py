"""The positions that signals ask for earn what a unit book earns, up to impact and rounding."""

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction
from consilium.market.candles import CandleSeries
from consilium.trading import CostModel, SignalSeries, prepare, run_unit_book
from consilium.trading.positions import asked_positions, mean_impact
from consilium.training.judge.permutation import BarReturns
from trading_bars import QUIET, WARM, signals, warmed

FREE = CostModel(impact_coefficient=0.0)


def calm(seed: int, bars: int, symbol: str, *, holes: bool = False) -> CandleSeries:
    """Closes that move 0.4 % in bars 6 % wide: no stop is ever reached."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.004, bars)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.001, bars))
    hours = np.arange(bars)
    if holes:
        hours = np.sort(rng.choice(np.arange(bars + bars // 10), bars, replace=False))
    return CandleSeries(
        symbol=symbol,
        interval_ns=HOUR_NS,
        ts_open=hours * HOUR_NS,
        open=opened,
        high=np.maximum(opened, close) * 1.03,
        low=np.minimum(opened, close) / 1.03,
        close=close,
        volume=np.full(bars, 1e7),
        bars_per_day=24.0,
    )


def random_signals(bars: CandleSeries, seed: int) -> SignalSeries:
    rng = np.random.default_rng(seed)
    return SignalSeries(
        symbol=bars.symbol,
        ts_event=bars.ts_close,
        direction=rng.integers(0, 3, len(bars)).astype(np.int8),
        actionable=rng.random(len(bars)) < 0.3,
    )


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_positions_of_one_bar_each_earn_what_the_unit_book_earns(
    seed: int, holes: bool, horizon: int
) -> None:
    panel = {name: calm(seed + at, 400 - 50 * at, name, holes=holes) for at, name in enumerate("ABC")}
    moves = [random_signals(bars, seed + 7) for bars in panel.values()]
    tapes = prepare(panel)
    start = int(panel["A"].ts_close[40])
    book = run_unit_book(tapes, moves, horizon=horizon, costs=FREE, start_ts=start)
    asked = asked_positions(tapes, moves, horizon=horizon, start_ts=start)
    cost = 0.001 + FREE.half_spread
    (net,) = BarReturns(asked.returns, cost=cost)(asked.positions[None])
    entries = int((np.diff(asked.positions, axis=0, prepend=0.0) > 0).sum())
    assert entries == book.trades + len(book.result.positions)
    # positions that are open at the end are not sold by the book, and a position is not rebalanced each bar
    unsold = len(book.result.positions) * cost / 3
    assert net + unsold == pytest.approx(book.net_return, abs=3e-5 * entries)
    assert abs(book.net_return) > 30 * 3e-5


def test_an_up_again_starts_the_horizon_again_and_a_down_ends_it() -> None:
    bars = warmed([QUIET] * 12)
    moves = signals(bars, {WARM: Direction.UP, WARM + 2: Direction.UP, WARM + 8: Direction.UP})
    ends = signals(bars, {WARM: Direction.UP, WARM + 2: Direction.DOWN})
    tapes = prepare({"BTCUSDT": bars})
    kept = asked_positions(tapes, [moves], horizon=3).positions[:, 0]
    assert np.flatnonzero(kept).tolist() == [WARM + at for at in (0, 1, 2, 3, 4, 8, 9, 10)]
    assert np.flatnonzero(asked_positions(tapes, [ends], horizon=9).positions[:, 0]).tolist() == [20, 21]


def test_a_position_before_the_first_or_after_the_last_bar_is_flat_and_earns_nothing() -> None:
    panel = {"A": calm(1, 200, "A"), "B": calm(2, 200, "B").slice(60, 120)}
    tapes = prepare(panel)
    last = signals(panel["B"], {58: Direction.UP, 59: Direction.UP})
    asked = asked_positions(tapes, [last], horizon=50)
    assert asked.positions.shape == (200, 2)
    assert np.flatnonzero(asked.positions[:, 1]).tolist() == [118]
    inside = np.flatnonzero(asked.returns[:, 1])
    assert (inside.min(), inside.max()) == (59, 118)
    assert np.flatnonzero(asked.live[:, 1]).tolist() == list(range(59, 119))
    assert asked.live[:-1, 0].all()
    anywhere = asked.returns_anywhere()
    np.testing.assert_array_equal(anywhere[asked.live], asked.returns[asked.live])
    # the only other symbol is the basket
    np.testing.assert_array_equal(anywhere[~asked.live[:, 1], 1], asked.returns[~asked.live[:, 1], 0])
    assert asked.returns[118, 1] == pytest.approx(panel["B"].close[-1] / panel["B"].open[-1] - 1.0)


def test_where_a_symbol_has_no_bars_a_position_earns_the_mean_of_those_that_have() -> None:
    panel = {name: calm(at, 200, name) for at, name in enumerate("ABC")}
    whole = asked_positions(prepare(panel), [], horizon=1)
    late = asked_positions(prepare(panel | {"C": panel["C"].slice(100, 200)}), [], horizon=1)
    begun = int(np.flatnonzero(late.live[:, 2])[0])
    assert begun == 99
    np.testing.assert_array_equal(late.returns_anywhere()[begun:], whole.returns[begun:])
    np.testing.assert_allclose(late.returns_anywhere()[:begun, 2], whole.returns[:begun, :2].mean(axis=1))


def test_a_hole_is_live_and_keeps_its_returns() -> None:
    panel = {"A": calm(1, 200, "A"), "B": calm(2, 150, "B", holes=True)}
    asked = asked_positions(prepare(panel), [], horizon=1)
    begins, ends = (int(np.searchsorted(asked.ts, panel["B"].ts_close[at])) for at in (0, -1))
    assert asked.live[begins:ends, 1].all()
    np.testing.assert_array_equal(asked.returns_anywhere()[begins:ends], asked.returns[begins:ends])


def test_an_entry_whose_next_bar_is_late_is_not_asked_for() -> None:
    bars = calm(4, 60, "A")
    late = CandleSeries(
        symbol="A",
        interval_ns=HOUR_NS,
        ts_open=bars.ts_open + np.where(np.arange(60) > 40, 3 * HOUR_NS, 0),
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
        bars_per_day=24.0,
    )
    tapes = prepare({"A": late})
    moves = signals(late, {40: Direction.UP})
    assert not asked_positions(tapes, [moves], horizon=5).positions.any()
    earlier = signals(late, {38: Direction.UP, 40: Direction.UP})
    assert asked_positions(tapes, [earlier], horizon=5).positions.sum() == 7


def test_the_mean_impact_is_that_of_the_fills_of_the_book() -> None:
    panel = {"A": calm(3, 400, "A")}
    moves = [random_signals(panel["A"], 5)]
    tapes, costs = prepare(panel), CostModel(half_spread=0.0, impact_coefficient=30.0)
    book = run_unit_book(tapes, moves, horizon=2, costs=costs)
    sign = {order.order_id: order.side.sign for order in book.result.orders}
    opens = dict(zip(panel["A"].ts_open.tolist(), panel["A"].open.tolist(), strict=True))
    paid = [sign[f.order_id] * (f.price / opens[f.ts_event] - 1.0) for f in book.result.fills]
    asked = asked_positions(tapes, moves, horizon=2)
    assert mean_impact(asked, tapes, costs, 1_000.0) == pytest.approx(np.mean(paid), rel=0.01)


@pytest.mark.parametrize("cut", [60, 137, 201])
def test_what_comes_later_changes_no_position_asked_for_before(cut: int) -> None:
    panel = {name: calm(at, 300, name, holes=True) for at, name in enumerate("AB")}
    moves = [random_signals(bars, 3) for bars in panel.values()]
    now = int(panel["A"].ts_close[cut])
    before = {name: bars.slice(0, int((bars.ts_close <= now).sum())) for name, bars in panel.items()}
    whole = asked_positions(prepare(panel), moves, horizon=4)
    known = asked_positions(prepare(before), moves, horizon=4)
    # at its last close a symbol has no next open yet, so nothing is held from there on
    last = min(int(bars.ts_close[-1]) for bars in before.values())
    earlier = known.ts < last
    np.testing.assert_array_equal(known.positions[earlier], whole.positions[: len(known.ts)][earlier])
