"""What we took of a level stays gone, whatever else happens to it."""

import numpy as np
import pytest

from book_worlds import BookRow, fills, hand_book, hand_trades, listed, order, play
from consilium.domain import Side
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.ladder import Ladder

AT_ONCE = BookExecution(latency_ns=0)


def _bought(sizes: list[float], wanted: list[float | None]) -> list[float]:
    """What market orders buy of one level that shows these sizes, every 100 ms."""
    rows: list[BookRow] = [(100 * k, [(9.0, 50.0)], [(10.0, size)]) for k, size in enumerate(sizes)]
    broker = listed(1e6, hand_book(rows), hand_trades(), AT_ONCE)
    orders = [order(f"o{k}", Side.BUY, size, 100 * k) for k, size in enumerate(wanted) if size]
    said = play(broker, orders, 100 * len(rows))
    return [sum(f.quantity for f in fills(said, one.order_id)) for one in orders]


def test_a_level_that_loses_a_little_to_others_is_not_sold_again() -> None:
    assert sum(_bought([10.0, 9.99, 9.98, 9.97], [10.0, 10.0, 10.0, 10.0])) == pytest.approx(10.0)


def test_only_what_is_added_comes_back() -> None:
    assert _bought([10.0, 6.0, 9.0], [8.0, 5.0, 5.0]) == pytest.approx([8.0, 2.0, 3.0])


def test_what_came_back_while_nobody_traded_counts_too() -> None:
    assert _bought([10.0, 2.0, 7.0, 6.0], [10.0, None, None, 9.0]) == pytest.approx([10.0, 5.0])
    assert _bought([10.0, 9.0, 10.0, 10.0], [10.0, None, None, 9.0]) == pytest.approx([10.0, 1.0])


def _sides(rows: list[list[tuple[float, float]]]) -> tuple[np.ndarray, np.ndarray]:
    book = hand_book([(k, row, [(99.0, 1.0)]) for k, row in enumerate(rows)])
    return book.bid_price, book.bid_size


def test_a_level_that_is_seen_empty_is_a_new_one_when_it_returns() -> None:
    bids = Ladder(1)
    bids.show([(10.0, 5.0), (9.0, 5.0)])
    bids.take(10.0, 5.0)
    bids.pass_by(*_sides([[(11.0, 1.0), (9.0, 5.0)]]))
    bids.show([(10.0, 4.0), (9.0, 5.0)])
    assert list(bids.levels()) == [(10.0, 4.0), (9.0, 5.0)]


def test_a_level_out_of_sight_is_as_we_left_it() -> None:
    bids = Ladder(1)
    bids.show([(10.0, 5.0), (9.0, 5.0)])
    bids.take(9.0, 4.0)
    bids.pass_by(*_sides([[(11.0, 1.0), (10.0, 5.0)], []]))
    bids.show([(12.0, 1.0), (11.0, 1.0)])
    bids.show([(10.0, 4.0), (9.0, 6.0)])
    assert list(bids.levels()) == [(10.0, 4.0), (9.0, 2.0)]
