"""What the API asks of the system behind it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from consilium.app.settings import Settings
from consilium.domain import Clock, CouncilCommanded, Decision, Event


class Recorded(Protocol):
    """An event in the journal."""

    @property
    def offset(self) -> int:
        """Its place, from 1."""

    @property
    def event(self) -> Event:
        """The event; its payload is a JSON object."""


class Head(Protocol):
    """The newest place of the journal."""

    @property
    def offset(self) -> int:
        """0 where it is empty."""


class Journal(Protocol):
    """What the API reads of the journal."""

    def head(self) -> Head:
        """Return where it ends."""

    def read(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        topics: Collection[str] | None = None,
        stream: str | None = None,
        newest_first: bool = False,
        before: int | None = None,
    ) -> Sequence[Recorded]:
        """Return events between two places, in order."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is something newer; False if nothing came."""

    def find(self, event_id: str) -> Recorded | None:
        """Return the row of an event."""

    def append(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Keep events; one that is there is not kept again."""

    def save_snapshot(self, name: str, offset: int, state: Mapping[str, Any]) -> None:
        """Keep a state that was reached by the rows up to a place."""

    def load_snapshot(self, name: str) -> tuple[int, dict[str, Any]] | None:
        """Return the newest state of a name."""


class Engine(Protocol):
    """What the API shows of the ensemble."""

    def status(self) -> Mapping[str, Any]:
        """Return the body of /api/ensemble/status."""

    def models(self) -> Any:
        """Return the body of /api/ensemble/models."""

    def federation(self) -> Mapping[str, Any]:
        """Return ``model_federation`` of /health."""


class Training(Protocol):
    """Trains one model at a time in a process of its own."""

    def start(
        self, *, architecture: str, symbol: str, epochs: int, batch_size: int, by: str, trace_id: str = ""
    ) -> Mapping[str, Any]:
        """Begin; refuse if one is running."""

    def status(self) -> Mapping[str, Any]:
        """Return how far it is."""

    def cancel(self, *, by: str, trace_id: str = "") -> bool:
        """End the one that is running; False if none is."""


class Approval(Protocol):
    """A loosening that waits for another person."""

    @property
    def approval_id(self) -> str:
        """Names it."""


class Governed(Protocol):
    """What became of a command."""

    @property
    def event(self) -> Event:
        """The command in the journal."""

    @property
    def decisions(self) -> Sequence[Decision]:
        """Its own first, then what followed from it."""

    @property
    def approval(self) -> Approval | None:
        """Set where nothing has changed yet: another person must complete it."""


class System(Protocol):
    """The living system; `consilium.app.live.system.LiveSystem`."""

    @property
    def settings(self) -> Settings:
        """Of this process."""

    @property
    def clock(self) -> Clock:
        """Its time."""

    @property
    def journal(self) -> Journal:
        """The truth."""

    @property
    def engine(self) -> Engine:
        """The ensemble."""

    @property
    def training(self) -> Training:
        """The training desk."""

    def submit(self, message: Any, *, by: str, trace_id: str = "") -> Event:
        """Check, journal and apply a command; whatever it raises but OutcomeUnknown, nothing is journaled."""

    def publish_outside(
        self, topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any], by: str
    ) -> Event:
        """Take up an event of an outside system; the same source and sequence again is the same event."""

    def health(self) -> Mapping[str, Any]:
        """Return the body of /health."""

    def ready(self) -> Mapping[str, str]:
        """Return by part: nothing if it is ready, ``warn: ...``, or why not."""

    def market_status(self) -> Mapping[str, Any]:
        """Return what is followed, and how far."""

    def candles(self, symbol: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest candles of a symbol, oldest first."""

    def consensus_history(self, symbol: str | None, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return consensuses after a place of the journal, in order."""

    def predictions(self, symbol: str | None, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return predictions after a place of the journal, in order."""

    def trading_status(self) -> Mapping[str, Any]:
        """Return the account and its positions."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call this after each applied batch."""


class Council(Protocol):
    """A system in which the council sits; a worker that only shows has none of this."""

    def govern(self, command: CouncilCommanded, *, trace_id: str = "") -> Governed:
        """Hand a command to the council; whatever it raises but OutcomeUnknown, nothing is journaled."""

    def kill(self, reason: str, by: str, *, key_id: str = "") -> str:
        """Freeze at once, and write it down afterwards; return the id of the command."""

    def council_status(self) -> Mapping[str, Any]:
        """Return how the council stands; from any thread."""

    def council_explain(self, decision_id: str) -> Mapping[str, Any]:
        """Return a decision and what led to it; UnknownName where there is none."""
