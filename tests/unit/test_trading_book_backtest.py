"""A backtest on a book by hand: when it enters, when it leaves, and what the gate says."""

from collections.abc import Sequence

import numpy as np
import pytest

from book_worlds import MS, SYMBOL, BookRow, TradeRow, hand_book, hand_trades
from consilium.domain import Direction, Instrument, InvalidValue, Policy, Side, UnknownName
from consilium.market.simulator import simulate_book
from consilium.trading import BacktestResult, BookExecution, SignalSeries, measure, run_book_backtest

BIDS = [(100.0, 50.0), (99.0, 50.0)]
ASKS = [(101.0, 50.0), (102.0, 50.0)]
STILL: list[BookRow] = [(ms, BIDS, ASKS) for ms in range(0, 3_001, 100)]
FREE = Instrument(symbol=SYMBOL, maker_fee=0.0, taker_fee=0.0)


def _signals(moves: dict[int, Direction], symbol: str = SYMBOL) -> SignalSeries:
    """Actionable directions at times in ms."""
    return SignalSeries(
        symbol=symbol,
        ts_event=np.array(sorted(moves), dtype=np.int64) * MS,
        direction=np.array([moves[ms] for ms in sorted(moves)], dtype=np.int8),
        actionable=np.ones(len(moves), dtype=np.bool_),
    )


def _run(
    moves: dict[int, Direction],
    rows: Sequence[BookRow] = STILL,
    trades: Sequence[TradeRow] = (),
    **more: object,
) -> BacktestResult:
    settings: dict[str, object] = {
        "policy": Policy(),
        "horizon": 10,
        "instrument": FREE,
        "execution": BookExecution(latency_ns=50 * MS),
        **more,
    }
    return run_book_backtest(hand_book(rows), hand_trades(trades), [_signals(moves)], **settings)  # type: ignore[arg-type]


