"""How long the judge takes, and how often its intervals hold the truth: `python benchmarks/judge.py`.

Eight forecasters on 31 symbols x 3,600 hours (111,600 rows), 2,000 draws, one core; then the verdict on them;
then the share of 95 % intervals that hold the true mean of losses that overlap for h bars. Exit code 1 if a
threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilium.domain import HOUR_NS
from consilium.training.judge import compare_half_brier, forecast_figures, verdict

SYMBOLS, HOURS, FORECASTERS, RUNS = 31, 3_600, 8, 5
SETTINGS = ((600, 3), (1_000, 1), (1_000, 10), (2_000, 6), (4_000, 24))
SERIES = 1_000


def seconds_of_figures(ts: NDArray[np.int64], rng: np.random.Generator) -> float:
    y = rng.integers(3, size=len(ts))
    returns = (y - 1) * 0.01 + rng.normal(size=len(ts)) * 0.01
    forecasts = [rng.dirichlet([5, 5, 5], size=len(ts)) for _ in range(FORECASTERS)]
    start = time.perf_counter()
    for p in forecasts:
        forecast_figures(p, y, returns, ts, horizon_bars=1, seed=0)
    return time.perf_counter() - start


def seconds_of_verdict(ts: NDArray[np.int64], rng: np.random.Generator) -> float:
    ours, one, two, three = rng.random((4, len(ts)))
    start = time.perf_counter()
    verdict(ours, climatology=one, best_single=two, equal_weight=three, ts_event=ts, horizon_bars=1, seed=0)
    return time.perf_counter() - start


def held(length: int, horizon: int, rng: np.random.Generator) -> float:
    """Share of intervals that hold 0, the true mean of losses with heavy tails that overlap."""
    hits = 0
    for seed in range(SERIES):
        noise = rng.standard_t(6, size=length + horizon - 1)
        loss = np.convolve(noise, np.ones(horizon), mode="valid")
        c = compare_half_brier(loss, np.zeros(length), np.arange(length), horizon, seed, draws=500)
        hits += c.word == "not distinguishable"
    return hits / SERIES


def main() -> int:
    rng = np.random.default_rng(0)
    ts = np.repeat(np.arange(HOURS) * HOUR_NS, SYMBOLS)
    figures = [seconds_of_figures(ts, rng) for _ in range(RUNS)]
    verdicts = [seconds_of_verdict(ts, rng) for _ in range(RUNS)]
    print("| what | unit | median | least | most | runs |\n|---|---|---|---|---|---|")
    for name, times in (("figures of 8 forecasters", figures), ("verdict", verdicts)):
        print(f"| {name} | s | {np.median(times):.2f} | {min(times):.2f} | {max(times):.2f} | {RUNS} |")
    print("\n| timestamps | horizon | intervals that hold the truth | series |\n|---|---|---|---|")
    shares = []
    for length, horizon in SETTINGS:
        shares.append(held(length, horizon, rng))
        print(f"| {length:,} | {horizon} | {100 * shares[-1]:.1f} % | {SERIES:,} |")
    path = Path(__file__).with_name("thresholds.toml")
    limits = tomllib.loads(path.read_text(encoding="utf-8"))["judge"]
    missed = [
        np.median(figures) > limits["figures_of_eight_seconds"],
        np.median(verdicts) > limits["verdict_seconds"],
        min(shares) < limits["least_share_held"],
    ]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
