"""How many bars a second the compiled twin runs: `python benchmarks/twin.py`.

30 symbols x 6,000 hourly bars of a random walk, as in backtest.py, and many variants of random signals; one
thread. A bar of one symbol in one variant counts as one. Exit code 1 if a threshold of thresholds.toml is
missed, 2 if numba is not installed.
"""

import sys
import time
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from consilium.domain import HOUR_NS, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import SignalSeries, run_unit_book
from consilium.trading.twin import codes_of, lay_out, twin_backtest, twin_search

SYMBOLS, BARS, HORIZON = 30, 6_000, 4
RUNS, VARIANTS, NO_DATA = 9, 50, 2


def random_bars(rng: np.random.Generator, symbol: str) -> CandleSeries:
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.006, BARS)))
    opened = np.concatenate([[100.0], close[:-1]])
    return CandleSeries(
        symbol=symbol,
        interval_ns=HOUR_NS,
        ts_open=np.arange(BARS) * HOUR_NS,
        open=opened,
        high=np.maximum(opened, close) * (1 + rng.exponential(0.002, BARS)),
        low=np.minimum(opened, close) * (1 - rng.exponential(0.002, BARS)),
        close=close,
        volume=rng.lognormal(12, 1, BARS),
    )


def random_signals(panel: dict[str, CandleSeries], percent: int, seed: int) -> list[SignalSeries]:
    rng = np.random.default_rng(seed)
    return [
        SignalSeries(
            symbol=name,
            ts_event=series.ts_close,
            direction=rng.choice(np.array([0, 2], dtype=np.int8), len(series)),
            actionable=rng.random(len(series)) < percent / 100,
        )
        for name, series in panel.items()
    ]


def rates(work: Callable[[], object], bars: int) -> list[float]:
    """Bars a second of processor time, run by run."""
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        found.append(bars / (time.process_time() - start))
    return found


def main() -> int:
    if find_spec("numba") is None:
        print("the twin needs numba: pip install 'consilium[fast]'")
        return NO_DATA
    rng = np.random.default_rng(1)
    panel = {name: random_bars(rng, name) for name in (f"S{k:02d}" for k in range(SYMBOLS))}
    start = time.process_time()
    tables = lay_out(panel)
    bars = sum(len(series) for series in panel.values())
    print(f"laying out {bars:,} bars: {time.process_time() - start:.2f} s")
    name = next(iter(tables))
    one, policy = {name: tables[name]}, Policy(max_drawdown=1.0)
    signals = {share: [random_signals(panel, share, k) for k in range(VARIANTS)] for share in (5, 50)}
    codes = {share: codes_of(tables, several) for share, several in signals.items()}
    few, many = codes[5], {name: np.repeat(codes[5][name], 20, axis=0)}
    start = time.process_time()
    found = twin_search(tables, few, horizon=HORIZON)
    print(f"compiling and the first search: {time.process_time() - start:.2f} s")
    book = run_unit_book(panel, signals[5][0], horizon=HORIZON)
    print(f"a unit book of {len(book.result.fills)} fills earned {book.net_return:.12f},")
    print(f"its twin with {found.fills[0]} fills {found.net_return[0]:.12f}")
    twin_backtest(one, [], policy=policy, horizon=HORIZON)
    book_terms = {"limits": False, "notional": 1_000.0, "initial_cash": 3e6}
    cases: dict[str, tuple[Callable[[], object], int]] = {
        "search_5": (lambda: twin_search(tables, few, horizon=HORIZON), bars * VARIANTS),
        "search_50": (lambda: twin_search(tables, codes[50], horizon=HORIZON), bars * VARIANTS),
        "account_5": (lambda: twin_search(one, many, horizon=HORIZON, policy=policy), many[name].size),
        "one_run_5": (
            lambda: twin_backtest(tables, signals[5][0], policy=policy, horizon=HORIZON, **book_terms),  # type: ignore[arg-type]
            bars,
        ),
    }
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bounds = tomllib.load(file)["twin"]
    missed = 0
    print("| case | bars x variants | bars/s median | min | max | bound |\n|---|---|---|---|---|---|")
    for case, (work, size) in cases.items():
        speed = rates(work, size)
        median, bound = float(np.median(speed)), bounds.get(f"{case}_bars_a_second", 0)
        missed += median < bound
        print(f"| {case} | {size:,} | {median:,.0f} | {min(speed):,.0f} | {max(speed):,.0f} | {bound:,} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
