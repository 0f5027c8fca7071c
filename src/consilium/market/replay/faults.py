"""What can go wrong between an exchange and its listener, drawn from a seed."""

from collections import Counter
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from consilium.domain.checks import require_at_least, require_fraction

LONGEST_SWAP = 3
_BENT_SIZES = (b'"-1.0"', b'"NaN"', b'"1e3"', b"null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of messages (of requests, for the last two) that meet a fault; all 0 by default.

    Parameters
    ----------
    drop, duplicate
        Never sent; sent twice.
    delay, delay_s
        Held back, with all that follow, for ``delay_s`` seconds (default 0.2).
    reorder
        Sent after one to three of those that follow.
    corrupt
        Cut short, garbled, or given a size that cannot be; always so that it shows.
    disconnect
        The connection is cut instead.
    stale_snapshot
        A snapshot from the beginning of the recording is answered.
    refuse_request
        Answered with 429 (too many requests) and ``Retry-After: 1``.

    Raises
    ------
    InvalidValue
        A share is outside [0, 1], or ``delay_s`` below 0.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.2
    reorder: float = 0.0
    corrupt: float = 0.0
    disconnect: float = 0.0
    stale_snapshot: float = 0.0
    refuse_request: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "delay_s":
                require_at_least(field.name, value, 0.0)
            else:
                require_fraction(field.name, value)


class Sending(NamedTuple):
    """What to do next on the connection: pause, then send, or cut it where the payload is None."""

    payload: bytes | None
    pause_s: float = 0.0


class FaultyWire:
    """Decide what becomes of each message of one connection; what happened is in ``counts``.

    Parameters
    ----------
    rng
        Seeded generator: the same messages meet the same faults.

    Examples
    --------
    >>> wire = FaultyWire(np.random.default_rng(1))
    >>> wire.carry(b"1", Faults())
    [Sending(payload=b'1', pause_s=0.0)]
    >>> wire.carry(b"2", Faults(drop=1.0)), wire.carry(b"3", Faults(disconnect=1.0))
    ([], [Sending(payload=None, pause_s=0.0)])
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._held: list[tuple[int, bytes]] = []
        self.counts: Counter[str] = Counter()

    def carry(self, payload: bytes, faults: Faults) -> list[Sending]:
        """Return what is sent now: nothing, the message, older ones that were held back."""
        if self._happens("disconnect", faults.disconnect):
            self._held.clear()
            return [Sending(None)]
        if self._happens("drop", faults.drop):
            return self._after([])
        if self._happens("reorder", faults.reorder):
            self._held.append((int(self._rng.integers(1, LONGEST_SWAP + 1)), payload))
            return []
        if self._happens("corrupt", faults.corrupt):
            payload = self.bend(payload)
        pause = faults.delay_s if self._happens("delay", faults.delay) else 0.0
        sent = [Sending(payload, pause)]
        if self._happens("duplicate", faults.duplicate):
            sent.append(Sending(payload))
        return self._after(sent)

    def bend(self, payload: bytes) -> bytes:
        """Return the message as no reader can take it for a good one."""
        way = int(self._rng.integers(3))
        at = int(self._rng.integers(1, len(payload)))
        if way == 0:
            return payload[:at]
        if way == 1:
            return payload[:at] + b"\x01" + payload[at + 1 :]
        end = payload.rfind(b'"]')
        if end < 0:
            return payload[:at]
        bent = _BENT_SIZES[int(self._rng.integers(len(_BENT_SIZES)))]
        return payload[: payload.rindex(b'"', 0, end)] + bent + payload[end + 1 :]

    def _after(self, sent: list[Sending]) -> list[Sending]:
        held, self._held = self._held, []
        for left, payload in held:
            if left <= 1:
                sent.append(Sending(payload))
            else:
                self._held.append((left - 1, payload))
        return sent

    def _happens(self, name: str, share: float) -> bool:
        happens = share > 0.0 and self._rng.random() < share
        self.counts[name] += happens
        return happens
