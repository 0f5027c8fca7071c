"""Rows of books: one a snapshot, free of scale, blind to what comes later, the same one by one."""

from dataclasses import replace

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.market.book.rows import BookRows, RowStream, levels_in, row_names, rows_hash
from consilium.market.book.series import BookSeries
from consilium.market.simulator import simulate_book


@pytest.fixture(scope="module")
def book() -> BookSeries:
    return simulate_book(snapshots=400, seed=5, strength=0.5).book


def test_prices_are_basis_points_from_the_mid_before_and_volumes_logarithms(book: BookSeries) -> None:
    rows = BookRows.of(book).values.reshape(len(book), 20, 4)
    before = book.mid[122]
    assert rows[123, 0, 0] == np.float32(1e4 * (book.bid_price[123, 0] - before) / before)
    assert rows[123, 4, 2] == np.float32(1e4 * (book.ask_price[123, 4] - before) / before)
    sizes = np.concatenate([book.bid_size[123], book.ask_size[123]])
    assert rows[123, 2, 3] == np.float32(np.log1p(book.ask_size[123, 2] / sizes[sizes > 0].mean()))


def test_a_row_knows_neither_the_unit_of_prices_nor_that_of_sizes(book: BookSeries) -> None:
    other = replace(
        book,
        bid_price=8.0 * book.bid_price,
        ask_price=8.0 * book.ask_price,
        bid_size=64.0 * book.bid_size,
        ask_size=64.0 * book.ask_size,
    )
    np.testing.assert_array_equal(BookRows.of(book).values, BookRows.of(other).values)


def test_what_follows_changes_no_row(book: BookSeries) -> None:
    np.testing.assert_array_equal(BookRows.of(book.slice(0, 250)).values, BookRows.of(book).values[:250])


def test_a_session_begins_anew_and_a_run_never_crosses_it(book: BookSeries) -> None:
    cut = replace(book, session=np.repeat([0, 3], [150, 250]).astype(np.int32))
    rows = BookRows.of(cut)
    assert rows.run[[0, 149, 150, 399]].tolist() == [1, 150, 1, 250]
    mid = book.mid[150]
    assert rows.values[150, 0] == np.float32(1e4 * (book.bid_price[150, 0] - mid) / mid)


def test_a_book_without_a_side_breaks_the_run(book: BookSeries) -> None:
    asks, sizes = book.ask_price.copy(), book.ask_size.copy()
    asks[200], sizes[200] = np.nan, 0.0
    rows = BookRows.of(replace(book, ask_price=asks, ask_size=sizes))
    assert rows.run[[199, 200, 201]].tolist() == [200, 0, 1]
    assert np.isfinite(rows.values).all()


def test_a_missing_level_has_the_last_price_and_no_size() -> None:
    thin = simulate_book(snapshots=60, seed=2, levels=4).book
    rows = BookRows.of(thin).values.reshape(60, 20, 4)
    assert (rows[:, 4:, 1::2] == 0.0).all()
    assert (rows[:, 4:, ::2] == rows[:, 3:4, ::2]).all()


def test_rows_that_come_one_by_one_are_those_of_the_whole(book: BookSeries) -> None:
    cut = replace(book, session=np.repeat([0, 1], [150, 250]).astype(np.int32))
    stream = RowStream()
    found = [stream.update(cut.snapshot(i), resynchronised=i == 150) for i in range(400)]
    np.testing.assert_array_equal(np.array(found), BookRows.of(cut).values)


def test_columns_are_known_by_their_names() -> None:
    assert len(row_names()) == 80
    assert levels_in((*row_names(5), "return_1")) == 5
    assert levels_in(("bid_price_1", "return_1")) == 0
    assert rows_hash(20) != rows_hash(10)
    with pytest.raises(InvalidValue, match="levels must be >= 1"):
        BookRows.of(simulate_book(snapshots=5, seed=1).book, levels=0)
