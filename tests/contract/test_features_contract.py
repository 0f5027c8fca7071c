"""One exam for every feature: finite once warm, blind to the future, free of scale, the same in a stream."""

from functools import cache

import numpy as np
import pytest

from consilium.market.candles import CandleSeries
from consilium.market.features import FEATURES, compute_features, feature_names
from consilium.market.sources import sample_candles
from feature_bars import Floats, columns_of, rough_series, streamed, with_columns

NAMES = feature_names("candle62")
FORKS = (0, 1, 60, 700, 1_150)


@cache
def _series(kind: str) -> CandleSeries:
    if kind == "real stock":
        (sample,) = sample_candles().series.values()
        return sample.slice(0, 1_400)
    price, seed = {"rough": (100.0, 1), "tiny prices": (2e-8, 2), "huge prices": (5e5, 3)}[kind]
    return rough_series(seed, 1_300, price=price)


KINDS = ("rough", "tiny prices", "huge prices", "real stock")


@cache
def _batch(kind: str) -> Floats:
    return compute_features(_series(kind), NAMES)


@cache
def _stream(kind: str) -> Floats:
    return streamed(_series(kind), NAMES)


@cache
def _with_another_future(fork: int) -> Floats:
    own, other = columns_of(_series("rough")), columns_of(rough_series(99, 1_300, price=3e4))
    for name, column in own.items():
        column[fork + 1 :] = other[name][fork + 1 :]
    return compute_features(with_columns(**own), NAMES)


@cache
def _rescaled(prices: float, volumes: float) -> Floats:
    columns = columns_of(_series("rough"))
    scaled = {name: x * (volumes if name == "volume" else prices) for name, x in columns.items()}
    return compute_features(with_columns(**scaled), NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestFeature:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_nan_while_cold_and_finite_once_warm(self, name: str, kind: str) -> None:
        values, cold = _batch(kind)[:, NAMES.index(name)], FEATURES[name].warm_up - 1
        assert np.isnan(values[:cold]).all()
        assert np.isfinite(values[cold:]).all()
        assert np.ptp(values[cold:]) > 0

    @pytest.mark.parametrize("fork", FORKS)
    def test_it_is_blind_to_the_future(self, name: str, fork: int) -> None:
        column = NAMES.index(name)
        before, after = _batch("rough")[:, column], _with_another_future(fork)[:, column]
        np.testing.assert_array_equal(after[: fork + 1], before[: fork + 1])

    def test_it_sees_the_present(self, name: str) -> None:
        before, after = _batch("rough")[:, NAMES.index(name)], _with_another_future(700)[:, NAMES.index(name)]
        assert (before[701:] != after[701:]).any()

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_stream_equals_its_batch(self, name: str, kind: str) -> None:
        column = NAMES.index(name)
        np.testing.assert_allclose(
            _stream(kind)[:, column], _batch(kind)[:, column], rtol=1e-9, atol=1e-12, equal_nan=True
        )

    @pytest.mark.parametrize(("prices", "volumes"), [(3.7, 1.0), (1e-6, 1.0), (1.0, 0.013), (7e3, 1e9)])
    def test_it_is_free_of_scale(self, name: str, prices: float, volumes: float) -> None:
        column = NAMES.index(name)
        np.testing.assert_allclose(
            _rescaled(prices, volumes)[:, column], _batch("rough")[:, column], rtol=1e-6, atol=1e-6
        )

    def test_alone_it_equals_itself_in_company(self, name: str) -> None:
        alone = compute_features(_series("real stock"), [name])
        np.testing.assert_array_equal(alone[:, 0], _batch("real stock")[:, NAMES.index(name)])
