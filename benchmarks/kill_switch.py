"""How long a halt takes: `python benchmarks/kill_switch.py`.

A service of 1,000 symbols with an order to buy resting in each, and a journal that hangs for ever: from the
call of the kill switch to the last cancel, and until its note is on the disk, by the clock and of the
processor (of the thread that halts: what other work takes is not ours). Exit code 1 if a threshold of
thresholds.toml is missed.
"""

import statistics
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from consilium.app.council_settings import Council
from consilium.app.live.assembly import assemble
from consilium.app.live.feeds import PanelFeed
from consilium.app.settings import Live, Settings
from consilium.domain import Consensus, Direction, Mode, Policy
from consilium.market.simulator import simulate

SYMBOLS, BARS, RUNS = 1_000, 60, 5


def run(folder: Path) -> tuple[float, ...]:
    """Return milliseconds to the last cancel and to the return of the call, then those of the processor."""
    settings = Settings(data_dir=folder, live=Live(), council=Council(tick_s=60.0))
    system = assemble(settings)
    system.feed = PanelFeed("halted", simulate(symbols=SYMBOLS, bars=BARS, seed=1).series, speed=0.0)
    hanging = threading.Event()
    with system:
        while system.pipeline.ts < 0 or not system.feed.problem():
            time.sleep(0.05)
        trading: Any = system.pipeline.accounts.trading
        # the feed has ended: nothing else moves the account now
        rest(trading, list(system.pipeline.accounts.tapes), system.pipeline.ts)
        resting = len(trading.broker.open_orders())
        if resting != SYMBOLS:
            raise SystemExit(f"{resting} of {SYMBOLS} orders rest: {trading.gate.refusals}")
        kept, last = system.journal.append, (0.0, 0.0)
        cancelled = trading.broker.cancel

        def hang(events: Sequence[Any]) -> Any:
            hanging.wait()
            return kept(events)

        def cancel(order_id: str, ts: int) -> Any:
            nonlocal last
            found = cancelled(order_id, ts)
            last = time.perf_counter(), time.thread_time()
            return found

        system.journal.append = hang  # type: ignore[method-assign]
        trading.broker.cancel = cancel
        began = time.perf_counter(), time.thread_time()
        system.kill("a benchmark", "bench")
        ended = time.perf_counter(), time.thread_time()
        if trading.broker.open_orders() or system.council.policy.mode != Mode.FROZEN:
            raise SystemExit("orders rest after the halt")
        hanging.set()
        trading.broker.cancel = cancelled
    walls = [(moment[0] - began[0]) * 1e3 for moment in (last, ended)]
    return *walls, *((moment[1] - began[1]) * 1e3 for moment in (last, ended))


def rest(trading: Any, symbols: Sequence[str], ts: int) -> None:
    """Let an order to buy a little rest in every symbol, whatever the council says of limits."""
    policy = trading.gate.policy
    trading.gate.policy = Policy(max_positions=10 * SYMBOLS, max_position_usd=5.0)
    trading.gate.band = 0.0
    for symbol in symbols:
        list(
            trading.handle(
                Consensus(
                    symbol=symbol, ts_event=ts, horizon_ns=1, label_id="l", rule="r", level="l",
                    direction=Direction.UP, probabilities=(0.0, 0.0, 1.0), p_direction=1.0, confidence=1.0,
                    score=1.0, agreement=1.0, support=1.0, meta_confidence=1.0, weights={}, gates={},
                    actionable=True, reason="",
                )
            )
        )  # fmt: skip
    # what the council has in force allows entries in the eyes of the service until the halt
    trading.gate.policy = replace(policy, entry=True, mode=Mode.LIVE.value)


def _spread(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"


def main() -> int:
    """Measure, print a table, and compare with the threshold."""
    found = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            found.append(run(Path(folder)))
    print(
        f"| {SYMBOLS} resting orders, journal hanging | ms, median of {RUNS} (least to most) "
        "| of the processor, ms |\n|---|---|---|"
    )
    for name, column in (("to the last cancel", 0), ("to the note on the disk", 1)):
        wall, own = ([row[place] for row in found] for place in (column, column + 2))
        print(f"| {name} | {_spread(wall)} | {_spread(own)} |")
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bound = tomllib.load(file)["kill_switch"]["last_cancel_ms"]
    return int(max(row[0] for row in found) > bound)


if __name__ == "__main__":
    sys.exit(main())
