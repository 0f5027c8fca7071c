"""How much disk and time a recording needs: `python benchmarks/recording.py [FOLDER]`.

FOLDER holds recorded books (the shared ones if it is not given): 20-level files, and in ``raw`` the streams
of an exchange, which are recorded first. Each is written in several ways in files of 1,000 books, read back
and compared bit for bit; sizes are of 24 hours at 100 ms (864,000 books). Prints tables; exit code 1 if a
threshold of thresholds.toml is missed, 2 without data.
"""

import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

from consilium.domain.time import DAY_NS
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff, TradeMessage
from consilium.market.book.recorded import RecordedFile, book_file
from consilium.market.book.scaled import UNIT
from consilium.market.book.scaled_rows import ScaledBooks, joined
from consilium.market.book.sources import load_book
from consilium.market.book.streams import StreamReader, read_recording
from consilium.market.collector.compaction import compact
from consilium.market.collector.recording import Recorder

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "books"
SIDES = ("bid_price", "bid_size", "ask_price", "ask_size")
EVERY = 1_000
A_DAY = 864_000
RUNS = 5
Streamed = tuple[ScaledBooks, dict[str, float], float]


def levels_of(path: Path) -> ScaledBooks:
    """Return the rows of a file of levels; its update numbers and arrivals are made up, like real ones."""
    books = load_book(path)
    rng = np.random.default_rng(1)
    whole = np.zeros(len(books), dtype=np.int64)
    scaled = {name: np.rint(np.nan_to_num(getattr(books, name)) * UNIT).astype(np.int64) for name in SIDES}
    return ScaledBooks(
        ts_event=books.ts_event,
        ts_local=books.ts_event + rng.integers(1_000_000, 4_000_000, len(books)),
        session=books.session.astype(np.int64),
        update=10**10 + np.cumsum(rng.integers(1, 60, len(books))),
        certain=whole + books.levels,
        **scaled,
    )


def streamed(path: Path, folder: Path) -> Streamed:
    """Record a raw stream, in its own time; return its rows, what was counted, and microseconds a book."""
    reader, keeper = StreamReader(), BookKeeper("BTCUSDT", levels=20)
    recorder = Recorder(folder, venue="benchmark", now=time.time_ns, min_free_bytes=0)
    busy = 0.0
    span = [0, 0]
    for line in read_recording(path):
        message = (
            reader.snapshot(line.payload, line.ts_local, "BTCUSDT")
            if line.is_snapshot
            else reader.read(line.payload, line.ts_local)
        )
        if isinstance(message, TradeMessage):
            recorder.take_trade(message)
            span = [span[0] or message.ts_event, message.ts_event]
        elif isinstance(message, Diff | DepthSnapshot):
            took = keeper.take_diff(message) if isinstance(message, Diff) else keeper.take_snapshot(message)
            if took:
                begun = time.process_time()
                recorder.take_book(keeper)
                busy += time.process_time() - begun
    recorder.close()
    rows = joined([RecordedFile(file).books() for file in sorted(folder.glob("books/*/*/*/*.parquet"))])
    counts = {name: float(value) for name, value in recorder.counts.items()}
    counts["trade_megabytes_a_day"] = counts["bytes_trades"] / 1e6 / ((span[1] - span[0]) / DAY_NS)
    before, kinds = compact(folder, before=2**62), ("books", "trades")
    after = {kind: sum(f.stat().st_size for f in folder.glob(f"{kind}/*/*/*/*.parquet")) for kind in kinds}
    counts["joined_bytes_books"] = after["books"]
    counts["joined_files"] = before["files_after"]
    return rows, counts, busy / counts["books"] * 1e6


def plain(rows: ScaledBooks, level: int, *, units: bool = False, steps: bool = False) -> bytes:
    """Return one column a level: as they are, in ticks and lots, or prices as steps from level to level."""
    columns = {"ts_event": rows.ts_event, "ts_local": rows.ts_local, "update": rows.update}
    for name in SIDES:
        values = getattr(rows, name)
        unit = int(np.gcd.reduce(values, axis=None)) if units else 1
        values = values // unit
        if steps and name.endswith("price"):
            first = np.diff(values[:, :1], axis=0, prepend=0)
            values = np.concatenate([first, np.diff(values, axis=1)], axis=1)
        columns |= {f"{name}_{j}": column for j, column in enumerate(values.T)}
    out = BytesIO()
    pl.DataFrame(columns).write_parquet(out, compression="zstd", compression_level=level, statistics=False)
    return out.getvalue()


def changes(rows: ScaledBooks, level: int) -> bytes:
    return book_file(rows, venue="benchmark", symbol="BTCUSDT", compression=level)


