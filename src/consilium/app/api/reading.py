"""Reads in threads of their own, few at a time: more would only take the interpreter from one another."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync

READERS = 2
"""Threads that read at a time; commands, which may wait for their turn, have others."""

T = TypeVar("T")
_LIMITERS: WeakKeyDictionary[Any, CapacityLimiter] = WeakKeyDictionary()


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
    token = current_token().native_token
    limiter = _LIMITERS.get(token)
    if limiter is None:
        limiter = _LIMITERS[token] = CapacityLimiter(READERS)
    return await run_sync(lambda: work(*given, **named), limiter=limiter)
