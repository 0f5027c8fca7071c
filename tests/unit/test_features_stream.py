"""The stream: order, refusals, and going on after a restart."""

import json

import numpy as np
import pytest

from consilium.domain import ArtefactRefused, Candle, InvalidValue, UnknownName
from consilium.domain.time import HOUR_NS, MINUTE_NS
from consilium.market.features import FeatureStream, compute_features, feature_names
from feature_bars import rough_series

NAMES = feature_names("candle62")


def _candle(t: int, *, symbol: str = "BTCUSDT", interval_ns: int = HOUR_NS) -> Candle:
    return Candle(
        symbol=symbol,
        interval_ns=interval_ns,
        ts_open=t * interval_ns,
        ts_close=(t + 1) * interval_ns,
        open=10.0,
        high=11.0,
        low=9.0,
        close=10.5,
        volume=3.0,
    )


def _stream(names: tuple[str, ...] = ("body", "return_1")) -> FeatureStream:
    return FeatureStream(names, interval_ns=HOUR_NS, bars_per_day=24.0)


@pytest.mark.parametrize("stop", [1, 18, 300, 1_005])
def test_a_stream_restored_from_json_goes_on_with_the_same_bits(stop: int) -> None:
    series = rough_series(7, 1_030)
    first, whole = _stream(NAMES), compute_features(series, NAMES)
    for i in range(stop):
        first.update(series.candle(i))
    second = _stream(NAMES)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.bars == stop
    for i in range(stop, min(stop + 30, len(series))):
        row = second.update(series.candle(i))
        np.testing.assert_array_equal(row, first.update(series.candle(i)))
        np.testing.assert_allclose(row, whole[i], rtol=1e-9, atol=1e-12)


def test_a_stream_is_warm_when_all_its_features_are_finite() -> None:
    stream = _stream()
    rows = []
    for t in range(3):
        rows.append(stream.update(_candle(t)))
        assert stream.is_warm == np.isfinite(rows[-1]).all()
    assert [bool(np.isfinite(row).all()) for row in rows] == [False, True, True]


def test_a_gap_between_bars_is_taken_as_it_comes() -> None:
    stream = _stream()
    stream.update(_candle(0))
    assert np.isfinite(stream.update(_candle(5))).all()


@pytest.mark.parametrize("t", [3, 2])
def test_a_candle_that_is_not_later_is_refused_and_changes_nothing(t: int) -> None:
    stream = _stream()
    stream.update(_candle(3))
    with pytest.raises(InvalidValue, match="must open after"):
        stream.update(_candle(t))
    assert stream.bars == 1


def test_a_candle_of_another_symbol_is_refused() -> None:
    stream = _stream()
    stream.update(_candle(3))
    with pytest.raises(InvalidValue, match="must be of BTCUSDT; got ETHUSDT"):
        stream.update(_candle(4, symbol="ETHUSDT"))


def test_a_candle_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidValue, match="interval_ns"):
        _stream().update(_candle(3, interval_ns=MINUTE_NS))


def test_the_state_of_other_features_is_refused() -> None:
    state = _stream(("body",)).state()
    with pytest.raises(ArtefactRefused, match="feed the history again"):
        _stream(("range_1",)).restore(state)


def test_a_state_that_lacks_a_part_is_refused() -> None:
    state = _stream().state()
    for key in state:
        with pytest.raises(ArtefactRefused):
            _stream().restore({k: v for k, v in state.items() if k != key})


def test_a_stream_checks_its_settings() -> None:
    with pytest.raises(UnknownName):
        _stream(("bodi",))
    with pytest.raises(InvalidValue, match="bars_per_day must be finite and > 0"):
        FeatureStream(["body"], interval_ns=HOUR_NS, bars_per_day=0)
