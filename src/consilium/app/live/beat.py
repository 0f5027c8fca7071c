"""When to do what is done every so often."""

import time
from collections.abc import Callable, Iterator
from math import ceil
from threading import Event as Flag


def beats(stop: Flag, period_s: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Yield every so often until told to stop.

    Beats are at fixed times: what takes long between two makes no later one late. Those that were missed are
    left out.

    Parameters
    ----------
    stop
        Ends it, also while it waits.
    period_s
        From one beat to the next, > 0.
    clock
        Seconds that go forward.
    """
    due = clock() + period_s
    while not stop.wait(max(due - clock(), 0.0)):
        yield
        due += max(ceil((clock() - due) / period_s), 1) * period_s
