"""The stream of book features: order, refusals, sessions, late trades."""

import numpy as np
import pytest

from book_cases import START, no_trades, rough_book, streamed, with_book
from consilium.domain import BookSnapshot, InvalidValue, PublicTrade, UnknownName
from consilium.domain.time import SECOND_NS
from consilium.market.features import BookFeatureStream, compute_book_features, warm_up_seconds

NAMES = ("spread_bps", "trade_imbalance_1s", "mid_return_30s")


def _snapshot(seconds: float, *, symbol: str = "TEST", bids: int = 1) -> BookSnapshot:
    return BookSnapshot(
        symbol=symbol,
        ts_event=START + round(seconds * SECOND_NS),
        bids=np.array([[99.0, 1.0]] * bids) if bids else np.array([[np.nan, 0.0]]),
        asks=np.array([[101.0, 2.0]]),
    )


def _trade(seconds: float, *, side: str = "BUY", symbol: str = "TEST") -> PublicTrade:
    ts = START + round(seconds * SECOND_NS)
    return PublicTrade(symbol=symbol, ts_event=ts, price=101.0, size=1.0, taker_side=side)


def test_a_stream_is_warm_when_all_its_features_are_finite() -> None:
    stream = BookFeatureStream(NAMES)
    assert not stream.is_warm
    assert np.isnan(stream.features()).all()
    for seconds in (0, 0.9, 1, 29.9, 30, 31):
        row = stream.update_book(_snapshot(seconds))
        assert stream.is_warm == bool(np.isfinite(row).all()) == (seconds >= 30)
        assert np.isfinite(row).sum() == 1 + (seconds >= 1) + (seconds >= 30)
    assert warm_up_seconds(NAMES) == 30


def test_another_session_begins_cold() -> None:
    stream = BookFeatureStream(NAMES)
    for seconds in range(40):
        stream.update_book(_snapshot(seconds))
    assert np.isfinite(stream.features()).all()
    stream.begin_session()
    assert not stream.is_warm
    assert np.isfinite(stream.update_book(_snapshot(41))).tolist() == [True, False, False]


def test_sessions_of_a_series_are_those_of_the_stream() -> None:
    book, trades = rough_book(8, 500, jump_every=120)
    np.testing.assert_array_equal(streamed(book, trades), compute_book_features(book, trades))


def test_a_trade_counts_from_the_next_snapshot_on() -> None:
    stream = BookFeatureStream(["trade_imbalance_1s"])
    stream.update_book(_snapshot(0))
    stream.update_trade(_trade(0.8))
    assert np.isnan(stream.features()).all()
    assert stream.update_book(_snapshot(1)).tolist() == [1.0]
    stream.update_trade(_trade(1.1, side="SELL"))
    assert stream.features().tolist() == [1.0]
    assert stream.update_book(_snapshot(1.2)).tolist() == [0.0]


def test_a_trade_that_comes_after_a_later_snapshot_is_taken_at_its_time() -> None:
    stream = BookFeatureStream(["trade_imbalance_1s"])
    stream.update_book(_snapshot(0))
    stream.update_book(_snapshot(5))
    stream.update_trade(_trade(3.0))
    assert stream.update_book(_snapshot(5.5)).tolist() == [1.0]
    assert stream.update_book(_snapshot(6)).tolist() == [0.0]


def test_a_row_given_out_is_not_changed_by_its_taker() -> None:
    stream = BookFeatureStream(["spread_bps"])
    row = stream.update_book(_snapshot(0))
    row[0] = -1.0
    stream.features()[0] = -2.0
    assert stream.features().tolist() == [200.0]


def test_a_snapshot_that_is_older_is_refused_and_changes_nothing() -> None:
    stream = BookFeatureStream(NAMES)
    stream.update_book(_snapshot(3))
    with pytest.raises(InvalidValue, match="must not be before"):
        stream.update_book(_snapshot(2.9))
    assert np.isfinite(stream.update_book(_snapshot(33))).all()


def test_a_trade_that_is_older_than_the_last_is_refused() -> None:
    stream = BookFeatureStream(NAMES)
    stream.update_book(_snapshot(0))
    stream.update_trade(_trade(2))
    stream.update_trade(_trade(2))
    with pytest.raises(InvalidValue, match="must not be before"):
        stream.update_trade(_trade(1.9))


def test_another_symbol_is_refused() -> None:
    stream = BookFeatureStream(NAMES)
    stream.update_book(_snapshot(0))
    with pytest.raises(InvalidValue, match="must be of TEST; got OTHER"):
        stream.update_book(_snapshot(1, symbol="OTHER"))
    with pytest.raises(InvalidValue, match="must be of TEST; got OTHER"):
        stream.update_trade(_trade(1, symbol="OTHER"))


def test_a_book_with_an_empty_side_is_refused_by_stream_and_batch() -> None:
    with pytest.raises(InvalidValue, match="best bid and a best ask"):
        BookFeatureStream(NAMES).update_book(_snapshot(0, bids=0))
    book, trades = rough_book(1, 20)
    price = book.bid_price.copy()
    price[7] = np.nan
    with pytest.raises(InvalidValue, match="an empty side in row 7"):
        compute_book_features(with_book(book, bid_price=price), trades)


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'vpin_50'"):
        BookFeatureStream(["vpin_5"])
    with pytest.raises(InvalidValue, match="at least one feature"):
        BookFeatureStream([])
    with pytest.raises(InvalidValue, match="tick_size must be finite and >= 0"):
        BookFeatureStream(tick_size=-1.0)
    book, _ = rough_book(1, 20)
    with pytest.raises(InvalidValue, match="trades must be of TEST; got OTHER"):
        compute_book_features(book, no_trades("OTHER"))
    with pytest.raises(InvalidValue, match="tick_size must be finite and >= 0"):
        compute_book_features(book, no_trades(), tick_size=float("nan"))


def test_a_series_without_books_has_no_rows() -> None:
    book, trades = rough_book(1, 20)
    assert compute_book_features(book.slice(0, 0), trades).shape == (0, 50)


def test_a_given_tick_is_the_same_in_stream_and_batch() -> None:
    book, trades = rough_book(2, 60)
    batch = compute_book_features(book, trades, ["spread_ticks"], tick_size=0.005)
    np.testing.assert_array_equal(streamed(book, trades, ("spread_ticks",), 0.005), batch)


def test_deeper_levels_than_twenty_are_left_out() -> None:
    book, trades = rough_book(2, 60, levels=25)
    sides = {name: getattr(book, name)[:, :20] for name in ("bid_price", "bid_size", "ask_price", "ask_size")}
    whole, cut = compute_book_features(book, trades), compute_book_features(with_book(book, **sides), trades)
    np.testing.assert_array_equal(whole, cut)


def test_a_series_longer_than_a_piece_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    book, trades = rough_book(9, 700)
    whole = compute_book_features(book, trades)
    for rows in (5, 64, 699):
        monkeypatch.setattr("consilium.market.features.book.compute.ROWS_AT_ONCE", rows)
        np.testing.assert_array_equal(compute_book_features(book, trades), whole)
