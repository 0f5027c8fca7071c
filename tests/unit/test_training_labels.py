"""Labels: terciles by volatility, and three barriers."""

from math import exp, log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import HOUR_NS, InvalidValue, UnknownName
from consilium.market.candles import CandleSeries
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import (
    NEVER,
    LabelSpec,
    TripleBarrierSpec,
    make_labels,
)
from consilium.training.volatility import daily_volatility, ewm_volatility


def _series(
    open_: list[float] | NDArray[np.float64],
    high: NDArray[np.float64] | None = None,
    low: NDArray[np.float64] | None = None,
    close: NDArray[np.float64] | None = None,
) -> CandleSeries:
    o = np.asarray(open_, dtype=np.float64)
    c = np.append(o[1:], o[-1]) if close is None else close
    return CandleSeries(
        symbol="AAA",
        interval_ns=HOUR_NS,
        ts_open=np.arange(len(o)) * HOUR_NS,
        open=o,
        high=np.maximum(o, c) if high is None else high,
        low=np.minimum(o, c) if low is None else low,
        close=c,
        volume=np.ones(len(o)),
    )


def _random_series(seed: int, n: int, gaps: float = 0.0) -> CandleSeries:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    open_ = np.append(100.0, close[:-1]) * np.exp(rng.normal(0.0, 1.0, n) * gaps)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.004, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, n)))
    return _series(open_, high, low, close)


def _slow_ewm(close: NDArray[np.float64], t: int, span: int) -> float:
    r = np.diff(np.log(close[: t + 1]))
    w = (1.0 - 2.0 / (span + 1.0)) ** np.arange(len(r))[::-1]
    mean = (w * r).sum() / w.sum()
    variance = (w * (r - mean) ** 2).sum() * w.sum() / (w.sum() ** 2 - (w**2).sum())
    return sqrt(variance)


def test_the_volatility_is_the_weighted_standard_deviation_by_its_definition() -> None:
    series = _random_series(1, 400)
    found = ewm_volatility(series.close, span=20)
    assert np.all(np.isnan(found[:20]))
    for t in (20, 21, 57, 399):
        assert found[t] == pytest.approx(_slow_ewm(series.close, t, 20), rel=1e-10)


def test_the_volatility_of_a_steady_climb_is_zero() -> None:
    found = ewm_volatility(np.exp(0.01 * np.arange(200)), span=96)[96:]
    assert np.all(found < 1e-9)


def test_the_volatility_at_t_does_not_change_when_the_future_does() -> None:
    close = _random_series(2, 300).close
    changed = close.copy()
    changed[200:] *= np.exp(np.random.default_rng(3).normal(0, 0.5, 100))
    assert np.array_equal(ewm_volatility(close)[:200], ewm_volatility(changed)[:200], equal_nan=True)
    assert np.array_equal(daily_volatility(close, 24.0)[:200], daily_volatility(changed, 24.0)[:200], True)
    assert not np.isclose(ewm_volatility(close)[200], ewm_volatility(changed)[200])


@pytest.mark.promise("002", "the volatility gate reads 20-period volatility (volatility_20)")
def test_daily_volatility_scales_twenty_returns_to_a_day() -> None:
    close = _random_series(4, 60).close
    expected = np.std(np.diff(np.log(close[20:41])), ddof=1) * sqrt(24.0)
    assert daily_volatility(close, 24.0)[40] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [1, 19, 20, 21])
def test_daily_volatility_needs_twenty_returns(n: int) -> None:
    found = daily_volatility(_random_series(4, 60).close[:n], 24.0)
    assert np.isfinite(found).tolist() == [i >= 20 for i in range(n)]


def test_gaussian_returns_fall_into_thirds() -> None:
    rng = np.random.default_rng(5)
    prices = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 40_000)))
    for horizon in (1, 4):
        labels = make_labels(_series(prices), LabelSpec(horizon=horizon))
        shares = np.bincount(labels.direction[labels.direction >= 0], minlength=3) / 40_000
        # 40,000 returns, a quarter of them independent at horizon 4: four standard errors are 0.019.
        assert np.abs(shares - 1 / 3).max() < 0.02


