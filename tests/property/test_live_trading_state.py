"""A trading service that took up another's state says the same from there on, to the last bit."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import Candle, Consensus, Direction, Policy
from consilium.domain.time import HOUR_NS
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
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
