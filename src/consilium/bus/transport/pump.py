"""From the journal into a transport: every row once, in order, again after a wipe."""

import logging
from threading import Event as Signal

from consilium.bus.journal import Journal
from consilium.bus.transport.port import Transport
from consilium.domain import ConsiliumError, OutputProblem

_log = logging.getLogger(__name__)


class Pump:
    """Keeps a transport level with a journal.

    Several may run at once, in one process or many: a row that is there already is left out. Where they go
    on is checked by the journal's own hashes: a transport with another journal's rows is emptied first.

    Parameters
    ----------
    window
        An empty transport gets the newest so many rows, as many as it holds if not given; consumers read
        older ones from the journal.
    batch
        Rows sent at once.
    look_s
        How often an idle transport is checked for a wipe.
    """

    def __init__(
        self,
        journal: Journal,
        transport: Transport,
        *,
        window: int | None = None,
        batch: int = 500,
        look_s: float = 0.5,
    ) -> None:
        self._journal, self._transport = journal, transport
        self._window = transport.room if window is None else window
        self._batch, self._look_s = batch, look_s
        self._position: int | None = None
        self._seen = 0
        self.sent = 0
        self.problem = ""

    def run(self, stop: Signal) -> None:
        """Follow the journal until told to stop; nothing that goes wrong ends it."""
        while not stop.is_set():
            try:
                level = self.once()
                if level:
                    self._journal.wait(self._position or 0, self._look_s)
                    self._position = None
            except ConsiliumError as error:
                level = False
                self._tell(str(error))
            if not level and self._position is None:
                stop.wait(max(self._transport.pause_s(), 0.1))

    def once(self) -> bool:
        """Send what the journal has and the transport has not; True if they are level then.

        Raises
        ------
        ConsiliumError
            The journal cannot be read.
        """
        start = self._locate()
        while start is not None:
            rows = self._journal.read(start, self._batch)
            if not rows:
                self._tell("")
                return True
            reached = self._transport.mirror(rows, after=self._position or 0)
            if reached != rows[-1].offset:
                # away, wiped, or somebody else is ahead: ask again where it stands
                start = self._position = None
                if reached is not None:
                    start = self._locate()
                continue
            self.sent += len(rows)
            start = self._position = self._seen = reached
        self._tell(self._transport.healthy() or "the transport does not keep what it is sent")
        return False

    def _locate(self) -> int | None:
        """Return the offset behind which to send; None while the transport is away."""
        if self._position is not None and self._position > 0:
            return self._position
        found = self._transport.position()
        if found is None:
            return None
        offset, tip = found
        if offset and not self._is_ours(offset, tip):
            _log.warning("the transport holds another journal's events: it is emptied and filled again")
            if not self._transport.reset():
                return None
            offset = 0
        if offset < self._seen:
            _log.warning("the transport lost events %d to %d: they are sent again", offset + 1, self._seen)
        self._position = self._seen = offset
        return offset if offset else max(0, self._journal.head().offset - self._window)

    def _is_ours(self, offset: int, tip: str) -> bool:
        rows = self._journal.read(offset - 1, 1)
        return bool(rows) and rows[0].offset == offset and rows[0].hash == tip

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("events wait in the journal: %s", problem)
        self.problem = problem


def replay(journal: Journal, transport: Transport, after: int = 0) -> int:
    """Send a journal's rows behind an offset into a transport that was wiped; returns the offset reached.

    A transport that holds rows already goes on behind them; `Transport.rewind` reads them again.

    Raises
    ------
    OutputProblem
        The transport is away.
    ConsiliumError
        The journal cannot be read.
    """
    head = journal.head().offset
    pump = Pump(journal, transport, window=max(0, head - after))
    if not pump.once():
        raise OutputProblem("a transport must answer to be filled", pump.problem, "start it and try again")
    found = transport.position()
    return found[0] if found else head
