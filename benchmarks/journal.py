"""How fast the journal keeps and checks events, hash chain included: `python benchmarks/journal.py [URL]`.

Without a URL: SQLite on the disk of the working folder, and in memory (/dev/shm), which leaves the disk out.
Beside it the disk's own rate of 4 KiB writes, each flushed. Five runs in turn; median (least, most). "Group"
is eight threads that append steps of 50 events; "alone" is one thread that waits for every single event.
"Alone of the processor" is what the journal could do one by one if the disk took no time.
Exit code 1 if a threshold of thresholds.toml is missed. Where other work keeps the cores busy (a load above
their number) rates a second of the processor are compared instead of the clock's. One by one no journal is
faster than the disk flushes: where that is less often than the threshold asks, a share of it is asked.
"""

import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from consilium.bus.journal import Journal, open_journal
from consilium.domain import Event

RUNS, THREADS, STEP, STEPS, ALONE, FLUSHES = 5, 8, 50, 100, 200, 200
MEMORY = Path("/dev/shm")  # noqa: S108 - the file system in memory is meant


def event(number: int) -> Event:
    """A prediction, 560 bytes as JSON."""
    return Event(
        event_id=f"{number * 2_654_435_761 % 2**128:032x}",
        topic="model.predicted",
        stream=f"SYMBOL{number % 50}USDT",
        ts_event=1_700_000_000_000_000_000 + number,
        ts_recorded=1_700_000_000_000_000_000 + number,
        cause_id=f"{number:032x}",
        trace_id=f"{number:032x}",
        payload={
            "model": "xgboost",
            "symbol": f"SYMBOL{number % 50}USDT",
            "ts_event": 1_700_000_000_000_000_000 + number,
            "horizon_ns": 3_600_000_000_000,
            "label_id": "direction-1h-k0.4307-s96",
            "probabilities": [0.21 + number % 7 / 100, 0.33, 0.46 - number % 7 / 100],
            "confidence": 0.46 - number % 7 / 100,
            "expected_return": 0.000123,
        },
    )


def flushes(folder: Path) -> float:
    """4 KiB writes a second, each flushed to the disk."""
    path = folder / "flushes"
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        begun = time.perf_counter()
        for number in range(FLUSHES):
            os.pwrite(handle, b"x" * 4_096, number * 4_096)
            os.fdatasync(handle)
        return FLUSHES / (time.perf_counter() - begun)
    finally:
        os.close(handle)
        path.unlink()


def rate(count: int, work: Callable[[], object]) -> tuple[float, float]:
    """Return how many a second, and microseconds of the processor for each."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - wall), (time.process_time() - processor) / count * 1e6


def group(journal: Journal, first: int) -> tuple[float, float]:
    steps = [[event(first + step * STEP + i) for i in range(STEP)] for step in range(THREADS * STEPS)]
    with ThreadPoolExecutor(THREADS) as pool:
        return rate(len(steps) * STEP, lambda: list(pool.map(journal.append, steps)))


def alone(journal: Journal, first: int) -> tuple[float, float]:
    events = [event(first + i) for i in range(ALONE)]
    return rate(ALONE, lambda: [journal.append([one]) for one in events])


def measured(url: str, folder: Path | None) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {"group": [], "alone": [], "verify": [], "flush": []}
    journal = open_journal(url)
    try:
        for _ in range(RUNS):
            if folder is not None:
                found["flush"].append((flushes(folder), 0.0))
            found["group"].append(group(journal, journal.head().offset))
            found["alone"].append(alone(journal, journal.head().offset))
            rows = journal.head().offset
            found["verify"].append(rate(rows, journal.verify))
    finally:
        journal.close()
    return found


def of_processor(runs: list[tuple[float, float]]) -> float:
    return 1e6 / median(one[1] for one in runs)


def cell(runs: list[tuple[float, float]]) -> str:
    if not runs:
        return "-"
    rates = [one[0] for one in runs]
    return f"{median(rates):,.0f} ({min(rates):,.0f}, {max(rates):,.0f})"


def table(found: dict[str, dict[str, list[tuple[float, float]]]]) -> list[str]:
    rows = [
        "| place | group, events/s | alone, events/s | the disk's flushes/s | alone / flushes "
        "| verification, rows/s | a second of the processor: group, alone, verification |",
        "|---|---|---|---|---|---|---|",
    ]
    for place, runs in found.items():
        share = [one[0] / disk[0] for one, disk in zip(runs["alone"], runs["flush"], strict=False)]
        processor = (of_processor(runs[kind]) for kind in ("group", "alone", "verify"))
        rows.append(
            f"| {place} | {cell(runs['group'])} | {cell(runs['alone'])} | {cell(runs['flush'])} "
            f"| {f'{median(share):.2f}' if share else '-'} | {cell(runs['verify'])} "
            f"| {'; '.join(f'{one:,.0f}' for one in processor)} |"
        )
    return rows


def missed(runs: dict[str, list[tuple[float, float]]], wanted: dict[str, float]) -> list[str]:
    rates = {kind: median(one[0] for one in runs[kind]) for kind in runs if runs[kind]}
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores:
        print(f"load {load:.1f} on {cores} cores: rates of the processor are compared")
        rates |= {kind: of_processor(runs[kind]) for kind in ("group", "verify")}
    least_alone = wanted["alone_events_a_second"]
    if "flush" in rates:
        least_alone = min(least_alone, wanted["alone_share_of_flushes"] * rates["flush"])
    least = {
        "group": wanted["group_events_a_second"],
        "alone": least_alone,
        "verify": wanted["verified_rows_a_second"],
    }
    return [
        f"{kind}: {rates[kind]:,.0f} a second, below {bound:,.0f}"
        for kind, bound in least.items()
        if rates[kind] < bound
    ]


def main() -> int:
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    wanted = tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())["journal"]
    if len(sys.argv) > 1:
        found["PostgreSQL"] = measured(sys.argv[1], None)
        print("\n".join(table(found)))
        return 0
    for place, folder in (("SQLite, disk", Path.cwd()), ("SQLite, memory", MEMORY)):
        if folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".journal-") as made:
                disk = Path(made) if folder != MEMORY else None
                found[place] = measured(f"sqlite:///{made}/journal.sqlite", disk)
    print("\n".join(table(found)))
    failures = missed(found["SQLite, disk"], wanted)
    print("\n".join(failures) or "every threshold is met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
