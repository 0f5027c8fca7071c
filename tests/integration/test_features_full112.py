"""All 112 features of a simulated market: its candles, its books and its trades."""

import numpy as np

from consilium.market.features import FEATURE_SETS, compute_full112
from consilium.market.simulator import simulate_book


def test_the_112_features_of_simulated_candles_and_books_are_finite_after_their_warm_up() -> None:
    market = simulate_book(snapshots=14_000, seed=3, strength=0.6)
    candles = market.candles()
    found = compute_full112(candles, market.book, market.trades, tick_size=0.01)
    assert found.shape == (len(candles), 112) == (len(candles), len(FEATURE_SETS["full112"]))
    assert np.isfinite(found[1_000:]).all()
    assert np.std(found[1_000:], axis=0).astype(bool).sum() >= 111


def test_a_bar_without_a_fresh_book_is_masked() -> None:
    market = simulate_book(snapshots=3_000, seed=3)
    candles = market.candles()
    kept = market.book.slice(0, 1_500)
    found = compute_full112(candles, kept, market.trades, tick_size=0.01)
    stale = candles.ts_close > kept.ts_event[-1] + 10**9
    assert stale.any()
    assert np.isnan(found[stale, 62:]).all()
