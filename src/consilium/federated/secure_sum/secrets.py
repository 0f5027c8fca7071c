"""What a participant keeps to itself between the steps of an attempt."""

from collections import defaultdict
from typing import Protocol

Attempt = tuple[str, int, int]
"""Session, round, attempt."""


class SecretStore(Protocol):
    """The participant's own store: encrypted where it is real; an attempt's records only ever grow.

    Its counter is how a participant notices that it runs from a copy: the copy has fewer records.
    """

    def append(self, attempt: Attempt, record: bytes) -> None:
        """Keep a record, durably."""
        ...

    def records(self, attempt: Attempt) -> list[bytes]:
        """Return the records of an attempt in order."""
        ...

    def counter(self, attempt: Attempt) -> int:
        """Return how many records of an attempt were ever appended."""
        ...

    def latest(self, session: str) -> tuple[int, int] | None:
        """Return the last round and attempt of a session that was begun, or None."""
        ...


class MemorySecretStore:
    """Keeps records in memory: for simulations and tests.

    Examples
    --------
    >>> store = MemorySecretStore()
    >>> store.append(("s", 1, 0), b"keys")
    >>> store.counter(("s", 1, 0)), store.latest("s")
    (1, (1, 0))
    """

    def __init__(self) -> None:
        self._records: dict[Attempt, list[bytes]] = defaultdict(list)

    def append(self, attempt: Attempt, record: bytes) -> None:
        """Keep a record."""
        self._records[attempt].append(record)

    def records(self, attempt: Attempt) -> list[bytes]:
        """Return the records of an attempt in order."""
        return list(self._records.get(attempt, ()))

    def counter(self, attempt: Attempt) -> int:
        """Return how many records an attempt has."""
        return len(self._records.get(attempt, ()))

    def latest(self, session: str) -> tuple[int, int] | None:
        """Return the last round and attempt of a session that was begun, or None."""
        return max(((r, a) for s, r, a in self._records if s == session), default=None)
