"""What a policy does to orders and positions: cancel, keep, protect, reduce, flatten, shadow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import Fill, Order, OrderKind, OrderShadowed, Policy
from consilium.trading.portfolio import Portfolio
from consilium.trading.reductions import reductions
from consilium.trading.risk import open_risk
from policy_cases import DOWN, LIVE, SHADOW, SYMBOLS, UP, Floor, cancelled, sent
from trading_bars import QUIET

PAUSED = replace(LIVE, mode="PAUSED", entry=False)
REDUCING = replace(LIVE, mode="REDUCING", reduce=True, entry=False)
EMERGENCY = replace(LIVE, mode="EMERGENCY", flatten=True, strategy_exit=False, entry=False)
FROZEN = replace(LIVE, mode="FROZEN", strategy_exit=False, entry=False)


@pytest.mark.parametrize("policy", [PAUSED, SHADOW, REDUCING, FROZEN], ids=lambda p: p.mode)
def test_an_entry_on_its_way_is_cancelled_and_stops_stay(policy: Policy) -> None:
    floor = Floor().hold("AAA")
    floor.close({"BBB": UP})
    assert [order.symbol for order in floor.open if not order.reduce_only] == ["BBB"]
    before = [order for order in floor.open if order.reduce_only]
    heard = floor.put(policy)
    assert cancelled(heard) == [policy.mode.lower()]
    assert floor.open == before
    assert floor.stops == ["AAA"]
    floor.close()
    assert sorted(floor.held) == ["AAA"]


TIGHTER = [
    ({"max_positions": 1}, ["max_positions"] * 2, ["AAA"]),
    ({"max_exposure": 0.25}, ["max_exposure"] * 2, ["AAA"]),
    ({"max_leverage": 0.45}, ["max_leverage"], ["AAA", "BBB"]),
    ({"max_daily_risk": 0.009}, ["max_daily_risk"] * 2, ["AAA"]),
    ({"max_position_usd": 1_999.0}, ["max_position_usd"] * 3, []),
    ({"max_risk_per_trade": 0.005}, ["max_risk_per_trade"] * 3, []),
    ({"max_positions": 3, "max_exposure": 0.7}, [], ["AAA", "BBB", "CCC"]),
]


@pytest.mark.promise("001", "a tightening takes back entries on their way that no longer fit")
@pytest.mark.parametrize(("limits", "reasons", "kept"), TIGHTER, ids=lambda x: "-".join(x) or "none")
def test_entries_on_their_way_are_asked_about_again_when_a_limit_tightens(
    limits: dict[str, float], reasons: list[str], kept: list[str]
) -> None:
    floor = Floor()
    floor.close(dict.fromkeys(SYMBOLS, UP))
    assert [order.symbol for order in floor.open] == list(SYMBOLS)
    assert cancelled(floor.put(replace(LIVE, **limits))) == reasons  # type: ignore[arg-type]
    assert [order.symbol for order in floor.open] == kept
    floor.close()
    assert sorted(floor.held) == kept


def test_what_is_held_counts_before_what_waits() -> None:
    floor = Floor().hold("CCC")
    floor.close({"AAA": UP})
    assert cancelled(floor.put(replace(LIVE, max_positions=1))) == ["max_positions"]
    assert sorted(floor.held) == ["CCC"]


def test_an_entry_waits_on_where_nothing_is_tighter() -> None:
    floor = Floor()
    floor.close(dict.fromkeys(SYMBOLS, UP))
    before = floor.open
    assert floor.put(replace(LIVE, max_positions=8, stop_multiplier=0.5)) == []
    assert floor.open == before


@pytest.mark.promise("001", "a freeze cancels risk-increasing orders only and places missing stops")
def test_a_freeze_places_the_stop_that_is_missing() -> None:
    floor = Floor(replace(LIVE, protective_stop=False)).hold("AAA")
    assert floor.stops == []
    heard = floor.put(FROZEN)
    assert sent(heard) == [("protect", "AAA")]
    assert floor.stops == ["AAA"]
    (stop,) = floor.open
    assert stop.reduce_only
    assert stop.stop_price == pytest.approx(96.0)


def test_where_no_stop_can_be_placed_a_freeze_sells_reduce_only() -> None:
    floor = Floor(replace(LIVE, protective_stop=False)).hold("AAA")
    desk = floor.service._desks["AAA"]
    assert desk.holding is not None
    # nothing says how far away a stop would have to be
    desk.holding.stop, desk.stance.distance = None, 0.0
    desk.tape.atr[desk.tape.i] = 0.0
    heard = floor.put(FROZEN)
    assert sent(heard) == [("unprotected", "AAA")]
    floor.close()
    assert floor.held == {}


def test_a_frozen_strategy_does_not_exit_and_a_stop_still_works() -> None:
    floor = Floor(horizon=3).hold("AAA")
    floor.put(FROZEN)
    for _ in range(5):
        assert sent(floor.close({"AAA": DOWN})) == []
    assert floor.service.gate.refusals["strategy_exit_not_allowed"] >= 3
    heard = floor.close(rows={"AAA": (95.0, 95.5, 94.0, 95.0)})
    assert [m.price for m in heard if isinstance(m, Fill)] == [95.0]
    assert floor.held == {}


@pytest.mark.parametrize("policy", [PAUSED, FROZEN, EMERGENCY], ids=lambda p: p.mode)
def test_no_mode_but_shadow_writes_down_what_it_would_send(policy: Policy) -> None:
    floor = Floor(policy)
    heard = floor.close({"AAA": UP})
    assert sent(heard) == []
    assert [m for m in heard if isinstance(m, OrderShadowed)] == []
    assert floor.service.gate.refusals["entry_not_allowed"] == 1


@pytest.mark.promise("001", "SHADOW records the orders that it would have sent, and sends none")
def test_shadow_writes_down_the_very_order_that_live_would_send() -> None:
    live, shadow = Floor(LIVE), Floor(SHADOW)
    (order,) = [m for m in live.close({"AAA": UP}) if isinstance(m, Order)]
    heard = shadow.close({"AAA": UP})
    (shadowed,) = [m for m in heard if isinstance(m, OrderShadowed)]
    assert shadowed.order == replace(order, order_id="s1")
    assert shadowed.mode == "SHADOW"
    assert sent(heard) == []
    assert shadow.open == []
    assert shadow.service.gate.policy == SHADOW
    shadow.close({"BBB": UP})
    assert shadow.held == {}
    assert shadow.service.state()["_shadowed"] == 2


def test_shadow_writes_nothing_that_a_limit_would_have_refused() -> None:
    floor = Floor(replace(SHADOW, max_positions=0))
    assert [m for m in floor.close({"AAA": UP}) if isinstance(m, OrderShadowed)] == []
    floor = Floor(replace(SHADOW, symbols=("BBB",)))
    heard = floor.close({"AAA": UP, "BBB": UP})
    assert [m.order.symbol for m in heard if isinstance(m, OrderShadowed)] == ["BBB"]


def test_positions_still_leave_in_shadow_and_paused() -> None:
    for policy in (SHADOW, PAUSED):
        floor = Floor().hold("AAA")
        floor.put(policy)
        assert sent(floor.close({"AAA": DOWN})) == [("opposite", "AAA")]
        floor.close()
        assert floor.held == {}


@pytest.mark.promise("001", "EMERGENCY closes all positions, reduce-only")
def test_an_emergency_flattens_at_once_and_until_nothing_is_held() -> None:
    floor = Floor().hold("AAA", "BBB")
    heard = floor.put(EMERGENCY)
    assert sent(heard) == [("flatten", "AAA"), ("flatten", "BBB")]
    assert all(order.reduce_only for order in floor.open)
    floor.close(rows={"AAA": (*QUIET, 300.0)})  # too little volume for all of AAA
    assert list(floor.held) == ["AAA"]
    assert sent(floor.close())[-1:] in ([], [("flatten", "AAA")])
    for _ in range(3):
        floor.close()
    assert floor.held == {}
    assert floor.open == []


def test_an_emergency_that_is_over_does_not_leave_a_half_sold_position_behind() -> None:
    floor = Floor().hold("AAA")
    floor.put(EMERGENCY)
    floor.close(rows={"AAA": (*QUIET, 300.0)})
    assert floor.held["AAA"] > 0.0
    floor.put(LIVE)
    for _ in range(3):
        floor.close()
    assert floor.held == {}


@pytest.mark.promise("001", "REDUCING reduces what is beyond the limits, the largest first")
def test_reducing_closes_the_largest_until_the_number_fits_and_cuts_the_rest() -> None:
    floor = Floor()
    floor.hold("AAA")
    floor.put(replace(LIVE, max_position_usd=1_500.0))
    floor.close({"BBB": UP})
    floor.close()
    floor.put(replace(LIVE, max_position_usd=1_000.0))
    floor.close({"CCC": UP})
    floor.close()
    assert [round(floor.held[s] * 100.0) for s in SYMBOLS] == [2_000, 1_500, 1_000]
    heard = floor.put(replace(REDUCING, max_positions=2, max_position_usd=1_200.0))
    assert sent(heard) == [("reduce", "AAA"), ("reduce", "BBB")]
    floor.close()
    assert {s: round(q * 100.0) for s, q in floor.held.items()} == {"BBB": 1_200, "CCC": 1_000}
    assert floor.stops == ["BBB", "CCC"]
    assert sent(floor.close()) == []


def test_reducing_acts_again_at_each_close_as_prices_move() -> None:
    floor = Floor().hold("AAA")
    floor.put(REDUCING)
    assert sent(floor.close()) == []
    assert sent(floor.close(rows={"AAA": (100.0, 120.0, 100.0, 120.0)})) == [("reduce", "AAA")]
    floor.close(rows={"AAA": (120.0, 120.0, 120.0, 120.0)})
    assert floor.held["AAA"] * 120.0 == pytest.approx(2_000.0)


@pytest.mark.promise("001", "limits below existing exposure block entries and force nothing")
@pytest.mark.parametrize(
    "limits",
    [{"max_positions": 0}, {"max_exposure": 0.01}, {"max_leverage": 0.01}, {"max_position_usd": 10.0}],
    ids=lambda limits: next(iter(limits)),
)
def test_limits_below_what_is_held_block_entries_and_force_nothing(limits: dict[str, float]) -> None:
    floor = Floor().hold("AAA")
    before = floor.held
    assert sent(floor.put(replace(LIVE, **limits))) == []  # type: ignore[arg-type]
    heard = floor.close({"BBB": UP})
    entered = [order for order in heard if isinstance(order, Order) and not order.reduce_only]
    assert sum(order.quantity * 100.0 for order in entered) <= limits.get("max_position_usd", 0.0) + 1e-9
    floor.close()
    assert floor.held["AAA"] == before["AAA"]


@pytest.mark.promise("001", "no entries outside the universe")
def test_a_symbol_outside_the_universe_is_not_entered_and_may_leave() -> None:
    floor = Floor().hold("AAA")
    floor.close({"BBB": UP})
    assert cancelled(floor.put(replace(LIVE, symbols=("CCC",)))) == ["not_in_universe"]
    assert sent(floor.close({"BBB": UP, "CCC": UP})) == [("consensus", "CCC")]
    assert floor.service.gate.refusals["not_in_universe"] == 2
    assert sent(floor.close({"AAA": DOWN})) == [("protect", "CCC"), ("opposite", "AAA")]
    floor.close()
    assert sorted(floor.held) == ["CCC"]


def test_lots_that_would_be_left_too_small_are_sold_too() -> None:
    floor = Floor(lot=15.0).hold("AAA")
    assert floor.held == {"AAA": 15.0}
    floor.put(replace(REDUCING, max_position_usd=1_499.0))
    # no whole lot is too much
    assert [order.kind for order in floor.open] == [OrderKind.STOP]
    floor.put(replace(REDUCING, max_position_usd=0.0))
    floor.close()
    assert floor.held == {}


@given(
    sizes=st.lists(st.tuples(st.floats(1.0, 50.0), st.floats(0.0, 5.0)), min_size=1, max_size=6),
    positions=st.integers(0, 6),
    leverage=st.floats(0.05, 10.0),
    exposure=st.floats(0.05, 1.0),
    largest=st.floats(100.0, 10_000.0),
)
def test_after_its_reductions_a_book_is_inside_every_limit(
    sizes: list[tuple[float, float]], positions: int, leverage: float, exposure: float, largest: float
) -> None:
    book = Portfolio(30_000.0)
    policy = Policy(
        max_positions=positions, max_leverage=leverage, max_exposure=exposure, max_position_usd=largest
    )
    for number, (quantity, distance) in enumerate(sizes):
        symbol = f"S{number}"
        book.apply(symbol, +1, Fill(order_id=symbol, price=100.0, quantity=quantity, fee=0.0, ts_event=0))
        book.holdings[symbol].stop = 100.0 - distance
    for symbol, quantity in reductions(book, policy).items():
        held = book.holdings[symbol].quantity
        book.apply(
            symbol, -1, Fill(order_id=symbol, price=100.0, quantity=min(quantity, held), fee=0.0, ts_event=1)
        )
    hair = 1.0 + 1e-6
    assert len(book.holdings) <= positions
    assert book.gross <= leverage * book.equity * hair
    assert book.margin <= exposure * book.equity * hair
    assert all(h.quantity * h.mark <= largest * hair for h in book.holdings.values())
    assert open_risk(book) <= policy.max_daily_risk * book.equity * hair
    assert reductions(book, replace(policy, max_leverage=leverage * hair)) == {} or book.gross <= 1e-3


def test_a_service_restored_in_the_middle_goes_on_as_if_nothing_had_happened() -> None:
    floor, other = Floor(SHADOW), Floor(SHADOW)
    floor.close({"AAA": UP})
    other.service.restore(floor.service.state())
    other.hour = floor.hour
    assert other.service.gate.policy == SHADOW
    assert floor.close({"BBB": UP}) == other.close({"BBB": UP})
    assert floor.service.state() == other.service.state()
