"""From candles to consensus, in the service: `python benchmarks/live.py [FOLDER] [--models trees|all]`.

SYMBOLS candles of one close go through features, pool, ensemble and paper account, and into an SQLite
journal, as `consilium serve` does it. `to consensus` ends when the last consensus and the trades of the step
are reached, `to journal` when they are on the disk. FOLDER is a registry of models; without one the two trees
are trained on simulated bars at default sizes; `--models all` asks for a registry with all seven (trained by
`consilium train --models all`). Medians over RUNS runs of p50 and p99 of STEPS steps, least to most.
Exit code 1 if a threshold of thresholds.toml is missed.
"""

import argparse
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

RUNS, STEPS, WARM_UP, SYMBOLS = 5, 200, 20, 50
BARS = 1_000 + WARM_UP + STEPS


def trained(folder: Path) -> Path:
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
    for name in ("xgboost", "lightgbm"):
        made = train_final(dataset, partial(make_forecaster, name, n_threads=1), name=name, seed=7)
        rows = held_out(dataset, made)
        serving = make_serving(
            made.forecaster, made.scaler, Reading.of(dataset, made).inputs(rows), dataset.y[rows]
        )
        registry.add(name, made, ts_created=time.time_ns(), code_version="bench", serving=serving)
    return folder


def measured(models: Path, data: Path, seed: int, workers: int) -> dict[str, list[float]]:
    """Follow a simulated market once; return milliseconds to consensus and to the journal."""
    from threading import Event

    from consilium.app.live.assembly import assemble
    from consilium.app.live.feeds import PanelFeed
    from consilium.app.settings import Live, Serving, Settings
    from consilium.market.simulator import simulate

    data.mkdir()
    (data / "models").symlink_to(models.absolute())
    settings = Settings(data_dir=data, live=Live(), serving=Serving(max_age_days=0.0, workers=workers))
    system = assemble(settings)
    feed = PanelFeed("bench", simulate(symbols=SYMBOLS, bars=2_000 + STEPS, seed=seed).series, speed=0.0)
    steps = iter(feed.steps(0, Event()))
    held = [next(steps) for _ in range(WARM_UP + STEPS)]
    feed.steps = _no_steps  # type: ignore[method-assign, assignment]  # they are sent from here
    system.feed = feed
    to_consensus: list[float] = []
    to_journal: list[float] = []
    processor: list[float] = []
    with system:
        while system.troubles or system.pipeline.market.followed[feed.symbols[0]].ts_close < 0:
            time.sleep(0.05)
        step = system.pipeline.step

        def timed(*arguments: object) -> object:
            used = time.process_time()
            found = step(*arguments)  # type: ignore[arg-type]  # as the system calls it
            processor.append(1e3 * (time.process_time() - used))
            to_consensus.append(1e3 * (time.perf_counter() - begun))
            return found

        system.pipeline.step = timed  # type: ignore[method-assign,assignment]  # only the clock is added
        for candles in held:
            begun = time.perf_counter()
            system.take(candles)
            to_journal.append(1e3 * (time.perf_counter() - begun))
        spoken = {said["model"] for said in system.predictions(None, 0, 500)}
    if "fallback" in spoken:
        raise SystemExit(f"the models must speak; got {sorted(spoken)}")
    return {
        "to consensus": to_consensus[WARM_UP:],
        "to consensus, processor": processor[WARM_UP:],
        "to journal": to_journal[WARM_UP:],
        "models": [len(spoken)],
    }


def _no_steps(after: int, stop: object) -> Iterator[tuple[()]]:  # noqa: ARG001 - as a feed has it
    return iter(())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--models", choices=("trees", "all"), default="trees")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    if asked.models == "all" and asked.folder is None:
        parser.error("--models all needs a FOLDER that `consilium train --models all` has filled")
    import numpy as np

    with tempfile.TemporaryDirectory() as place:
        models = asked.folder or trained(Path(place) / "models")
        runs = [measured(models, Path(place) / f"run{seed}", seed, asked.workers) for seed in range(RUNS)]
    print(f"| {runs[0]['models'][0]} models, {SYMBOLS} symbols | p50, ms | p99, ms |\n|---|---|---|")
    reached = {}
    for name in ("to consensus", "to consensus, processor", "to journal"):
        cells = []
        for share in (0.5, 0.99):
            values = [float(np.quantile(run[name], share)) for run in runs]
            cells.append(f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})")
            reached[name, share] = median(values)
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    bounds = tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())["live"]
    bound = bounds[f"{asked.models}_p99_ms"]
    if reached["to consensus", 0.99] > bound:
        print(f"missed: p99 to consensus must be <= {bound} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
