"""Machine code of the twin's loops, made by numba when it is first asked for."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from consilium.domain import missing_package
from consilium.trading.twin import account, bar, loops, rounding

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
"""Machine code is kept on disk only where this names a folder; otherwise each process compiles anew."""


class Loops(NamedTuple):
    """The two loops, compiled or as they stand."""

    run_one: Callable[..., None]
    run_many: Callable[..., None]


PLAIN = Loops(loops.run_one, loops.run_many)


def loops_for(*, compiled: bool) -> Loops:
    """Return the loops.

    Parameters
    ----------
    compiled
        False gives the same functions in plain Python: equal, and slower than the backtest itself.

    Raises
    ------
    UsageError
        numba is not installed.
    """
    return _compiled() if compiled else PLAIN


@cache
def _compiled() -> Loops:
    try:
        from numba import njit
        from numba.extending import register_jitable
    except ModuleNotFoundError as error:
        raise missing_package("the compiled twin", error) from None
    for function in (*rounding.PARTS, *account.PARTS, *bar.PARTS):
        register_jitable(forceinline=True)(function)
    compile_: Callable[[Any], Any] = njit(nogil=True, cache=bool(os.environ.get(CACHE_VARIABLE)))
    return Loops(compile_(loops.run_one), compile_(loops.run_many))
