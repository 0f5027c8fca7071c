"""How fast books are kept: `python benchmarks/book.py [FOLDER]`.

FOLDER holds recorded raw streams (the shared ones if it is not given). First each recording is read and
applied on one core, its 20 best levels taken after every diff; then 100 symbols are collected at 100 ms in
real time from a replay exchange in a process of its own. Prints two tables; exit code 1 if a threshold of
thresholds.toml is missed.
"""

import asyncio
import multiprocessing
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff, TradeMessage
from consilium.market.book.streams import Recorded, StreamReader, read_recording
from consilium.market.collector.binance import Binance
from consilium.market.collector.collector import Collector
from consilium.market.collector.port import Gap
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.tape import Tape

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "books" / "raw"
SYMBOL = "BTCUSDT"
RUNS = 7
SYMBOLS = [f"S{i:03d}USDT" for i in range(100)]
SECONDS = 30
LONGEST_WAIT_S = 20.0
SECOND_NS = 1_000_000_000


def applied(depth: list[Recorded], snapshot: Recorded) -> tuple[float, float, int, int]:
    """Return seconds by the wall and of the processor, messages and level updates of one pass."""
    reader, keeper = StreamReader(), BookKeeper(SYMBOL)
    levels = 0
    begin = reader.snapshot(snapshot.payload, snapshot.ts_local, SYMBOL)
    if not isinstance(begin, DepthSnapshot):
        raise TypeError("the recording has no readable snapshot")
    keeper.take_snapshot(begin)
    wall, busy = time.perf_counter(), time.process_time()
    for line in depth:
        diff = reader.read(line.payload, line.ts_local)
        if isinstance(diff, Diff):
            keeper.take_diff(diff)
            keeper.top(20)
            levels += len(diff.bids) + len(diff.asks)
    return time.perf_counter() - wall, time.process_time() - busy, len(depth), levels


def rates(path: Path) -> dict[str, list[float]]:
    lines = list(read_recording(path))
    snapshot = next(line for line in lines if line.is_snapshot)
    depth = [line for line in lines if b'"depthUpdate"' in line.payload[:100]]
    passes = [applied(depth, snapshot) for _ in range(RUNS)]
    return {
        "messages a second, by the wall": [n / wall for wall, _, n, _ in passes],
        "messages a second of the processor": [n / busy for _, busy, n, _ in passes],
        "level updates a second of the processor": [n / busy for _, busy, _, n in passes],
    }


class Counting:
    """Take the 20 best levels of every book, and count."""

    books = 0
    trades = 0

    def take_book(self, keeper: BookKeeper) -> None:
        keeper.top(20)
        self.books += 1

    def take_trade(self, _: TradeMessage) -> None:
        self.trades += 1

    def take_gap(self, _: Gap) -> None:
        pass


def serve(path: Path, answers: "Queue[Any]", done: "Event") -> None:
    lines = list(read_recording(path))
    until = lines[0].ts_local + SECONDS * SECOND_NS
    tape = Tape(SYMBOL, [line for line in lines if line.ts_local < until])

    async def play() -> None:
        async with ReplayExchange(dict.fromkeys(SYMBOLS, tape)) as exchange:
            answers.put(exchange.port)
            await exchange.finished.wait()
            answers.put((exchange.fault_counts, tape.last, time.process_time()))
            while not done.is_set():
                await asyncio.sleep(0.1)

    asyncio.run(play())


async def listen(port: int, answers: "Queue[Any]") -> dict[str, float]:
    sink = Counting()
    url = f"127.0.0.1:{port}"
    async with Binance("spot", rest_url=f"http://{url}", stream_url=f"ws://{url}") as venue:
        collector = Collector(venue, SYMBOLS, sink, now=time.time_ns)
        stop = asyncio.Event()
        begun = time.process_time()
        running = asyncio.create_task(collector.run(stop))
        sent, last, server = await asyncio.to_thread(answers.get)
        ended = time.perf_counter()
        while collector.counts["messages"] < sent["played"] and time.perf_counter() < ended + LONGEST_WAIT_S:
            await asyncio.sleep(0.05)
        behind = time.perf_counter() - ended
        stop.set()
        await running
    books = list(collector.keepers.values())
    return {
        "messages sent": sent["played"],
        "messages that did not arrive": sent["played"] - collector.counts["messages"],
        "seconds behind at the end": behind,
        "books handed over": sink.books,
        "gaps": sum(book.counts["gap"] for book in books),
        "books that are not at the last update": sum(book.last != last for book in books),
        "books held against best prices": sum(audit.compared for audit in collector.audits.values()),
        "of them wrong": sum(audit.wrong for audit in collector.audits.values()),
        "cores used by the collector": (time.process_time() - begun) / SECONDS,
        "cores used by the replay exchange": server / SECONDS,
    }


def collected(path: Path) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    answers: Queue[Any] = context.Queue()
    done = context.Event()
    server = context.Process(target=serve, args=(path, answers, done))
    server.start()
    try:
        return asyncio.run(listen(answers.get(timeout=60), answers))
    finally:
        done.set()
        server.join(timeout=10)


def main(folder: Path) -> int:
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        print(f"no recorded streams in {folder.name}: give a folder")
        return 2
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["book"]
    missed = []
    print("| recording | what | median | least | most | runs |\n|---|---|---|---|---|---|")
    for path in paths:
        for what, values in rates(path).items():
            middle = float(np.median(values))
            print(
                f"| {path.name.split('.')[0]} | {what} | {middle:,.0f} | {min(values):,.0f} "
                f"| {max(values):,.0f} | {len(values)} |"
            )
            bound = limits["levels_a_second" if "level" in what else "messages_a_second"]
            if "processor" in what and middle < bound:
                missed.append(f"{path.name}: {middle:,.0f} {what} < {bound:,}")
    found = collected(next(path for path in paths if "_spot_" in path.name))
    print(f"\n| {len(SYMBOLS)} symbols at 100 ms, {SECONDS} s in real time | |\n|---|---|")
    for what, value in found.items():
        digits = 2 if "cores" in what or "seconds" in what else 0
        print(f"| {what} | {value:,.{digits}f} |")
    for what, most in limits["most"].items():
        if found[what.replace("_", " ")] > most:
            missed.append(f"{what}: {found[what.replace('_', ' ')]:.3g} > {most}")
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED))
