"""Books joined to candles: never from the future, never stale, masked where there is none."""

import numpy as np
import pytest

from book_cases import MS_NS, START, no_trades, rough_book
from consilium.domain import InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.candles import CandleSeries
from consilium.market.features import (
    compute_book_features,
    compute_features,
    compute_full112,
    feature_names,
    join_book,
)


def _candles(bars: int, *, first: int, seed: int = 1, symbol: str = "TEST") -> CandleSeries:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, bars)))
    return CandleSeries(
        symbol=symbol,
        interval_ns=SECOND_NS,
        ts_open=first + np.arange(bars) * SECOND_NS,
        open=close,
        high=close * 1.001,
        low=close * 0.999,
        close=close,
        volume=rng.lognormal(0, 1, bars),
    )


@pytest.mark.parametrize(
    ("age_ms", "found"), [(-1, False), (0, True), (1, True), (999, True), (1_000, True), (1_001, False)]
)
def test_a_bar_takes_a_snapshot_at_most_one_second_old(age_ms: int, found: bool) -> None:
    bar = _candles(1, first=START)
    ts = bar.ts_close - age_ms * MS_NS
    joined = join_book(bar, np.array([[5.0, 6.0]]), ts)
    np.testing.assert_array_equal(joined, [[5.0, 6.0]] if found else [[np.nan, np.nan]])


def test_a_bar_takes_the_last_of_several_snapshots_even_at_one_time() -> None:
    bar = _candles(1, first=0)
    ts = np.array([10, 20, SECOND_NS, SECOND_NS, SECOND_NS + 1])
    assert join_book(bar, np.arange(5.0)[:, None], ts).tolist() == [[3.0]]


def test_no_snapshots_mask_every_bar() -> None:
    joined = join_book(_candles(3, first=0), np.empty((0, 50)), np.array([], dtype=np.int64))
    assert joined.shape == (3, 50)
    assert np.isnan(joined).all()


def test_times_must_be_those_of_the_rows() -> None:
    with pytest.raises(InvalidValue, match="as many as their rows"):
        join_book(_candles(1, first=0), np.zeros((2, 50)), np.array([1]))


@pytest.mark.promise("004", "112 features: 50 of order books, 25 of candles, 37 indicators")
def test_all_112_features_of_bars_with_books() -> None:
    book, trades = rough_book(11, 1_500)
    first = int(book.ts_event[0]) // SECOND_NS * SECOND_NS - 1_100 * SECOND_NS
    candles = _candles(1_200, first=first)
    full = compute_full112(candles, book, trades)
    names = feature_names("full112")
    assert full.shape == (1_200, len(names)) == (1_200, 112)
    np.testing.assert_array_equal(full[:, :62], compute_features(candles, feature_names("candle62")))
    seen = candles.ts_close >= book.ts_event[0] + 30 * SECOND_NS + SECOND_NS
    assert np.isfinite(full[seen]).all()
    assert np.isnan(full[candles.ts_close < book.ts_event[0], 62:]).all()
    of_book = compute_book_features(book, trades)
    for bar in np.flatnonzero(seen)[::9]:
        last = np.flatnonzero(book.ts_event <= candles.ts_close[bar])[-1]
        np.testing.assert_array_equal(full[bar, 62:], of_book[last])


def test_what_comes_after_a_close_does_not_change_its_bar() -> None:
    book, trades = rough_book(12, 900)
    first = int(book.ts_event[0]) // SECOND_NS * SECOND_NS
    candles = _candles(70, first=first)
    whole = compute_full112(candles, book, trades)
    for bar in (31, 45, 60):
        close = candles.ts_close[bar]
        known_books = book.slice(0, int(np.searchsorted(book.ts_event, close, side="right")))
        known_trades = trades.slice(0, int(np.searchsorted(trades.ts_event, close, side="right")))
        part = compute_full112(candles.slice(0, bar + 1), known_books, known_trades)
        np.testing.assert_array_equal(part, whole[: bar + 1])


def test_candles_and_book_must_be_of_one_symbol() -> None:
    book, _ = rough_book(1, 20)
    with pytest.raises(InvalidValue, match="a book must be of OTHER; got TEST"):
        compute_full112(_candles(3, first=0, symbol="OTHER"), book, no_trades())
