"""One decision by all models of a folder, as they are served: `python benchmarks/serving.py [FOLDER]`.

FOLDER is a registry of models, as `consilium train` writes it; without one, the two tree models are trained
on simulated bars at default sizes. Each cell is the median over runs of p50 and p99 of DECISIONS decisions of
one symbol, every one with a new row and, for TLOB, a new book; workers share the models. Beside them stands
the mean time of the processor, of all threads together: what counts on a machine with other work. Memory is
what a process of its own holds that loads the models and decides, nothing else. The digests say which files
were measured.

Where FOLDER holds networks, the same forecasters are asked in their own libraries beside it, one row at a
time, one after the other: networks in eager torch with the channels of PatchTST folded into one batch, and
with the loop over channels that the documents write; trees by XGBoost and LightGBM. Exit code 1 if a
threshold of thresholds.toml is missed.
"""

import json
import subprocess
import sys
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

RUNS, DECISIONS, WARM_UP = 5, 200, 20

NETWORKS = {"nhits", "patchtst", "cnn_lstm", "mpd_transformer", "tlob"}
CHILD, EAGER = "--one", "--eager"


def models_in(folder: Path) -> dict[str, Path]:
    from consilium.training.registry import ModelRegistry

    registry = ModelRegistry(folder)
    served = {name: registry.served(name) for name in registry.models()}
    return {name: version.folder for name, version in served.items() if version is not None}


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def one(folder: Path, kind: str, workers: int) -> dict[str, Any]:
    """Measure in this process, which has loaded nothing else."""
    import numpy as np

    from consilium.domain import ArtefactRefused
    from consilium.models.pool import ModelPool
    from consilium.models.runtime import Runtime
    from consilium.training.serving import load_served

    loaded = []
    for place in models_in(folder).values():
        try:
            loaded.append(load_served(place, kind=kind, ask_all=True))
        except ArtefactRefused:
            # A model whose int8 graph did not pass its gate, or that has none, is served as it would be.
            loaded.append(load_served(place, ask_all=True))
    pool = ModelPool(loaded, runtime=Runtime(workers=workers))
    wide = max(model.book_columns for model in loaded)
    start = max(model.window for model in loaded) + WARM_UP
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((start + RUNS * DECISIONS, len(pool.feature_names)))
    books = rng.standard_normal((len(rows), 1, wide))

    def decide(at: int) -> Any:
        """One new book, where a model reads them, and one new row."""
        if wide:
            pool.see("S", books[at], [at])
        return pool.decide("S", rows[at], ts_event=at)

    for at in range(start):
        decide(at)
    at = start
    p50, p99, busy = [], [], []
    for _ in range(RUNS):
        times, worked = [], time.process_time()
        for _ in range(DECISIONS):
            begun = time.perf_counter()
            found = decide(at)
            times.append(1e3 * (time.perf_counter() - begun))
            at += 1
        busy.append(1e3 * (time.process_time() - worked) / DECISIONS)
        p50.append(float(np.quantile(times, 0.5)))
        p99.append(float(np.quantile(times, 0.99)))
    pool.close()
    if found.left_out:
        raise SystemExit(f"every model must speak; got {found.left_out}")
    return {
        "p50": p50,
        "p99": p99,
        "busy": busy,
        "memory": resident_mib(),
        "kinds": {model.name: model.kind for model in loaded},
        "digests": {model.name: model.digest for model in loaded},
        "each": {name: figures["p50_ms"] for name, figures in pool.counters().items()},
    }


def eager(folder: Path, threads: int) -> dict[str, Any]:
    """Ask the stored forecasters in their own libraries; milliseconds of one decision by all of them."""
    import numpy as np
    import torch

    from consilium.training.artefacts import load_artefact

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    folded: dict[str, Any] = {}
    looped: dict[str, Any] = {}
    for name, place in models_in(folder).items():
        model = load_artefact(place, kind="native").model
        forecaster: Any = model.forecaster
        width = forecaster.n_features_in_  # one more than the features where books may be masked
        if not hasattr(forecaster, "network_"):
            row = rng.standard_normal((1, width) if model.window == 1 else (1, model.window, width))
            folded[name] = partial(forecaster.predict_proba, row)
            continue
        window = torch.from_numpy(rng.standard_normal((1, model.window, width), dtype=np.float32))
        folded[name] = partial(forecaster.network_.eval(), window)
        if name == "patchtst":
            looped[name] = partial(by_channel, forecaster.network_, window)
    with torch.inference_mode():
        return {"folded": timed(folded), "looped": timed(folded | looped)}


def by_channel(network: Any, windows: Any) -> Any:
    """PatchTST as the documents have it: one channel after the other through the encoder."""
    import torch

    tokens = [network.backbone(windows[:, :, at : at + 1]) for at in range(windows.shape[2])]
    known = torch.cat(tokens, dim=1)
    return network.heads((known.mean(dim=2) if network.mean else known).flatten(1))


