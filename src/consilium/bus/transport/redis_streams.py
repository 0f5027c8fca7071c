"""Events through Redis Streams: one stream whose ids are journal offsets, groups with acknowledgement."""

import threading
from collections.abc import Callable, Collection, Sequence
from threading import Event as Signal
from typing import Any, TypeVar

import orjson

from consilium.bus.codec import to_bytes
from consilium.bus.journal import GENESIS, Journal, Recorded
from consilium.bus.redis_link import RedisLink
from consilium.bus.transport.consumer import Consumer
from consilium.bus.transport.memory import letters_told
from consilium.bus.transport.port import (
    MAX_ENTRIES,
    Consumed,
    DeadLetter,
    Entry,
    Handler,
    Place,
    Taken,
)
from consilium.bus.transport.scripts import MIRROR, PUBLISH, RETRY, TAKE
from consilium.domain import Event

T = TypeVar("T")
_UNKNOWN = Taken(group_known=False)


class RedisTransport:
    """A transport that many processes share; it may be killed or wiped at any time.

    Parameters
    ----------
    url
        As in `consilium.bus.redis_link.RedisLink`.
    max_entries
        About so many of the newest entries are held (``MAXLEN ~``).
    prefix
        Of its keys.
    """

    def __init__(self, url: str, *, max_entries: int = MAX_ENTRIES, prefix: str = "consilium:bus:") -> None:
        self._link = RedisLink(url)
        self.room = max_entries
        self._stream, self._head = f"{prefix}events", f"{prefix}head"
        self._letters, self._tries = f"{prefix}dead", f"{prefix}tries:"
        self._scripts: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _call(self, work: Callable[[Any], T], otherwise: T) -> T:
        return self._link.call(work, otherwise)

    def _eval(self, client: Any, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        with self._lock:
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
        return self._scripts[script](keys=keys, args=arguments, client=client)

    def publish(self, events: Sequence[Event]) -> bool:
        """Send events that are in no journal; False if Redis is away."""
        told: list[Any] = [self.room]
        for event in events:
            told += [event.topic, to_bytes(event), ""]
        if not events:
            return True
        return self._call(lambda client: bool(self._eval(client, PUBLISH, [self._stream], told)), False)

    def mirror(self, rows: Sequence[Recorded], after: int) -> int | None:
        """Add rows of the journal; see `Transport.mirror`."""
        told: list[Any] = [after, self.room]
        for row in rows:
            told += [row.offset, row.hash, row.event.topic, to_bytes(row.event)]

        def work(client: Any) -> int | None:
            return int(self._eval(client, MIRROR, [self._stream, self._head], told))

        return self._call(work, None)

    def position(self) -> tuple[int, str] | None:
        """Return the last journal offset with its chain hash."""

        def work(client: Any) -> tuple[int, str] | None:
            pipe = client.pipeline(transaction=True)
            pipe.xinfo_stream(self._stream)
            pipe.get(self._head)
            info, tip = pipe.execute(raise_on_error=False)
            if isinstance(info, Exception):
                if "no such key" not in str(info):
                    raise info
                return 0, GENESIS
            offset = _place(info["last-generated-id"])[0]
            return offset, (tip or b"").decode() if offset else GENESIS

        return self._call(work, None)

    def reset(self) -> bool:
        """Forget all events and groups."""
        return self._call(lambda client: client.delete(self._stream, self._head) is not None, False)

    def rewind(self, group: str, after: int) -> bool:
        """Let a group read again what is behind a journal offset."""
        self.open_group(group, after)
        return self._call(lambda client: bool(client.xgroup_setid(self._stream, group, f"{after}-0")), False)

    def open_group(self, group: str, after: int) -> bool | None:
        """Make a group, unless it is there."""

        def work(client: Any) -> bool | None:
            try:
                client.xgroup_create(self._stream, group, id=f"{after}-0", mkstream=True)
            except Exception as error:  # its class is of a package that may not be there
                if "BUSYGROUP" not in str(error):
                    raise
            return True

        return self._call(work, None)

    def take(self, group: str, consumer: str, count: int, bridged: int) -> Taken | None:
        """Give the next entries to a consumer."""

        def work(client: Any) -> Taken | None:
            told = self._eval(client, TAKE, [self._stream], [group, consumer, count, bridged])
            if told[0] == b"unknown":
                return _UNKNOWN
            if told[0] == b"hole":
                return Taken(hole=(int(told[1]), int(told[2])))
            if told[0] == b"empty":
                return Taken(last=_place(told[1]))
            entries = tuple(_entry(place, fields) for place, fields in told[1])
            return Taken(entries, last=entries[-1].place)

        return self._call(work, None)

    def pending(self, group: str, consumer: str, count: int) -> Taken | None:
        """Give again what a consumer got and did not finish."""

        def work(client: Any) -> Taken | None:
            read = client.xreadgroup(group, consumer, {self._stream: "0-0"}, count=count)
            return self._counted(client, group, read[0][1] if read else [])

        return self._of_group(work)

    def reclaim(self, group: str, consumer: str, idle_s: float, count: int) -> Taken | None:
        """Give a consumer what others did not finish."""

        def work(client: Any) -> Taken | None:
            idle = max(1, int(1_000 * idle_s))
            told = client.xautoclaim(self._stream, group, consumer, idle, "0-0", count=count)
            dropped = [(place, None) for place in (told[2] if len(told) > 2 else [])]
            return self._counted(client, group, [*told[1], *dropped])

        return self._of_group(work)

    def _of_group(self, work: Callable[[Any], Taken | None]) -> Taken | None:
        def told(client: Any) -> Taken | None:
            try:
                return work(client)
            except Exception as error:  # as above
                if "NOGROUP" in str(error):
                    return _UNKNOWN
                raise

        return self._call(told, None)

    def _counted(self, client: Any, group: str, read: Sequence[Any]) -> Taken:
        """Add to entries how often they were delivered."""
        if not read:
            return Taken()
        places = sorted(_place(place) for place, _ in read)
        first, last = (f"{place[0]}-{place[1]}" for place in (places[0], places[-1]))
        told = client.xpending_range(self._stream, group, first, last, count=10_000)
        times = {_place(one["message_id"]): int(one["times_delivered"]) for one in told}
        entries = [_entry(place, fields, times) for place, fields in read]
        return Taken(tuple(sorted(entries, key=lambda entry: entry.place)))

    def done(self, group: str, entries: Sequence[Entry]) -> bool | None:
        """Note that entries are finished."""

        def work(client: Any) -> bool | None:
            pipe = client.pipeline(transaction=False)
            pipe.xack(self._stream, group, *(_id(entry.place) for entry in entries))
            often = [_id(entry.place) for entry in entries if entry.deliveries > 1]
            if often:
                pipe.hdel(self._tries + group, *often)
            pipe.execute()
            return True

        return self._call(work, None)

    def tried(self, group: str, entry: Entry) -> int | None:
        """Count one more try of an entry."""

        def work(client: Any) -> int | None:
            return int(client.hincrby(self._tries + group, _id(entry.place), 1))

        return self._call(work, None)

    def bury(self, entry: Entry, letter: DeadLetter) -> bool | None:
        """Keep a dead letter, and note that its entry is finished."""
        told = {
            "group": letter.group,
            "topic": letter.topic,
            "event_id": letter.event_id,
            "error": letter.error,
            "text": letter.text.decode(errors="replace"),
        }

        def work(client: Any) -> bool | None:
            pipe = client.pipeline(transaction=True)
            pipe.hset(self._letters, _field(letter), orjson.dumps(told))
            pipe.xack(self._stream, letter.group, _id(entry.place))
            pipe.hdel(self._tries + letter.group, _id(entry.place))
            pipe.execute()
            return True

        return self._call(work, None)

    def reached(self, group: str) -> int | None:
        """Return the journal offset up to which the group has finished everything."""

        def work(client: Any) -> int | None:
            pipe = client.pipeline(transaction=True)
            pipe.xpending(self._stream, group)
            pipe.xinfo_groups(self._stream)
            unfinished, groups = pipe.execute(raise_on_error=False)
            if isinstance(unfinished, Exception) or isinstance(groups, Exception):
                return None
            if unfinished["pending"]:
                return _place(unfinished["min"])[0] - 1
            last = [one["last-delivered-id"] for one in groups if one["name"] == group.encode()]
            return _place(last[0])[0] if last else None

        return self._call(work, None)

    def pending_of(self, group: str) -> dict[str, int]:
        """Count what each consumer of a group has and did not finish; nothing while Redis is away."""

        def work(client: Any) -> dict[str, int]:
            told = client.xpending(self._stream, group)["consumers"]
            return {one["name"].decode(): int(one["pending"]) for one in told}

        return self._call(work, {})

    def wait(self, after: Place, timeout_s: float) -> None:
        """Return when there is an entry after a place."""
        block = max(1, int(1_000 * timeout_s))
        self._call(lambda client: client.xread({self._stream: _id(after)}, count=1, block=block), None)

    def pause_s(self) -> float:
        """How long nothing is tried yet, in seconds."""
        return self._link.wait_s()

    def consume(
        self,
        group: str,
        consumer: str,
        topics: Collection[str] | None = None,
        *,
        handler: Handler,
        stop: Signal,
        journal: Journal | None = None,
        tries: int = 3,
        idle_s: float = 30.0,
        batch: int = 200,
    ) -> Consumed:
        """Handle events until told to stop; see `Consumer`."""
        loop = Consumer(
            self,
            group,
            consumer,
            topics,
            handler=handler,
            stop=stop,
            journal=journal,
            tries=tries,
            idle_s=idle_s,
            batch=batch,
        )
        return loop.run()

    def dead_letters(self, topic: str = "") -> list[DeadLetter]:
        """Return what groups could not handle; nothing while Redis is away."""
        held: list[bytes] = self._call(lambda client: client.hvals(self._letters), [])
        letters = [orjson.loads(value) for value in held]
        return [
            DeadLetter(**{**letter, "text": letter["text"].encode()})
            for letter in letters
            if topic in ("", letter["topic"])
        ]

    def retry(self, topic: str = "", event_id: str = "") -> int:
        """Send dead letters once more to the groups that failed."""
        sent = 0
        for letter in self.dead_letters(topic):
            if event_id in ("", letter.event_id) and letter.text:
                told = [self.room, _field(letter), letter.topic, letter.text, letter.group]
                keys = [self._stream, self._letters]
                sent += self._call(lambda client: int(self._eval(client, RETRY, keys, told)), 0)  # noqa: B023
        return sent

    def healthy(self) -> str:
        """Return nothing, or in one line why it does not work."""
        return self._link.healthy()

    def warnings(self) -> list[str]:
        """Return what is set in a way that loses data, and how many dead letters wait."""
        waiting: int = self._call(lambda client: client.hlen(self._letters), 0)
        return [*self._link.warnings(), *letters_told(waiting)]

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()


def _place(told: bytes | str) -> Place:
    offset, _, number = (told.decode() if isinstance(told, bytes) else told).partition("-")
    return int(offset), int(number)


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"


def _field(letter: DeadLetter) -> str:
    return f"{letter.group} {letter.event_id}"


def _entry(place: bytes, fields: Any, times: dict[Place, int] | None = None) -> Entry:
    """Read an entry, from a flat list as scripts give it or from a mapping."""
    at = _place(place)
    count = 1 if times is None else times.get(at, 1)
    if not fields:
        return Entry(at, "", None, deliveries=count)
    if not isinstance(fields, dict):
        fields = dict(zip(fields[::2], fields[1::2], strict=True))
    return Entry(
        at,
        fields.get(b"t", b"").decode(errors="replace"),
        fields.get(b"e", b""),
        fields.get(b"g", b"").decode(errors="replace"),
        count,
    )
