"""What of an outbox is to be answered now: what is new, and what is still there after a while."""

import hashlib
import time
from collections.abc import Iterable
from typing import Final

from consilium.app.carriers.answers import KIB
from consilium.federated.messages import Phase, Signed
from consilium.federated.secure_sum.terms import SumParams

AGAIN_S: Final = 2.0
"""After which a message that is still there is answered again: the answer may be lost."""
MOST_ANNOUNCED: Final = 64 * KIB


class Due:
    """Remembers which messages of one attempt were answered, and when.

    Examples
    --------
    >>> Due().of([], None)
    []
    """

    def __init__(self) -> None:
        self._answered: dict[bytes, float] = {}

    def of(self, messages: Iterable[bytes], params: SumParams | None) -> list[Signed]:
        """Return the messages that are due, read no further than the terms allow.

        Raises
        ------
        InvalidValue
            Bytes that are no message, or too many.
        """
        # Before the terms are known, only they may come.
        most = MOST_ANNOUNCED
        if params is not None:
            most = KIB + max(params.most_bytes(phase) for phase in Phase)
        return [Signed.decode(raw, most) for raw in messages if self._is_due(raw)]

    def _is_due(self, raw: bytes) -> bool:
        mark, now = hashlib.sha256(raw).digest(), time.monotonic()
        if now - self._answered.get(mark, -AGAIN_S) < AGAIN_S:
            return False
        self._answered[mark] = now
        return True
