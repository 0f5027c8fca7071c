"""A trading service that took up another's state says the same from there on, to the last bit."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.app.bootstrap import make_costs, make_instruments
from consilium.app.live.account import Accounts
from consilium.app.settings import Costs, Settings
from consilium.council.policy import policy_for
from consilium.domain import Candle, Consensus, Direction, Fill, Policy, PoolChanged, Prediction
from consilium.domain.time import HOUR_NS
from consilium.market.simulator import simulate
from consilium.trading.backtest import run_backtest
from consilium.trading.books import run_unit_book
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
from consilium.trading.signals import SignalSeries
from consilium.trading.strategy import Strategy

SYMBOLS = ("AAA", "BBB", "CCC")


def fresh(limits: bool = True) -> TradingService:
    return TradingService(
        PaperBroker(1e4, CostModel(participation=0.002)),
        Portfolio(1e4),
        RiskGate(Policy(max_drawdown=0.005), limits=limits),
        Strategy(horizon=3),
    )


def messages(seed: int, bars: int) -> list[list[Any]]:
    """Instants of candles and consensuses: gaps in a symbol, jumps through stops, thin volume."""
    rng = np.random.default_rng(seed)
    price = dict.fromkeys(SYMBOLS, 100.0)
    instants = []
    for t in range(bars):
        ts, said = (t + 1) * HOUR_NS, list[Any]()
        consensuses = []
        for symbol in SYMBOLS:
            if rng.random() < 0.08:
                continue
            begin = price[symbol]
            end = begin * float(np.exp(rng.normal(0.0, 0.03)))
            price[symbol] = end
            high, low = max(begin, end) * 1.004, min(begin, end) * 0.996
            said.append(
                Candle(
                    symbol=symbol, interval_ns=HOUR_NS, ts_open=ts - HOUR_NS, ts_close=ts, open=begin,
                    high=high, low=low, close=end, volume=float(rng.lognormal(7.0, 1.0)),
                )
            )  # fmt: skip
            consensuses.append(
                _consensus(symbol, ts, Direction(int(rng.integers(3))), bool(rng.random() < 0.6))
            )
        if rng.random() < 0.03:
            said.append(Policy(stop_multiplier=float(rng.uniform(0.5, 1.0))))
        instants.append([*said, *consensuses])
    return instants


def _consensus(symbol: str, ts: int, direction: Direction, actionable: bool) -> Consensus:
    return Consensus(
        symbol=symbol, ts_event=ts, horizon_ns=3 * HOUR_NS, label_id="l", rule="r", level="strong",
        direction=direction, probabilities=(0.2, 0.2, 0.6), p_direction=0.6, confidence=0.6, score=0.6,
        agreement=1.0, support=1.0, meta_confidence=0.6, actionable=actionable,
    )  # fmt: skip


def said_by(service: TradingService, instants: list[list[Any]]) -> list[Any]:
    out: list[Any] = []
    for instant in instants:
        for message in instant:
            out += service.handle(message)
        out += service.finish()
    return out


@pytest.mark.promise("004", "the paper account survives a restart to the last bit")
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 60), limits=st.booleans())
def test_a_restored_account_goes_on_as_if_nothing_had_happened(seed: int, cut: int, limits: bool) -> None:
    instants = messages(seed, 64)
    whole, first = fresh(limits), fresh(limits)
    expected = said_by(whole, instants)
    before = said_by(first, instants[:cut])
    kept = orjson.loads(orjson.dumps(first.state()))
    second = fresh(limits)
    second.restore(kept)
    assert before + said_by(second, instants[cut:]) == expected
    assert second.state() == whole.state()


def test_the_messages_of_these_worlds_reach_every_part_of_the_state() -> None:
    """Without this the law above could hold for accounts that never trade."""
    waiting = stops = halts = resting = 0
    for seed in range(3):
        service = fresh()
        for instant in messages(seed, 160):
            said_by(service, [instant])
            state = service.state()
            waiting += bool(state["waiting"])
            resting += bool(state["broker"]["open"])
            stops += bool(state["portfolio"]["holdings"])
            halts += state["gate"]["_halt_day"] is not None
    assert min(waiting, stops, halts, resting) > 10


def test_a_long_tape_keeps_only_what_is_read() -> None:
    service = fresh()
    said_by(service, messages(3, 130))
    columns = service.state()["desks"][0]["tape"]["columns"]
    assert {len(column) for column in columns.values()} == {97}


@pytest.mark.parametrize("participation", [0.01, 1e-5])
def test_the_live_account_and_its_shadow_books_trade_as_a_backtest_on_the_same_messages(
    participation: float,
) -> None:
    panel = simulate(symbols=3, bars=400, seed=5).series
    settings = Settings(costs=Costs(participation=participation))
    bars_per_day = {symbol: series.bars_per_day for symbol, series in panel.items()}
    interval_ns = next(iter(panel.values())).interval_ns
    accounts = Accounts(settings, tuple(panel), interval_ns, bars_per_day, horizon=3)
    accounts.models(PoolChanged(models={"m": "1"}, missing={}, label={}, means={}, ts_event=0), 3)
    rng = np.random.default_rng(3)
    fills, consensuses, directions = list[Fill](), list[Consensus](), list[Prediction]()
    figures: dict[str, Any] = {}
    for k in range(400):
        candles = [panel[symbol].candle(k) for symbol in sorted(panel)]
        ts = candles[0].ts_close
        said = [_consensus(c.symbol, ts, Direction(int(rng.integers(3))), True) for c in candles]
        spoken = [_prediction(c.symbol, ts, Direction(int(rng.integers(3)))) for c in candles]
        for message in accounts.step(ts, candles, spoken, said):
            if isinstance(message, Fill):
                fills.append(message)
        figures = accounts.books["m"].figures()
        consensuses += said
        directions += spoken
    costs, instruments = make_costs(settings), make_instruments(settings, panel)
    policy, cash = policy_for(settings.paper.profile), settings.paper.equity
    backtest = run_backtest(
        panel, consensuses, policy=policy, horizon=3, costs=costs, instruments=instruments, initial_cash=cash
    )
    assert len(fills) > 20
    assert [(f.ts_event, f.price, f.quantity, f.fee) for f in fills] == [
        (f.ts_event, f.price, f.quantity, f.fee) for f in backtest.fills
    ]
    alone = run_unit_book(
        panel,
        [_series(symbol, directions) for symbol in panel],
        horizon=3,
        costs=costs,
        instruments=instruments,
        notional=settings.paper.unit_notional,
    )
    assert figures["trades"] == alone.trades > 20
    assert figures["net_return"] == pytest.approx(alone.net_return, abs=1e-12)


def _prediction(symbol: str, ts: int, direction: Direction) -> Prediction:
    down, flat, up = (0.6 if k == direction else 0.2 for k in range(3))
    return Prediction(
        model="m", symbol=symbol, ts_event=ts, horizon_ns=3 * HOUR_NS, label_id="l",
        probabilities=(down, flat, up),
    )  # fmt: skip


def _series(symbol: str, said: list[Prediction]) -> SignalSeries:
    mine = [prediction for prediction in said if prediction.symbol == symbol]
    return SignalSeries(
        symbol=symbol,
        ts_event=np.array([prediction.ts_event for prediction in mine]),
        direction=np.array([int(prediction.direction) for prediction in mine]),
        actionable=np.ones(len(mine), dtype=bool),
    )
