"""How long the 50 book features take: `python benchmarks/book_features.py [SNAPSHOTS]`.

1,000,000 made-up snapshots of 20 levels every 100 ms with as many trades, at once and on one thread; then
snapshot by snapshot. Wall time is what a user waits; processor time leaves out what others work meanwhile.
Prints a table; exit code 1 if a threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from consilium.domain import BookSnapshot, PublicTrade
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BookFeatureStream, compute_book_features

HERE = Path(__file__).resolve().parent
ROWS, STREAMED, RUNS = 1_000_000, 6_000, 5
LEVELS, STEP_NS, TICK = 20, 100_000_000, 0.1
STREAM_LINES = (
    "a snapshot, median, wall",
    "a snapshot, median, processor",
    "a snapshot, 99 % below, processor",
    "a snapshot, the slowest, processor",
    "a trade, median, wall",
)


def made_up(rows: int, seed: int = 1) -> tuple[BookSeries, TradeSeries]:
    """A walk of the best prices in ticks; sizes of which one in six changes from row to row."""
    rng = np.random.default_rng(seed)
    best = 500_000 + np.cumsum(rng.choice([-1, 0, 0, 0, 0, 0, 0, 1], rows))
    ladder = np.cumsum(rng.integers(1, 4, LEVELS)) - 1
    ts = np.arange(rows) * STEP_NS
    sides: dict[str, Any] = {}
    for side, up in (("bid", -1), ("ask", 1)):
        size = np.asarray(rng.lognormal(0, 1, (rows, LEVELS)))
        stays = rng.random((rows, LEVELS)) < 5 / 6
        stays[0] = False
        last = np.maximum.accumulate(np.where(stays, 0, np.arange(rows)[:, None]), axis=0)
        sides[f"{side}_size"] = np.take_along_axis(size, last, axis=0)
        sides[f"{side}_price"] = ((best + (up > 0))[:, None] + up * ladder) * TICK
    book = BookSeries(symbol="MADE", ts_event=ts, **sides)
    when = np.sort(rng.integers(0, int(ts[-1]) + 1, rows))
    trades = TradeSeries(
        symbol="MADE",
        ts_event=when,
        price=book.mid[when // STEP_NS],
        size=rng.lognormal(-3, 1.5, rows),
        taker_buy=rng.random(rows) < 0.5,
    )
    return book, trades


def stream_microseconds(snapshots: list[BookSnapshot], trades: list[PublicTrade]) -> tuple[float, ...]:
    """Return what STREAM_LINES say."""
    stream, done = BookFeatureStream(), 0
    wall, processor, taken = [], [], []
    for snapshot in snapshots:
        while done < len(trades) and trades[done].ts_event <= snapshot.ts_event:
            start = time.perf_counter_ns()
            stream.update_trade(trades[done])
            taken.append((time.perf_counter_ns() - start) / 1e3)
            done += 1
        spent, start = time.process_time_ns(), time.perf_counter_ns()
        stream.update_book(snapshot)
        wall.append((time.perf_counter_ns() - start) / 1e3)
        processor.append((time.process_time_ns() - spent) / 1e3)
    warm = np.array(processor[600:])
    median, high = np.quantile(warm, [0.5, 0.99]).tolist()
    return float(np.median(wall[600:])), median, high, float(warm.max()), float(np.median(taken))


def row(what: str, unit: str, values: list[float]) -> str:
    shown = (np.median(values), min(values), max(values))
    return f"| {what} | {unit} | " + " | ".join(f"{value:.3g}" for value in shown) + f" | {len(values)} |"


def main(rows: int) -> int:
    book, trades = made_up(rows)
    compute_book_features(book.slice(0, 1_000), trades.slice(0, 1_000))
    wall, processor = [], []
    for _ in range(RUNS):
        start, spent = time.perf_counter(), time.process_time()
        compute_book_features(book, trades)
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - spent)
    snapshots = [book.snapshot(i) for i in range(min(STREAMED, rows))]
    singles = [trades.trade(i) for i in range(min(STREAMED, rows))]
    streamed = [stream_microseconds(snapshots, singles) for _ in range(RUNS)]
    print(f"{rows:,} snapshots of {LEVELS} levels, {len(trades):,} trades; one thread\n")
    print("| what | unit | median | least | most | runs |\n|---|---|---|---|---|---|")
    print(row("50 features, all at once, wall", "s", wall))
    print(row("50 features, all at once, processor", "s", processor))
    for place, what in enumerate(STREAM_LINES):
        print(row(f"stream of 50, {what}", "us", [found[place] for found in streamed]))
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["book_features"]
    found = {
        "million_snapshots_seconds": float(np.median(wall)) * 1_000_000 / rows,
        "stream_50_microseconds": float(np.median([median for median, *_ in streamed])),
    }
    missed = [f"{name}: {found[name]:.3g} > {limits[name]}" for name in found if found[name] > limits[name]]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
