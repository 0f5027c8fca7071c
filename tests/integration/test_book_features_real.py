"""Recorded books: every row of a stream equals the batch, all is finite once warm, and sizes are moderate."""

from pathlib import Path

import numpy as np
import pytest

from book_cases import real_book, streamed
from consilium.domain.time import SECOND_NS
from consilium.market.features import BOOK50, FEATURES, compute_book_features

MARKETS = ("spot_btcusdt", "spot_ethusdt", "usdm_btcusdt", "usdm_ethusdt", "coinm_btcusd_perp")
WARM = np.array([FEATURES[name].warm_up_seconds * SECOND_NS for name in BOOK50])


@pytest.mark.shared
@pytest.mark.parametrize("market", ["spot_ethusdt", "usdm_btcusdt"])
def test_the_stream_of_a_real_market_equals_its_batch_at_every_row(books_l20: Path, market: str) -> None:
    book, trades = real_book(books_l20, market)
    np.testing.assert_array_equal(streamed(book, trades), compute_book_features(book, trades))


@pytest.mark.shared
@pytest.mark.long
@pytest.mark.parametrize("market", MARKETS)
def test_all_real_streams_equal_their_batches_at_every_row(books_l20: Path, market: str) -> None:
    book, trades = real_book(books_l20, market)
    np.testing.assert_array_equal(streamed(book, trades), compute_book_features(book, trades))


@pytest.mark.shared
@pytest.mark.parametrize("market", MARKETS)
def test_features_of_real_markets_are_finite_once_warm(books_l20: Path, market: str) -> None:
    book, trades = real_book(books_l20, market)
    values = compute_book_features(book, trades)
    start = book.ts_event[np.searchsorted(book.session, book.session, side="left")]
    np.testing.assert_array_equal(np.isfinite(values), (book.ts_event - start)[:, None] >= WARM)
    assert (np.nanstd(values, axis=0) > 0).all()
    # Best prices one tick apart make a step of the mid many spreads long.
    assert np.nanmax(np.abs(values)) < 1e5


@pytest.mark.shared
@pytest.mark.parametrize("market", MARKETS)
def test_order_flow_of_a_real_market_moves_with_its_price(books_l20: Path, market: str) -> None:
    book, trades = real_book(books_l20, market)
    names = ["ofi_1_1s", "ofi_1_5s", "mid_return_1s", "mid_return_5s", "trade_imbalance_5s"]
    values = compute_book_features(book, trades, names)
    warm = values[np.isfinite(values).all(axis=1)]
    table = np.asarray(np.corrcoef(warm, rowvar=False))
    # Cont, Kukanov and Stoikov find R2 of 0.65 in ten seconds: the flow of a second moves with the second.
    assert table[0, 2] > 0.3
    assert table[1, 3] > 0.3
    assert table[3, 4] > 0.2
