"""What TLOB finds in books: `python benchmarks/tlob.py [signal|recorded] [--seeds N] [--jobs N] [--quick]`.

`signal`: simulated books whose order flow is known, so that the best possible forecast is known too: all of
the maker's state, played on. TLOB small enough for one core (the sizes are printed), label of 30 snapshots,
one fold, bars of 500 ms. `recorded`: the shared books, TLOB beside logistic regression and MiniRocket on the
same rows and labels, walk-forward. `--quick` takes a tenth of the snapshots and one epoch. Exit code 1 if a
threshold of thresholds.toml is missed, 2 if `recorded` is asked for and there are no books.
"""

import argparse
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import SECOND_NS
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.rows import BookRows
from consilium.market.features import BookColumns, feature_names
from consilium.market.recordings import RecordedFiles
from consilium.market.simulator import simulate_book
from consilium.market.simulator.books import SimulatedBook
from consilium.market.simulator.foresight import chances
from consilium.market.simulator.habits import BookHabits
from consilium.models import make_forecaster
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.judge.bootstrap import mean_block, stationary_counts
from consilium.training.reading import Reading
from consilium.training.snapshot_labels import SnapshotLabelSpec
from consilium.training.trainer import raw_forecasts, train_on
from consilium.training.walkforward import cut_folds

BOOKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "books"
SMALL: dict[str, Any] = {
    "window": 50,
    "spatial_channels": (8, 16, 32),
    "temporal_hidden": 32,
    "num_temporal_layers": 2,
    "num_heads": 2,
    "epochs": 6,
    "patience": 3,
    "learning_rate": 2e-3,
    "batch_size": 64,
    "accumulate": 1,
}
NOISY = BookHabits(flow_memory=60.0, move_rate=0.4)
"""A flow that lasts and a mid that moves often: much can be known, so that a share of it is told exactly."""

