"""One exam for every feature of books: finite once warm, blind, free of scale, the same in a stream."""

from functools import cache

import numpy as np
import pytest

from book_cases import Floats, rough_book, streamed, with_book, with_trades
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BOOK50, FEATURES, compute_book_features

ROWS = 900
KINDS = ("rough", "tiny prices", "huge prices", "five levels", "sessions", "sparse")
FORKS = (0, 1, 60, 420, 760)


@cache
def _market(kind: str) -> tuple[BookSeries, TradeSeries]:
    if kind == "sparse":
        return rough_book(6, ROWS, pace_ms=(0.0, 700.0, 3_000.0, 12_000.0))
    if kind == "sessions":
        return rough_book(5, ROWS, jump_every=440)
    if kind == "five levels":
        return rough_book(4, ROWS, levels=5)
    tick, mid, seed = {
        "rough": (0.01, 100, 1),
        "tiny prices": (1e-11, 2e-8, 2),
        "huge prices": (0.5, 5e5, 3),
    }[kind]
    return rough_book(seed, ROWS, tick=tick, mid=mid)


@cache
def _batch(kind: str) -> Floats:
    return compute_book_features(*_market(kind))


@cache
def _stream(kind: str) -> Floats:
    return streamed(*_market(kind))


@cache
def _with_another_future(fork: int) -> Floats:
    book, trades = _market("rough")
    other, _ = rough_book(99, ROWS, mid=30.0)
    now = book.ts_event[fork]
    later = np.arange(ROWS) > fork
    sides = {
        name: np.where(later[:, None], getattr(other, name), getattr(book, name))
        for name in ("bid_price", "bid_size", "ask_price", "ask_size")
    }
    ts = np.where(later, now + (book.ts_event - now) // 3, book.ts_event)
    known = trades.ts_event <= now
    futures = with_trades(
        trades,
        ts_event=np.where(known, trades.ts_event, now + 1 + (trades.ts_event - now) // 5),
        price=np.where(known, trades.price, 31.0),
        size=np.where(known, trades.size, trades.size[::-1]),
        taker_buy=np.where(known, trades.taker_buy, ~trades.taker_buy),
    )
    return compute_book_features(with_book(book, ts_event=ts, **sides), futures)


@cache
def _rescaled(prices: float, sizes: float) -> Floats:
    book, trades = _market("rough")
    scaled = with_book(
        book,
        bid_price=book.bid_price * prices,
        ask_price=book.ask_price * prices,
        bid_size=book.bid_size * sizes,
        ask_size=book.ask_size * sizes,
    )
    traded = with_trades(trades, price=trades.price * prices, size=trades.size * sizes)
    return compute_book_features(scaled, traded)


@pytest.mark.parametrize("name", BOOK50)
class TestBookFeature:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_nan_while_cold_and_finite_once_warm(self, name: str, kind: str) -> None:
        book, values = _market(kind)[0], _batch(kind)[:, BOOK50.index(name)]
        start = book.ts_event[np.searchsorted(book.session, book.session, side="left")]
        warm = book.ts_event - start >= FEATURES[name].warm_up_seconds * SECOND_NS
        np.testing.assert_array_equal(np.isfinite(values), warm)
        assert np.ptp(values[warm]) > 0

    @pytest.mark.parametrize("fork", FORKS)
    def test_it_is_blind_to_the_future(self, name: str, fork: int) -> None:
        column = BOOK50.index(name)
        before, after = _batch("rough")[:, column], _with_another_future(fork)[:, column]
        np.testing.assert_array_equal(after[: fork + 1], before[: fork + 1])

    def test_it_sees_the_present(self, name: str) -> None:
        column = BOOK50.index(name)
        before, after = _batch("rough")[:, column], _with_another_future(420)[:, column]
        assert (before[421:] != after[421:]).any()

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_stream_equals_its_batch_to_the_bit(self, name: str, kind: str) -> None:
        column = BOOK50.index(name)
        np.testing.assert_array_equal(_stream(kind)[:, column], _batch(kind)[:, column])

    @pytest.mark.parametrize(("prices", "sizes"), [(3.7, 1.0), (1e-6, 1.0), (1.0, 0.013), (7e3, 1e9)])
    def test_it_is_free_of_scale(self, name: str, prices: float, sizes: float) -> None:
        column = BOOK50.index(name)
        np.testing.assert_allclose(
            _rescaled(prices, sizes)[:, column], _batch("rough")[:, column], rtol=1e-6, atol=1e-6
        )

    def test_alone_it_equals_itself_in_company(self, name: str) -> None:
        alone = compute_book_features(*_market("five levels"), [name])
        np.testing.assert_array_equal(alone[:, 0], _batch("five levels")[:, BOOK50.index(name)])

    def test_it_knows_nothing_of_an_earlier_session(self, name: str) -> None:
        book, trades = _market("sessions")
        start = int(np.flatnonzero(np.diff(book.session))[0]) + 1
        stop = int(np.searchsorted(book.session, book.session[start], side="right"))
        alone = compute_book_features(book.slice(start, stop), trades, [name])
        np.testing.assert_array_equal(alone[:, 0], _batch("sessions")[start:stop, BOOK50.index(name)])
