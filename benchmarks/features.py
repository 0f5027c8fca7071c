"""How long the 62 features take: `python benchmarks/features.py [FILE]`.

The candles of all symbols of FILE (the shared hourly market data if it is not given), in one process and in
two; then one symbol bar by bar. Prints a table; exit code 1 if a threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from consilium.domain import Candle
from consilium.market.features import FeatureStream, compute_features, compute_panel, feature_names
from consilium.market.sources import load_candles

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "candles" / "binance_spot_1h.parquet"
RUNS = 7
STREAMED_BARS = 3_000


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def row(what: str, unit: str, values: list[float]) -> str:
    shown = (np.median(values), min(values), max(values))
    return f"| {what} | {unit} | " + " | ".join(f"{value:.3g}" for value in shown) + f" | {len(values)} |"


def stream_microseconds(
    candles: Sequence[Candle], names: Sequence[str], interval_ns: int
) -> tuple[float, float]:
    stream = FeatureStream(names, interval_ns=interval_ns, bars_per_day=24.0)
    times = []
    for candle in candles:
        start = time.perf_counter_ns()
        stream.update(candle)
        times.append((time.perf_counter_ns() - start) / 1e3)
    warm = np.array(times[1_000:])
    return float(np.median(warm)), float(np.quantile(warm, 0.99))


def main(path: Path) -> int:
    if not path.exists():
        print(f"no candles at {path.name}: give a file")
        return 2
    start = time.perf_counter()
    panel = load_candles(path).series
    loading = time.perf_counter() - start
    names, core = feature_names("candle62"), feature_names("core14")
    rows = sum(len(series) for series in panel.values())
    longest = max(panel.values(), key=len)
    compute_features(longest, names)
    one = [timed(lambda: compute_panel(panel, names)) for _ in range(RUNS)]
    two = [timed(lambda: compute_panel(panel, names, jobs=2)) for _ in range(RUNS)]
    few = [timed(lambda: compute_panel(panel, core)) for _ in range(RUNS)]
    candles = [longest.candle(i) for i in range(min(len(longest), STREAMED_BARS))]
    bars = [stream_microseconds(candles, names, longest.interval_ns) for _ in range(RUNS)]
    print(
        f"{len(panel)} symbols, {rows:,} rows; loading and checking them took {loading:.2f} s (not below)\n"
    )
    print("| what | unit | median | least | most | runs |\n|---|---|---|---|---|---|")
    print(row("62 features, 1 process", "s", one))
    print(row("62 features, 2 processes (the first run starts them)", "s", two))
    print(row("core14, 1 process", "s", few))
    print(row("stream of 62, a bar, median", "us", [median for median, _ in bars]))
    print(row("stream of 62, a bar, 99 % of bars below", "us", [high for _, high in bars]))
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["features"]
    found = {
        "panel_62_seconds": float(np.median(one)),
        "stream_62_microseconds": float(np.median([median for median, _ in bars])),
    }
    missed = [f"{name}: {found[name]:.3g} > {limits[name]}" for name in found if found[name] > limits[name]]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED))
