from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consilium.domain import OrderKind, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import SignalSeries, run_backtest, run_unit_book
from consilium.trading.execution import floor_quantity, round_price
from consilium.trading.metrics import daily_returns
from consilium.trading.twin import codes_of, lay_out, twin_backtest, twin_search
from consilium.trading.twin.rounding import round_cash, round_step, to_tick, whole_lots
from twin_worlds import (
    BIT_FOR_BIT,
    ENGINES,
    NOTIONALS,
    POLICIES,
    SEEDS,
    World,
    assert_same_trading,
    make_world,
    opinions,
)

BOOK: dict[str, Any] = {"policy": Policy(), "limits": False, "notional": 1_000.0}
engines = pytest.mark.parametrize("compiled", ENGINES)


@engines
@settings(max_examples=3 * settings().max_examples)
@given(seed=SEEDS, policy=POLICIES, limits=st.booleans(), notional=NOTIONALS)
def test_one_symbol_trades_as_in_the_backtest(
    compiled: bool, seed: int, policy: Policy, limits: bool, notional: float | None
) -> None:
    world = make_world(seed)
    told = {"policy": policy, "limits": limits, "notional": notional, "delay": world.delay, **world.terms}
    slow = run_backtest(world.panel, world.signals, **told)
    twin = twin_backtest(world.panel, world.signals, compiled=compiled, **told)
    assert_same_trading(twin, slow, exactly=BIT_FOR_BIT)


@engines
@given(seed=SEEDS, symbols=st.integers(2, 3))
def test_several_symbols_of_fixed_size_trade_as_in_the_backtest(
    compiled: bool, seed: int, symbols: int
) -> None:
    world = make_world(seed, symbols)
    told = {**BOOK, **world.terms, "initial_cash": 3e5, "delay": world.delay}
    slow = run_backtest(world.panel, world.signals, **told)
    assert_same_trading(twin_backtest(world.panel, world.signals, compiled=compiled, **told), slow)


def variants_of(world: World, seed: int, count: int = 3) -> list[list[SignalSeries]]:
    rng = np.random.default_rng(seed)
    return [[opinions(rng, series) for series in world.panel.values()] for _ in range(count)]


