from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import (
    HOUR_NS,
    Candle,
    Consensus,
    Fill,
    Instrument,
    Order,
    OrderEvent,
    OrderKind,
    Policy,
    PortfolioSnapshot,
    Side,
)
from consilium.market.candles import CandleSeries
from consilium.trading import (
    BacktestResult,
    CostModel,
    PaperBroker,
    Portfolio,
    RiskGate,
    SignalSeries,
    Strategy,
    TradingService,
    run_backtest,
)
from consilium.trading.tape import Tape
from trading_bars import consensus, fills

COSTS = CostModel(half_spread=0.0005)
SEEDS = st.integers(0, 2**32 - 1)


def wild(rng: np.random.Generator, n: int, symbol: str) -> CandleSeries:
    """Bars with jumps between them, few or many gaps in time, quiet and empty volumes, nights or none."""
    close = 50 * np.exp(np.cumsum(np.clip(rng.standard_t(2, n) * 0.025, -0.7, 0.7)))
    opened = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0, 0.01, n) * (rng.random(n) < 0.3))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.01, n))
    low = np.minimum(opened, close) / (1 + rng.exponential(0.01, n))
    volume = rng.lognormal(9, 1.5, n) * (rng.random(n) > 0.1)
    hours = np.sort(rng.choice(n + n // int(rng.choice([5, 15, 60])), n, replace=False))
    hours[int(rng.integers(15, n)) :] += int(rng.choice([0, 0, 7, 30]))
    return CandleSeries(
        symbol=symbol,
        interval_ns=HOUR_NS,
        ts_open=hours * HOUR_NS,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        bars_per_day=float(rng.choice([24.0, 24.0, 7.0])),
    )


def world(seed: int, n: int = 110) -> tuple[dict[str, CandleSeries], list[SignalSeries]]:
    rng = np.random.default_rng(seed)
    panel = {s: wild(rng, int(rng.integers(n // 2, n)), s) for s in "ABC"[: int(rng.integers(1, 4))]}
    return panel, [
        SignalSeries(
            symbol=s,
            ts_event=bars.ts_close,
            direction=rng.integers(0, 3, len(bars)).astype(np.int8),
            actionable=rng.random(len(bars)) < 0.6,
        )
        for s, bars in panel.items()
    ]


def instruments(panel: dict[str, CandleSeries], seed: int) -> dict[str, Instrument]:
    lot = (0.0, 0.01, 1.0)[seed % 3]
    return {
        s: Instrument(symbol=s, lot_size=lot, tick_size=0.01 * (seed % 2), min_notional=5.0) for s in panel
    }


def backtest(
    panel: dict[str, CandleSeries], moves: list[SignalSeries], seed: int, *, limits: bool = True
) -> BacktestResult:
    return run_backtest(
        panel,
        moves,
        policy=Policy(max_daily_risk=0.2),
        horizon=1 + seed % 6,
        costs=COSTS,
        limits=limits,
        instruments=instruments(panel, seed),
    )


def equity_by_hand(result: BacktestResult, panel: dict[str, CandleSeries]) -> list[float]:
    """Cash and positions at the last close, from the fills alone."""
    orders = {o.order_id: o for o in result.orders}
    queue = sorted(result.fills, key=lambda f: f.ts_event)
    cash, held, values = result.initial_cash, defaultdict[str, float](float), []
    for ts in result.ts.tolist():
        while queue and queue[0].ts_event < ts:
            fill = queue.pop(0)
            order = orders[fill.order_id]
            cash -= order.side.sign * fill.price * fill.quantity + fill.fee
            held[order.symbol] += order.side.sign * fill.quantity
            assert cash > -1e-6, "spot never owes cash"
            assert held[order.symbol] > -1e-9, "spot is never short"
        worth = 0.0
        for symbol, quantity in held.items():
            i = int(np.searchsorted(panel[symbol].ts_close, ts, side="right")) - 1
            worth += quantity * float(panel[symbol].close[i])
        values.append(cash + worth)
    return values


@given(seed=SEEDS, limits=st.booleans())
def test_cash_and_positions_at_mark_are_equity_at_every_close(seed: int, limits: bool) -> None:
    panel, moves = world(seed)
    result = backtest(panel, moves, seed, limits=limits)
    np.testing.assert_allclose(result.equity, equity_by_hand(result, panel), rtol=1e-9, atol=1e-6)


@given(seed=SEEDS, limits=st.booleans())
def test_every_order_ends_in_exactly_one_state_and_never_fills_beyond_its_size(
    seed: int, limits: bool
) -> None:
    panel, moves = world(seed)
    result = backtest(panel, moves, seed, limits=limits)
    filled: dict[str, float] = defaultdict(float)
    for fill in result.fills:
        filled[fill.order_id] += fill.quantity
    ended = Counter(e.order_id for e in result.order_events if e.status != "accepted")
    for order in result.orders:
        assert filled[order.order_id] <= order.quantity * (1 + 1e-12)
        lot = instruments(panel, seed)[order.symbol].lot_size
        whole = (
            filled[order.order_id] >= order.quantity - lot - 1e-9 * order.quantity
            and filled[order.order_id] > 0
        )
        assert ended[order.order_id] == 1 or (ended[order.order_id] == 0 and whole)
    assert set(ended) | set(filled) == {o.order_id for o in result.orders}


@given(seed=SEEDS, cut=st.integers(20, 60))
def test_changing_the_future_changes_no_past_order_or_fill(seed: int, cut: int) -> None:
    panel, moves = world(seed)
    now = cut * HOUR_NS
    rng = np.random.default_rng(seed + 1)
    other = {}
    for s, bars in panel.items():
        factor = np.where(bars.ts_close > now, np.exp(rng.normal(0, 0.2, len(bars))), 1.0)
        other[s] = CandleSeries(
            symbol=s,
            interval_ns=HOUR_NS,
            ts_open=bars.ts_open,
            open=bars.open * factor,
            high=bars.high * factor,
            low=bars.low * factor,
            close=bars.close * factor,
            volume=bars.volume * factor,
            bars_per_day=bars.bars_per_day,
        )
    one, two = backtest(panel, moves, seed), backtest(other, moves, seed)
    # a fill is dated by its bar's open; the bar is known only at its close
    assert [f for f in one.fills if f.ts_event + HOUR_NS <= now] == [
        f for f in two.fills if f.ts_event + HOUR_NS <= now
    ]
    assert [o for o in one.orders if o.ts_event + HOUR_NS <= now] == [
        o for o in two.orders if o.ts_event + HOUR_NS <= now
    ]
    past = one.ts <= now
    np.testing.assert_array_equal(one.equity[past], two.equity[past])


@given(seed=SEEDS, cut=st.integers(20, 60))
def test_whether_bars_will_come_changes_no_past_order_fill_or_stranding(seed: int, cut: int) -> None:
    panel, moves = world(seed)
    now = cut * HOUR_NS
    short = {s: bars.slice(0, int(np.sum(bars.ts_close <= now))) for s, bars in panel.items()}
    if not any(len(bars) for bars in short.values()):
        return
    known = [m for m in moves if len(short[m.symbol])]
    one, two = backtest(panel, moves, seed), backtest({s: b for s, b in short.items() if len(b)}, known, seed)
    now = int(two.ts[-1])
    np.testing.assert_array_equal(one.equity[one.ts <= now], two.equity)
    assert tuple(f for f in one.fills if f.ts_event < now) == two.fills
    assert [o for o in one.orders if o.ts_event < now] == [o for o in two.orders if o.ts_event < now]
    assert [e for e in one.order_events if e.ts_event < now] == [
        e for e in two.order_events if e.ts_event < now
    ]
    assert [(s.symbol, s.ts_event) for s in one.stranded if s.ts_event <= now] == [
        (s.symbol, s.ts_event) for s in two.stranded
    ]


@given(seed=SEEDS)
def test_an_entry_fills_in_the_bar_that_was_expected_or_not_at_all(seed: int) -> None:
    panel, moves = world(seed)
    result = backtest(panel, moves, seed)
    orders = {order.order_id: order for order in result.orders}
    for fill in result.fills:
        order = orders[fill.order_id]
        if not order.reduce_only:
            bars = panel[order.symbol]
            seen = bars.ts_open[bars.ts_close <= order.ts_event]
            gappy = len(seen) * HOUR_NS < 0.9 * (order.ts_event - seen[0])
            wait = 120 * HOUR_NS if gappy or bars.bars_per_day < 24 else 0
            assert order.ts_event <= fill.ts_event < order.ts_event + HOUR_NS + wait
            for halt in result.halts:
                assert not order.ts_event < halt <= fill.ts_event, "a halt withdraws what waits"


def by_messages(
    panel: dict[str, CandleSeries], moves: list[SignalSeries], seed: int
) -> tuple[list[object], list[float]]:
    """The same world, told candle by candle and consensus by consensus."""
    service = TradingService(
        PaperBroker(10_000.0, COSTS),
        Portfolio(10_000.0),
        RiskGate(Policy(max_daily_risk=0.2), participation=COSTS.participation),
        Strategy(horizon=1 + seed % 6),
        instruments=instruments(panel, seed),
        bars_per_day={s: bars.bars_per_day for s, bars in panel.items()},
    )
    candles = [(c.ts_close, 0, c.symbol, c) for s in panel.values() for c in map(s.candle, range(len(s)))]
    opinions = [
        (int(ts), 1, m.symbol, consensus(m.symbol, int(ts), int(d), actionable=bool(a)))
        for m in moves
        for ts, d, a in zip(m.ts_event, m.direction, m.actionable, strict=True)
    ]
    heard: list[object] = []
    told: list[tuple[int, int, str, Candle | Consensus]] = [*candles, *opinions]
    for _, _, _, message in sorted(told, key=lambda item: item[:3]):
        heard.extend(service.handle(message))
    heard.extend(service.finish())
    assert not service.refused_messages
    return heard, [m.equity for m in heard if isinstance(m, PortfolioSnapshot)]


@given(seed=SEEDS)
def test_messages_and_columns_trade_the_same(seed: int) -> None:
    panel, moves = world(seed)
    result = backtest(panel, moves, seed)
    heard, equity = by_messages(panel, moves, seed)
    assert tuple(m for m in heard if isinstance(m, Order)) == result.orders
    assert tuple(fills(heard)) == result.fills
    np.testing.assert_array_equal(equity, result.equity)
    events = tuple(m for m in heard if isinstance(m, OrderEvent))
    assert events == result.order_events[: len(events)]


@given(seed=SEEDS)
def test_the_same_input_gives_the_same_run(seed: int) -> None:
    panel, moves = world(seed)
    one, two = backtest(panel, moves, seed), backtest(panel, moves, seed)
    assert (one.orders, one.order_events, one.fills, one.trades) == (
        two.orders,
        two.order_events,
        two.fills,
        two.trades,
    )


@given(seed=SEEDS)
def test_limits_are_kept_at_every_entry(seed: int) -> None:
    panel, moves = world(seed)
    policy = Policy(max_positions=2, max_position_usd=3_000.0, max_exposure=0.5, max_daily_risk=0.03)
    result = run_backtest(panel, moves, policy=policy, horizon=5, costs=COSTS)
    orders = {o.order_id: o for o in result.orders}
    held: dict[str, float] = defaultdict(float)
    for fill in result.fills:
        order = orders[fill.order_id]
        held[order.symbol] += order.side.sign * fill.quantity
        if not order.reduce_only:
            stranded = {
                s.symbol
                for s in result.stranded
                if s.ts_event <= order.ts_event and (s.ts_resumed is None or s.ts_resumed > order.ts_event)
            }
            assert sum(q > 1e-9 for s, q in held.items() if s not in stranded) <= 2
    for order in result.orders:
        if not order.reduce_only:
            closes = panel[order.symbol]
            at = int(np.searchsorted(closes.ts_close, order.ts_event))
            assert order.quantity * float(closes.close[at]) <= 3_000.0 * (1 + 1e-9)


ORDERS = st.tuples(
    st.sampled_from(list(Side)),
    st.sampled_from(list(OrderKind)),
    st.floats(0.01, 50.0),
    st.floats(0.85, 1.15),
    st.sampled_from(["GTC", "IOC", "DAY"]),
    st.booleans(),
)


@given(
    seed=SEEDS,
    asked=st.lists(st.tuples(st.integers(0, 30), ORDERS), max_size=25),
    withdrawn=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 25)), max_size=8),
)
def test_whatever_is_ordered_the_brokers_account_is_conserved(
    seed: int,
    asked: Sequence[tuple[int, tuple[Side, OrderKind, float, float, str, bool]]],
    withdrawn: Sequence[tuple[int, int]],
) -> None:
    bars = wild(np.random.default_rng(seed), 32, "A")
    broker, tape, book = PaperBroker(1_000.0, COSTS), Tape("A", HOUR_NS), Portfolio(1_000.0)
    broker.attach(Instrument(symbol="A", maker_fee=-0.0001), tape)
    sides: dict[str, Side] = {}
    ends: Counter[str] = Counter()
    for i in range(len(bars)):
        tape.push(bars.candle(i))
        events: list[OrderEvent | Fill] = [*broker.at_open("A"), *broker.within("A")]
        for k, (when, (side, kind, quantity, level, tif, reduce_only)) in enumerate(asked):
            if when == i:
                price = tape.close[-1] * level
                order = Order(
                    order_id=str(k),
                    symbol="A",
                    side=side,
                    kind=kind,
                    quantity=quantity,
                    limit_price=price,
                    stop_price=price,
                    tif=tif,
                    reduce_only=reduce_only,
                    ts_event=tape.ts_close,
                )
                sides[order.order_id] = side
                events.extend(broker.submit(order))
        for when, k in withdrawn:
            if when == i and str(k) in broker.open_orders():
                events.extend(broker.cancel(str(k), tape.ts_close))
        ours = 0.0
        for event in events:
            if isinstance(event, Fill):
                book.apply("A", sides[event.order_id].sign, event)
                ours += event.quantity
                assert tape.low[-1] * 0.5 <= event.price <= tape.high[-1] * 1.5
            elif event.status != "accepted":
                ends[event.order_id] += 1
        assert ours <= 0.01 * tape.volume[-1] * (1 + 1e-12)
        assert book.cash == broker.cash >= -1e-9
        held = book.holdings["A"].quantity if "A" in book.holdings else 0.0
        assert held == pytest.approx(broker.lane("A").quantity, abs=1e-12)
        assert held >= 0.0
        if held:
            book.mark("A", tape.close[-1])
        assert book.settle(tape.ts_close) == pytest.approx(broker.cash + held * tape.close[-1])
    for order_id in sides.keys() - broker.open_orders().keys():
        (said,) = broker.cancel(order_id, 0)
        state = said.reason.removeprefix("cancel_of_").removesuffix("_order")
        assert state in {"filled", "cancelled", "expired", "rejected"}
        assert ends[order_id] == (0 if state == "filled" else 1)


def test_the_worlds_of_these_laws_trade() -> None:
    runs = [backtest(*world(seed), seed) for seed in range(40)]
    causes = Counter(o.cause_id.split(":")[0] for r in runs for o in r.orders)
    assert min(causes[c] for c in ("consensus", "horizon", "opposite", "protect", "stop")) > 5
    stops = {o.order_id for o in runs[0].orders if o.kind is OrderKind.STOP}
    assert any(f.order_id in stops for f in runs[0].fills)
    said = {e.reason for r in runs for e in r.order_events}
    assert said >= {"", "participation", "cancelled_by_owner", "no_next_bar"}
    assert any(s.ts_resumed is None for r in runs for s in r.stranded)
    assert any(s.ts_resumed is not None for r in runs for s in r.stranded)
    assert sum(len(r.halts) for r in runs) > 0
