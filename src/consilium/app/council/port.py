"""What the watch on the council asks of the journal."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from consilium.domain import Event


class Row(Protocol):
    """An event in the journal."""

    @property
    def offset(self) -> int:
        """Its place, from 1."""

    @property
    def event(self) -> Event:
        """The event."""


class Head(Protocol):
    """The newest place of the journal."""

    @property
    def offset(self) -> int:
        """0 where it is empty."""


class WatchedJournal(Protocol):
    """What is read and written of the journal."""

    def head(self) -> Head:
        """Return where it ends."""

    def read(
        self, after: int = 0, limit: int = 1000, *, topics: Collection[str] | None = None
    ) -> Sequence[Row]:
        """Return rows after a place, in order."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is something newer."""

    def append(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Keep events; one that is there is not kept again."""

    def save_snapshot(self, name: str, offset: int, state: Mapping[str, Any]) -> None:
        """Keep a state."""

    def load_snapshot(self, name: str) -> tuple[int, Mapping[str, Any]] | None:
        """Return the newest state of a name."""
