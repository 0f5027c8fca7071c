"""What the judge calls better where nothing is, and what it sees: `python benchmarks/judge_power.py`.

Every world goes from raw bars through features, training, calibration, consensus, verdict and fills: 4
symbols x 3,000 hours, both trees on core14, trust fixed_share, 60 % development and 40 % lock-box. Writes
judge_power.md and the record that every report of the judge prints. Exit code 1 if a threshold of
thresholds.toml is missed. `--seeds 200 --jobs 2` are the defaults; with fewer seeds nothing is written.
"""

import argparse
import json
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.controls import BARS, RECORD, SYMBOLS
from consilium.app.judge.power import FEATURES, WORLDS, plain_rate, rates
from consilium.app.settings import Settings

HERE = Path(__file__).resolve().parent
RECORDED = HERE.parent / "src" / "consilium" / "app" / "judge" / RECORD
SEEDS = 200
COMMAND = "python benchmarks/judge_power.py"
COLUMNS = {
    "verdict": "verdict `better`",
    "climatology": "better than climatology",
    "direction": "better than its mirror image",
    "rejected": "differs from its mirror image",
}


def told(rate: dict[str, Any]) -> str:
    share = 100 * rate["hits"] / rate["runs"]
    return f"{share:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"


def page(record: dict[str, Any], seconds: float) -> str:
    lines = [
        "# What the judge sees",
        "",
        f"`{COMMAND}` on {record['date']}, two cores, {seconds:,.0f} s. {record['worlds']}",
        "Share of worlds with its exact 95 % interval.",
        "",
        f"| world | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    lines += [
        f"| {row['name']} | {' | '.join(told(row[key]) for key in COLUMNS)} |" for row in record["rows"]
    ]
    return "\n".join(lines) + "\n"


def missed(record: dict[str, Any]) -> list[str]:
    bounds = tomllib.loads((HERE / "thresholds.toml").read_text())["judge_power"]
    nothing = [row for row in record["rows"] if row["ic"] == 0.0]
    found = [
        f"{row['name']}: verdict {row['verdict']['hits']} of {row['verdict']['runs']}"
        for row in nothing
        if row["verdict"]["hits"] > bounds["most_called_better"] * row["verdict"]["runs"]
    ]
    hits, runs = (sum(row["rejected"][key] for row in nothing) for key in ("hits", "runs"))
    if not bounds["least_rejected"] <= hits / runs <= bounds["most_rejected"]:
        found.append(f"the test rejects {hits} of {runs}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    request = BacktestRequest.checked(
        settings=Settings(), data="simulate", models=["xgboost", "lightgbm"], trust="fixed_share"
    )
    begun = time.monotonic()
    rows: list[dict[str, Any]] = []
    for kind in WORLDS:
        found = rates(request, kind, range(chosen.seeds), jobs=chosen.jobs)
        ic = float(kind.rpartition("IC ")[2]) if "IC" in kind else 0.0
        rows.append({"name": kind, "ic": ic} | {key: plain_rate(rate) for key, rate in found.items()})
        print(kind, *(f"{name}: {told(rows[-1][key])}" for key, name in COLUMNS.items()), sep="\n  ")
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": COMMAND,
        "worlds": f"{SYMBOLS} symbols x {BARS:,} hours, both trees on {FEATURES}, {chosen.seeds} seeds each.",
        "rows": rows,
    }
    if chosen.seeds >= SEEDS:
        RECORDED.write_text(json.dumps(record, indent=1) + "\n")
        (HERE / "judge_power.md").write_text(page(record, time.monotonic() - begun))
    for miss in missed(record):
        print("missed:", miss)
    return 1 if missed(record) else 0


if __name__ == "__main__":
    sys.exit(main())
