"""What a secure sum costs: `python benchmarks/secure_sum.py`.

`consilium federate simulate` at 1,000 participants x 100,000 values and at 10,000 x 10,000; a twentieth falls
silent, two processes play the participants. Thresholds hold for seconds of the processors, so that other work
on the machine does not count: "all told" is server, participants and updates over two cores. Exit code 1 if a
threshold of thresholds.toml is missed. `--small` leaves the larger one out.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

CASES = ((1_000, 100_000), (10_000, 10_000))
CORES = 2


def run(participants: int, params: int) -> dict[str, Any]:
    """Return the report of one simulation, played in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "R.json"
        asked = ["--participants", f"{participants}", "--params", f"{params}", "--mode", "sum"]
        asked += ["--dropout", "0.05", "--jobs", f"{CORES}", "--json", f"{path}", "--quiet"]
        command = [sys.executable, "-m", "consilium", "federate", "simulate", *asked]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(path.read_text())
    if found["max_abs_error"] != 0 or found["failed"]:
        raise SystemExit(f"no exact sum: error {found['max_abs_error']}, {found['failed']}")
    return found


def all_told(found: dict[str, Any]) -> float:
    """Return seconds of two cores that nothing else uses."""
    parts = ("server_cpu_s", "participant_cpu_s", "update_cpu_s")
    return float(sum(found[name] for name in parts)) / CORES


def table(found: dict[str, Any]) -> None:
    """Print the phases of a run."""
    n, error = found["participants"], found["max_abs_error"]
    print(
        f"\n{n:,} x {found['params']:,}: {found['neighbours']} neighbours, threshold {found['threshold']}",
        end="",
    )
    print(f", {found['survivors']:,} survivors, error {error}\n")
    print("| phase | server s | participants s | updates s | upload MB | download MB |")
    print("|---|---|---|---|---|---|")
    names = ("server_cpu_s", "participant_cpu_s", "update_cpu_s", "upload_bytes", "download_bytes")
    for phase in [*found["phases"], {"phase": "all", **{name: found[name] for name in names}}]:
        cells = (told(name, phase[name]) for name in names)
        print(f"| {phase['phase']} | {' | '.join(cells)} |")
    print(
        f"\nAll told {all_told(found):.1f} s of two cores (wall {found['wall_s']:.0f} s beside other work);",
        end="",
    )
    each, served = (1e3 * found[f"{side}_cpu_s"] / n for side in ("participant", "server"))
    print(f" a participant {each:.1f} ms, the server {served:.2f} ms for each;", end="")
    print(f" {found['peak_memory_mb']:,.0f} MB in the server's process.")


def told(name: str, value: float) -> str:
    """Return a figure as the table shows it."""
    return f"{value / 1e6:,.1f}" if name.endswith("bytes") else f"{value:.2f}"


def main() -> int:
    """Run, print, and compare with the thresholds."""
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bounds = tomllib.load(file)["secure_sum"]
    reports = {}
    for participants, params in CASES[: 1 if "--small" in sys.argv[1:] else 2]:
        reports[participants] = found = run(participants, params)
        table(found)
        sys.stdout.flush()
    small, *large = reports.values()
    figures = {"all_told_1000_s": all_told(small), "server_1000_s": small["server_cpu_s"]}
    for found in large:
        each = [one["server_cpu_s"] / one["participants"] for one in (small, found)]
        figures |= {"all_told_10000_s": all_told(found), "growth": each[1] / each[0]}
        print(f"\nserver for each participant, at 10,000 against 1,000: {figures['growth']:.2f}x")
    missed = [name for name, value in figures.items() if value > bounds[name]]
    print(f"\nmissed: {', '.join(missed) or 'none'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