def timed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return p50 of all together and the mean time of the processor, of each run; p50 of each alone."""
    import numpy as np

    p50, busy, each = [], [], {}
    for run in range(RUNS + 1):
        times, worked = np.empty((DECISIONS, len(asked))), time.process_time()
        for row in times:
            for place, ask in enumerate(asked.values()):
                begun = time.perf_counter()
                ask()
                row[place] = 1e3 * (time.perf_counter() - begun)
        if run:  # the first one warms up
            p50.append(float(np.median(times.sum(axis=1))))
            busy.append(1e3 * (time.process_time() - worked) / DECISIONS)
            each = dict(zip(asked, np.median(times, axis=0).tolist(), strict=True))
    return {"p50": p50, "busy": busy, "each": each}


def trees(folder: Path) -> Path:
    """Train the two tree models at default sizes, where no folder was given."""
    from consilium.market.simulator import simulate
    from consilium.models import make_forecaster
    from consilium.training.dataset import build_dataset
    from consilium.training.labels import LabelSpec
    from consilium.training.registry import ModelRegistry
    from consilium.training.serving import make_serving
    from consilium.training.trainer import held_out, train_final

    dataset = build_dataset(simulate(symbols=5, bars=2_000, seed=1).series, "candle62", LabelSpec())
    registry = ModelRegistry(folder)
    for name in ("xgboost", "lightgbm"):
        made = train_final(dataset, partial(make_forecaster, name), name=name, seed=1)
        rows = held_out(dataset, made)
        serving = make_serving(
            made.forecaster, made.scaler, dataset.inputs(rows, made.window), dataset.y[rows]
        )
        registry.add(name, made, ts_created=0, code_version="benchmark", serving=serving)
    return folder


def measured(folder: Path, *asked: str | int) -> dict[str, Any]:
    command = [sys.executable, __file__, *map(str, (asked[0], folder, *asked[1:]))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def cell(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def report(folder: Path) -> int:
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["serving"]
    got = {
        (kind, workers): measured(folder, CHILD, kind, workers)
        for kind in ("fp32", "int8")
        for workers in (1, 2)
    }
    for name, digest in got["fp32", 1]["digests"].items():
        print(f"{name}: {digest}")
    print("\n| graphs | workers | p50, ms | p99, ms | of the processor, ms | memory, MiB |")
    print("|---|---|---|---|---|---|")
    missed = []
    for (kind, workers), found in got.items():
        p50, p99, memory = cell(found["p50"]), cell(found["p99"]), found["memory"]
        print(f"| {kind} | {workers} | {p50} | {p99} | {cell(found['busy'])} | {memory:.0f} |")
        most = limits[f"{kind}_two_workers_p50_ms"] if workers == 2 else float("inf")
        if median(found["p50"]) > most:
            missed.append(f"{kind}, {workers} workers: {median(found['p50']):.2f} ms > {most} ms")
        if memory > limits["memory_mib"]:
            missed.append(f"{kind}, {workers} workers: {memory:.0f} MiB > {limits['memory_mib']} MiB")
    for kind in ("fp32", "int8"):
        found = got[kind, 1]
        each = ", ".join(f"{name} {found['kinds'][name]} {ms:.2f}" for name, ms in found["each"].items())
        print(f"\nms by model, {kind}: {each}")
    missed += compared(folder, got, limits)
    print("\n".join(["", *missed]) if missed else "\nall thresholds kept")
    return 1 if missed else 0


def compared(folder: Path, got: dict[Any, Any], limits: dict[str, float]) -> list[str]:
    """Print how much longer the libraries take, two threads beside two workers; return what is missed."""
    if not NETWORKS & set(got["fp32", 1]["kinds"]):
        return []
    print("\n| in their libraries | threads | p50, ms | of the processor, ms | x fp32 | x int8 |")
    print("|---|---|---|---|---|---|")
    missed: list[str] = []
    alone: list[str] = []
    for threads in (1, 2):
        found = measured(folder, EAGER, threads)
        for how, told in (("folded", "channels folded"), ("looped", "a loop over channels")):
            ms = median(found[how]["p50"])
            times = {kind: ms / median(got[kind, threads]["p50"]) for kind in ("fp32", "int8")}
            shown = " | ".join(f"{value:.1f}" for value in times.values())
            print(
                f"| {told} | {threads} | {cell(found[how]['p50'])} | {cell(found[how]['busy'])} | {shown} |"
            )
            if threads == 2 and how == "folded":
                for kind, value in times.items():
                    if value < limits[f"{kind}_times_faster"]:
                        missed.append(f"{kind}: {value:.1f} x faster < {limits[f'{kind}_times_faster']}")
        each = ", ".join(f"{name} {ms:.2f}" for name, ms in found["folded"]["each"].items())
        alone.append(f"ms by model, {threads} threads: {each}")
    print("\n" + "\n\n".join(alone))
    return missed


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == EAGER:
        print(json.dumps(eager(Path(sys.argv[2]), int(sys.argv[3]))))
        return 0
    if len(sys.argv) > 1 and sys.argv[1] == CHILD:
        print(json.dumps(one(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))))
        return 0
    if len(sys.argv) > 1:
        return report(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        return report(trees(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
