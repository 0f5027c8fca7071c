"""Each kind of decision in a running system: another order, another forecast, another split."""

from dataclasses import replace
from pathlib import Path

import pytest

from consilium.domain import HOUR_NS, Mode, OrderStatus
from council_cases import STEPS, Ward, ward

__all__ = ["ward"]


@pytest.fixture(scope="module")
def alone(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """Entries by the number of the close at which a system that nobody disturbs sends them."""
    with Ward(tmp_path_factory.mktemp("alone"), models) as ward:
        first = ward.go().system.pipeline.ts
        ward.go(STEPS - 1)
        found: dict[int, list[str]] = {}
        for order in ward.entries():
            found.setdefault((order.ts_event - first) // HOUR_NS + 1, []).append(order.symbol)
    assert len(found) > 5, "a history without entries would prove nothing"
    return found


def before(alone: dict[int, list[str]], at_least: int = 1) -> int:
    """Return how many closes there are before one at which the undisturbed system enters."""
    return next(number - 1 for number in sorted(alone) if number > at_least)


def test_each_close_is_told_and_ruled_in_one_transaction(ward: Ward) -> None:
    ward.go(3)
    rows = ward.system.journal.read(0, 10_000)
    steps = [n for n, row in enumerate(rows) if row.event.topic == "market.step_done"]
    ruled = [n for n, row in enumerate(rows) if row.event.topic == "ai.federation.decision_made"]
    assert ruled
    for n in ruled:
        closes = next(step for step in steps if step > n)
        assert rows[n].event.trace_id == rows[closes].event.trace_id
        assert rows[n].event.cause_id in {row.event.event_id for row in rows[:n]}


@pytest.mark.promise("001", "MODE_CHANGE changes orders: SHADOW records the orders it would have sent")
def test_a_degraded_system_is_in_shadow_and_records_what_it_would_send(
    ward: Ward, alone: dict[int, list[str]]
) -> None:
    ward.go(before(alone))
    sent = len(ward.entries())
    ward.tell("system.health_updated", {"system_status": "DEGRADED", "ess_state": "NOMINAL"})
    assert ward.system.council.policy.mode == Mode.SHADOW
    ward.go()
    assert len(ward.entries()) == sent
    shadowed = [said.order.symbol for said in ward.said("trading.order_shadowed")]
    assert shadowed == alone[before(alone) + 1]
    assert ward.rules()[-1] == "M3"


@pytest.mark.promise("001", "CAPITAL_PROFILE changes orders")
def test_a_tighter_profile_makes_smaller_orders(
    ward: Ward, models: Path, tmp_path: Path, alone: dict[int, list[str]]
) -> None:
    closes = before(alone)
    ward.go(closes)
    (decision,) = ward.ask("profile", profile="MICRO").decisions
    assert (decision.kind, decision.payload["profile"]) == ("CAPITAL_PROFILE", "MICRO")
    ward.go()
    with Ward(tmp_path / "twin", models) as twin:
        twin.go(closes + 1)
        larger = twin.entries()[0]
    smaller = ward.entries()[0]
    assert smaller.symbol == larger.symbol
    assert smaller.quantity < 0.5 * larger.quantity
    assert ward.system.trading_status()["profile"] == "MICRO"
    assert len(ward.go(20).held) <= 1


@pytest.mark.promise("001", "a tightening takes back entries on their way that no longer fit")
def test_a_tighter_profile_takes_back_what_was_just_sent(ward: Ward, alone: dict[int, list[str]]) -> None:
    ward.go(before(alone) + 1)
    wanted = {order.order_id for order in ward.entries()}
    mark = ward.head
    ward.ask("profile", profile="MICRO")
    ended = [said for said in ward.said("trading.order_changed", after=mark) if said.order_id in wanted]
    assert {(said.status, said.reason) for said in ended} == {(OrderStatus.CANCELLED, "max_risk_per_trade")}
    ward.go()
    assert not wanted & {fill.order_id for fill in ward.said("trading.filled")}


@pytest.mark.promise("001", "RISK_ADJUSTMENT changes orders")
def test_a_smaller_limit_makes_smaller_orders(ward: Ward, alone: dict[int, list[str]]) -> None:
    ward.go(before(alone))
    ward.ask("risk", max_position_size_usd=600.0, duration_minutes=1_440)
    ward.go(12)
    entries = ward.entries()
    assert entries
    closes = {s: f.candles for s, f in ward.system.pipeline.market.followed.items()}
    for order in entries:
        price = next(c.close for c in closes[order.symbol] if c.ts_close == order.ts_event)
        assert order.quantity * price <= 600.0 * (1.0 + 1e-9)


@pytest.mark.promise("001", "ESS_POLICY changes what happens: the same loss pauses earlier")
@pytest.mark.parametrize(("drawdown", "mode"), [(0.0, Mode.LIVE), (0.065, Mode.PAUSED)])
def test_tighter_emergency_stops_pause_at_a_smaller_loss(
    ward: Ward, alone: dict[int, list[str]], drawdown: float, mode: Mode
) -> None:
    closes = before(alone)
    ward.go(closes)
    # a loss of 4.2 % within the day: CAUTION by the thresholds of the seed, WARNING by those of E1
    ward.account(drawdown_pct=drawdown, max_drawdown_pct=drawdown, nav=1.0)
    ward.account(drawdown_pct=drawdown, max_drawdown_pct=drawdown, nav=0.958)
    policy = ward.system.council.policy
    assert policy.ess_warning == (0.05 if mode is Mode.LIVE else 0.04)
    assert policy.mode == mode
    ward.go()
    assert bool(ward.entries()) == (mode is Mode.LIVE)


@pytest.mark.promise("001", "SYMBOL_UNIVERSE changes orders and limits the forecasts to it and what is held")
def test_the_universe_limits_forecasts_and_entries(ward: Ward, alone: dict[int, list[str]]) -> None:
    ward.go(before(alone) + 2)
    held = set(ward.held)
    assert held
    wanted = next(s for s in ward.feed.symbols if s not in held)
    mark = ward.head
    ward.ask("universe", symbols=[wanted], duration_minutes=1_440)
    ward.go()
    spoken = {said.symbol for said in ward.said("model.predicted", after=mark)}
    assert spoken == held | {wanted}
    ward.go(22)
    late = ward.said("model.predicted", after=mark)
    assert {order.symbol for order in ward.entries(after=mark)} <= {wanted}
    assert {said.symbol for said in late[-4:]} <= {wanted, *ward.held}


@pytest.mark.promise("001", "STRATEGY_ALLOCATION becomes the allocations of the ensemble")
def test_weights_of_the_investment_officer_are_allocations_of_the_ensemble(ward: Ward) -> None:
    ward.go(2)
    before = ward.system.pipeline.room.state()
    for model, win_rate in (("xgboost", 0.8), ("lightgbm", 0.55), ("nhits", 0.65)):
        ward.tell(
            "model.performance_updated",
            {"model_name": model, "sharpe_ratio": 1.0, "win_rate": win_rate, "trades": 200},
        )
    ward.go(2)  # it speaks once an hour at most
    weights = ward.system.council.policy.weights
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["xgboost"] > weights["nhits"] > weights["lightgbm"]
    shares = ward.system.engine.pure.service.allocations
    assert shares is not None
    assert {name: shares[name] for name in weights} == dict(weights)
    assert ward.system.pipeline.room.state() != before
    assert "C1" in ward.rules()


@pytest.mark.promise("001", "CASHFLOW moves real amounts between free cash, lock and reserve")
def test_profit_is_split_as_the_finance_officer_says(ward: Ward) -> None:
    ward.go(STEPS - 1)
    splits = ward.said("trading.profit_split")
    assert splits
    shares = {0.2: 0.3, 0.25: 0.05, 0.3: 0.1, 0.6: 0.15}
    for split in splits:
        share = round(split.locked / split.profit, 4)
        assert split.reserve / split.profit == pytest.approx(shares[share], abs=1e-6)
        assert round(sum((split.locked, split.reserve, split.reinvested)) * 1e8) == round(split.profit * 1e8)
    status = ward.system.trading_status()
    assert status["locked"] == pytest.approx(sum(split.locked for split in splits))
    assert status["reserve"] == pytest.approx(sum(split.reserve for split in splits))
    portfolio = ward.system.pipeline.accounts.trading.portfolio
    assert portfolio.free_cash == pytest.approx(portfolio.cash - status["locked"] - status["reserve"])


@pytest.mark.promise("001", "FREEZE cancels risk-increasing orders and leaves every position with a stop")
def test_a_freeze_cancels_entries_and_keeps_stops(ward: Ward, alone: dict[int, list[str]]) -> None:
    ward.go(before(alone) + 1)
    broker = ward.system.pipeline.accounts.trading.broker
    resting = [order for order in broker.open_orders().values() if not order.reduce_only]
    assert resting, "an entry must be on its way"
    mark = ward.head
    event = ward.account(drawdown_pct=0.11, max_drawdown_pct=0.11)
    assert ward.system.council.policy.mode == Mode.FROZEN
    assert [order for order in broker.open_orders().values() if not order.reduce_only] == []
    changes = ward.events("trading.order_changed", after=mark)
    assert [dict(change.payload)["reason"] for change in changes] == ["frozen"] * len(resting)  # type: ignore[call-overload]
    assert {change.cause_id for change in changes} == {event.event_id}
    assert "F1" in ward.rules(after=mark)
    ward.go(20)
    assert ward.entries(after=mark) == []


@pytest.mark.promise("001", "EMERGENCY flattens, reduce-only")
def test_an_emergency_flattens(ward: Ward, alone: dict[int, list[str]]) -> None:
    ward.go(before(alone) + 2)
    held = sorted(ward.held)
    assert held
    mark = ward.head
    ward.ask("mode", mode="EMERGENCY", duration_minutes=None)
    orders = ward.said("trading.order_sent", after=mark)
    assert sorted(order.symbol for order in orders) == held
    assert all(order.reduce_only and order.cause_id.startswith("flatten:") for order in orders)
    ward.go(3)
    assert ward.held == {}


@pytest.mark.promise("001", "a critical freeze with a margin ratio above 50 % closes positions")
def test_a_critical_freeze_near_liquidation_closes_what_is_held(
    ward: Ward, alone: dict[int, list[str]]
) -> None:
    ward.go(before(alone) + 2)
    held = sorted(ward.held)
    assert held
    ward.account(drawdown_pct=0.11, max_drawdown_pct=0.11, margin_ratio=0.5)
    assert ward.system.council.policy.mode == Mode.FROZEN
    assert not ward.system.council.policy.flatten, "at the bound itself nothing moves"
    ward.go()
    mark = ward.head
    ward.account(drawdown_pct=0.11, max_drawdown_pct=0.11, margin_ratio=0.51)
    assert "L1" in ward.rules(after=mark)
    ward.go(3)
    sold = ward.said("trading.order_sent", after=mark)
    assert all(order.reduce_only for order in sold)
    assert ward.held == {}
    assert ward.system.council.policy.mode == Mode.FROZEN


@pytest.mark.promise("001", "an OVERRIDE keeps a loosening from being carried out")
def test_a_loosening_in_a_drawdown_is_overridden(ward: Ward) -> None:
    ward.go(2)
    ward.ask("risk", max_position_size_usd=600.0)
    ward.account(drawdown_pct=0.055, max_drawdown_pct=0.055)
    asked = ward.ask("risk", max_position_size_usd=5_000.0, duration_minutes=60)
    assert asked.approval is not None
    assert asked.decisions == ()
    done = ward.ask("approve", person="bob", approval_id=asked.approval.approval_id)
    assert [decision.kind for decision in done.decisions][-1] == "OVERRIDE"
    assert ward.system.council.policy.max_position_usd == 600.0
    assert replace(ward.system.council.policy, weights={}) == replace(
        ward.system.pipeline.accounts.trading.gate.policy, weights={}
    )


def test_what_fails_halfway_between_two_steps_leaves_no_trace(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.go(3)
    expected = ward.system.state_hash()
    trading = ward.system.pipeline.accounts.trading
    told = ward.head

    def broken(policy: object) -> None:
        raise RuntimeError("half of it was done")

    monkeypatch.setattr(trading, "handle", broken)
    with pytest.raises(RuntimeError, match="half of it"):
        ward.ask("mode", mode="PAUSED", duration_minutes=60)
    assert ward.system.council.policy.mode == Mode.PAUSED
    ward.until(lambda: ward.system.pipeline.accounts.trading is not trading)
    ward.until(lambda: ward.system.troubles == {})
    assert ward.system.state_hash() == expected
    assert ward.head == told
    assert ward.system.council.policy.mode == Mode.LIVE
