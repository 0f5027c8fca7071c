"""What a step of a feature's formula must offer: the same arithmetic over a whole series and bar by bar."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Step = Callable[..., Any]
"""One bar of an operation: takes a float for each input, returns a float; may keep state."""

SMALLEST_MOVE = 1e-10
"""Moves below this fraction of the price are rounding, not moves: a ratio to one is 0."""
TINY = 1e-200
"""Below it a denominator without a scale counts as 0, so that no ratio of floats overflows."""


class Operation(Protocol):
    """One kind of node in a formula; equal parameters make equal operations.

    `block` and a fresh `stepper` run through the same operations on floats in the same order, so a batch
    and a stream give the same bits. Neither sees NaN: rows before an operation is warm are left out of
    what it is given and of what it returns.
    """

    @property
    def extra(self) -> int:
        """Rows that it needs before its first, beyond what its inputs need."""
        ...

    def block(self, *inputs: Any) -> Any:
        """Return the values of all rows but the first ``extra``; inputs are aligned, shape (n,)."""
        ...

    def stepper(self) -> Step:
        """Return a fresh bar-by-bar form; what it returns in its first ``extra`` bars is ignored."""
        ...


class Stateful(Protocol):
    """A stepper with memory, which it can give away and take back as JSON."""

    def __call__(self, *inputs: float) -> Any:
        """Take one bar."""
        ...

    def state(self) -> list[Any]:
        """Return what it remembers, as lists of numbers."""
        ...

    def restore(self, state: list[Any]) -> None:
        """Take back what `state` gave."""
        ...
