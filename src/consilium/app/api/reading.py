"""Reads in threads of their own, few at a time: more would only take the interpreter from one another."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync

READERS = 2
"""Threads that read at a time; commands, which may wait for their turn, have others."""

AT_DESK = 32
"""Threads at a time that wait for a session of the network: what is slow there takes none from the rest."""

T = TypeVar("T")
_LIMITERS: WeakKeyDictionary[Any, dict[int, CapacityLimiter]] = WeakKeyDictionary()


async def read(work: Callable[..., T], *given: Any, **named: Any) -> T:
    """Read something in a thread, when one of `READERS` is free.

    Examples
    --------
    >>> import anyio
    >>> async def ask():
    ...     return await read(max, 1, 2)
    >>> anyio.run(ask)
    2
    """
    return await run_sync(lambda: work(*given, **named), limiter=_limiter(READERS))


async def at_desk(work: Callable[[], T]) -> T:
    """Do something at the network's desk in a thread, when one of `AT_DESK` is free."""
    return await run_sync(work, limiter=_limiter(AT_DESK))


def _limiter(most: int) -> CapacityLimiter:
    ours = _LIMITERS.setdefault(current_token().native_token, {})
    if most not in ours:
        ours[most] = CapacityLimiter(most)
    return ours[most]
