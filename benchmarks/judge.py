"""How long the judge takes, and how often it is right: `python benchmarks/judge.py`.

Eight forecasters on 31 symbols x 3,600 hours (111,600 rows), 2,000 draws, one core; the verdict on them; the
Diebold-Mariano test, 48 variants against one, PBO, permutations and an e-process. Then, for losses that
overlap for h bars and have no effect: how often the test rejects at 5 %, how many 95 % bootstrap intervals
hold the truth, and how often an e-process is ever confirmed at 20. Exit code 1 if a threshold of
thresholds.toml is missed.
"""

import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilium.domain import HOUR_NS
from consilium.training.judge import (
    BarReturns,
    Bettor,
    compare_half_brier,
    confidence_set,
    diebold_mariano,
    forecast_figures,
    overfitting_probability,
    permutation_test,
    superior_ability,
    verdict,
)

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


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parts(ts: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Callable[[], object]]:
    """Return the single statistics on data of the size that a whole judgement has."""
    ours, other = rng.random((2, len(ts)))
    base = rng.random(HOURS)
    variants = {str(k): base + rng.normal(scale=0.05, size=HOURS) for k in range(48)}
    hours = np.arange(HOURS)
    returns = rng.normal(scale=0.01, size=(HOURS, SYMBOLS))
    signals = np.repeat(rng.integers(2, size=(HOURS // 10, 1)), 10, axis=0) * rng.integers(2, size=SYMBOLS)
    trials = rng.normal(size=(540, 48))
    differences = rng.normal(scale=0.02, size=HOURS).clip(-0.1, 0.1).tolist()

    def bet() -> None:
        bettor = Bettor(horizon_bars=4)
        for value in differences:
            bettor.update(value, 0.1)

    return {
        "Diebold-Mariano, 111,600 rows": lambda: diebold_mariano(ours, other, ts, 4).p_value,
        "SPA, 48 variants": lambda: superior_ability(base, variants, hours, 4, seed=0),
        "confidence set, 48 variants": lambda: confidence_set(variants, hours, 4, seed=0),
        "PBO, 48 trials, 540 days": lambda: overfitting_probability(trials),
        "1,000 permutations, 31 symbols": lambda: permutation_test(
            signals, BarReturns(returns, cost=0.001), block=24, seed=0
        ),
        "e-process, 3,600 outcomes": bet,
    }


def overlapping(length: int, horizon: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Losses with heavy tails that overlap; their true mean is 0."""
    noise = rng.standard_t(6, size=length + horizon - 1)
    return np.convolve(noise, np.ones(horizon), mode="valid")


def judged(length: int, horizon: int, rng: np.random.Generator) -> tuple[float, float]:
    """Share of worlds that the test rejects, and share of intervals that hold the truth."""
    rejected = held = 0
    for seed in range(SERIES):
        loss = overlapping(length, horizon, rng)
        c = compare_half_brier(loss, np.zeros(length), np.arange(length), horizon, seed, draws=500)
        rejected += c.word != "not distinguishable"
        held += c.low is not None and c.high is not None and c.low <= 0.0 <= c.high
    return rejected / SERIES, held / SERIES


def confirmed(horizon: int, effect: float) -> float:
    """Share of 200 streams of 3,600 outcomes in [-.1, .1], sd .02, that are ever confirmed at e >= 20."""
    hits = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(scale=0.02 / horizon**0.5, size=3_600 + horizon - 1)
        d = np.convolve(noise, np.ones(horizon), mode="valid").clip(-0.09, 0.09) - effect
        bettor = Bettor(horizon_bars=horizon)
        for value in d.tolist():
            bettor.update(value, 0.1)
            if bettor.confirmed:
                hits += 1
                break
    return hits / 200


def main() -> int:
    rng = np.random.default_rng(0)
    ts = np.repeat(np.arange(HOURS) * HOUR_NS, SYMBOLS)
    times = {
        "figures of 8 forecasters": [seconds_of_figures(ts, rng) for _ in range(RUNS)],
        "verdict": [seconds_of_verdict(ts, rng) for _ in range(RUNS)],
    }
    for name, call in parts(ts, rng).items():
        times[name] = [seconds(call) for _ in range(RUNS)]
    print("| what | unit | median | least | most | runs |\n|---|---|---|---|---|---|")
    for name, took in times.items():
        print(f"| {name} | s | {np.median(took):.3f} | {min(took):.3f} | {max(took):.3f} | {RUNS} |")
    print("\n| timestamps | horizon | rejected without effect | intervals that hold the truth | series |")
    print("|---|---|---|---|---|")
    rejected, held = [], []
    for length, horizon in SETTINGS:
        rate, share = judged(length, horizon, rng)
        rejected.append(rate)
        held.append(share)
        print(f"| {length:,} | {horizon} | {100 * rate:.1f} % | {100 * share:.1f} % | {SERIES:,} |")
    print("\n| horizon | effect | ever confirmed at e >= 20 | streams |\n|---|---|---|---|")
    false = []
    for horizon in (1, 4, 24):
        for effect in (0.0, 0.001, 0.002):
            rate = confirmed(horizon, effect)
            false += [rate] if effect == 0.0 else []
            print(f"| {horizon} | {effect:g} | {100 * rate:.1f} % | 200 |")
    path = Path(__file__).with_name("thresholds.toml")
    limits = tomllib.loads(path.read_text(encoding="utf-8"))["judge"]
    missed = [
        np.median(times["figures of 8 forecasters"]) > limits["figures_of_eight_seconds"],
        np.median(times["verdict"]) > limits["verdict_seconds"],
        np.median(times["Diebold-Mariano, 111,600 rows"]) > limits["diebold_mariano_seconds"],
        np.median(times["SPA, 48 variants"]) > limits["superior_ability_seconds"],
        np.median(times["confidence set, 48 variants"]) > limits["confidence_set_seconds"],
        min(rejected) < limits["least_rejected_without_effect"],
        max(rejected) > limits["most_rejected_without_effect"],
        min(held) < limits["least_share_held"],
        max(false) > limits["most_confirmed_without_effect"],
    ]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
