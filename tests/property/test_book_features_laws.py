"""Laws of book features over books that hypothesis makes: ties, silence, gaps, stillness, short ladders."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from book_cases import rough_book, streamed, with_book, with_trades
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import SIDES, BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BOOK50, FEATURES, compute_book_features

WARM = np.array([FEATURES[name].warm_up_seconds * SECOND_NS for name in BOOK50])
PACES = ((0.0, 30.0), (100.0,), (0.0, 50.0, 400.0), (5.0, 2_000.0, 9_000.0), (700.0, 31_000.0))

Market = tuple[BookSeries, TradeSeries]


@st.composite
def markets(draw: st.DrawFn, rows: int) -> Market:
    """Books of any price and pace, with and without gaps, and their trades."""
    mid = 10.0 ** draw(st.integers(-7, 6))
    return rough_book(
        draw(st.integers(0, 2**32 - 1)),
        rows,
        levels=draw(st.sampled_from([1, 2, 10, 20])),
        mid=mid * 1_000,
        tick=mid * draw(st.sampled_from([0.01, 1.0])),
        pace_ms=draw(st.sampled_from(PACES)),
        jump_every=draw(st.sampled_from([0, rows // 3])),
        still=draw(st.booleans()),
    )


def _known(trades: TradeSeries, ts: int) -> TradeSeries:
    return trades.slice(0, int(np.searchsorted(trades.ts_event, ts, side="right")))


@settings(max_examples=40)
@given(markets(300))
def test_features_are_finite_exactly_from_their_warm_up_on(market: Market) -> None:
    book, trades = market
    start = book.ts_event[np.searchsorted(book.session, book.session, side="left")]
    values = compute_book_features(book, trades)
    np.testing.assert_array_equal(np.isfinite(values), (book.ts_event - start)[:, None] >= WARM)


@settings(max_examples=30)
@given(markets(300), markets(300), st.integers(0, 298))
def test_no_row_depends_on_what_comes_after_it(own: Market, other: Market, fork: int) -> None:
    book, trades = own
    ts = int(book.ts_event[fork])
    # Another market goes on where this one is cut, trades at the very time of the fork included.
    shift = ts + 1 - int(other[0].ts_event[0])
    levels = min(book.levels, other[0].levels)
    whole = compute_book_features(_levels(book, levels), trades)
    later = book.session[fork] + other[0].session
    sides = {
        name: np.concatenate((getattr(book, name)[: fork + 1, :levels], getattr(other[0], name)[:, :levels]))
        for name in SIDES
    }
    joined = with_book(
        book,
        ts_event=np.concatenate((book.ts_event[: fork + 1], other[0].ts_event + shift)),
        session=np.concatenate((book.session[: fork + 1], later)),
        **sides,
    )
    known, next_trades = _known(trades, ts), other[1]
    after = next_trades.ts_event + shift > ts
    columns = {
        name: np.concatenate((getattr(known, name), getattr(next_trades, name)[after]))
        for name in ("price", "size", "taker_buy")
    }
    times = np.concatenate((known.ts_event, (next_trades.ts_event + shift)[after]))
    traded = with_trades(trades, ts_event=times, **columns)
    changed = compute_book_features(joined, traded)
    np.testing.assert_array_equal(changed[: fork + 1], whole[: fork + 1])


def _levels(book: BookSeries, levels: int) -> BookSeries:
    return with_book(book, **{name: getattr(book, name)[:, :levels] for name in SIDES})


@settings(max_examples=30)
@given(markets(300), st.integers(1, 300))
def test_a_recording_cut_short_has_the_same_rows(market: Market, rows: int) -> None:
    book, trades = market
    part = compute_book_features(book.slice(0, rows), _known(trades, int(book.ts_event[rows - 1])))
    np.testing.assert_array_equal(part, compute_book_features(book, trades)[:rows])


@settings(max_examples=15)
@given(markets(250))
def test_a_stream_equals_its_batch_to_the_bit(market: Market) -> None:
    np.testing.assert_array_equal(streamed(*market), compute_book_features(*market))


@settings(max_examples=25)
@given(markets(300), st.sampled_from([2.0**-20, 0.3, 7e3]), st.sampled_from([2.0**30, 0.01, 1.0]))
def test_prices_and_sizes_have_no_unit(market: Market, price: float, size: float) -> None:
    book, trades = market
    other = with_book(
        book,
        bid_price=book.bid_price * price,
        ask_price=book.ask_price * price,
        bid_size=book.bid_size * size,
        ask_size=book.ask_size * size,
    )
    traded = with_trades(trades, price=trades.price * price, size=trades.size * size)
    np.testing.assert_allclose(
        compute_book_features(other, traded), compute_book_features(book, trades), rtol=1e-5, atol=1e-5
    )


@settings(max_examples=25)
@given(markets(300))
def test_shares_and_balances_stay_within_their_bounds(market: Market) -> None:
    values = dict(zip(BOOK50, compute_book_features(*market).T, strict=True))
    for name, column in values.items():
        seen = column[np.isfinite(column)]
        if name.startswith(("imbalance", "trade_imbalance", "bid_moves", "ask_moves")):
            assert (np.abs(seen) <= 1 + 1e-12).all(), name
        if name.startswith(("mid_autocorr", "kyle")):
            assert (np.abs(seen) <= 1).all(), name
        if name.startswith(("depth_top", "vpin", "cancel")):
            assert ((seen >= 0) & (seen <= 1 + 1e-12)).all(), name
        if name.startswith(("spread_bps", "gap_", "span_", "cost_", "realised", "update", "effective")):
            assert (seen >= 0).all(), name
