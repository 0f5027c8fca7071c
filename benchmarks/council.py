"""How long the council takes, and what it keeps: `python benchmarks/council.py`.

Messages to a council of six officers one after another: quiet minutes of an account, and accounts whose
random figures set rules on and off; microseconds from the report to its decisions, of the processor, since
other work on the machine is not ours, and by the clock beside it. Then a year of minute reports: the memory
that the council takes and the size of its state (not with ``--quick``). Exit code 1 if a threshold of
thresholds.toml is missed; it is held against the processor's time.
"""

import gc
import json
import resource
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import council_random as randomly
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, HealthReported

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_006_400 * SECOND
RUNS, COUNT = 5, 2_000
YEAR = 365 * 24 * 60


def council() -> CouncilService:
    return CouncilService(rules=CouncilRules(universe=randomly.SYMBOLS[:5]), started_at=START)


def minutes(count: int, seed: int = 1, first: int = 0) -> list[Any]:
    """Return a year's walk of an account, a report a minute, with its health."""
    rng = np.random.default_rng([seed, first])
    navs = 10_000.0 * np.exp(np.cumsum(rng.normal(3e-7, 3e-4, count)))
    made: list[Any] = []
    for number, nav in enumerate(navs.tolist(), start=first):
        now = START + number * MINUTE
        made += [
            HealthReported(source="system", sequence=number, ts_event=now, system_status="HEALTHY"),
            AccountReported(
                source="paper",
                sequence=number,
                ts_event=now,
                interval_ns=MINUTE,
                equity=nav,
                exposure=0.2,
                leverage=0.5,
                margin_ratio=0.1,
                positions=2,
                unprotected=0,
                win_rate=0.55,
                sharpe=1.2,
                consecutive_losses=1,
                winning_days=2,
                losing_days=1,
            ),
        ]
    return made


def microseconds(messages: Sequence[Any]) -> tuple[list[float], list[float], int]:
    """Return processor's and clock's time of each account report, and how many decisions there were."""
    service = council()
    times: list[float] = []
    walls: list[float] = []
    decided = 0
    gc.disable()
    for message in messages:
        begun, start = time.perf_counter_ns(), time.process_time_ns()
        outputs = service.handle(message)
        took, wall = time.process_time_ns() - start, time.perf_counter_ns() - begun
        if isinstance(message, AccountReported):
            times.append(took / 1e3)
            walls.append(wall / 1e3)
        decided += len(outputs)
    gc.enable()
    return times, walls, decided


def resident() -> float:
    """Return the MiB that this process keeps in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def year() -> tuple[float, float, float]:
    """Return MiB taken after a year of minutes, KiB of the state, and seconds of the processor for it."""
    service, piece, spent = council(), 24 * 60, 0.0
    gc.collect()
    before = resident()
    for first in range(0, YEAR, piece):
        said = minutes(piece, first=first)
        begun = time.process_time()
        for number in range(0, len(said), 2):
            service.handle_all(said[number : number + 2])
        spent += time.process_time() - begun
    gc.collect()
    return resident() - before, len(json.dumps(service.state())) / 2**10, spent


def main() -> int:
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["council"]
    found: dict[str, float] = {}
    print(
        "| messages | p50, us | p99, us | worst of 5 p50 | p50 by the clock | p99 by the clock "
        "| outputs a message |\n|---|---|---|---|---|---|---|"
    )
    for name, messages in (
        ("quiet minutes", minutes(COUNT)),
        ("random figures", randomly.messages(np.random.default_rng(3), COUNT, START)),
    ):
        runs = [microseconds(messages) for _ in range(RUNS)]
        p50, p99, wall50, wall99 = (
            [float(np.percentile(run[which], share)) for run in runs]
            for which, share in ((0, 50), (0, 99), (1, 50), (1, 99))
        )
        found[name] = float(np.median(p50))
        print(
            f"| {name} | {np.median(p50):.0f} | {np.median(p99):.0f} | {max(p50):.0f} "
            f"| {np.median(wall50):.0f} | {np.median(wall99):.0f} | {runs[0][2] / len(messages):.2f} |",
            flush=True,
        )
    memory, state, spent = (0.0, 0.0, 0.0) if "--quick" in sys.argv[1:] else year()
    print(f"\nA year of minutes: {memory:.1f} MiB, state {state:.0f} KiB, {spent:.0f} s of processor time.")
    missed = [
        f"{name}: {value:.1f}, limit {limit}"
        for name, value, limit in (
            *((f"p50 of {n}", v, limits["handle_p50_microseconds"]) for n, v in found.items()),
            ("memory after a year, MiB", memory, limits["year_mebibytes"]),
            ("state after a year, KiB", state, limits["year_state_kibibytes"]),
        )
        if value > limit
    ]
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
