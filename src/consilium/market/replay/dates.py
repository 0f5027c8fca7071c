"""Recorded messages given the dates of now, so that who listens sees how late they come."""

import re
from collections.abc import Iterable

from consilium.domain.time import MS_NS
from consilium.market.replay.tape import Played

_DATES = re.compile(rb'"([ET])":(\d+)')


class Redated:
    """Move the exchange's times (``E`` and ``T``) of messages to when they are played.

    .. math:: t' = b + (t + l - t_0) / v

    with b the moment at which playing begins, t_0 the arrival of the first message, l the least time that a
    message took to arrive when it was recorded, and v the speed. The order of times stays; a listener who
    gets every message at once sees what it took besides that least time.

    Parameters
    ----------
    messages
        All that will be played.
    first
        t_0, UTC nanoseconds.
    begun
        b, UTC nanoseconds.
    speed
        v, recorded seconds a second, > 0.

    Examples
    --------
    >>> tape = [Played(7_000_000, "trade", b'{"E":5,"T":4}'), Played(9_000_000, "trade", b'{"E":8,"T":8}')]
    >>> dated = Redated(tape, first=7_000_000, begun=1_000_000_000, speed=1.0)
    >>> dated(tape[0].data), dated(tape[1].data)
    (b'{"E":999,"T":998}', b'{"E":1002,"T":1002}')
    """

    def __init__(self, messages: Iterable[Played], *, first: int, begun: int, speed: float) -> None:
        dated = ((message.ts_local, _DATES.search(message.data)) for message in messages)
        least = min((arrived - int(found[2]) * MS_NS for arrived, found in dated if found), default=0)
        self._shift = least - first
        self._begun, self._speed = begun, speed

    def __call__(self, data: bytes) -> bytes:
        """Return the message with its new times."""
        return _DATES.sub(self._moved, data)

    def ms(self, recorded_ms: int) -> int:
        """Return the new time of a recorded one, both in milliseconds."""
        return (self._begun + round((recorded_ms * MS_NS + self._shift) / self._speed)) // MS_NS

    def _moved(self, found: "re.Match[bytes]") -> bytes:
        return b'"%s":%d' % (found[1], self.ms(int(found[2])))
