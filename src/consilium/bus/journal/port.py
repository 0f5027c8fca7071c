"""What a journal does, whatever keeps it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from consilium.domain import Event

if TYPE_CHECKING:
    from concurrent.futures import Future

GENESIS = "0" * 64
"""The hash before the first row."""

Progress = Callable[[int, int], None]
"""Called with the rows done and the rows in all."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as kept: its offset, from 1 and without gaps, and the chain's hash up to it."""

    offset: int
    event: Event
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: offset 0 and `GENESIS` in an empty journal."""

    offset: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the whole chain saw."""

    rows: int
    head: Head


class Journal(Protocol):
    """Append-only, hash-chained events: the truth of the system.

    All methods may be called from any thread. Payloads are JSON objects.
    """

    def append(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Keep events in one transaction, and return their offsets when they are on the disk.

        An event whose id is there already gives its old offset and writes nothing.
        """
        ...

    def append_async(self, events: Sequence[Event]) -> "Future[tuple[int, ...]]":
        """Do as `append` does without waiting for it; callers at one time share a commit."""
        ...

    def append_once(self, consumer: str, event_id: str, effects: Sequence[Event]) -> bool:
        """Mark an event as done by a consumer and keep its effects, in one transaction.

        Returns False, and writes nothing, if that consumer had done it already.
        """
        ...

    def append_once_async(self, consumer: str, event_id: str, effects: Sequence[Event]) -> "Future[bool]":
        """Do as `append_once` does without waiting for it; callers at one time share a commit."""
        ...

    def read(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        topics: Collection[str] | None = None,
        stream: str | None = None,
        newest_first: bool = False,
        before: int | None = None,
        trace: str | None = None,
    ) -> list[Recorded]:
        """Return at most ``limit`` rows with ``after < offset < before``, archived ones included."""
        ...

    def find(self, event_id: str) -> Recorded | None:
        """Return the row of an event, or None."""
        ...

    def head(self) -> Head:
        """Return the newest row's offset and hash."""
        ...

    def wait(self, after: int, timeout_s: float) -> bool:
        """Return True as soon as there is a row newer than ``after``, False when the time is over.

        A database that is away is waited for too.
        """
        ...

    def verify(self, *, progress: Progress | None = None) -> Verified:
        """Walk the whole chain, archived segments included.

        Raises
        ------
        DataProblem
            Names the first row that is not what it was.
        """
        ...

    def save_snapshot(self, name: str, offset: int, state: Mapping[str, Any]) -> None:
        """Keep a state reached by applying all rows up to an offset; the two newest of a name stay."""
        ...

    def load_snapshot(self, name: str) -> tuple[int, dict[str, Any]] | None:
        """Return the newest sound snapshot of a name with its offset, or None."""
        ...

    def archive(self, before: int, folder: Path) -> tuple[Path, ...]:
        """Move the rows up to the first one recorded at ``before`` (ns) or later into files of a folder."""
        ...

    def backup(self, path: Path) -> Head:
        """Write a copy from which all can be restored, while others go on writing; return its head."""
        ...

    def close(self) -> None:
        """Write what is queued and let go of the database."""
        ...

    @property
    def failed(self) -> str:
        """Why the last write failed, or empty if it did not."""
        ...

    @property
    def rows_written(self) -> int:
        """Rows this process has added."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes this journal less safe than it should be, such as a server with ``fsync = off``."""
        ...
