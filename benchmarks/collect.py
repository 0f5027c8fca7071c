"""What one collector takes: `python benchmarks/collect.py [RECORDING] [SECONDS]`.

RECORDING is a recorded raw stream (the shared spot one if it is not given). Its first SECONDS (120) are
played in real time under 100 names by `consilium replay`, and recorded to parquet by `consilium collect`,
each in a process of its own. Every symbol is then read back and compared with the book rebuilt from the
recording, row by row. Prints a table; exit code 1 if a threshold of thresholds.toml is missed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from consilium.domain.time import SECOND_NS
from consilium.market.book.rebuild import rebuild
from consilium.market.book.series import BookSeries
from consilium.market.book.sources import load_book, load_trades
from consilium.market.book.streams import read_recording

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "books" / "raw" / "binance_spot_btcusdt_20240808.jsonl.gz"
SYMBOL, SYMBOLS = "BTCUSDT", 100
SECONDS = 120
LONGEST_WAIT_S = 30.0
LIMITED = {
    "messages_lost": "messages lost",
    "gaps": "gaps",
    "rows_not_written": "rows not written",
    "rows_that_differ": "rows that differ",
    "cores_used_by_the_collector": "cores used by the collector",
}
SIDES = ("bid_price", "bid_size", "ask_price", "ask_size")


def cut(recording: Path, seconds: int, into: Path) -> None:
    lines = list(read_recording(recording))
    until = lines[0].ts_local + seconds * SECOND_NS
    with into.open("wb") as out:
        for line in lines:
            if line.ts_local < until:
                out.write(str(line.ts_local).encode() + b" " + line.payload + b"\n")


def started(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "consilium", *arguments], text=True, **more)


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[float, float]:
    """End a process; return its seconds of processor and its largest memory in MB."""
    process.send_signal(number)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise RuntimeError(f"process {process.pid} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1_024


def asked(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/replay/status", timeout=30) as answer:  # noqa: S310 - loopback
        found: dict[str, Any] = json.loads(answer.read())
        return found


def measured(tape: Path, folder: Path, seconds: int) -> dict[str, float]:
    replay = started("replay", str(tape), "--symbols", str(SYMBOLS), "--stay", stdout=subprocess.PIPE)
    told = iter(replay.stdout or ())
    next(told)
    urls = next(told).split()
    names = ",".join(f"S{i:03d}USDT" for i in range(SYMBOLS))
    collect = started("collect", "--symbols", names, "--folder", str(folder), "--min-free", "100MB", *urls)
    while not (played := asked(urls[1]))["finished"]:
        time.sleep(1.0)
    sent, since = played["counts"]["played"], time.monotonic()
    while status(folder)["messages"] < sent and time.monotonic() < since + LONGEST_WAIT_S:
        time.sleep(0.2)
    behind = time.monotonic() - since
    running = status(folder)
    busy, memory = ended(collect, signal.SIGTERM)
    served, _ = ended(replay, signal.SIGINT)
    done = status(folder)
    # the exchange answers one request to join the connection for each 50 symbols beyond the first 50
    answers = (SYMBOLS - 1) // 50
    return {
        "messages sent": sent,
        "messages lost": sent + answers - done["messages"],
        "gaps": sum(done["gaps"]["by_cause"].values()),
        "rows not written": done["buffered_rows"] + sum(done["dropped"].values()),
        "lag in ms, median": running["lag"]["p50_s"] * 1e3,
        "lag in ms, 99 % of the last 10,000 books": running["lag"]["p99_s"] * 1e3,
        "lag in ms, mean": running["lag"]["sum_s"] / running["lag"]["count"] * 1e3,
        "seconds behind at the end": behind,
        "files": done["files"],
        "files before the end": running["files"],
        "MB written": sum(done["bytes"].values()) / 1e6,
        "MB a day and symbol": done["disk"]["bytes_a_day"] / SYMBOLS / 1e6,
        "cores used by the collector": busy / seconds,
        "cores used by the replay exchange": served / seconds,
        "largest memory of the collector, MB": memory,
    }


def status(folder: Path) -> dict[str, Any]:
    path = folder / "status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"messages": 0}
    return found


def compared(tape: Path, folder: Path) -> dict[str, float]:
    true = rebuild(tape, SYMBOL)
    rows, trades, differ = [], [], 0
    later = moved_by(true.books, load_book(folder, symbol="S000USDT"))
    for i in range(SYMBOLS):
        series = load_book(folder, symbol=f"S{i:03d}USDT")
        rows.append(len(series))
        trades.append(len(load_trades(folder, symbol=f"S{i:03d}USDT")))
        at = np.searchsorted(true.books.ts_event, series.ts_event - later)
        same = true.books.ts_event[at] == series.ts_event - later
        for side in SIDES:
            wanted, found = getattr(true.books, side)[at], getattr(series, side)
            same &= np.all((wanted == found) | (np.isnan(wanted) & np.isnan(found)), axis=1)
        differ += int(np.sum(~same))
    return {
        "books of the recording": len(true.books),
        "rows of a symbol, least": min(rows),
        "rows of a symbol, most": max(rows),
        "rows in all": sum(rows),
        "rows that differ": differ,
        "trades of the recording": len(true.trades),
        "trades of a symbol, least": min(trades),
    }


def moved_by(true: BookSeries, series: BookSeries) -> int:
    """By how much the replay exchange moved the times: the same for all of them."""
    for ts in true.ts_event.tolist():
        later = int(series.ts_event[0] - ts)
        if np.isin(series.ts_event - later, true.ts_event).all():
            return later
    raise RuntimeError("the recorded times are not those of the tape")


def main(recording: Path, seconds: int) -> int:
    if not recording.exists():
        print(f"no recording at {recording.name}: give one")
        return 2
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["collect"]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        tape, folder = Path(scratch) / "tape.jsonl", Path(scratch) / "books"
        cut(recording, seconds, tape)
        found = measured(tape, folder, seconds) | compared(tape, folder)
    print(f"| {SYMBOLS} symbols at 100 ms, {seconds} s, load before {load:.1f} | |\n|---|---|")
    for what, value in found.items():
        digits = 2 if any(word in what for word in ("cores", "seconds", "MB ")) else 0
        print(f"| {what} | {value:,.{digits}f} |")
    missed = [
        f"{what}: {found[what]:.3g} > {limits[name]}"
        for name, what in LIMITED.items()
        if found[what] > limits[name]
    ]
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(Path(given[0]) if given else SHARED, int(given[1]) if len(given) > 1 else SECONDS))
