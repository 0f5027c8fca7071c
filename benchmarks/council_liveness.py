"""Whether the council always lets trade again: `python benchmarks/council_liveness.py [--write] [--runs N]`.

One-year runs of a simulated account of Sharpe ratio 1 to 3 and volatility 20 to 40 % under the real council,
hour by hour (`tests/council_years.py`): the account obeys the policy, two persons review a freeze four hours
after it came. With --write 60 runs a cell, and council_liveness.md is written anew. Exit code 1 if a
threshold of thresholds.toml is missed.
"""

import argparse
import platform
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from council_years import HOURS_A_YEAR, Year, run_year

HERE = Path(__file__).resolve().parent
SHARPES, VOLATILITIES = (1.0, 2.0, 3.0), (0.2, 0.3, 0.4)
RUNS, QUICK = 60, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    sharpe: float
    volatility: float
    years: list[Year]

    def longest(self, name: str) -> float:
        return max(max(getattr(year, name), default=0) for year in self.years) / 24.0

    def mean(self, value: "list[float]") -> float:
        return float(np.mean(value))


def one(task: tuple[float, float, int]) -> Year:
    sharpe, volatility, seed = task
    return run_year(sharpe=sharpe, volatility=volatility, seed=seed)


def measured(runs: int, jobs: int) -> list[Cell]:
    grid = [*product(SHARPES, VOLATILITIES)]
    tasks = [(sharpe, volatility, seed) for sharpe, volatility in grid for seed in range(runs)]
    with ProcessPoolExecutor(jobs) as pool:
        years = list(pool.map(one, tasks))
    return [
        Cell(sharpe=sharpe, volatility=volatility, years=years[k * runs : (k + 1) * runs])
        for k, (sharpe, volatility) in enumerate(grid)
    ]


def normal_share(year: Year) -> float:
    return 1.0 - (year.profile_hours["MICRO"] + year.profile_hours["LOW"]) / year.hours


def row(cell: Cell) -> str:
    years = cell.years
    hours = HOURS_A_YEAR
    freezes = [sum(len(h) for rule, h in y.fired.items() if rule[0] == "F") / hours * 168 for y in years]
    reached = sum(y.profile_hours["NORMAL"] > 0 for y in years)
    return " | ".join(
        (
            f"| {cell.sharpe:.0f}",
            f"{cell.volatility:.0%}",
            f"{cell.mean([y.mode_hours['LIVE'] / hours for y in years]):.1%}",
            f"{cell.longest('out_of_live'):.1f}",
            f"{sum(y.ended_live for y in years)}/{len(years)}",
            f"{reached}/{len(years)}",
            f"{cell.mean([normal_share(y) for y in years]):.0%}",
            f"{cell.longest('below_normal'):.0f}",
            f"{max(max(y.flips.values()) for y in years)}",
            f"{cell.mean([sum(y.decisions.values()) / hours for y in years]):.3f}",
            f"{cell.mean(freezes):.2f}",
            f"{cell.mean([y.net_return for y in years]):+.1%}",
            f"{cell.mean([y.drawdown for y in years]):.1%} |",
        )
    )


def table(cells: list[Cell]) -> str:
    head = (
        "Sharpe", "volatility", "LIVE", "longest out of LIVE (days)", "LIVE at the end", "NORMAL reached",
        "time in NORMAL or above", "longest below NORMAL (days)", "most repeats of a rule in 24 h",
        "decisions an hour", "freezes a week", "return", "largest drawdown",
    )  # fmt: skip
    return "\n".join([f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *map(row, cells)])


def again(cells: list[Cell]) -> str:
    """Say which rules fired again within a day, and in how many runs."""
    runs = Counter(rule for cell in cells for y in cell.years for rule, n in y.flips.items() if n >= 1)
    total = sum(len(cell.years) for cell in cells)
    told = ", ".join(f"{rule} in {count}" for rule, count in sorted(runs.items()))
    return f"Fired again within 24 hours of having fired, in any of {total} runs: {told or 'none'}."


def missed(cells: list[Cell]) -> list[str]:
    bound = tomllib.loads((HERE / "thresholds.toml").read_text())["council_liveness"]
    found = []
    for cell in cells:
        name = f"Sharpe {cell.sharpe:.0f}, volatility {cell.volatility:.0%}"
        if cell.longest("out_of_live") > bound["longest_out_of_live_days"]:
            found.append(f"{name}: {cell.longest('out_of_live'):.1f} days out of LIVE")
        if max(max(y.flips.values()) for y in cell.years) > bound["repeats_a_day"]:
            found.append(f"{name}: a rule repeats more often than once a day")
        if any(not y.profile_hours["NORMAL"] for y in cell.years):
            found.append(f"{name}: a run never reaches NORMAL")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    runs = given.runs or (RUNS if given.write else QUICK)
    began = time.perf_counter()
    cells = measured(runs, given.jobs)
    took = time.perf_counter() - began
    text = f"{table(cells)}\n\n{again(cells)}\n"
    sys.stdout.write(text)
    if given.write:
        note = (
            f"# Liveness of the council (I14)\n\n"
            f"`python benchmarks/council_liveness.py --write --runs {runs}`, {platform.machine()}, "
            f"{given.jobs} processes, {took:.0f} s, {datetime.now(UTC):%Y-%m-%d}. {runs} one-year runs a "
            f"row, hour by hour, under the rules of the table; two persons review a freeze four hours after "
            f"it came, and at most one a day. The account is one position at a time for a day, 80 % of "
            f"equity under NORMAL, with a stop; the Sharpe ratio and volatility are those of holding it all "
            f"the time under NORMAL. A "
            f"rule that fires again within 24 hours of having fired is a repeat.\n\n"
        )
        (HERE / "council_liveness.md").write_text(note + text)
    faults = missed(cells)
    sys.stderr.write("".join(f"missed: {fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
