"""The shared market data: every symbol is finite once warm, and streams equal batches."""

from pathlib import Path

import numpy as np
import pytest

from consilium.market.features import FEATURES, compute_features, compute_panel, feature_names
from consilium.market.sources import load_candles
from feature_bars import streamed

NAMES = feature_names("candle62")
LEADS = np.array([FEATURES[name].warm_up - 1 for name in NAMES])


@pytest.mark.shared
@pytest.mark.parametrize("symbol", ["BTCUSDT", "PEPEUSDT"])
def test_the_stream_of_a_real_market_equals_its_batch(candles_1h: Path, symbol: str) -> None:
    series = load_candles(candles_1h, [symbol]).series[symbol].slice(0, 2_000)
    batch = compute_features(series, NAMES)
    np.testing.assert_allclose(streamed(series, NAMES), batch, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.shared
def test_features_of_all_real_symbols_are_finite_once_warm_and_of_moderate_size(candles_1h: Path) -> None:
    panel = load_candles(candles_1h).series
    for symbol, values in compute_panel(panel, NAMES).items():
        rows = np.arange(len(values))[:, None]
        np.testing.assert_array_equal(np.isfinite(values), rows >= LEADS, err_msg=symbol)
        assert np.nanmax(np.abs(values)) < 50, symbol
