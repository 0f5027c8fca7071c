"""How many bars a second the event-driven backtest runs: `python benchmarks/backtest.py`.

30 symbols x 6,000 hourly bars of a random walk, one core, signals known beforehand; the paper broker, the
risk gate and the conservation law at work. Exit code 1 if a threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consilium.domain import HOUR_NS, Candle, Consensus, Direction, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import (
    BacktestResult,
    PaperBroker,
    Portfolio,
    RiskGate,
    SignalSeries,
    Strategy,
    TradingService,
    prepare,
    run_backtest,
    run_unit_book,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SYMBOLS, BARS, RUNS, HORIZON = 30, 6_000, 7, 4


def random_panel(seed: int = 1) -> dict[str, CandleSeries]:
    rng = np.random.default_rng(seed)
    panel = {}
    for k in range(SYMBOLS):
        name = f"S{k:02d}"
        close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.006, BARS)))
        opened = np.concatenate([[100.0], close[:-1]])
        high = np.maximum(opened, close) * (1 + rng.exponential(0.002, BARS))
        low = np.minimum(opened, close) * (1 - rng.exponential(0.002, BARS))
        panel[name] = CandleSeries(
            symbol=name,
            interval_ns=HOUR_NS,
            ts_open=np.arange(BARS) * HOUR_NS,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=rng.lognormal(12, 1, BARS),
        )
    return panel


def random_signals(panel: dict[str, CandleSeries], density: float, seed: int = 2) -> list[SignalSeries]:
    rng = np.random.default_rng(seed)
    return [
        SignalSeries(
            symbol=name,
            ts_event=series.ts_close,
            direction=rng.choice(np.array([0, 2], dtype=np.int8), len(series)),
            actionable=rng.random(len(series)) < density,
        )
        for name, series in panel.items()
    ]


def told(
    panel: dict[str, CandleSeries], signals: list[SignalSeries], hours: int = 1_000
) -> list[Candle | Consensus]:
    """The first hours as messages, in the order of a live service."""
    messages: list[Candle | Consensus] = []
    for i in range(hours):
        messages.extend(series.candle(i) for series in panel.values())
        messages.extend(
            Consensus(
                symbol=one.symbol,
                ts_event=int(one.ts_event[i]),
                horizon_ns=HORIZON * HOUR_NS,
                label_id="l",
                rule="smart_vote",
                level="strong",
                direction=Direction(int(one.direction[i])),
                probabilities=(0.3, 0.3, 0.4),
                p_direction=0.4,
                confidence=0.4,
                score=0.4,
                agreement=1.0,
                support=1.0,
                meta_confidence=0.4,
                actionable=True,
            )
            for one in signals
            if one.actionable[i]
        )
    return messages


def handle_rate(messages: list[Candle | Consensus]) -> float:
    service = TradingService(
        PaperBroker(10_000.0), Portfolio(10_000.0), RiskGate(Policy()), Strategy(horizon=HORIZON)
    )
    start = time.process_time()
    for message in messages:
        service.handle(message)
    return sum(isinstance(m, Candle) for m in messages) / (time.process_time() - start)


def main() -> int:
    panel = random_panel()
    few, many = random_signals(panel, 0.05), random_signals(panel, 0.5)

    def run(signals: list[SignalSeries], *, limits: bool) -> BacktestResult:
        return run_backtest(panel, signals, policy=Policy(), horizon=HORIZON, limits=limits)

    tapes = prepare(panel)
    cases: dict[str, Callable[[], BacktestResult]] = {
        "limits_5": lambda: run(few, limits=True),
        "limits_50": lambda: run(many, limits=True),
        "no_limits_5": lambda: run(few, limits=False),
        "unit_book_5": lambda: run_unit_book(panel, few, horizon=HORIZON).result,
        "unit_book_50": lambda: run_unit_book(panel, many, horizon=HORIZON).result,
        "prepared_unit_book_5": lambda: run_unit_book(tapes, few, horizon=HORIZON).result,
    }
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bounds = tomllib.load(file)["backtest"]
    missed = 0
    print("| case | bars/s median | min | max | fills | bound |\n|---|---|---|---|---|---|")
    for name, case in cases.items():
        rates = []
        for _ in range(RUNS):
            start = time.process_time()
            result = case()
            rates.append(result.bars / (time.process_time() - start))
        median, bound = float(np.median(rates)), bounds.get(f"{name}_bars_a_second", 0)
        missed += median < bound
        row = (name, f"{median:,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}", len(result.fills), bound)
        print("| " + " | ".join(map(str, row)) + " |")
    messages = told(panel, few)
    rates = [handle_rate(messages) for _ in range(RUNS)]
    print(f"| messages_5 | {np.median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} | | |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
