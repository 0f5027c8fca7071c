"""From candles to consensus, in the service: `python benchmarks/live.py [FOLDER] [--models trees|all]`.

SYMBOLS candles of one close go through features, pool, ensemble and paper account, and into an SQLite
journal, as `consilium serve` does it. `to consensus` ends when the last consensus and the trades of the step
are reached, `to journal` when they are on the disk. One service is warmed up once and takes RUNS runs of
STEPS steps, one after the other; p50 and p99 are of all steps, in brackets the least and most of the runs.
`processor` is the time of all threads on a processor, which waiting does not count: of two workers about
twice the time on two idle cores. `--kind fp32` serves no int8 graph.

FOLDER is a registry of models. Without one the two trees are trained on simulated bars at default sizes, and
with `--models all` the four networks that read candles beside them, in one epoch (needs torch): what they say
is worth nothing, what it costs is the same. Exit code 1 if a threshold of thresholds.toml is missed, 2
without torch.
"""

import argparse
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consilium.app.live.members import Member

RUNS, STEPS, STEPS_ALL, WARM_UP, SYMBOLS = 5, 100, 20, 20, 50
TREES = ("xgboost", "lightgbm")
NETWORKS = ("nhits", "patchtst", "cnn_lstm", "mpd_transformer")
NO_TORCH = 2
SERVED_ROWS = 512
"""Held-out rows on which graphs are written and judged."""


def trained(folder: Path, names: Sequence[str] = TREES) -> Path:
    from consilium.market.simulator import simulate
    from consilium.models import make_forecaster
    from consilium.training.dataset import build_dataset
    from consilium.training.labels import LabelSpec
    from consilium.training.reading import Reading
    from consilium.training.registry import ModelRegistry
    from consilium.training.serving import make_serving
    from consilium.training.trainer import held_out, train_final

    panel = simulate(symbols=5, bars=3_000, seed=11, signal_ic=0.1).series
    dataset = build_dataset(panel, "candle62", LabelSpec())
    registry = ModelRegistry(folder)
    for name in names:
        short: dict[str, Any] = {"epochs": 1} if name in NETWORKS else {}
        factory = partial(make_forecaster, name, n_threads=1, **short)
        made = train_final(
            dataset, factory, name=name, seed=7, max_fit_rows=256 if name in NETWORKS else None
        )
        # A model without skill would not be asked at all.
        made = replace(made, calibration=replace(made.calibration, skilled=True))
        rows = held_out(dataset, made)[-SERVED_ROWS:]
        serving = make_serving(
            made.forecaster, made.scaler, Reading.of(dataset, made).inputs(rows), dataset.y[rows]
        )
        registry.add(name, made, ts_created=time.time_ns(), code_version="bench", serving=serving)
    return folder


def serve_only(kind: str) -> None:
    """Let the service load graphs of one kind, where a model has them."""
    from consilium.app.live import members
    from consilium.training import serving

    members.load_served = partial(serving.load_served, kind=kind)  # type: ignore[attr-defined]


