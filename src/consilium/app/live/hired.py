"""A worker at work: it leaves signs of life, keeps what it holds, and closes everything at its end."""

import logging
from collections.abc import Callable
from threading import Event as Flag
from threading import Thread

from consilium.app.live.room_worker import RoomWorker
from consilium.app.settings import Settings
from consilium.bus.journal import Journal
from consilium.bus.journal.alone import Held
from consilium.bus.signs import LASTS_S, Signs
from consilium.bus.transport import Transport
from consilium.domain import OutputProblem

FIGURES = "consilium:figures:"
"""Before the name of a room, in the key of the figures that it shows to others."""

log = logging.getLogger("consilium.worker")


def show_life(
    settings: Settings,
    room: str,
    trouble: Callable[[], str],
    stop: Flag,
    figures: Callable[[], str] | None = None,
) -> None:
    """Leave a sign of life now and then until told to stop, and figures for who must know them.

    One that fails is told and counted, and tried again; where none succeeds others see no life: they fail
    closed.
    """
    signs, more = Signs(settings.redis_url), Signs(settings.redis_url, prefix=FIGURES)
    failed = 0
    try:
        while True:
            try:
                signs.give(room, trouble())
                if figures is not None:
                    more.give(room, figures())
            except Exception:
                failed += 1
                log.exception("no sign of life of %s, %d times by now", room, failed)
            if stop.wait(LASTS_S / 4.0):
                return
    finally:
        signs.take_back(room)
        more.take_back(room)
        signs.close()
        more.close()


class Hired:
    """A room's worker with what it is made of.

    Parameters
    ----------
    settings
        Of the process.
    worker
        Of its room.
    journal, transport
        Closed at the end.
    work
        Runs until told to stop.
    held
        What no other process may have meanwhile.
    warning
        What its sign of life tells while nothing troubles it.
    """

    def __init__(
        self,
        settings: Settings,
        worker: RoomWorker,
        journal: Journal,
        transport: Transport,
        work: Callable[[Flag], None],
        held: Held,
        warning: Callable[[], str] = lambda: "",
    ) -> None:
        self._warning = warning
        self._settings = settings
        self._worker = worker
        self._held = held
        self._journal = journal
        self._transport = transport
        self._work = work

    def run(self, stop: Flag) -> None:
        """Work until told to stop, then close everything.

        Raises
        ------
        OutputProblem
            Another process has taken the room, as while the journal's server restarted; or what shows the
            worker's life has ended, so that nobody would know of it.
        """
        ended = Flag()  # also where the work ends by a fault: then there is no life to show
        room = self._worker.room.name
        lost: list[Exception] = []

        def trouble() -> str:
            taken = self._held.keep()
            if taken is not None:
                lost.append(taken)
                stop.set()
            return self._worker.worry or str(taken or "") or self._warning()

        def live() -> None:
            try:
                show_life(self._settings, room, trouble, ended)
            finally:
                if not ended.is_set():
                    lost.append(
                        OutputProblem("a worker must show its life", "that has ended", "start it again")
                    )
                    stop.set()

        living = Thread(target=live, name="consilium-life", daemon=True)
        living.start()
        try:
            self._work(stop)
        finally:
            ended.set()
            living.join(10.0)
            self._close()
        if lost:
            raise lost[0]

    def _close(self) -> None:
        self._transport.close()
        self._journal.close()
        self._held.close()
