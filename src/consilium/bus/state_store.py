"""Where the living system shows its state to the outside: the ``quantum:*`` keys, in Redis or in memory.

It is a view and never the truth: it may be lost at any time, and nothing that it does raises.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from consilium.bus.redis_link import RedisLink

MAX_BYTES = 1_048_576
"""A longer value is read only so far, and one byte more so that it shows."""


@dataclass(frozen=True, slots=True)
class Set:
    """A value under a key, whatever was there."""

    key: str
    value: bytes | str


@dataclass(frozen=True, slots=True)
class HashSet:
    """A whole hash under a key; fields that are not named are gone."""

    key: str
    mapping: Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class Push:
    """A value at the head of a list that keeps the newest ``keep``."""

    key: str
    value: bytes | str
    keep: int = 100


@dataclass(frozen=True, slots=True)
class Delete:
    """No key."""

    key: str


Write = Set | HashSet | Push | Delete


class StateStore(Protocol):
    """Keys with texts, hashes and lists; an empty or another kind of value reads as none."""

    def get(self, key: str) -> bytes | None:
        """Return a text."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several texts, in the order of their keys."""

    def scan(self, prefix: str) -> list[str]:
        """Name the keys that begin so, sorted."""

    def hash_all(self, key: str) -> dict[str, bytes]:
        """Return all fields of a hash."""

    def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        """Return a part of a list, both ends included, negative from its end."""

    def write(self, writes: Sequence[Write]) -> bool:
        """Write all at once; False if they are owed to a store that is away."""

    def healthy(self) -> str:
        """Return nothing, or in one line why it does not work."""

    def warnings(self) -> list[str]:
        """Return what is set in a way that loses data, a line each."""

    def close(self) -> None:
        """Give up what it holds."""


def open_state_store(redis_url: str = "") -> StateStore:
    """Return the store of a Redis, or one in this process without a URL.

    Raises
    ------
    UsageError
        A URL that is none of Redis, or the package ``redis`` is not installed.
    """
    return RedisStore(redis_url) if redis_url else MemoryStore()


def merge(owed: Sequence[Write], writes: Sequence[Write]) -> list[Write]:
    """Join writes and leave out what later ones make void.

    Examples
    --------
    >>> merge([Set("a", "1"), Push("l", "x", keep=1)], [Set("a", "2"), Push("l", "y", keep=1)])
    [Set(key='a', value='2'), Push(key='l', value='y', keep=1)]
    """
    kept: list[Write] = []
    pushes: dict[str, int] = {}
    replaced: set[str] = set()
    for write in reversed([*owed, *writes]):
        if write.key in replaced:
            continue
        if isinstance(write, Push):
            pushes[write.key] = pushes.get(write.key, 0) + 1
            if pushes[write.key] > write.keep:
                continue
        else:
            replaced.add(write.key)
        kept.append(write)
    return kept[::-1]


