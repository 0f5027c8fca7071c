"""From the command to /readyz: `python benchmarks/start.py`.

`consilium serve` on a new data folder, with nothing and with the two tree models of 600 rounds, RUNS times
each in turn: until `/readyz` answers 200, asked every 10 ms. `processor` is the time of all its threads on a
processor until then, which tells more on a busy machine. A start that loads torch fails. Exit code 1 if a
threshold of thresholds.toml is missed.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import urlopen

RUNS = 5
PATIENCE_S = 60.0


def trees(folder: Path) -> Path:
    """Train the two tree models."""
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
        registry.add(name, made, ts_created=time.time_ns(), code_version="bench", serving=serving)
    return folder


def started(models: Path | None) -> tuple[float, float]:
    """Start a service and end it; return seconds to /readyz and on the processor."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as probe:
        data = Path(place) / "runs"
        data.mkdir()
        if models is not None:
            (data / "models").symlink_to(models)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
        command = ["-m", "consilium", "serve", "--data-dir", str(data), "--port", str(port)]
        begun = time.perf_counter()
        process = subprocess.Popen([sys.executable, *command], env=kept, stderr=subprocess.DEVNULL)
        try:
            while not ready(port):
                if process.poll() is not None or time.perf_counter() - begun > PATIENCE_S:
                    raise SystemExit(f"the service must start; exit code {process.poll()}")
                time.sleep(0.01)
            taken = time.perf_counter() - begun
            used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            if "libtorch" in Path(f"/proc/{process.pid}/maps").read_text():
                raise SystemExit("a service must start without torch")
        finally:
            process.terminate()
            process.wait()
    return taken, sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0) as answer:
            return int(answer.status) == 200
    except (URLError, OSError):
        return False


def main() -> int:
    bounds = tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())["start"]
    with tempfile.TemporaryDirectory() as place:
        asked = {"nothing": None, "two tree models": trees(Path(place) / "models")}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
        for _ in range(RUNS):
            for name, models in asked.items():
                found[name].append(started(models))
    print("| to /readyz, with | s | processor, s |\n|---|---|---|")
    for name, times in found.items():
        cells = (
            f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in zip(*times, strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} |")
    slowest = max(median(each[0] for each in times) for times in found.values())
    if slowest > bounds["ready_s"]:
        print(f"missed: /readyz must answer within {bounds['ready_s']} s; took {slowest:.2f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
