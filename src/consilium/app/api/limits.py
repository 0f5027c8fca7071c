"""How many requests a key may make."""

from collections import deque
from math import ceil

WINDOW_S = 60.0


class RateLimit:
    """At most so many requests of one key in any minute.

    Parameters
    ----------
    per_minute
        The bound; 0 for none.

    Examples
    --------
    >>> limit = RateLimit(2)
    >>> limit.take("ann", 0.0), limit.take("ann", 10.0), limit.take("ann", 20.0), limit.take("bob", 20.0)
    (0, 0, 40, 0)
    >>> limit.take("ann", 60.5)
    0
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._taken: dict[str, deque[float]] = {}

    def take(self, key_id: str, now: float) -> int:
        """Count a request; return 0, or in how many seconds the next is free.

        Parameters
        ----------
        key_id
            Whose.
        now
            Monotonic seconds.
        """
        if not self.per_minute:
            return 0
        taken = self._taken.setdefault(key_id, deque())
        while taken and taken[0] <= now - WINDOW_S:
            taken.popleft()
        if len(taken) >= self.per_minute:
            return max(1, ceil(taken[0] + WINDOW_S - now))
        taken.append(now)
        return 0
