"""From raw books and trades to forecasts: nothing at or before t depends on what comes after t."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.recorded import bars_of, join_books
from consilium.app.settings import Settings
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import (
    BOOK50,
    BookFeatureStream,
    FeatureStream,
    compute_full112,
    compute_matrix,
    feature_names,
)
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from recorded_books import MS_NS, SECOND_NS, market, with_another_future

SECONDS = 520
NAMES = ("return_1", "range_1", *BOOK50)
FULL = feature_names("full112")
REQUEST = replace(
    BacktestRequest.checked(
        settings=Settings.model_validate({"training": {"folds": 2, "first_fraction": 0.8}})
    ),
    models=("logistic",),
    baselines=("prior",),
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A recording in memory."""

    held: tuple[BookSeries, TradeSeries]

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self.held[0].symbol,)

    def book(self, symbol: str) -> BookSeries:
        assert symbol in self.symbols
        return self.held[0]

    def trades(self, symbol: str) -> TradeSeries:
        assert symbol in self.symbols
        return self.held[1]

    def trade_gaps(self, symbol: str) -> list[tuple[int, int]]:
        assert symbol in self.symbols
        return []


def path(held: tuple[BookSeries, TradeSeries]) -> dict[str, dict[int, Any]]:
    """Every number on the way to a forecast, by the time at which it is known."""
    recorded = Recorded(held=held)
    panel, _ = bars_of(recorded, None, SECOND_NS)
    books, _ = join_books(panel, recorded)
    series = panel["BTCUSDT"]
    matrix = compute_matrix(series, FULL, books["BTCUSDT"])
    dataset = build_dataset(panel, NAMES, LabelSpec(), books)
    forecasts = forecast(REQUEST, dataset)
    times = dataset.ts_event[forecasts.rows].tolist()
    closes = series.ts_close.tolist()
    return {
        "bars": dict(
            zip(closes, zip(series.open, series.high, series.low, series.close, strict=True), strict=True)
        ),
        "features": {ts: row.tobytes() for ts, row in zip(closes, matrix, strict=True)},
        "forecasts": {
            ts: p.tobytes() for ts, p in zip(times, forecasts.probabilities["logistic"], strict=True)
        },
    }


@pytest.fixture(scope="module")
def held() -> tuple[BookSeries, TradeSeries]:
    made = market(SECONDS, seed=4, strength=1.0)
    return made.book, made.trades


@pytest.fixture(scope="module")
def first(held: tuple[BookSeries, TradeSeries]) -> dict[str, dict[int, Any]]:
    return path(held)


def assert_same_past(one: dict[str, Any], other: dict[str, Any], ts: int) -> None:
    for kind in one:
        past = [{t: value for t, value in found[kind].items() if t <= ts} for found in (one, other)]
        assert past[0] == past[1], kind


@settings(max_examples=12)
@given(cut=st.integers(200 * 1_000, SECONDS * 1_000 - 5_000), seed=st.integers(0, 2**31))
@pytest.mark.promise("004", "no feature or forecast of books knows the future")
def test_changing_any_later_book_or_trade_changes_nothing_at_or_before_now(
    held: tuple[BookSeries, TradeSeries], first: dict[str, Any], cut: int, seed: int
) -> None:
    now = int(held[0].ts_event[0]) + cut * MS_NS
    assert_same_past(first, path(with_another_future(*held, now, seed)), now)


def test_a_book_at_the_very_close_counts_and_one_just_after_does_not(
    held: tuple[BookSeries, TradeSeries], first: dict[str, Any]
) -> None:
    close = list(first["features"])[300]
    before = path(with_another_future(*held, close - 100 * MS_NS, 1))
    assert before["features"][close] != first["features"][close]
    assert_same_past(first, path(with_another_future(*held, close, 1)), close)


def test_a_leak_of_one_snapshot_would_be_seen(held: tuple[BookSeries, TradeSeries]) -> None:
    """The control of the control: with every book dated one snapshot early, the comparison must fail."""
    book, trades = held
    now = int(book.ts_event[3_000])

    def early(book: BookSeries) -> BookSeries:
        return replace(book, ts_event=book.ts_event - 100 * MS_NS)

    other, traded = with_another_future(book, trades, now, 3)
    with pytest.raises(AssertionError, match="features"):
        assert_same_past(path((early(book), trades)), path((early(other), traded)), now)


@pytest.mark.parametrize("bar_ms", [250, 1_000])
def test_streams_of_candles_and_books_give_the_matrix_to_the_bit(bar_ms: int) -> None:
    made = market(320, seed=8, strength=0.5)
    candles = made.candles(bar_ms * MS_NS)
    batch = compute_full112(candles, made.book, made.trades)
    of_candles = FeatureStream(
        feature_names("candle62"), interval_ns=candles.interval_ns, bars_per_day=candles.bars_per_day
    )
    of_books = BookFeatureStream()
    books, trades = 0, 0
    for bar in range(len(candles)):
        close = int(candles.ts_close[bar])
        while books < len(made.book) and made.book.ts_event[books] <= close:
            while trades < len(made.trades) and made.trades.ts_event[trades] <= made.book.ts_event[books]:
                of_books.update_trade(made.trades.trade(trades))
                trades += 1
            of_books.update_book(made.book.snapshot(books))
            books += 1
        row = of_books.features()
        known = np.isfinite(row).all() and close - made.book.ts_event[books - 1] <= SECOND_NS
        expected = row if known else np.full(50, np.nan)
        np.testing.assert_array_equal(batch[bar, :62], of_candles.update(candles.candle(bar)))
        np.testing.assert_array_equal(batch[bar, 62:], expected)
