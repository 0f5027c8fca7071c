"""Steps of price and size, as they were known when a run began."""

import numpy as np
import pytest

from book_worlds import hand_book, hand_trades
from consilium.app.backtest.book_fills import terms_of
from consilium.app.settings import Settings
from consilium.domain import DataProblem, Side
from consilium.trading.book.terms import recorded_step

BOOK = hand_book(
    [
        (0, [(9.9, 1.2)], [(10.0, 2.4)]),
        (100, [(9.9, 1.3)], [(10.0, 2.4)]),
        (200, [(9.95, 1.251)], [(10.0, 2.0)]),
    ]
)
MS = 1_000_000


def _terms(start_ts: int | None, **book: float) -> tuple[float, float]:
    terms = terms_of(
        Settings.model_validate({"book": book}), BOOK, hand_trades([(150, 10.0, 0.05, Side.BUY)]), start_ts
    )
    return terms.tick_size, terms.lot_size


def test_steps_are_those_of_what_was_recorded_until_the_start() -> None:
    assert _terms(100 * MS) == (0.1, 0.1)
    assert _terms(150 * MS) == (0.1, 0.05)
    assert _terms(200 * MS) == (0.05, 0.001)


def test_before_a_first_book_there_is_that_book() -> None:
    assert _terms(None) == _terms(-5) == (0.1, 1.2)


def test_a_step_that_is_set_is_not_taken_from_the_record() -> None:
    assert _terms(100 * MS, lot_size=0.01) == (0.1, 0.01)
    assert _terms(100 * MS, tick_size=0.0) == (0.0, 0.1)


def test_sizes_that_have_no_count_are_refused_in_one_line() -> None:
    with pytest.raises(
        DataProblem, match=r"^sizes from which a step is taken must be < 9.2e\+10; got 5e\+11: set"
    ) as of:
        recorded_step([np.array([5e11, 1.0])], "sizes")
    assert "\n" not in str(of.value)
