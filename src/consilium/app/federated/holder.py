"""The network desk of a service, made when it is needed: without the extra `federated` all else works."""

import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from consilium.bus.codec import envelope, register
from consilium.domain import Clock, ConsiliumError, Event, OutputProblem

if TYPE_CHECKING:
    from consilium.app.federated.desk import NetworkDesk

FOLDER = "network"
TOPICS = ("network.session_changed", "network.round_closed", "network.round_judged")

for _topic in TOPICS:
    register(_topic, dict, 1)

log = structlog.get_logger("consilium.network")


class WritableJournal(Protocol):
    """What is written of the journal."""

    def append(self, events: Any) -> Any:
        """Keep events."""


class NetworkHolder:
    """Makes the desk of a data folder at its first use, or at the start where sessions are kept there.

    Parameters
    ----------
    data_dir
        Sessions lie in its folder ``network``.
    clock
        Time of deadlines.
    journal
        Hears of sessions and rounds.
    """

    def __init__(self, data_dir: Path, clock: Clock, journal: WritableJournal) -> None:
        self._folder = data_dir / FOLDER
        self._clock, self._journal = clock, journal
        self._lock = threading.Lock()
        self._desk: NetworkDesk | None = None

    def start(self) -> None:
        """Go on with what is kept."""
        if not self._folder.is_dir():
            return
        try:
            self.desk()
        except ConsiliumError as error:
            log.warning("sessions of the network wait", why=str(error))

    def stop(self) -> None:
        """End; what is on goes on after the next start."""
        if self._desk is not None:
            self._desk.stop()

    def desk(self) -> "NetworkDesk":
        """Return the desk.

        Raises
        ------
        OutputProblem
            The extra `federated` is not installed, or the folder cannot be used.
        """
        if find_spec("cryptography") is None:
            raise OutputProblem(
                "the network needs the extra federated",
                "no cryptography",
                "pip install 'consilium[federated]'",
            )
        from consilium.app.federated.desk import NetworkDesk

        with self._lock:
            if self._desk is None:
                self._desk = NetworkDesk(self._folder, self._clock, self._tell)
                self._desk.start()
            return self._desk

    def troubles(self) -> Mapping[str, str]:
        """Return why sessions cannot go on, by name."""
        return {} if self._desk is None else dict(self._desk.troubles)

    def _tell(self, topic: str, stream: str, payload: Mapping[str, Any]) -> None:
        now = self._clock.now_ns()
        event: Event = envelope(dict(payload), topic=topic, stream=stream, ts_event=now, ts_recorded=now)
        self._journal.append([event])


Holder = Callable[[], "NetworkDesk"]
