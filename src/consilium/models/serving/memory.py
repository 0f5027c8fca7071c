"""Memory that nobody uses goes back to the system."""

import ctypes
from contextlib import suppress


def return_free_memory() -> None:
    """Give back what the allocator keeps of freed blocks.

    Opening a graph takes its size several times over for a moment, and glibc keeps that for later, which
    never comes in a process that serves. Where the system's library has no such call nothing is done.

    Examples
    --------
    >>> return_free_memory()
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
