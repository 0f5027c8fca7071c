"""A network federated over symbols, through the secure sum, beside what each symbol learns alone.

    OMP_NUM_THREADS=1 python benchmarks/federated_candles.py --data CANDLES.parquet

with --symbols 20, --rounds 5 and --seeds 0 unless others are given.

Each participant has the candles of one symbol. Only the first 60 % of the times are read, the development
part of the judge's protocol; the last fifth of those is judged, once. Both ways take the same local steps.
Exit code 1 if a decoded sum was not exact.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.learning import InProcess, seated
from consilium.domain.scores import half_brier
from consilium.federated.entropy import SystemEntropy
from consilium.federated.local import LocalPlan, LocalRule
from consilium.federated.primitives import new_signing_key
from consilium.federated.sampling import seed_of
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.session import Mode, Terms
from consilium.federated.tasks.candles import Candles
from consilium.market.sources import load_candles
from consilium.training.judge.diebold_mariano import mean_test
from consilium.training.judge.timestamps import mean_by_timestamp

DEVELOPMENT = 0.6
SIZES: dict[str, Any] = {"window": 48, "hidden_size": 64, "num_blocks": 1}
Floats = NDArray[np.float64]


def development_panels(path: Path, count: int) -> dict[str, dict[str, Any]]:
    """Return the first symbols by name that have the whole history, cut to the development part."""
    series = load_candles(path).series
    first = min(int(one.ts_open[0]) for one in series.values())
    last = max(int(one.ts_open[-1]) for one in series.values())
    border = first + int(DEVELOPMENT * (last - first))
    whole = [
        name for name, one in sorted(series.items()) if one.ts_open[0] == first and one.ts_open[-1] == last
    ]
    panels = {}
    for name in whole[:count]:
        stop = int(np.searchsorted(series[name].ts_open, border))
        panels[name.lower()] = {name: series[name].slice(0, stop)}
    return panels


def session(task: Candles, terms: Terms) -> InProcess:
    """Seat every participant, with real keys, in a running session."""
    entropy = SystemEntropy()
    kept, seats = seated(task, terms, {name: new_signing_key(entropy) for name in task.participants})
    hub = Identity("hub", new_signing_key(entropy))
    return InProcess(kept, hub, seats, judge=task.evaluate)


def alone(task: Candles, terms: Terms) -> dict[str, Floats]:
    """Train each participant on its own rows only, for the same steps from the same first weights."""
    ends = {}
    for name in task.participants:
        parameters = task.initial()
        for number in range(1, terms.rounds + 1):
            parameters = task.train(
                name,
                parameters,
                plan=terms.local,
                rule=LocalRule(base=parameters),
                seed=seed_of(terms.seed, terms.session, name, number),
            ).parameters
        ends[name] = parameters
    return ends


def judged(task: Candles, shared: Floats, own: dict[str, Floats]) -> dict[str, dict[str, float | int | None]]:
    """Compare half-Brier scores on the test rows: mean over symbols at each time, then over times."""
    scores: dict[str, list[Floats]] = {"federated": [], "alone": [], "climatology": []}
    times = []
    for name in task.participants:
        local = task.local(name)
        truth, rows = local.dataset.y[local.test], local.test
        counts = np.bincount(local.dataset.y[local.fit], minlength=3) + 1.0 / 3.0
        stated = {
            "federated": task.probabilities(shared, name, rows),
            "alone": task.probabilities(own[name], name, rows),
            "climatology": np.tile(counts / counts.sum(), (len(rows), 1)),
        }
        for way, p in stated.items():
            scores[way].append(half_brier(p, truth))
        times.append(local.dataset.ts_event[rows])
    when = np.concatenate(times)
    merged = {way: np.concatenate(parts) for way, parts in scores.items()}
    figures: dict[str, dict[str, float | int | None]] = {
        way: {"half_brier": float(mean_by_timestamp(values, when)[1].mean())}
        for way, values in merged.items()
    }
    for ours, theirs in (("federated", "alone"), ("federated", "climatology"), ("alone", "climatology")):
        test = mean_test(mean_by_timestamp(merged[ours] - merged[theirs], when)[1], horizon_bars=1)
        figures[f"{ours} - {theirs}"] = {
            "mean": test.mean,
            "standard_error": test.standard_error,
            "p_value": test.p_value,
            "times": test.timestamps,
        }
    return figures


def run(path: Path, count: int, rounds: int, seed: int, stride: int) -> dict[str, Any]:
    """Play one seed."""
    task = Candles(development_panels(path, count), sizes=SIZES, stride=stride, seed=seed)
    terms = Terms(
        session=f"candles-{seed}",
        task="candles",
        mode=Mode.SUM,
        rounds=rounds,
        clip=2.0,
        seed=seed,
        local=LocalPlan(epochs=1),
    )
    rows = [task.examples(name) for name in task.participants]
    print(f"seed {seed}: {len(rows)} participants, {min(rows)} to {max(rows)} rows, {task.dimension} numbers")
    world, begun = session(task, terms), time.perf_counter()
    errors = []
    for played in world.rounds():
        report = played.report
        errors.append(played.max_abs_error)
        print(
            f"  round {report.number}: {len(report.survivors)} survivors, "
            f"error of the sum {played.max_abs_error}, "
            f"log-loss between fit and test {(report.performance or {}).get('log_loss', float('nan')):.4f}, "
            f"{played.uploaded / 1e6:.2f} MB up, {report.failed or 'ok'}",
            flush=True,
        )
    seconds = time.perf_counter() - begun
    figures = judged(task, world.kept.parameters, alone(task, terms))
    print(json.dumps(figures, indent=1))
    return {"seed": seed, "errors": errors, "seconds": seconds, "figures": figures}


def main() -> int:
    """Run all seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    runs = [run(asked.data, asked.symbols, asked.rounds, seed, asked.stride) for seed in asked.seeds]
    return int(any(error != 0 for one in runs for error in one["errors"]))


if __name__ == "__main__":
    raise SystemExit(main())
