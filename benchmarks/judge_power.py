"""What the judge calls better where nothing is, and what it sees: `python benchmarks/judge_power.py`.

Every world goes from raw bars through features, training, calibration, consensus, verdict and fills: 4
symbols x 3,000 hours and fewer worlds of 20 symbols x 6,000 hours, both trees on core14, trust fixed_share,
60 % development and 40 % lock-box. Writes judge_power.md and the record that every report of the judge
prints. Exit code 1 if a threshold of thresholds.toml is missed. `--seeds 200 --larger 40 --jobs 2` are the
defaults; with fewer seeds nothing is written. `--only larger` measures these again and keeps the others.
"""

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.controls import RECORD, last_benchmark
from consilium.app.judge.power import FEATURES, LARGER, WORLDS, plain_rate, rates, size_of
from consilium.app.settings import Settings

HERE = Path(__file__).resolve().parent
RECORDED = HERE.parent / "src" / "consilium" / "app" / "judge" / RECORD
SEEDS = 200
LARGER_SEEDS = 40
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
        f"| world | size | worlds | {' | '.join(COLUMNS.values())} |",
        f"|---|---|---|{'---|' * len(COLUMNS)}",
    ]
    lines += [
        f"| {row['name']} | {row['size']} | {row['verdict']['runs']} "
        f"| {' | '.join(told(row[key]) for key in COLUMNS)} |"
        for row in record["rows"]
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


def measured(kinds: Iterable[str], seeds: int, jobs: int) -> list[dict[str, Any]]:
    request = BacktestRequest.checked(
        settings=Settings(), data="simulate", models=["xgboost", "lightgbm"], trust="fixed_share"
    )
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        found = rates(request, kind, range(seeds), jobs=jobs)
        ic = float(kind.rpartition("IC ")[2].partition(",")[0]) if "IC" in kind else 0.0
        rows.append(
            {"name": kind, "ic": ic, "size": size_of(kind)}
            | {key: plain_rate(rate) for key, rate in found.items()}
        )
        print(
            kind, *(f"{name}: {told(rows[-1][key])}" for key, name in COLUMNS.items()), sep="\n  ", flush=True
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--larger", type=int, default=LARGER_SEEDS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=("all", "larger"), default="all")
    parser.add_argument("--kind", help="measure this kind of world again and keep all others")
    chosen = parser.parse_args()
    begun = time.monotonic()
    small = [kind for kind in WORLDS if chosen.kind in (None, kind) and chosen.only == "all"]
    large = [kind for kind in LARGER if chosen.kind in (None, kind)]
    found = {row["name"]: row for row in last_benchmark()["rows"]}
    found |= {row["name"]: row for row in measured(small, chosen.seeds, chosen.jobs)}
    found |= {row["name"]: row for row in measured(large, chosen.larger, chosen.jobs)}
    rows = [found[kind] for kind in [*WORLDS, *LARGER] if kind in found]
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": COMMAND,
        "worlds": f"Both trees on {FEATURES}; the number of worlds stands in each row.",
        "rows": rows,
    }
    if chosen.seeds >= SEEDS and chosen.larger >= LARGER_SEEDS:
        RECORDED.write_text(json.dumps(record, indent=1) + "\n")
        (HERE / "judge_power.md").write_text(page(record, time.monotonic() - begun))
    for miss in missed(record):
        print("missed:", miss)
    return 1 if missed(record) else 0


if __name__ == "__main__":
    sys.exit(main())
