"""Server-sent events, read line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEvent:
    """An event of the journal."""

    offset: int
    event_id: str
    topic: str
    stream: str
    version: int
    ts_event: int
    ts_recorded: int
    cause_id: str
    trace_id: str
    payload: dict[str, Any]


class EventReader:
    """Makes events of the lines of a stream, and remembers where it is.

    Parameters
    ----------
    after
        Place after which to begin; None for the journal's end.

    Examples
    --------
    >>> reader = EventReader()
    >>> reader.take("id: 7"), reader.take(""), reader.place
    (None, None, 7)
    """

    def __init__(self, after: int | None = None) -> None:
        self.place = after
        self._id: int | None = None
        self._data: list[str] = []

    def headers(self) -> dict[str, str]:
        """Return the headers with which to go on."""
        place = {} if self.place is None else {"Last-Event-ID": str(self.place)}
        return {"Accept": "text/event-stream", **place}

    def begin(self) -> None:
        """Forget a half event: the connection is a new one."""
        self._id, self._data = None, []

    def take(self, line: str) -> ServedEvent | None:
        """Take a line; return the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self._id = int(value)
            elif name == "data":
                self._data.append(value)
            return None
        data, place = "\n".join(self._data), self._id
        self.begin()
        if place is not None and (self.place is None or place > self.place):
            self.place = place
            if data:
                return ServedEvent(**orjson.loads(data))
        return None


def params_of(topics: Sequence[str] | None) -> dict[str, str]:
    """Return the parameters of a stream."""
    return {"topics": ",".join(topics)} if topics else {}
