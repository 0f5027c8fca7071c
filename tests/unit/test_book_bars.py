"""Bars from trades: what traded, what did not, and nothing of what comes after."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import DataProblem, InvalidValue
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.trades import TradeSeries


def _trades(ts: list[int], price: list[float], size: list[float] | None = None) -> TradeSeries:
    return TradeSeries(
        symbol="BTCUSDT",
        ts_event=np.array(ts, dtype=np.int64),
        price=np.array(price),
        size=np.ones(len(ts)) if size is None else np.array(size),
        taker_buy=np.ones(len(ts), dtype=bool),
    )


def test_a_bar_holds_first_highest_lowest_last_and_the_sum() -> None:
    trades = _trades([10, 12, 15, 19, 20], [5.0, 7.0, 4.0, 6.0, 9.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    bar = bars_from_trades(trades, 10).candle(0)
    assert (bar.ts_open, bar.open, bar.high, bar.low, bar.close, bar.volume) == (10, 5.0, 7.0, 4.0, 6.0, 10.0)


def test_an_empty_bar_repeats_the_last_close_without_volume() -> None:
    bars = bars_from_trades(_trades([0, 5, 31, 40], [5.0, 6.0, 8.0, 9.0]), 10)
    assert bars.ts_open.tolist() == [0, 10, 20, 30]
    for column in (bars.open, bars.high, bars.low, bars.close):
        assert column[1:3].tolist() == [6.0, 6.0]
    assert bars.volume[1:3].tolist() == [0.0, 0.0]


def test_a_bar_that_the_recording_cuts_is_left_out_at_both_ends() -> None:
    trades = _trades([3, 12, 25, 38], [5.0, 6.0, 7.0, 8.0])
    assert bars_from_trades(trades, 10).ts_open.tolist() == [10, 20]
    assert bars_from_trades(trades, 10, start_ts=0, stop_ts=40).ts_open.tolist() == [0, 10, 20, 30]


def test_silence_after_the_last_trade_is_bars_as_far_as_was_recorded() -> None:
    bars = bars_from_trades(_trades([2, 8], [5.0, 6.0]), 10, start_ts=0, stop_ts=35)
    assert bars.close.tolist() == [6.0, 6.0, 6.0]


@pytest.mark.parametrize("ts", [[], [3, 7], [3, 12]])
def test_a_recording_without_a_whole_bar_is_refused(ts: list[int]) -> None:
    with pytest.raises(DataProblem, match="BTCUSDT"):
        bars_from_trades(_trades(ts, [1.0] * len(ts)), 10)


def test_a_bar_must_last() -> None:
    with pytest.raises(InvalidValue, match="interval_ns"):
        bars_from_trades(_trades([1], [1.0]), 0)


_STEPS = st.lists(
    st.tuples(st.integers(0, 25), st.integers(90, 110), st.integers(1, 9)), min_size=2, max_size=40
)


@given(_STEPS, st.integers(1, 12))
def test_bars_agree_with_a_plain_loop_and_never_know_a_later_trade(
    steps: list[tuple[int, int, int]], interval: int
) -> None:
    ts = np.cumsum([step for step, _, _ in steps]).tolist()
    trades = _trades(ts, [float(p) for _, p, _ in steps], [float(q) for _, _, q in steps])
    start, stop = 0, ts[-1] + 3 * interval
    bars = bars_from_trades(trades, interval, start_ts=start, stop_ts=stop)
    last = None
    for i in range(len(bars)):
        begin = int(bars.ts_open[i])
        inside = [k for k, t in enumerate(ts) if begin <= t < begin + interval]
        if inside:
            prices = [steps[k][1] for k in inside]
            wanted = (prices[0], max(prices), min(prices), prices[-1], sum(steps[k][2] for k in inside))
        else:
            assert last is not None
            wanted = (last, last, last, last, 0)
        assert (bars.open[i], bars.high[i], bars.low[i], bars.close[i], bars.volume[i]) == wanted
        last = wanted[3]
    for i in range(len(bars)):
        close = int(bars.ts_close[i])
        known = int(np.searchsorted(ts, close))
        early = bars_from_trades(trades.slice(0, known), interval, start_ts=start, stop_ts=close)
        assert early.close.tolist() == bars.close[: i + 1].tolist()
        assert early.volume.tolist() == bars.volume[: i + 1].tolist()
