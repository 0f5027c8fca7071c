"""Messages inside one process: a table of handlers and a queue."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from consilium.domain import HandlerFailed

Handler = Callable[[Any], Iterable[Any]]


class MemoryBus:
    """Hands each message to its handlers, and what they answer to theirs, in order of arrival.

    Parameters
    ----------
    table
        Maps a message type to its handlers, called in this order. A type without handlers is kept by nobody.
    tap
        Called with every message before its handlers; the journal's place.

    Notes
    -----
    A handler that fails on a published event becomes a `HandlerFailed` in ``dead_letters`` and the next
    handler runs; a command that fails raises to its caller.

    Examples
    --------
    >>> seen = []
    >>> bus = MemoryBus({int: [lambda n: [str(n)]], str: [lambda s: seen.append(s) or []]})
    >>> bus.publish(7)
    >>> seen
    ['7']
    """

    def __init__(
        self, table: Mapping[type, Sequence[Handler]], tap: Callable[[Any], None] | None = None
    ) -> None:
        self._table = {kind: tuple(handlers) for kind, handlers in table.items()}
        self._tap = tap
        self._queue: deque[Any] = deque()
        self._running = False
        self.dead_letters: list[HandlerFailed] = []

    def publish(self, message: Any) -> None:
        """Queue an event and work until the queue is empty."""
        self._queue.append(message)
        if self._running:
            return
        self._running = True
        try:
            while self._queue:
                self._deliver(self._queue.popleft())
        finally:
            self._running = False

    def send(self, command: Any) -> None:
        """Run a command's handlers at once and publish what they answer.

        Raises
        ------
        Exception
            Whatever a handler raises; nothing of its answer is published then.
        """
        for handler in self._table.get(type(command), ()):
            for answer in list(handler(command)):
                self.publish(answer)

    def _deliver(self, message: Any) -> None:
        if self._tap is not None:
            self._tap(message)
        for handler in self._table.get(type(message), ()):
            try:
                self._queue.extend(handler(message))
            except Exception as error:  # noqa: BLE001 - any failure of one handler must leave the others running
                self.dead_letters.append(self._dead_letter(handler, message, error))

    @staticmethod
    def _dead_letter(handler: Handler, message: Any, error: Exception) -> HandlerFailed:
        return HandlerFailed(
            handler=getattr(handler, "__qualname__", type(handler).__name__),
            topic=type(message).__name__,
            event_id=str(getattr(message, "event_id", "")),
            error=f"{type(error).__name__}: {error}",
            ts_event=int(getattr(message, "ts_event", 0)),
        )
