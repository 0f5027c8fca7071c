"""A recorder keeps books in memory and on the disk."""

from pathlib import Path

import numpy as np
import pytest

from book_exchange import known_exchange
from consilium.market.book.archive import read_books
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.tensor import to_normalized_tensor
from consilium.market.collector.recording import Recorder


def kept(recorder: Recorder, count: int, *, seed: int = 1) -> BookKeeper:
    """Feed the books of a known exchange."""
    exchange = known_exchange(seed, diffs=count)
    keeper = BookKeeper("BTCUSDT", levels=20)
    keeper.take_snapshot(exchange.snapshot(min(exchange.books), 1_000))
    for diff in exchange.diffs:
        if keeper.take_diff(diff):
            recorder.take_book(keeper)
    return keeper


@pytest.mark.promise("004", "get_latest_sequence() gives to_normalized_tensor() of shape (100, 20, 4)")
def test_the_newest_hundred_books_make_a_tensor(tmp_path: Path) -> None:
    with Recorder(tmp_path, venue="v", now=lambda: 0, min_free_bytes=0) as recorder:
        kept(recorder, 150)
        books = recorder.get_latest_sequence("BTCUSDT")
        assert to_normalized_tensor(books, -1).shape == (100, 20, 4)
    read = read_books(tmp_path)
    assert len(read) == 150
    np.testing.assert_array_equal(read.slice(50, 150).bid_price, books.bid_price)