@engines
@given(seed=SEEDS, symbols=st.integers(1, 3))
def test_a_search_earns_what_unit_books_earn(compiled: bool, seed: int, symbols: int) -> None:
    world = make_world(seed, symbols)
    variants = variants_of(world, seed)
    found = twin_search(world.panel, variants, compiled=compiled, **world.terms)
    for k, signals in enumerate(variants):
        book = run_unit_book(world.panel, signals, **world.terms)
        assert found.net_return[k] == pytest.approx(book.net_return, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(found.daily[:, k], book.daily, rtol=1e-9, atol=1e-9)
        assert (found.trades[k], found.fills[k]) == (book.trades, len(book.result.fills))
        assert found.wins[k] == round((book.win_rate or 0.0) * book.trades)
        assert found.fees[k] == pytest.approx(book.fees, rel=1e-9)
        assert found.traded_value[k] == pytest.approx(book.traded_value, rel=1e-9)


@engines
@given(seed=SEEDS, policy=POLICIES)
def test_a_search_with_a_policy_earns_what_the_account_earns(
    compiled: bool, seed: int, policy: Policy
) -> None:
    world = make_world(seed)
    variants = variants_of(world, seed)
    found = twin_search(
        world.panel, variants, policy=policy, delay=world.delay, compiled=compiled, **world.terms
    )
    for k, signals in enumerate(variants):
        slow = run_backtest(world.panel, signals, policy=policy, delay=world.delay, **world.terms)
        assert found.net_return[k] == pytest.approx(slow.net_return, rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(
            found.daily[:, k], daily_returns(slow.ts, slow.equity), rtol=1e-9, atol=1e-12
        )
        assert (found.trades[k], found.fills[k]) == (len(slow.trades), len(slow.fills))


@engines
@given(seed=SEEDS, threads=st.integers(2, 5))
def test_horizons_codes_and_threads_change_no_variant(compiled: bool, seed: int, threads: int) -> None:
    world = make_world(seed, 2)
    terms = {**world.terms, "compiled": compiled}
    tables = lay_out(world.panel)
    variants = variants_of(world, seed)
    horizons = [1, 4, 9]
    together = twin_search(
        tables, codes_of(tables, variants), threads=threads, **{**terms, "horizon": horizons}
    )
    for k, signals in enumerate(variants):
        alone = twin_search(world.panel, [signals], **{**terms, "horizon": horizons[k]})
        np.testing.assert_array_equal(together.daily[:, k], alone.daily[:, 0])
        assert together.net_return[k] == alone.net_return[0]


def after(series: CandleSeries, cut: int, rng: np.random.Generator) -> CandleSeries:
    """The same bars up to a cut, others after it."""
    factor = np.where(np.arange(len(series)) < cut, 1.0, np.exp(rng.normal(0, 0.2, len(series))))
    columns = {name: getattr(series, name) * factor for name in ("open", "high", "low", "close", "volume")}
    return CandleSeries(
        symbol=series.symbol,
        interval_ns=series.interval_ns,
        ts_open=series.ts_open,
        bars_per_day=series.bars_per_day,
        **columns,
    )


@engines
@given(seed=SEEDS, share=st.floats(0.2, 0.9), limits=st.booleans())
def test_changing_the_future_changes_no_past_fill(
    compiled: bool, seed: int, share: float, limits: bool
) -> None:
    world = make_world(seed)
    series = world.panel["A"]
    cut = int(share * len(series))
    rng = np.random.default_rng(seed + 1)
    other = replace(world, panel={"A": after(series, cut, rng)})
    (moves,) = world.signals
    direction = moves.direction.copy()
    direction[cut:] = rng.integers(0, 3, len(series) - cut)
    other = replace(other, signals=[replace(moves, direction=direction)])
    told = {"policy": Policy(), "limits": limits, "compiled": compiled, **world.terms, "start_ts": None}
    one = twin_backtest(world.panel, world.signals, **told)
    two = twin_backtest(other.panel, other.signals, **told)
    np.testing.assert_array_equal(one.equity[:cut], two.equity[:cut])
    for name in ("bar", "sign", "price", "quantity", "fee"):
        past = [getattr(run.fills, name)[run.fills.bar < cut] for run in (one, two)]
        np.testing.assert_array_equal(*past)


@given(
    st.floats(-1e12, 1e12)
    | st.integers(-(10**13), 10**13).map(lambda n: n * 5e-10)
    | st.integers(-(10**6), 10**6).map(lambda n: n / 512)
    | st.integers(-(10**6), 10**6).map(lambda n: n / 8192)
)
@example(1 / 512)
@example(3 / 512)
@example(1 / 8192)
@example(3 / 8192)
def test_money_and_steps_are_rounded_as_python_rounds(value: float) -> None:
    assert round_cash(value) == round(value, 8)
    assert round_step(value) == round(value, 12)
    assert round_step(value * 1e-4) == round(value * 1e-4, 12)


@given(st.floats(1e-9, 1e9), st.sampled_from([0.0, 1e-8, 0.01, 0.05, 1.0, 25.0]))
def test_lots_and_ticks_are_the_brokers(value: float, step: float) -> None:
    assert whole_lots(value, step) == floor_quantity(value, step)
    assert to_tick(value, step, True) == round_price(value, step, up=True)
    assert to_tick(value, step, False) == round_price(value, step, up=False)


def test_the_worlds_of_these_laws_hold_what_the_twin_must_know() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        world = make_world(seed)
        for told in (BOOK, {"policy": Policy(max_drawdown=0.01)}):
            slow = run_backtest(world.panel, world.signals, **told, **world.terms)
            stops = {o.order_id for o in slow.orders if o.kind is OrderKind.STOP}
            opens = dict(zip(world.panel["A"].ts_open.tolist(), world.panel["A"].open, strict=True))
            seen.update(o.cause_id.split(":")[0] for o in slow.orders)
            seen.update(e.reason for e in slow.order_events)
            seen["halt"] += len(slow.halts)
            seen["no_next_bar"] += slow.rejections.get("no_next_bar", 0)
            seen["stopped"] += sum(f.order_id in stops for f in slow.fills)
            level = {o.order_id: o.stop_price for o in slow.orders if o.stop_price}
            seen["gapped"] += sum(opens[f.ts_event] < level.get(f.order_id, 0.0) for f in slow.fills)
            bought = Counter(f.ts_event for f in slow.fills)
            seen["in and out in one bar"] += sum(n > 1 for n in bought.values())
    wanted = (
        "consensus",
        "horizon",
        "opposite",
        "protect",
        "participation",
        "halt",
        "stopped",
        "gapped",
        "no_next_bar",
    )
    assert min(seen[word] for word in (*wanted, "in and out in one bar")) >= 5, seen