class MemoryStore:
    """The keys in this process.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.write([Set("a", "1"), Push("l", "x"), Push("l", "y"), HashSet("h", {"f": "2"})])
    True
    >>> store.get("a"), store.list_range("l", 0, -1), store.hash_all("h"), store.scan("")
    (b'1', [b'y', b'x'], {'f': b'2'}, ['a', 'h', 'l'])
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._problem = ""

    def get(self, key: str) -> bytes | None:
        """Return a text."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several texts, in the order of their keys."""
        with self._lock:
            found = [self._values.get(key) for key in keys]
        return [value[: MAX_BYTES + 1] if isinstance(value, bytes) and value else None for value in found]

    def scan(self, prefix: str) -> list[str]:
        """Name the keys that begin so, sorted."""
        with self._lock:
            return sorted(key for key in self._values if key.startswith(prefix))

    def hash_all(self, key: str) -> dict[str, bytes]:
        """Return all fields of a hash."""
        with self._lock:
            found = self._values.get(key)
            return dict(found) if isinstance(found, dict) else {}

    def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        """Return a part of a list, both ends included, negative from its end."""
        with self._lock:
            found = self._values.get(key)
            items: list[bytes] = list(found) if isinstance(found, list) else []
        end = stop + 1 if stop >= 0 else len(items) + stop + 1
        begin = start if start >= 0 else max(0, len(items) + start)
        return items[begin : max(0, end)]

    def write(self, writes: Sequence[Write]) -> bool:
        """Write all at once."""
        with self._lock:
            self._problem = ""
            for write in writes:
                self._apply(write)
        return True

    def _apply(self, write: Write) -> None:
        if isinstance(write, Set):
            self._values[write.key] = _bytes(write.value)
        elif isinstance(write, Push):
            held = self._values.setdefault(write.key, [])
            if not isinstance(held, list):
                self._problem = _foreign(write.key)
                return
            held.insert(0, _bytes(write.value))
            del held[write.keep :]
        elif isinstance(write, HashSet) and write.mapping:
            self._values[write.key] = {field: _bytes(value) for field, value in write.mapping.items()}
        else:
            self._values.pop(write.key, None)

    def healthy(self) -> str:
        """Return nothing, or in one line which key holds another kind of value."""
        return self._problem

    def warnings(self) -> list[str]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Keep nothing open."""


class RedisStore:
    """The keys in a Redis; what cannot be written is owed and written with the next that can.

    Parameters
    ----------
    url
        As in `consilium.bus.redis_link.RedisLink`.
    """

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)
        self._lock = threading.Lock()
        self._owed: list[Write] = []
        self._refused = ""

    def get(self, key: str) -> bytes | None:
        """Return a text; None too while Redis is away."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several texts, in the order of their keys; None too while Redis is away."""

        def work(client: Any) -> list[bytes | None]:
            pipe = client.pipeline(transaction=False)
            for key in keys:
                pipe.getrange(key, 0, MAX_BYTES)
            # GETRANGE answers nothing for a missing key, and an error for one of another kind
            return [v if isinstance(v, bytes) and v else None for v in pipe.execute(raise_on_error=False)]

        nothing: list[bytes | None] = [None] * len(keys)
        return self._link.call(work, nothing) if keys else []

    def scan(self, prefix: str) -> list[str]:
        """Name the keys that begin so, sorted; none while Redis is away."""
        pattern = "".join(f"\\{sign}" if sign in "*?[]^\\" else sign for sign in prefix) + "*"
        found: set[bytes] = self._link.call(
            lambda client: set(client.scan_iter(match=pattern, count=1_000)), otherwise=set()
        )
        return sorted(key.decode() for key in found if _is_text(key))

    def hash_all(self, key: str) -> dict[str, bytes]:
        """Return all fields of a hash; none while Redis is away."""
        found: dict[bytes, bytes] = self._read(lambda client: client.hgetall(key), {})
        return {field.decode(): value for field, value in found.items() if _is_text(field)}

    def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        """Return a part of a list, both ends included; nothing while Redis is away."""
        found: list[bytes] = self._read(lambda client: client.lrange(key, start, stop), [])
        return found

    def _read(self, work: Any, otherwise: Any) -> Any:
        """Read through a pipeline of one, where a key of another kind is an answer and no fault."""

        def one(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            work(pipe)
            (answer,) = pipe.execute(raise_on_error=False)
            return otherwise if isinstance(answer, Exception) else answer

        return self._link.call(one, otherwise)

    def write(self, writes: Sequence[Write]) -> bool:
        """Write all in one MULTI/EXEC; False if Redis is away and they are owed."""
        with self._lock:
            owed = merge(self._owed, writes)
            if not owed:
                return True
            answers: list[Any] | None = self._link.call(lambda client: _transaction(client, owed), None)
            if answers is None:
                self._owed = owed
                return False
            self._owed = []
            self._refused = next((why for why in map(self._refusal, owed, answers) if why), "")
        return True

    def _refusal(self, write: Write, answer: Any) -> str:
        """Return why Redis did not do a write, with the key and what to do; empty if it did."""
        if not isinstance(answer, Exception):
            return ""
        told = str(answer)
        if told.startswith("WRONGTYPE"):
            return f"redis at {self._link.where}: {_foreign(write.key)}"
        return f"redis at {self._link.where} refuses {write.key}: {told}"

    def healthy(self) -> str:
        """Return nothing, or in one line why it does not work."""
        return self._link.healthy() or self._refused

    def warnings(self) -> list[str]:
        """Return what is set in a way that loses data, a line each."""
        return self._link.warnings()

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()


def _transaction(client: Any, writes: Sequence[Write]) -> list[Any]:
    pipe = client.pipeline(transaction=True)
    for write in writes:
        if isinstance(write, Set):
            pipe.set(write.key, write.value)
        elif isinstance(write, Push):
            pipe.lpush(write.key, write.value)
            pipe.ltrim(write.key, 0, write.keep - 1)
        else:
            pipe.delete(write.key)
            if isinstance(write, HashSet) and write.mapping:
                pipe.hset(write.key, mapping=dict(write.mapping))
    answers: list[Any] = pipe.execute(raise_on_error=False)
    told = iter(answers)
    return [_worst([next(told, None) for _ in range(_commands(write))]) for write in writes]


def _commands(write: Write) -> int:
    """Return in how many commands a write goes."""
    return 2 if isinstance(write, Push) or (isinstance(write, HashSet) and write.mapping) else 1


def _worst(answers: Sequence[Any]) -> Any:
    return next((answer for answer in answers if isinstance(answer, Exception)), answers[-1])


def _foreign(key: str) -> str:
    return f"{key} holds another kind of value: delete it"


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
