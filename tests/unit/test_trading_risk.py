from dataclasses import replace
from typing import Any

import pytest

from consilium.domain import DAY_NS, HOUR_NS, Fill, Order, OrderKind, Policy, Side
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import Entry, RiskGate, open_risk
from consilium.trading.tape import Tape
from trading_bars import QUIET, series

NOBODY = (0.0, 0.0)
CAPABILITIES = {"entry", "strategy_exit", "protective_stop", "operator_reduces"}


def tape_of(volume: float) -> Tape:
    tape = Tape.of_series(series([QUIET] * 20, volume=volume))
    tape.i = 19
    return tape


def holding(book: Portfolio, symbol: str, quantity: float, *, stop: float) -> None:
    book.apply(symbol, +1, Fill(order_id="1", price=100.0, quantity=quantity, fee=0.0, ts_event=0))
    book.holdings[symbol].stop = stop
    book.settle(HOUR_NS)


def order(**more: object) -> Order:
    return Order(order_id="1", symbol="X", side=Side.SELL, quantity=1.0, ts_event=0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "volume", "distance", "expected"),
    [
        (Policy(), 1e9, 4.0, 0.02 * 10_000 / 4.0),
        (Policy(max_leverage=0.2), 1e9, 4.0, 0.2 * 10_000 / 100.0),
        (Policy(max_position_usd=1_500.0), 1e9, 4.0, 15.0),
        (Policy(), 700.0, 4.0, 7.0),
        (Policy(), 1e9, 0.1, 0.9 * 10_000 / 100.0),
    ],
    ids=["risk", "leverage", "position", "volume", "exposure"],
)
@pytest.mark.promise(
    "001", "max_risk_per_trade_pct, max_leverage, max_position_size_usd and max_exposure_pct bound a position"
)
def test_the_size_is_the_least_that_a_limit_allows(
    policy: Policy, volume: float, distance: float, expected: float
) -> None:
    gate = RiskGate(policy)
    size = gate.size(Portfolio(10_000.0), tape_of(volume), 100.0, distance, NOBODY)
    assert size == pytest.approx(expected)
    assert not gate.refusals


def test_what_is_locked_or_in_reserve_is_not_risked() -> None:
    book = Portfolio(10_000.0)
    book.put_aside(locked=3_000.0, reserve=2_000.0)
    assert RiskGate(Policy()).size(book, tape_of(1e9), 100.0, 4.0, NOBODY) == pytest.approx(25.0)


def test_the_stop_multiplier_never_changes_the_size() -> None:
    sizes = {
        RiskGate(Policy(stop_multiplier=m)).size(Portfolio(1e4), tape_of(1e9), 100.0, 4.0, NOBODY)
        for m in (1.0, 0.75, 0.5)
    }
    assert len(sizes) == 1


@pytest.mark.promise("001", "max_daily_risk_pct 0.05")
def test_open_risk_in_all_stays_inside_the_day() -> None:
    book = Portfolio(10_000.0)
    holding(book, "A", 20.0, stop=80.0)
    assert open_risk(book) == pytest.approx(400.0)
    gate = RiskGate(Policy())
    assert gate.size(book, tape_of(1e9), 100.0, 4.0, NOBODY) == pytest.approx(100.0 / 4.0)
    assert gate.size(book, tape_of(1e9), 100.0, 4.0, (0.0, 60.0)) == pytest.approx(40.0 / 4.0)
    assert gate.size(book, tape_of(1e9), 100.0, 4.0, (0.0, 90.0)) == 0.0
    assert dict(gate.refusals) == {"max_daily_risk": 1}


def test_room_inside_the_band_is_no_entry() -> None:
    book = Portfolio(10_000.0)
    holding(book, "A", 87.0, stop=99.9)
    gate = RiskGate(Policy(max_positions=9))
    assert gate.size(book, tape_of(1e9), 100.0, 4.0, NOBODY) == 0.0
    assert dict(gate.refusals) == {"max_exposure": 1}
    assert RiskGate(Policy(), band=0.05).size(book, tape_of(1e9), 100.0, 4.0, NOBODY) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("policy", "entry", "reason"),
    [
        (Policy(max_position_usd=900.0), (10.0, 100.0, 4.0), "max_position_usd"),
        (Policy(), (51.0, 100.0, 4.0), "max_risk_per_trade"),
        (Policy(max_leverage=0.5), (51.0, 100.0, 1.0), "max_leverage"),
        (Policy(), (91.0, 100.0, 1.0), "max_exposure"),
        (Policy(max_daily_risk=0.01), (40.0, 100.0, 4.0), "max_daily_risk"),
        (Policy(entry=False), (1.0, 100.0, 4.0), "entry_not_allowed"),
    ],
)
@pytest.mark.promise("001", "global risk limits: beyond one of them no entry")
def test_an_entry_beyond_a_limit_is_refused_and_counted(
    policy: Policy, entry: tuple[float, float, float], reason: str
) -> None:
    gate = RiskGate(policy)
    quantity, price, distance = entry
    asked = Entry(quantity=quantity, price=price, distance=distance, stop_distance=distance)
    assert not gate.check(order(), Portfolio(10_000.0), asked, NOBODY)
    assert dict(gate.refusals) == {reason: 1}


