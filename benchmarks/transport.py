"""How fast events travel: `python benchmarks/transport.py`.

Predictions through the codec, the transport in this process and Redis Streams (a real Valkey on loopback),
and beside them the same bytes through the bare Redis client: the ratio says what order, holes and ids cost.
By the wall's clock, since the server is another process. Exit code 1 if a threshold of thresholds.toml is
missed.
"""

import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from consilium.bus.codec import envelope, from_bytes, message_of, to_bytes
from consilium.bus.journal import Recorded, open_journal
from consilium.bus.state_store import HashSet, MemoryStore, Push, RedisStore, Set, StateStore
from consilium.bus.transport import MemoryTransport, RedisTransport, Transport, replay
from consilium.domain import HOUR_NS, MODEL_NAMES, Event, Prediction
from real_servers import RealValkey

RUNS, EVENTS, EFFECTS, ROUND_TRIPS, BATCH = 5, 20_000, 2_000, 500, 500
Rows = dict[str, list[float]]


def predictions(count: int) -> list[Prediction]:
    return [
        Prediction(
            model=MODEL_NAMES[number % 7],
            symbol="BTCUSDT",
            ts_event=number * HOUR_NS,
            horizon_ns=HOUR_NS,
            label_id="l1",
            probabilities=(0.2, 0.3, 0.5),
            expected_return=1e-3,
        )
        for number in range(count)
    ]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def enveloped(messages: list[Prediction]) -> list[Event]:
    return [envelope(message, stream=message.symbol, ts_recorded=message.ts_event) for message in messages]


def rows_of(events: list[Event]) -> list[Recorded]:
    return [Recorded(number + 1, event, "0" * 64) for number, event in enumerate(events)]


