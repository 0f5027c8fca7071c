"""The last bar counts, the exact limit is inside, and a unit book knows no limits."""

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction, Fill, Policy
from consilium.trading.books import run_unit_book
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.tape import Tape
from trading_bars import QUIET, WARM, series, signals, warmed


def test_the_median_volume_is_that_of_the_last_96_bars_the_newest_in() -> None:
    volumes = np.concatenate([np.full(10, 1e9), np.arange(96.0)])
    bars = series([(*QUIET, volume) for volume in volumes])
    tape = Tape.of_series(bars)
    tape.i = len(bars) - 1
    assert tape.median_volume() == 47.5
    tape.i -= 1
    assert tape.median_volume() == pytest.approx(np.median(volumes[9:105]))


@pytest.mark.parametrize(("price", "halted"), [(75.0, False), (74.99, True)])
def test_a_drawdown_of_exactly_the_limit_halts_nothing(price: float, halted: bool) -> None:
    book, gate = Portfolio(10_000.0), RiskGate(Policy(max_drawdown=0.25))
    book.apply("A", +1, Fill(order_id="1", price=100.0, quantity=100.0, fee=0.0, ts_event=0))
    book.settle(HOUR_NS)
    book.mark("A", price)
    book.settle(2 * HOUR_NS)
    gate.observe(book, 2 * HOUR_NS)
    assert book.drawdown == pytest.approx(1.0 - price / 100.0, abs=1e-12)
    assert gate.halted is halted


def test_a_unit_book_holds_more_positions_than_the_limits_of_an_account_allow() -> None:
    panel = {name: warmed([QUIET] * 5, symbol=name) for name in "ABCDEFG"}
    ups = [signals(bars, {WARM - 1: Direction.UP}) for bars in panel.values()]
    book = run_unit_book(panel, ups, horizon=2)
    assert len(panel) > Policy().max_positions
    assert book.trades == len(panel)
