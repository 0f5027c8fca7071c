"""What `consilium demo` takes, from start to report: `python benchmarks/demo.py`.

The whole process is timed, and the largest memory that any process of it held is the system's own figure.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = 5


def once() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "consilium", "demo", "--quiet"], cwd=folder, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the demo ended with {process.returncode}")
    return seconds, used.ru_maxrss / 2**20


def main() -> int:
    runs = [once() for _ in range(RUNS)]
    print("| what | unit | median | least | most | runs |\n|---|---|---|---|---|---|")
    found = {}
    for place, (what, unit) in enumerate((("wall", "s"), ("peak memory", "GiB"))):
        values = [run[place] for run in runs]
        found[what] = statistics.median(values)
        print(f"| {what} | {unit} | {found[what]:.3g} | {min(values):.3g} | {max(values):.3g} | {RUNS} |")
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["demo"]
    missed = []
    if found["wall"] > limits["wall_seconds"]:
        missed.append(f"wall {found['wall']:.3g} > {limits['wall_seconds']}")
    if found["peak memory"] > limits["peak_gib"]:
        missed.append(f"peak memory {found['peak memory']:.3g} > {limits['peak_gib']}")
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
