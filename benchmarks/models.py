"""How long each forecaster takes to fit and to forecast: `python benchmarks/models.py`.

20,000 rows of 62 features with a weak signal, three classes, default settings, one thread. MiniRocket fits on
its 5,000 windows and forecasts 20,000. "Single" is the median of 200 forecasts of one row.
Exit code 1 if a threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Forecaster
from consilium.models import BASELINES, FALLBACKS, FORECASTERS, make_forecaster

ROWS, FEATURES, RUNS, SINGLES = 20_000, 62, 5, 200
NAMES = ("return_1", "rsi_14", "ema_10_gap", "ema_50_gap", *(f"f{k}" for k in range(FEATURES - 4)))


def data(window: int) -> tuple[Any, NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS, window, FEATURES), dtype=np.float32)
    signal = 0.2 * X[:, -1, :3].sum(axis=1) + rng.standard_normal(ROWS)
    return (X[:, 0] if window == 1 else X), np.digitize(signal, [-0.45, 0.45])


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(model: Forecaster) -> dict[str, list[float]]:
    X, y = data(model.window)
    most = getattr(model, "max_fit_rows", None) or ROWS
    fit, predict, single = [], [], []
    for _ in range(RUNS):
        fit.append(seconds(lambda: model.fit(X[:most], y[:most])))
        predict.append(seconds(lambda: model.predict_proba(X)))
        ones = [seconds(lambda i=i: model.predict_proba(X[i : i + 1])) for i in range(SINGLES)]  # type: ignore[misc]
        single.append(1e3 * median(ones))
    return {"fit": fit, "predict": predict, "single": single}


def cell(values: list[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> int:
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["models"]
    print("| model | fit, s | forecast of 20,000 rows, s | single, ms |\n|---|---|---|---|")
    missed = []
    for name in FORECASTERS | BASELINES | FALLBACKS:
        got = measure(make_forecaster(name, feature_names=NAMES))
        print(f"| {name} | {cell(got['fit'])} | {cell(got['predict'])} | {cell(got['single'])} |", flush=True)
        took, most = median(got["fit"]) + median(got["predict"]), limits.get(f"{name}_seconds")
        if most is not None and took > most:
            missed.append(f"{name}: {took:.2f} s > {most} s")
    print("\n".join(missed) or "all thresholds kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
