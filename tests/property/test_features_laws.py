"""Laws of all features over candles that hypothesis makes: stretches that stand still, silence, jumps."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.market.candles import CandleSeries
from consilium.market.features import FEATURES, compute_features, feature_names
from feature_bars import columns_of, series_of, streamed, with_columns

NAMES = feature_names("candle62")
LEADS = np.array([FEATURES[name].warm_up - 1 for name in NAMES])
QUICK = tuple(name for name in NAMES if FEATURES[name].warm_up <= 150)


PIECE = st.tuples(
    st.sampled_from([0.0, 1e-9, 1e-4, 0.01, 0.2]),
    st.sampled_from([0.0, 1e-3, -1e-3]),
    st.sampled_from([0.0, 3.0, -3.0]),
    st.sampled_from([1.0, 0.5, 0.0]),
    st.floats(-8, 12),
)
"""Size of returns, drift, a jump at the start, share of bars with volume, log10 of the volume."""


@st.composite
def candle_series(draw: st.DrawFn, rows: int) -> CandleSeries:
    """Pieces of different temper, one after the other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    price = 10.0 ** draw(st.floats(-8, 6))
    cuts = sorted(draw(st.lists(st.integers(1, rows - 1), max_size=6, unique=True)))
    returns, spread, volume = (np.zeros(rows) for _ in range(3))
    for start, stop in pairwise([0, *cuts, rows]):
        size, drift, jump, traded, magnitude = draw(PIECE)
        here = slice(start, stop)
        returns[here] = drift + size * rng.normal(size=stop - start)
        returns[start] += jump
        spread[here] = size
        volume[here] = (
            10.0**magnitude * rng.lognormal(0, 1, stop - start) * (rng.random(stop - start) < traded)
        )
    return series_of(price * np.exp(np.clip(np.cumsum(returns), -6, 6)), volume, spread, rng)


@settings(max_examples=40)
@given(candle_series(1_040))
def test_features_are_finite_exactly_from_their_warm_up_on(series: CandleSeries) -> None:
    values = compute_features(series, NAMES)
    np.testing.assert_array_equal(np.isfinite(values), np.arange(len(values))[:, None] >= LEADS)


@settings(max_examples=40)
@given(candle_series(1_040), candle_series(1_040), st.integers(0, 1_038))
def test_no_row_depends_on_what_comes_after_it(own: CandleSeries, other: CandleSeries, fork: int) -> None:
    columns, others = columns_of(own), columns_of(other)
    for name, column in columns.items():
        column[fork + 1 :] = others[name][fork + 1 :]
    changed = compute_features(with_columns(**columns), NAMES)
    np.testing.assert_array_equal(changed[: fork + 1], compute_features(own, NAMES)[: fork + 1])


@settings(max_examples=40)
@given(candle_series(1_040), st.integers(1, 1_040))
def test_a_series_cut_short_has_the_same_rows(series: CandleSeries, rows: int) -> None:
    whole, part = compute_features(series, NAMES), compute_features(series.slice(0, rows), NAMES)
    np.testing.assert_array_equal(part, whole[:rows])


@settings(max_examples=25)
@given(candle_series(180))
def test_a_stream_equals_its_batch(series: CandleSeries) -> None:
    batch = compute_features(series, QUICK)
    np.testing.assert_allclose(streamed(series, QUICK), batch, rtol=1e-9, atol=1e-12, equal_nan=True)


@settings(max_examples=5)
@given(candle_series(1_040))
def test_a_stream_of_all_features_equals_its_batch(series: CandleSeries) -> None:
    batch = compute_features(series, NAMES)
    np.testing.assert_allclose(streamed(series, NAMES), batch, rtol=1e-9, atol=1e-12, equal_nan=True)