def measured(models: Path, data: Path, counted: int, workers: int) -> dict[str, list[float]]:
    """Follow a simulated market; return milliseconds of each step to consensus and to the journal."""
    from threading import Event

    from consilium.app.live.assembly import assemble
    from consilium.app.live.feeds import PanelFeed
    from consilium.app.settings import Live, Serving, Settings
    from consilium.market.simulator import simulate

    # Networks speak once their windows are full of warm rows.
    warm_up = WARM_UP + max(place.served.window for place in loaded(models).values())
    data.mkdir()
    (data / "models").symlink_to(models.absolute())
    # What they say is worth nothing here, whatever they learned from.
    settings = Settings(
        data_dir=data, live=Live(foresight=True), serving=Serving(max_age_days=0.0, workers=workers)
    )
    system = assemble(settings)
    feed = PanelFeed(
        "bench", simulate(symbols=SYMBOLS, bars=2_000 + warm_up + counted, seed=1).series, speed=0.0
    )
    steps = iter(feed.steps(0, Event()))
    held = [next(steps) for _ in range(warm_up + counted)]
    feed.steps = _no_steps  # type: ignore[method-assign, assignment]  # they are sent from here
    system.feed = feed
    to_consensus: list[float] = []
    to_journal: list[float] = []
    processor: list[float] = []
    with system:
        while system.troubles or system.pipeline.market.followed[feed.symbols[0]].ts_close < 0:
            time.sleep(0.05)
        used = 0.0
        observe, conclude = system.pipeline.observe, system.pipeline.conclude

        def observed(*arguments: object) -> object:
            nonlocal used
            used = time.process_time()
            return observe(*arguments)  # type: ignore[arg-type]  # as the system calls it

        def concluded(*arguments: object) -> object:
            found = conclude(*arguments)  # type: ignore[arg-type]
            processor.append(1e3 * (time.process_time() - used))
            to_consensus.append(1e3 * (time.perf_counter() - begun))
            return found

        # only the clock is added
        system.pipeline.observe = observed  # type: ignore[method-assign,assignment]
        system.pipeline.conclude = concluded  # type: ignore[method-assign,assignment]
        for candles in held:
            begun = time.perf_counter()
            system.take(candles)
            to_journal.append(1e3 * (time.perf_counter() - begun))
        if system.pipeline.market.coverage != "full":
            raise SystemExit(f"all models must speak; got coverage {system.pipeline.market.coverage}")
    return {
        "to consensus": to_consensus[warm_up:],
        "to consensus, processor": processor[warm_up:],
        "to journal": to_journal[warm_up:],
        "models": [len(loaded(models))],
    }


def loaded(models: Path) -> "Mapping[str, Member]":
    """Return the models of a folder, as the service loads them."""
    from consilium.app.live.members import Shelf

    found = Shelf(models, interval_ns=0, max_age_days=0.0).load(time.time_ns())
    if found.missing:
        raise SystemExit(f"all models must be whole; got {dict(found.missing)}")
    return found.models


def _no_steps(*_arguments: object) -> Iterator[tuple[()]]:
    return iter(())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--models", choices=("trees", "all"), default="trees")
    parser.add_argument("--kind", choices=("best", "fp32"), default="best")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, help=f"of each run ({STEPS}, or {STEPS_ALL} with all models)")
    asked = parser.parse_args()
    steps = asked.steps or (STEPS_ALL if asked.models == "all" else STEPS)
    if asked.models == "all" and asked.folder is None and find_spec("torch") is None:
        print("the networks need torch, or a FOLDER that `consilium train --models all` has filled")
        return NO_TORCH
    serve_only(asked.kind)
    with tempfile.TemporaryDirectory() as place:
        names = (*TREES, *NETWORKS) if asked.models == "all" else TREES
        models = asked.folder or trained(Path(place) / "models", names)
        found = measured(models, Path(place) / "run", RUNS * steps, asked.workers)
    return told(found, steps, asked.models if asked.kind == "best" else f"{asked.models}_{asked.kind}")


def told(found: dict[str, list[float]], steps: int, models: str) -> int:
    """Print the table; return the exit code."""
    import numpy as np

    print(f"| {found['models'][0]} models, {SYMBOLS} symbols | p50, ms | p99, ms |\n|---|---|---|")
    reached = {}
    for name in ("to consensus", "to consensus, processor", "to journal"):
        cells = []
        for share in (0.5, 0.99):
            runs = [
                float(np.quantile(found[name][k : k + steps], share)) for k in range(0, RUNS * steps, steps)
            ]
            reached[name, share] = float(np.quantile(found[name], share))
            cells.append(f"{reached[name, share]:.1f} ({min(runs):.1f} to {max(runs):.1f})")
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    bounds = tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())["live"]
    bound = bounds[f"{models}_p99_ms"]
    if reached["to consensus", 0.99] > bound:
        print(f"missed: p99 to consensus must be <= {bound} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