def test_a_label_is_the_return_from_the_next_open_to_the_open_at_the_horizon() -> None:
    series = _random_series(6, 200, gaps=0.001)
    labels = make_labels(series, LabelSpec(horizon=3, span=20))
    t = 50
    r = log(series.open[54] / series.open[51])
    assert labels.realised_return[t] == pytest.approx(r, abs=1e-15)
    assert labels.threshold[t] == pytest.approx(0.4307 * _slow_ewm(series.close, t, 20) * sqrt(3))
    assert labels.ts_matured[t] == series.ts_open[54]
    for row in range(20, 196):
        r, u = labels.realised_return[row], labels.threshold[row]
        assert labels.direction[row] == (2 if r > u else 0 if r < -u else 1)


def test_warm_up_and_end_have_no_label() -> None:
    labels = make_labels(_random_series(7, 120), LabelSpec(horizon=5, span=30))
    assert np.all(labels.direction[:30] == -1)
    assert np.all(labels.direction[30:114] >= 0)
    assert np.all(labels.direction[114:] == -1)
    assert np.all(labels.ts_matured[114:] == NEVER)
    assert np.all(np.isnan(labels.realised_return[114:]))
    assert np.all(np.isfinite(labels.threshold[30:]))


@pytest.mark.parametrize("n", [1, 2, 3, 30, 31])
def test_a_series_too_short_for_labels_has_none(n: int) -> None:
    for spec in (LabelSpec(span=30, horizon=2), TripleBarrierSpec(span=30, horizon=2)):
        assert np.all(make_labels(_random_series(8, n), spec).direction == -1)


def test_a_return_equal_to_the_threshold_is_flat() -> None:
    prices = np.array([1.0, 1.0, 1.0, 1.0, exp(0.02), exp(0.02), exp(0.02)])
    labels = make_labels(_series(prices, close=np.ones(7)), LabelSpec(span=2, floor=log(exp(0.02))))
    assert labels.direction[2] == 1
    below = make_labels(_series(prices, close=np.ones(7)), LabelSpec(span=2, floor=0.0199))
    assert below.direction[2] == 2


def test_the_floor_makes_small_moves_flat_and_leaves_large_ones() -> None:
    series = _random_series(9, 1_000)
    plain, floored = (make_labels(series, LabelSpec(floor=floor)) for floor in (0.0, 0.012))
    assert np.nanmin(floored.threshold) == 0.012
    small = np.abs(plain.realised_return) <= 0.012
    known = plain.direction >= 0
    assert np.all(floored.direction[known & small] == 1)
    assert np.any(floored.direction[known] == 2)


def test_no_label_reads_a_close_after_its_own_bar() -> None:
    series = _random_series(10, 300)
    changed = _series(series.open, series.high, series.low, np.where(np.arange(300) > 150, 1.0, series.close))
    before, after = (make_labels(one, LabelSpec()) for one in (series, changed))
    assert np.array_equal(before.direction[:151], after.direction[:151])


def test_the_label_id_changes_with_each_part_of_the_definition() -> None:
    specs: list[LabelSpec | TripleBarrierSpec] = [
        LabelSpec(),
        LabelSpec(horizon=2),
        LabelSpec(k=0.5),
        LabelSpec(span=48),
        LabelSpec(floor=0.001),
        TripleBarrierSpec(),
        TripleBarrierSpec(up=3.0),
        TripleBarrierSpec(down=3.0),
    ]
    ids = [spec.label_id(HOUR_NS) for spec in specs] + [LabelSpec().label_id(HOUR_NS // 4)]
    assert len(set(ids)) == len(ids)
    assert LabelSpec(k=1, floor=0).label_id(HOUR_NS) == LabelSpec(k=1.0, floor=0.0).label_id(HOUR_NS)
    for spec in specs:
        assert spec_from_dict(spec.as_dict()) == spec


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"horizon": 0}, "horizon must be >= 1 bar; got 0"),
        ({"span": 1}, "span must be >= 2 bars; got 1"),
        ({"k": -0.1}, "k must be finite and >= 0; got -0.1"),
        ({"floor": float("nan")}, "floor must be finite and >= 0; got nan"),
    ],
)
def test_a_parameter_outside_its_bound_is_refused(arguments: dict[str, float], says: str) -> None:
    for made in (LabelSpec, TripleBarrierSpec):
        with pytest.raises(InvalidValue, match=says):
            made(**arguments)  # type: ignore[arg-type]


def test_an_unknown_kind_of_label_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'tercile'"):
        spec_from_dict({"kind": "terciles"})