def chunks(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def codec(rows: Rows, messages: list[Prediction]) -> None:
    events: list[Event] = []
    texts: list[bytes] = []
    for _ in range(RUNS):
        events.clear()
        texts.clear()
        keep(rows, "codec, message to event", len(messages), lambda: events.extend(enveloped(messages)))
        keep(rows, "codec, event to bytes", len(events), lambda: texts.extend(map(to_bytes, events)))
        keep(rows, "codec, bytes to event", len(texts), lambda: [from_bytes(text) for text in texts])
        keep(rows, "codec, event to message", len(events), lambda: [message_of(event) for event in events])


def keep(rows: Rows, what: str, count: int, work: Callable[[], object]) -> None:
    rows.setdefault(what, []).append(count / seconds(work))


@contextmanager
def consuming(transport: Transport, count: int, **options: Any) -> Iterator[threading.Event]:
    """Run a consumer until it has handled so many; the event is set then."""
    stop, done, handled = threading.Event(), threading.Event(), [0]
    effect = options.pop("effect", None)

    def handle(event: Event) -> list[Event]:
        handled[0] += 1
        if handled[0] == count:
            done.set()
        return [effect(event)] if effect else []

    loop = threading.Thread(
        target=lambda: transport.consume("g", "c", handler=handle, stop=stop, **options), daemon=True
    )
    loop.start()
    yield done
    if not done.wait(300.0):
        raise AssertionError(f"{handled[0]} of {count} events handled")
    stop.set()
    loop.join()


def travel(rows: Rows, name: str, make: Callable[[], Transport], events: list[Event]) -> None:
    recorded = rows_of(events)
    for _ in range(RUNS):
        transport = make()

        def send(transport: Transport = transport) -> None:
            after = 0
            for chunk in chunks(recorded):
                after = transport.mirror(chunk, after=after) or 0
            if after != len(recorded):
                raise AssertionError(f"{after} of {len(recorded)} rows sent")

        keep(rows, f"{name}, rows sent", len(events), send)
        start = time.perf_counter()
        with consuming(transport, len(events)) as done:
            done.wait(300.0)
            rows.setdefault(f"{name}, events handled", []).append(len(events) / (time.perf_counter() - start))
        transport.close()


def bare(rows: Rows, url: str, events: list[Event]) -> None:
    """Send the same bytes with the client alone: XADD in pipelines, XREADGROUP and XACK in batches."""
    client: Any = redis.Redis.from_url(url)
    texts = [to_bytes(event) for event in events]

    def send() -> None:
        for chunk in chunks(texts):
            pipe = client.pipeline(transaction=False)
            for text in chunk:
                pipe.xadd("bare", {"t": "model.predicted", "e": text}, maxlen=100_000)
            pipe.execute()

    def read() -> None:
        left = len(texts)
        while left:
            ((_, entries),) = client.xreadgroup("g", "c", {"bare": ">"}, count=200)
            for _, fields in entries:
                from_bytes(fields[b"e"])
            client.xack("bare", "g", *(place for place, _ in entries))
            left -= len(entries)

    for _ in range(RUNS):
        client.flushall()
        keep(rows, "bare client, entries sent", len(texts), send)
        client.xgroup_create("bare", "g", id="0")
        keep(rows, "bare client, entries read", len(texts), read)
    client.close()


def latency(transport: Transport) -> list[float]:
    """Milliseconds from sending one event to its handler, one at a time."""
    arrived, stop, times = threading.Event(), threading.Event(), []

    def handle(_: Event) -> list[Event]:
        arrived.set()
        return []

    loop = threading.Thread(
        target=lambda: transport.consume("g", "c", handler=handle, stop=stop),
        daemon=True,
    )
    loop.start()
    for event in enveloped(predictions(ROUND_TRIPS)):
        arrived.clear()
        start = time.perf_counter()
        transport.publish([event])
        if not arrived.wait(10.0):
            raise AssertionError("an event did not arrive")
        times.append(1_000 * (time.perf_counter() - start))
    stop.set()
    loop.join()
    return sorted(times)


def effects(rows: Rows, name: str, make: Callable[[], Transport], folder: Path) -> None:
    """One effect of each event, kept once in an SQLite journal."""
    for run in range(RUNS):
        journal = open_journal(f"sqlite:///{folder}/{name.replace(' ', '-')}-{run}.sqlite")
        journal.append(enveloped(predictions(EFFECTS)))
        transport = make()
        replay(journal, transport)

        def effect(event: Event) -> Event:
            told = {"ts_event": event.ts_event, "of": event.event_id}
            return envelope(told, topic="model.performance_updated", stream="s", ts_recorded=0)

        start = time.perf_counter()
        with consuming(
            transport, EFFECTS, topics=["model.predicted"], journal=journal, effect=effect
        ) as done:
            done.wait(300.0)
            rows.setdefault(f"{name}, an effect each, kept once", []).append(
                EFFECTS / (time.perf_counter() - start)
            )
        transport.close()
        journal.close()


def cycle(store: StateStore) -> list[float]:
    """Milliseconds to write the keys of one cycle of nine models, and to read their signals."""
    models = MODEL_NAMES[:9]
    writes: list[Any] = [Set(f"quantum:trust:{model}", "1.05") for model in models]
    writes += [Push(f"quantum:trust:events:{model}", '{"weight": 1.05}') for model in models]
    writes += [HashSet("quantum:trust:history", dict.fromkeys(models, "1.05"))]
    writes += [Set("quantum:consensus:signal", "x" * 1_000), Set("quantum:federation:metrics", "x" * 200)]
    keys = [f"quantum:model:{model}:signal" for model in models]
    return sorted(1_000 * seconds(lambda: (store.write(writes), store.get_many(keys))) for _ in range(500))


def main() -> int:
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["transport"]
    rows: Rows = {}
    messages = predictions(EVENTS)
    events = enveloped(messages)
    codec(rows, messages)
    with tempfile.TemporaryDirectory() as folder:
        server = RealValkey(Path(folder) / "valkey").start()
        try:

            def through_redis() -> Transport:
                with redis.Redis.from_url(server.url) as client:
                    client.flushall()
                return RedisTransport(server.url)

            travel(rows, "memory", lambda: MemoryTransport(max_entries=EVENTS), events)
            bare(rows, server.url, events)
            travel(rows, "redis", through_redis, events)
            effects(rows, "memory", MemoryTransport, Path(folder))
            effects(rows, "redis", through_redis, Path(folder))
            delays = {"memory": latency(MemoryTransport()), "redis": latency(through_redis())}
            cycles = {"memory": cycle(MemoryStore()), "redis": cycle(RedisStore(server.url))}
        finally:
            server.stop()
    return report(rows, delays, cycles, limits)


def report(
    rows: Rows, delays: dict[str, list[float]], cycles: dict[str, list[float]], limits: dict[str, float]
) -> int:
    print("| what | median, events/s | least | most | runs |\n|---|---|---|---|---|")
    for what, values in rows.items():
        print(f"| {what} | {median(values):,.0f} | {min(values):,.0f} | {max(values):,.0f} | {len(values)} |")
    sent = median(rows["redis, rows sent"]) / median(rows["bare client, entries sent"])
    read = median(rows["redis, events handled"]) / median(rows["bare client, entries read"])
    print(f"\nOf the bare client's speed: sent {sent:.2f}, handled {read:.2f}.\n")
    print("| ms | p50 | p99 |\n|---|---|---|")
    for what, told in (("from sending to the handler", delays), ("state of a cycle, nine models", cycles)):
        for name, times in told.items():
            print(f"| {what}, {name} | {median(times):.2f} | {times[int(0.99 * len(times))]:.2f} |")
    found = {
        "memory_events_a_second": median(rows["memory, events handled"]),
        "redis_events_a_second": min(median(rows["redis, rows sent"]), median(rows["redis, events handled"])),
        "redis_share_of_bare_client": min(sent, read),
    }
    missed = [
        f"{name}: {value:,.2f}, at least {limits[name]}"
        for name, value in found.items()
        if value < limits[name]
    ]
    slow = median(delays["redis"])
    if slow > limits["redis_milliseconds"]:
        missed.append(f"redis_milliseconds: {slow:.2f}, at most {limits['redis_milliseconds']}")
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
