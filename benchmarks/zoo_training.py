"""How long the seven models take to train on one split of 10,000 rows: `python benchmarks/zoo_training.py`.

Default sizes, at most 10 epochs, one thread a model, two models at a time, the slowest first. Six read
candle62 of a simulated market, TLOB windows of 100 simulated books. `--quick` takes 500 rows and one epoch;
`--models`, `--rows`, `--epochs`, `--device`, `--precision` and `--jobs` change the rest. Exit code 1 if a
threshold of thresholds.toml is missed; a run that is not whole checks none.
"""

import argparse
import json
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.market.book.tensor import to_normalized_tensors, window_rows
from consilium.market.simulator import simulate, simulate_book
from consilium.models import FORECASTERS, make_forecaster
from consilium.training.book_labels import BookLabelSpec, make_book_labels, tercile_alpha
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.lessons import takes_loop, teach
from consilium.training.reading import Reading
from consilium.training.scaler import Scaler
from consilium.training.teaching import PRECISIONS, Teaching

ROWS, EPOCHS, QUICK_ROWS, QUICK_EPOCHS = 10_000, 10, 500, 1
STOP_SHARE = 10 / 75
"""Rows to stop early by, for each row to learn from; as in a fold."""

SLOWEST_FIRST = ("mpd_transformer", "patchtst", "tlob", "cnn_lstm", "nhits", "xgboost", "lightgbm")
SYMBOLS, CHUNK = 5, 512


def candles(rows: int) -> Dataset:
    bars = 2_000 + int(rows * (1 + STOP_SHARE)) // SYMBOLS
    return build_dataset(simulate(symbols=SYMBOLS, bars=bars, seed=1).series, "candle62", LabelSpec())


def books(rows: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    book = simulate_book(snapshots=rows + 300, seed=1).book
    spec = BookLabelSpec(horizon=30)
    known = make_book_labels(book, spec, alpha=tercile_alpha(book, spec, int(book.ts_event[-1]))).direction
    chosen = window_rows(book)
    chosen = chosen[known[chosen] >= 0][:rows]
    parts = [
        to_normalized_tensors(book, chosen[start : start + CHUNK]).astype(np.float32)
        for start in range(0, len(chosen), CHUNK)
    ]
    return np.concatenate(parts).reshape(len(chosen), 100, -1), known[chosen].astype(np.int64)


class Watch:
    """Seconds on the wall and of the processor since it was made."""

    def __init__(self) -> None:
        self.wall, self.busy = time.perf_counter(), time.process_time()

    def told(self, model: Any) -> dict[str, float]:
        learnt = getattr(model, "learnt_", None)
        return {
            "seconds": time.perf_counter() - self.wall,
            "busy": time.process_time() - self.busy,
            "epochs": len(learnt.train_losses) if learnt else 0,
        }


def fit(name: str, rows: int, epochs: int, teaching: Teaching) -> dict[str, float]:
    """Train one model and return its seconds; data are made before the clock starts."""
    stop = int(rows * STOP_SHARE)
    if name == "tlob":
        from consilium.training.network.loop import TrainingLoop

        X, y = books(rows + stop)
        model: Any = make_forecaster(name, seed=1, n_threads=1, epochs=epochs)
        watch = Watch()
        loop = TrainingLoop(teaching)
        model.fit(X[:rows], y[:rows], validation=(X[rows:], y[rows:]), loop=loop)
        return watch.told(model)
    dataset = candles(rows)
    model = make_forecaster(name, seed=1, n_threads=1)
    if takes_loop(model):
        model = make_forecaster(name, seed=1, n_threads=1, epochs=epochs)
    usable = np.flatnonzero(dataset.labelled & dataset.eligible(model.window))
    fitted, later = usable[:rows], usable[rows : rows + stop]
    watch = Watch()
    scaler = Scaler.fit(dataset.inputs(fitted))
    if takes_loop(model):
        teach(
            Reading.of(dataset, model), model, scaler, fitted, later, teaching=teaching, name=name, part="fit"
        )
    else:
        scaled = [scaler.transform(dataset.inputs(part)) for part in (fitted, later)]
        model.fit(scaled[0], dataset.y[fitted], validation=(scaled[1], dataset.y[later]))
    return watch.told(model)


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model in a process of its own, so that two may run and nothing is shared."""
    command = [sys.executable, __file__, "--one", name]
    command += ["--device", arguments.device, "--precision", arguments.precision]
    command += ["--rows", str(arguments.rows), "--epochs", str(arguments.epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--models", default=",".join(SLOWEST_FIRST))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    arguments.epochs = arguments.epochs or (QUICK_EPOCHS if arguments.quick else EPOCHS)
    return arguments


def main() -> int:
    arguments = parsed()
    if arguments.one:
        teaching = Teaching(device=arguments.device, precision=arguments.precision)
        print(json.dumps(fit(arguments.one, arguments.rows, arguments.epochs, teaching)))
        return 0
    names = [name for name in SLOWEST_FIRST if name in arguments.models.split(",")]
    begun = time.perf_counter()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda name: measured(name, arguments), names))
    minutes = (time.perf_counter() - begun) / 60
    print(f"{arguments.rows} rows, at most {arguments.epochs} epochs, {arguments.jobs} at a time\n")
    print("| model | epochs | seconds | of the processor |\n|---|---|---|---|")
    for name, got in zip(names, results, strict=True):
        print(f"| {name} | {got['epochs'] or '-'} | {got['seconds']:.1f} | {got['busy']:.1f} |")
    print(f"\n{minutes:.1f} minutes in all, data included")
    whole = set(names) == set(FORECASTERS) and (arguments.rows, arguments.epochs) == (ROWS, EPOCHS)
    limit = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["zoo_training"]["minutes"]
    if not whole:
        print("not the whole benchmark: no threshold is checked")
        return 0
    print("threshold kept" if minutes < limit else f"missed: {minutes:.1f} minutes >= {limit}")
    return 0 if minutes < limit else 1


if __name__ == "__main__":
    sys.exit(main())
