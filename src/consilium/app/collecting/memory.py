"""How much memory this process uses, and giving back what it does not need."""

import ctypes
import gc
import os
import resource
from contextlib import suppress
from pathlib import Path

_STATM = Path("/proc/self/statm")


def used_memory() -> int:
    """Return the resident bytes of this process; its peak where the system does not say what it is now."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def return_memory() -> None:
    """Collect what nobody holds and ask the C library to return free pages, where it can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