HABITS = {"plain": replace(NOISY, depth_noise=0.3, pressure_memory=2.0), "noisy": NOISY}
SNAPSHOTS, HORIZON, BAR_NS = 30_001, 30, SECOND_NS // 2
LAGS = (0, 1, 2, 3, 5, 8, 12, 20, 30)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One simulated market and one way to read it."""

    market: str
    strength: float
    variant: str
    seed: int
    snapshots: int
    epochs: int


def correlation(cells: Floats) -> Floats:
    """Return R_K of confusion matrices (..., 3, 3), 0 where it has no value [Gorodkin 2004]."""
    right, total = np.trace(cells, axis1=-2, axis2=-1), cells.sum(axis=(-2, -1))
    true, said = cells.sum(axis=-1), cells.sum(axis=-2)
    over = total * right - (true * said).sum(axis=-1)
    under = np.sqrt(
        np.maximum(total**2 - (said**2).sum(axis=-1), 0.0)
        * np.maximum(total**2 - (true**2).sum(axis=-1), 0.0)
    )
    return np.where(under > 0.0, over / np.where(under > 0.0, under, 1.0), 0.0)


def mcc(
    y: NDArray[np.int64], said: NDArray[np.int64], horizon_bars: int, seed: int = 0
) -> tuple[float, float]:
    """Return the correlation and its standard error by a stationary bootstrap of whole blocks."""
    cell = np.eye(9)[3 * y + said]
    block = mean_block(cell[:, [0, 4, 8]].sum(axis=1), horizon_bars)
    drawn = [c @ cell for c in stationary_counts(len(y), block, draws=1_000, seed=seed)]
    spread = correlation(np.concatenate(drawn).reshape(-1, 3, 3))
    return float(correlation(cell.sum(axis=0).reshape(3, 3))), float(spread.std())


def simulated(case: Case) -> tuple[SimulatedBook, Dataset]:
    market = simulate_book(
        snapshots=case.snapshots, seed=case.seed, strength=case.strength, habits=HABITS[case.market]
    )
    panel, rows = {"SIM00": market.candles(BAR_NS)}, {"SIM00": BookRows.of(market.book)}
    spec = SnapshotLabelSpec.learned(HORIZON, panel, rows, 0.4)
    return market, build_dataset(panel, ("return_1",), spec, None, rows)


def seen_flow(market: SimulatedBook, fit: NDArray[np.int64], test: NDArray[np.int64]) -> tuple[Floats, float]:
    """Return what least squares on all sizes of nine snapshots tell of the flow, and by how much they err."""
    values = BookRows.of(market.book).values.reshape(len(market.book), -1, 4)
    leaning = (values[..., 1] - values[..., 3]).astype(np.float64)

    def sizes(rows: NDArray[np.int64]) -> Floats:
        lagged = [leaning[rows - lag] for lag in LAGS]
        return np.column_stack([np.ones(len(rows)), *lagged])

    weights = np.linalg.lstsq(sizes(fit), market.signal[fit], rcond=None)[0]
    error = market.signal[fit] - sizes(fit) @ weights
    return sizes(test) @ weights, float(error.std())


def found(case: Case) -> dict[str, Any]:
    """Train on a simulated market; return correlations of TLOB, of the best there is and of a best reader."""
    market, dataset = simulated(case)
    begun = time.process_time()
    (fold,) = cut_folds(dataset, folds=1, first_fraction=0.6)
    settings = SMALL | {"epochs": case.epochs, "variant": case.variant}
    trained = train_on(
        dataset, fold, partial(make_forecaster, "tlob", **settings), name="tlob", seed=case.seed
    )
    busy = time.process_time() - begun
    rows = fold.test[dataset.labelled[fold.test] & Reading.of(dataset, trained).eligible()[fold.test]]
    raw = raw_forecasts(dataset, rows, trained.forecaster, trained.scaler)
    y, held = dataset.y[rows], Reading.of(dataset, trained).held
    place = held.newest[dataset.position[rows]]
    fit = held.newest[dataset.position[fold.fit]]
    alpha = float(dataset.threshold[rows[0]])
    bars = -(-dataset.horizon_ns // BAR_NS)
    best = chances(market, place, HORIZON, alpha, draws=400, seed=case.seed)
    seen, error = seen_flow(market, fit[fit > max(LAGS)], place)
    reader = chances(market, place, HORIZON, alpha, flow=seen, flow_error=error, draws=400, seed=case.seed)
    calibrated = trained.calibration.calibrator.apply(raw)
    moved = y != 1
    which_way = 2 * (calibrated[moved, 2] > calibrated[moved, 0]).astype(np.int64)
    return {
        "case": case,
        "rows": len(rows),
        "busy": busy,
        "skilled": trained.skilled,
        "tlob": mcc(y, calibrated.argmax(axis=1), bars),
        "which_way": mcc(y[moved], which_way, bars),
        "best": mcc(y, best.argmax(axis=1), bars),
        "reader": mcc(y, reader.argmax(axis=1), bars),
        "flow_seen": float(np.corrcoef(seen, market.signal[place])[0, 1]),
    }


def cases(seeds: int, *, quick: bool) -> list[Case]:
    asked = [
        ("plain", 1.0, "spatial_cnn"),
        ("plain", 1.0, "dual_attention"),
        ("noisy", 1.0, "spatial_cnn"),
        ("plain", 0.0, "spatial_cnn"),
    ]
    size = {"snapshots": SNAPSHOTS // 10 if quick else SNAPSHOTS, "epochs": 1 if quick else SMALL["epochs"]}
    return [
        Case(market=market, strength=strength, variant=variant, seed=seed, **size)
        for market, strength, variant in asked
        for seed in range(1, seeds + 1)
    ]


def signal(arguments: argparse.Namespace) -> bool:
    """Print the table of simulated markets; tell whether the thresholds are kept."""
    print("| sizes | strength | variant | seed | TLOB | best | share | reader | flow seen | which way | s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    shares: dict[tuple[str, float, str], list[float]] = {}
    silent = True
    with get_context("spawn").Pool(arguments.jobs) as pool:
        for got in pool.imap(found, cases(arguments.seeds, quick=arguments.quick)):
            case, (ours, error), best, way = got["case"], got["tlob"], got["best"][0], got["which_way"]
            share = ours / best if case.strength else float("nan")
            shares.setdefault((case.market, case.strength, case.variant), []).append(share)
            silent &= case.strength > 0.0 or abs(way[0]) <= 3.0 * way[1]
            told = "-" if case.strength == 0.0 else f"{100 * share:.0f} %"
            print(
                f"| {case.market} | {case.strength:g} | {case.variant} | {case.seed} | "
                f"{ours:.3f} +- {error:.3f} | {best:.3f} | {told} | {got['reader'][0]:.3f} | "
                f"{got['flow_seen']:.2f} | {way[0]:.3f} +- {way[1]:.3f} | {got['busy']:.0f} |",
                flush=True,
            )
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["tlob"]
    means = {key: float(np.mean(values)) for key, values in shares.items()}
    for (market, strength, variant), mean in means.items():
        spread = np.std(shares[market, strength, variant])
        if strength:
            print(f"{market}, {variant}: {100 * mean:.0f} % of the best, spread {100 * spread:.0f} points")
    enough = means["plain", 1.0, "spatial_cnn"] >= limits["share_of_the_best"]
    print("thresholds kept" if enough and silent else "missed")
    return arguments.quick or bool(enough and silent)


def recordings() -> Iterator[tuple[str, Dataset]]:
    """Yield the recorded markets, one after the other: bars of the usual distance of their books."""
    names = (*feature_names("core14"), *feature_names("book50"))
    for path in sorted(BOOKS.glob("*_l20_*.parquet")):
        files = RecordedFiles([path])
        (symbol,) = files.symbols
        book, trades = files.book(symbol), files.trades(symbol)
        bars = bars_from_trades(trades, 100_000_000)
        rows = {symbol: BookRows.of(book)}
        spec = SnapshotLabelSpec.learned(HORIZON, {symbol: bars}, rows, 0.4)
        books = {symbol: BookColumns.of(bars, book, trades)}
        yield path.stem.partition("_l20")[0], build_dataset({symbol: bars}, names, spec, books, rows)


def recorded(arguments: argparse.Namespace) -> int:
    """Print TLOB beside two plain models on recorded books; no claim is made."""
    if not BOOKS.is_dir():
        print("no recorded books: put them at ../shared/data/books")
        return 2
    settings = SMALL | {"epochs": 1 if arguments.quick else SMALL["epochs"]}
    models = {
        "tlob": partial(make_forecaster, "tlob", **settings),
        "logistic": partial(make_forecaster, "logistic"),
        "minirocket": partial(make_forecaster, "minirocket"),
    }
    print("| market | rows | FLAT | model | MCC +- s.e. | log-loss | climatology | skilled folds |")
    print("|---|---|---|---|---|---|---|---|")
    for market, dataset in recordings():
        folds = cut_folds(dataset, folds=2, first_fraction=0.5)
        # the same rows for all: those that every model can forecast
        shared = np.logical_and.reduce(
            [Reading.of(dataset, make()).eligible() for make in models.values()]
        ) & ~np.isnan(dataset.matrix[dataset.position]).any(axis=1)
        for name, make in models.items():
            truth, said, loss, base, skilled = [], [], [], [], 0
            for number, fold in enumerate(folds):
                trained = train_on(dataset, fold, make, name=name, seed=number, max_fit_rows=2_000)
                rows = fold.test[(dataset.labelled & shared)[fold.test]]
                raw = raw_forecasts(dataset, rows, trained.forecaster, trained.scaler)
                p, y = trained.calibration.calibrator.apply(raw), dataset.y[rows]
                climatology = trained.means.climatology(len(rows))
                truth.append(y)
                said.append(p.argmax(axis=1))
                loss.append(-np.log(p[np.arange(len(y)), y]))
                base.append(-np.log(climatology[np.arange(len(y)), y]))
                skilled += trained.skilled
            y, bars = np.concatenate(truth), -(-dataset.horizon_ns // dataset.interval_ns)
            value, error = mcc(y, np.concatenate(said), bars)
            print(
                f"| {market} | {len(y):,} | {np.mean(y == 1):.2f} | {name} | {value:.3f} +- {error:.3f} | "
                f"{np.concatenate(loss).mean():.4f} | {np.concatenate(base).mean():.4f} | "
                f"{skilled} of {len(folds)} |",
                flush=True,
            )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", nargs="?", default="signal", choices=("signal", "recorded"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in SMALL.items()) + "\n")
    if arguments.part == "recorded":
        return recorded(arguments)
    return 0 if signal(arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
