"""Windows of books for networks: shape, order, and what they may not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import DataProblem, InvalidValue
from consilium.market.book.series import BookSeries
from consilium.market.book.tensor import (
    CHANNELS,
    to_normalized_tensor,
    to_normalized_tensors,
    window_fits,
    window_rows,
)
from consilium.market.simulator import simulate_book

BOOK = simulate_book(snapshots=400, seed=9, strength=0.5).book


def _changed(book: BookSeries, **columns: object) -> BookSeries:
    names = ("ts_event", "bid_price", "bid_size", "ask_price", "ask_size", "session")
    fields = {name: getattr(book, name) for name in names} | columns
    return BookSeries(symbol=book.symbol, **fields)


@pytest.mark.promise(
    "004", "to_normalized_tensor of shape (100, 20, 4): bid_price, bid_volume, ask_price, ask_volume"
)
def test_a_window_has_a_hundred_books_of_twenty_levels_and_four_channels() -> None:
    tensor = to_normalized_tensor(BOOK, 250)
    assert tensor.shape == (100, 20, 4)
    assert CHANNELS == ("bid_price", "bid_volume", "ask_price", "ask_volume")
    assert (tensor[-1, :, 0] < 0).all()
    assert (tensor[-1, :, 2] > 0).all()
    assert (np.diff(tensor[:, :, 0], axis=1) < 0).all()
    assert (np.diff(tensor[:, :, 2], axis=1) > 0).all()


def test_prices_and_sizes_are_normalised_by_the_window_as_written() -> None:
    rows = slice(151, 251)
    mid = BOOK.mid[250]
    prices = np.stack([BOOK.bid_price[rows], BOOK.ask_price[rows]]) / mid - 1.0
    sizes = np.log1p(np.stack([BOOK.bid_size[rows], BOOK.ask_size[rows]]))
    tensor = to_normalized_tensor(BOOK, 250)
    np.testing.assert_allclose(tensor[..., 0], prices[0] / prices.std(), rtol=1e-9)
    np.testing.assert_allclose(tensor[..., 2], prices[1] / prices.std(), rtol=1e-9)
    np.testing.assert_allclose(tensor[..., 1], (sizes[0] - sizes.mean()) / sizes.std(), rtol=1e-9)
    np.testing.assert_allclose(tensor[..., 3], (sizes[1] - sizes.mean()) / sizes.std(), rtol=1e-9)


@given(st.integers(99, 398), st.floats(0.1, 10.0))
def test_a_window_is_blind_to_the_future(i: int, factor: float) -> None:
    later = np.where(np.arange(len(BOOK)) > i, factor, 1.0)[:, None]
    sides = ("bid_price", "bid_size", "ask_price", "ask_size")
    other = _changed(BOOK, **{name: getattr(BOOK, name) * later for name in sides})
    np.testing.assert_array_equal(to_normalized_tensor(BOOK, i), to_normalized_tensor(other, i))
    np.testing.assert_array_equal(
        to_normalized_tensor(BOOK, i), to_normalized_tensor(BOOK.slice(0, i + 1), -1)
    )


@given(st.floats(1e-6, 1e6))
def test_a_window_is_free_of_the_scale_of_prices(scale: float) -> None:
    other = _changed(BOOK, bid_price=BOOK.bid_price * scale, ask_price=BOOK.ask_price * scale)
    np.testing.assert_allclose(
        to_normalized_tensor(BOOK, 300), to_normalized_tensor(other, 300), rtol=1e-6, atol=1e-6
    )


def test_a_window_in_which_nothing_changes_is_finite() -> None:
    still = np.zeros(len(BOOK), dtype=int)
    same = {name: getattr(BOOK, name)[still] for name in ("bid_price", "ask_price")}
    ones = np.ones_like(BOOK.bid_size)
    tensor = to_normalized_tensor(_changed(BOOK, **same, bid_size=ones, ask_size=ones), 200)
    assert np.isfinite(tensor).all()
    assert (tensor[..., 1::2] == 0.0).all()


def test_a_missing_level_is_finite_and_counts_in_no_deviation() -> None:
    price, size = BOOK.ask_price.copy(), BOOK.ask_size.copy()
    price[:, 15:], size[:, 15:] = np.nan, 0.0
    tensor = to_normalized_tensor(_changed(BOOK, ask_price=price, ask_size=size), 200)
    assert np.isfinite(tensor).all()
    assert (tensor[:, 15:, 2] == 0.0).all()
    there = np.concatenate([tensor[:, :, 1].ravel(), tensor[:, :15, 3].ravel()])
    assert there.mean() == pytest.approx(0.0, abs=1e-9)
    assert there.std() == pytest.approx(1.0)


def test_a_window_never_crosses_a_session() -> None:
    session = np.repeat([0, 2, 3], [150, 100, 150]).astype(np.int32)
    book = _changed(BOOK, session=session)
    assert window_rows(book).tolist() == [*range(99, 150), 249, *range(349, 400)]
    with pytest.raises(DataProblem, match="session"):
        to_normalized_tensor(book, 200)
    with pytest.raises(DataProblem, match="session"):
        to_normalized_tensors(book, np.array([120, 200]))
    assert to_normalized_tensor(book, 249).shape == (100, 20, 4)


def test_a_window_does_not_end_at_a_book_without_a_side() -> None:
    price = BOOK.bid_price.copy()
    price[200] = np.nan
    book = _changed(BOOK, bid_price=price)
    assert not window_fits(book)[200]
    assert window_fits(book)[201]
    assert np.isfinite(to_normalized_tensor(book, 201)).all()


def test_many_windows_are_the_single_ones() -> None:
    rows = np.array([300, 99, 250])
    many = to_normalized_tensors(BOOK, rows)
    for tensor, row in zip(many, rows, strict=True):
        np.testing.assert_array_equal(tensor, to_normalized_tensor(BOOK, int(row)))


def test_a_row_or_a_window_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="400 books"):
        to_normalized_tensor(BOOK, 400)
    with pytest.raises(InvalidValue, match="window"):
        to_normalized_tensor(BOOK, 300, window=0)
    with pytest.raises(DataProblem):
        to_normalized_tensor(BOOK, 98)