def _slow_barriers(series: CandleSeries, spec: TripleBarrierSpec, t: int) -> tuple[int, float, int]:
    """Walk the definition bar by bar, in prices; direction, exit price, time known."""
    s = _slow_ewm(series.close, t, spec.span)
    entry = series.open[t + 1]
    upper, lower = entry * exp(spec.up * s), entry * exp(-spec.down * s)
    for bar in range(t + 1, t + 1 + spec.horizon):
        known = int(series.ts_open[bar]) + HOUR_NS
        if bar > t + 1 and series.open[bar] >= upper:
            return 2, series.open[bar], known
        if bar > t + 1 and series.open[bar] <= lower:
            return 0, series.open[bar], known
        if series.low[bar] <= lower:
            return 0, lower, known
        if series.high[bar] >= upper:
            return 2, upper, known
    last = t + 1 + spec.horizon
    r = log(series.open[last] / entry)
    bound = max(spec.k * s * sqrt(spec.horizon), spec.floor)
    return (2 if r > bound else 0 if r < -bound else 1), series.open[last], int(series.ts_open[last])


@pytest.mark.parametrize("gaps", [0.0, 0.01])
@pytest.mark.parametrize(("up", "down", "horizon"), [(2.0, 2.0, 12), (1.0, 0.5, 3), (4.0, 4.0, 5)])
def test_barriers_agree_with_a_walk_bar_by_bar(up: float, down: float, horizon: int, gaps: float) -> None:
    series = _random_series(11, 500, gaps)
    spec = TripleBarrierSpec(up=up, down=down, horizon=horizon, span=20)
    labels = make_labels(series, spec)
    seen = set()
    for t in range(20, 500 - 1 - horizon):
        direction, price, known = _slow_barriers(series, spec, t)
        seen.add(direction)
        assert labels.direction[t] == direction
        assert labels.realised_return[t] == pytest.approx(log(price / series.open[t + 1]), abs=1e-9)
        assert labels.ts_matured[t] == known
    assert {0, 2} <= seen


def _hand(high: float, low: float, second_open: float = 100.0) -> CandleSeries:
    """Bars 0 to 3 give s_2 = 1 %; entry at the open of bar 3; bar 4 is the one of interest."""
    close = np.array([100.0, 100.0 * exp(0.01), 100.0, 100.0, 100.0, 100.0, 100.0])
    open_ = np.array([100.0, 100.0, 100.0, 100.0, second_open, 100.0, 100.0])
    highs = np.maximum(open_, close)
    lows = np.minimum(open_, close)
    highs[4], lows[4] = max(high, second_open), min(low, second_open)
    return _series(open_, highs, lows, close)


@pytest.mark.parametrize(
    ("high", "low", "second_open", "direction", "exit_price"),
    [
        (101.5, 99.5, 100.0, 2, None),
        (100.5, 98.0, 100.0, 0, None),
        (103.0, 97.0, 100.0, 0, None),
        (104.0, 97.0, 103.5, 2, 103.5),
        (104.0, 96.0, 96.5, 0, 96.5),
        (100.2, 99.9, 100.0, 1, 100.0),
    ],
    ids=["upper", "lower", "both means the stop", "gap up", "gap down", "time"],
)
def test_a_barrier_by_hand(
    high: float, low: float, second_open: float, direction: int, exit_price: float | None
) -> None:
    series = _hand(high, low, second_open)
    s = _slow_ewm(series.close, 2, 2)
    spec = TripleBarrierSpec(up=1.0 * 0.01 / s, down=1.0 * 0.01 / s, horizon=3, span=2)
    labels = make_labels(series, spec)
    assert labels.direction[2] == direction
    expected = {2: 0.01, 0: -0.01}.get(direction, 0.0) if exit_price is None else log(exit_price / 100.0)
    assert labels.realised_return[2] == pytest.approx(expected, abs=1e-12)
    if direction != 1:
        assert labels.ts_matured[2] == series.ts_open[4] + HOUR_NS
    else:
        assert labels.ts_matured[2] == series.ts_open[6]


def test_a_touch_before_the_end_of_the_data_is_not_labelled_without_its_horizon() -> None:
    series = _random_series(12, 100)
    labels = make_labels(series, TripleBarrierSpec(up=0.1, down=0.1, horizon=10, span=20))
    assert np.all(labels.direction[89:] == -1)
    assert np.all(labels.ts_matured[89:] == NEVER)
    assert labels.direction[88] >= 0