def test_an_entry_exactly_at_a_limit_passes() -> None:
    asked = Entry(quantity=50.0, price=100.0, distance=4.0, stop_distance=4.0)
    assert RiskGate(Policy()).check(order(), Portfolio(10_000.0), asked, NOBODY)


def test_an_order_that_adds_without_a_stop_is_refused() -> None:
    gate = RiskGate(Policy())
    assert not gate.check(order(), Portfolio(1.0), None, NOBODY)
    assert dict(gate.refusals) == {"entry_without_stop": 1}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("strategy_exit", {}),
        ("protective_stop", {"kind": OrderKind.STOP, "stop_price": 9.0}),
        ("operator_reduces", {"cause_id": "operator:42"}),
    ],
)
def test_a_capability_that_is_taken_away_holds_its_own_orders_only(
    name: str, more: dict[str, object]
) -> None:
    asked = order(reduce_only=True, **more)
    assert RiskGate(Policy()).check(asked, Portfolio(1.0), None, NOBODY)
    taken: dict[str, Any] = {name: False}
    closed = RiskGate(Policy(**taken))
    assert not closed.check(asked, Portfolio(1.0), None, NOBODY)
    others: dict[str, Any] = dict.fromkeys(CAPABILITIES - {name}, False)
    assert RiskGate(Policy(**others)).check(asked, Portfolio(1.0), None, NOBODY)


@pytest.mark.parametrize("cause", ["operators:42", "operator-42", "stop:operator:60", ""])
def test_only_the_cause_operator_is_an_operators(cause: str) -> None:
    asked = order(reduce_only=True, cause_id=cause)
    assert RiskGate(Policy(operator_reduces=False)).check(asked, Portfolio(1.0), None, NOBODY)
    assert not RiskGate(Policy(strategy_exit=False)).check(asked, Portfolio(1.0), None, NOBODY)


@pytest.mark.promise("001", "max_positions 5")
def test_positions_and_entries_on_their_way_count_together() -> None:
    book = Portfolio(10_000.0)
    for symbol in "ABC":
        holding(book, symbol, 1.0, stop=99.0)
    gate = RiskGate(Policy())
    assert gate.admits(book, waiting=1)
    assert not gate.admits(book, waiting=2)


def loss(book: Portfolio, gate: RiskGate, price: float, ts: int) -> None:
    book.mark("A", price)
    book.settle(ts)
    gate.observe(book, ts)


@pytest.mark.promise("001", "max_drawdown_pct 0.08: no entries beyond it")
def test_beyond_the_drawdown_limit_no_entry_until_the_next_utc_day_and_then_the_peak_is_rebased() -> None:
    book, gate = Portfolio(10_000.0), RiskGate(Policy())
    holding(book, "A", 100.0, stop=1.0)
    loss(book, gate, 92.0, 2 * HOUR_NS)
    assert not gate.halted, "at exactly the limit nothing moves"
    loss(book, gate, 91.9, 3 * HOUR_NS)
    assert not gate.admits(book, waiting=0)
    loss(book, gate, 100.0, 23 * HOUR_NS)
    assert not gate.admits(book, waiting=0), "a recovery does not lift it"
    loss(book, gate, 85.0, DAY_NS)
    assert not gate.admits(book, waiting=0), "a close at 00:00 belongs to the day that it ends"
    loss(book, gate, 85.0, DAY_NS + HOUR_NS)
    assert book.drawdown == 0.0
    assert gate.admits(book, waiting=0)
    assert gate.halts == [3 * HOUR_NS]
    loss(book, gate, 78.0, DAY_NS + 2 * HOUR_NS)
    assert gate.halts == [3 * HOUR_NS, DAY_NS + 2 * HOUR_NS]


def test_a_halt_at_midnight_ends_with_the_day_that_ended_then() -> None:
    book, gate = Portfolio(10_000.0), RiskGate(Policy())
    holding(book, "A", 100.0, stop=1.0)
    loss(book, gate, 90.0, DAY_NS)
    assert gate.halts == [DAY_NS]
    loss(book, gate, 90.0, DAY_NS + HOUR_NS)
    assert gate.admits(book, waiting=0)


def test_what_is_stranded_counts_neither_as_a_position_nor_as_open_risk() -> None:
    book, gate = Portfolio(10_000.0), RiskGate(Policy(max_positions=1))
    holding(book, "A", 20.0, stop=80.0)
    assert not gate.admits(book, waiting=0)
    book.holdings["A"].stranded = True
    assert gate.admits(book, waiting=0)
    assert open_risk(book) == 0.0
    assert book.equity == pytest.approx(10_000.0)


def test_limits_off_lifts_every_limit_and_leaves_capabilities_and_volume() -> None:
    tight = Policy(
        max_positions=0, max_daily_risk=0.0, max_exposure=0.0, max_leverage=0.0, max_position_usd=0.0
    )
    book, gate = Portfolio(10_000.0), RiskGate(tight, limits=False)
    holding(book, "A", 100.0, stop=1.0)
    loss(book, gate, 50.0, 2 * HOUR_NS)
    assert not gate.halts
    assert gate.admits(book, waiting=9)
    assert gate.size(book, tape_of(300.0), 100.0, 4.0, NOBODY) == pytest.approx(3.0)
    gate.policy = replace(tight, entry=False)
    assert not gate.admits(book, waiting=0)