def _at(result: BacktestResult) -> list[tuple[int, float]]:
    return [(fill.ts_event // MS, fill.price) for fill in result.fills]


def test_up_buys_at_the_ask_and_the_horizon_sells_at_the_bid() -> None:
    result = _run({100: Direction.UP})
    assert _at(result) == [(150, 101.0), (1_150, 100.0)]
    assert [order.cause_id.partition(":")[0] for order in result.orders] == ["consensus", "horizon"]
    quantity = 1_000.0 / 101.0
    assert result.equity[-1] == pytest.approx(10_000.0 - quantity)
    assert result.equity[5] == pytest.approx(10_000.0 - quantity / 2)


def test_down_closes_and_up_while_long_starts_the_horizon_again() -> None:
    assert _at(_run({100: Direction.UP, 500: Direction.DOWN}))[1] == (550, 100.0)
    assert _at(_run({100: Direction.UP, 600: Direction.UP}))[1] == (1_650, 100.0)
    assert not _run({100: Direction.DOWN}).fills


def test_the_mid_at_the_stop_sells() -> None:
    low = ([(98.0, 50.0)], [(99.0, 50.0)])
    rows = [(ms, *((BIDS, ASKS) if ms < 500 else low)) for ms in range(0, 1_001, 100)]
    result = _run({100: Direction.UP}, rows, stop=0.02)
    assert _at(result)[1] == (550, 98.0)
    assert result.orders[1].cause_id.startswith("stop")


def test_what_the_depth_does_not_hold_is_sold_at_the_next_snapshots() -> None:
    thin = [(100.0, 4.0)]
    other = [(100.0, 3.0)]
    rows = [(ms, BIDS if ms < 500 else thin if ms % 200 else other, ASKS) for ms in range(0, 3_001, 100)]
    result = _run({100: Direction.UP}, rows)
    sold = [fill.quantity for fill in result.fills[1:]]
    assert len(sold) > 2
    assert max(sold) <= 4.0
    assert sum(sold) == pytest.approx(1_000.0 / 101.0)
    assert not result.positions
    assert len(result.trades) == 1
    assert "beyond_recorded_depth" in {event.reason for event in result.order_events}


def test_an_entry_at_a_limit_waits_at_the_bid_and_is_withdrawn_when_its_patience_ends() -> None:
    trades = [(700, 99.0, 50.0, Side.SELL)]
    result = _run({100: Direction.UP}, trades=trades, entry="limit")
    assert _at(result) == [(700, 100.0), (1_150, 100.0)]
    impatient = _run({100: Direction.UP}, trades=trades, entry="limit", patience_ns=400 * MS)
    assert not impatient.fills
    assert impatient.order_events[-1].reason == "cancelled_by_owner"
    assert impatient.order_events[-1].ts_event == 550 * MS


def test_down_withdraws_an_entry_that_waits() -> None:
    trades = [(700, 99.0, 50.0, Side.SELL)]
    moves = {100: Direction.UP, 300: Direction.DOWN}
    assert not _run(moves, trades=trades, entry="limit").fills


def test_what_fills_while_the_withdrawal_is_on_its_way_is_sold_again() -> None:
    trades = [(320, 99.0, 5.0, Side.SELL)]
    result = _run({100: Direction.UP, 300: Direction.DOWN}, trades=trades, entry="limit")
    assert _at(result) == [(320, 100.0), (450, 100.0)]
    assert [fill.quantity for fill in result.fills] == [5.0, 5.0]


def test_the_gate_refuses_what_the_policy_does_not_allow() -> None:
    refused = {
        "entry_not_allowed": Policy(entry=False),
        "max_positions": Policy(max_positions=0),
        "max_position_usd": Policy(max_position_usd=500.0),
        "max_exposure": Policy(max_exposure=0.05),
        "max_risk_per_trade": Policy(max_risk_per_trade=0.0005),
    }
    for reason, policy in refused.items():
        result = _run({100: Direction.UP}, policy=policy)
        assert result.rejections == {reason: 1}
        assert not result.fills
    assert _run({100: Direction.UP}, policy=Policy(max_position_usd=500.0), limits=False).fills


def test_a_stale_book_is_said_in_the_rejections() -> None:
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (5_000, BIDS, ASKS)]
    result = _run({100: Direction.UP}, rows, execution=BookExecution(latency_ns=50 * MS, max_age_ns=20 * MS))
    assert result.rejections == {"stale_book": 1}
    assert not result.fills


def test_books_of_one_time_count_once() -> None:
    rows = [(ms, BIDS, ASKS) for ms in (0, 0, 100, 100, 100, 200)]
    result = _run({100: Direction.UP}, rows)
    assert result.ts.tolist() == [0, 100 * MS, 200 * MS]
    assert result.bars == 3


def test_a_book_without_a_side_keeps_the_last_mark() -> None:
    rows: list[BookRow] = [*STILL[:4], (400, [], ASKS), *STILL[5:8]]
    result = _run({100: Direction.UP}, rows)
    assert np.isfinite(result.equity).all()
    assert result.equity[4] == result.equity[3]


def test_open_orders_are_cancelled_at_the_end_and_positions_stay() -> None:
    result = _run({100: Direction.UP}, STILL[:5], entry="limit")
    assert result.order_events[-1].reason == "end_of_book"
    held = _run({100: Direction.UP}, STILL[:5])
    assert held.positions[SYMBOL].quantity == pytest.approx(1_000.0 / 101.0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="limit"):
        _run({}, entry="stop")
    with pytest.raises(InvalidValue, match="stop"):
        _run({}, stop=0.0)
    with pytest.raises(InvalidValue, match="horizon"):
        _run({}, horizon=0)
    with pytest.raises(UnknownName, match="OTHER"):
        run_book_backtest(
            hand_book(STILL),
            hand_trades(),
            [_signals({100: Direction.UP}, "OTHER")],
            policy=Policy(),
            horizon=1,
        )
    with pytest.raises(InvalidValue, match="one symbol"):
        _run({}, instrument=Instrument(symbol="OTHER"))


@pytest.mark.parametrize(("strength", "pays"), [(1.0, True), (0.0, False)])
def test_knowing_the_flow_of_a_simulated_book_pays_the_spread_only_where_it_means_something(
    strength: float, pays: bool
) -> None:
    market = simulate_book(symbol=SYMBOL, snapshots=20_000, seed=4, strength=strength)
    x = market.signal
    signals = SignalSeries(
        symbol=SYMBOL,
        ts_event=market.book.ts_event,
        direction=np.where(x > 1.0, 2, np.where(x < 0.0, 0, 1)).astype(np.int8),
        actionable=np.ones(len(x), dtype=np.bool_),
    )
    result = run_book_backtest(
        market.book,
        market.trades,
        [signals],
        policy=Policy(),
        horizon=30,
        execution=BookExecution(latency_ns=0),
        instrument=FREE,
    )
    gains = np.array([trade.exit_price / trade.entry_price - 1.0 for trade in result.trades])
    assert len(gains) > 100
    error = gains.std() / np.sqrt(len(gains))
    spread = 1e-4  # a tick of .01 at a price of 100
    if pays:
        assert gains.mean() > 3 * error
    else:
        assert abs(gains.mean() + spread) < 4 * error
    assert measure(result).trades == len(gains)