VARIANTS: dict[str, Callable[[ScaledBooks], bytes]] = {
    "a column a level, zstd 3": lambda rows: plain(rows, 3),
    "the same in ticks and lots, zstd 3": lambda rows: plain(rows, 3, units=True),
    "the same, zstd 19": lambda rows: plain(rows, 19, units=True),
    "and prices as steps, zstd 19": lambda rows: plain(rows, 19, units=True, steps=True),
    "changes, zstd 3": lambda rows: changes(rows, 3),
    "changes, zstd 9 (written)": lambda rows: changes(rows, 9),
    "changes, zstd 19": lambda rows: changes(rows, 19),
}


def a_day(rows: ScaledBooks, variant: Callable[[ScaledBooks], bytes], every: int = EVERY) -> float:
    """Return megabytes of 864,000 books, as files of so many."""
    size = sum(len(variant(rows.slice(i, i + every))) for i in range(0, len(rows) // every * every, every))
    return size / (len(rows) // every * every) * A_DAY / 1e6


def timed(rows: ScaledBooks, folder: Path) -> dict[str, list[float]]:
    """Return milliseconds to make and to read a file of 1,000 books; it must come back as it was."""
    part, path = rows.slice(0, EVERY), folder / "timed.parquet"
    found: dict[str, list[float]] = {"make": [], "read": []}
    for _ in range(RUNS):
        begun = time.process_time()
        body = changes(part, 9)
        found["make"].append((time.process_time() - begun) * 1e3)
        path.write_bytes(body)
        begun = time.process_time()
        back = RecordedFile(path).books()
        found["read"].append((time.process_time() - begun) * 1e3)
        for column in fields(part):
            if not np.array_equal(getattr(back, column.name), getattr(part, column.name)):
                raise AssertionError(f"{column.name} did not come back as it was")
    return found


def print_sizes(sets: dict[str, ScaledBooks]) -> dict[str, float]:
    """Print what 24 hours need in each way; return megabytes of the way that is written."""
    written: dict[str, float] = {}
    print("MB of 864,000 books, in files of 1,000\n")
    print("| way | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for way, variant in VARIANTS.items():
        sizes = [a_day(rows, variant) for rows in sets.values()]
        print(f"| {way} | " + " | ".join(f"{size:.1f}" for size in sizes) + " |", flush=True)
        if "(written)" in way:
            written = dict(zip(sets, sizes, strict=True))
    sizes = [a_day(rows, lambda part: changes(part, 19), len(rows)) for rows in sets.values()]
    print("| joined into one file, zstd 19 | " + " | ".join(f"{size:.1f}" for size in sizes) + " |")
    return written


def print_times(sets: dict[str, ScaledBooks], folder: Path) -> dict[str, float]:
    """Print what a file costs; return the slowest medians."""
    print("\n| 1,000 books | ms to make, median (least, most) | ms to read | s to read a day |")
    print("|---|---|---|---|")
    slowest = {"make_milliseconds": 0.0, "read_milliseconds": 0.0}
    for label, rows in sets.items():
        cells = []
        for what, values in timed(rows, folder).items():
            middle = float(np.median(values))
            slowest[f"{what}_milliseconds"] = max(slowest[f"{what}_milliseconds"], middle)
            cells.append(f"{middle:.1f} ({min(values):.1f}, {max(values):.1f})")
        print(f"| {label} | {cells[0]} | {cells[1]} | {middle * A_DAY / 1e6:.1f} |")
    return slowest


def print_recorded(recorded: dict[str, Streamed]) -> float:
    """Print what the recorder itself wrote; return the most microseconds a book."""
    print("\n| recorded | books | files | bytes a book | after joining | trades, MB a day | us a book |")
    print("|---|---|---|---|---|---|---|")
    for label, (_, counts, cost) in recorded.items():
        print(
            f"| {label} | {counts['books']:,.0f} | {counts['files']:.0f} to {counts['joined_files']:.0f} "
            f"| {counts['bytes_books'] / counts['books']:.1f} "
            f"| {counts['joined_bytes_books'] / counts['books']:.1f} "
            f"| {counts['trade_megabytes_a_day']:.1f} | {cost:.0f} |"
        )
    return max(cost for _, _, cost in recorded.values())


def main(folder: Path) -> int:
    files, raws = sorted(folder.glob("*_l20_*.parquet")), sorted(folder.glob("raw/*.jsonl.gz"))
    if not files or not raws:
        print(f"no recorded books in {folder.name}: give a folder")
        return 2
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["recording"]
    with tempfile.TemporaryDirectory() as name:
        recorded = {
            f"{path.name.split('_2024')[0]}, raw stream": streamed(path, Path(name) / path.stem)
            for path in raws
        }
        sets = {path.name.split("_2024")[0]: levels_of(path) for path in files}
        sets |= {label: rows for label, (rows, _, _) in recorded.items()}
        found = {"megabytes_a_day": max(print_sizes(sets).values())}
        found |= print_times(sets, Path(name))
        found["microseconds_a_book"] = print_recorded(recorded)
    missed = [
        f"{what}: {value:.1f} > {limits[what]}" for what, value in found.items() if value > limits[what]
    ]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED))
