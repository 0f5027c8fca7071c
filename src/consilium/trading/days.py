"""Which UTC day an instant belongs to, for every part of the room.

A day holds the bars that open in it. So a close at 00:00 belongs to the day that it ends, and an open at
00:00 to the day that it begins. A fill is dated by an open and an order waits for one: both count as opens.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DAY_NS

Times = TypeVar("Times", int, NDArray[np.int64])


def day_of_close(ts: Times) -> Times:
    """Return the number of the UTC day that a close belongs to, ``(ts - 1) // DAY``.

    Parameters
    ----------
    ts
        UTC nanoseconds, one or an array.

    Examples
    --------
    >>> [day_of_close(ts) for ts in (DAY_NS - 1, DAY_NS, DAY_NS + 1)]
    [0, 0, 1]
    """
    return (ts - 1) // DAY_NS


def day_of_open(ts: int) -> int:
    """Return the number of the UTC day that an open or a fill belongs to, ``ts // DAY``.

    Examples
    --------
    >>> [day_of_open(ts) for ts in (DAY_NS - 1, DAY_NS, DAY_NS + 1)]
    [0, 1, 1]
    """
    return ts // DAY_NS
