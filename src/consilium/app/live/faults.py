"""What is wrong at a start, all told at once."""

from collections.abc import Callable
from typing import TypeVar

from consilium.domain import ConsiliumError, UsageError

Made = TypeVar("Made")


class Faults:
    """Collects what attempts raise; what was made is closed again where another one failed.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.attempt(lambda: 7)
    7
    >>> def fail():
    ...     raise UsageError("a port must be free", 80, "take another")
    >>> faults.attempt(fail), faults.attempt(fail)
    (None, None)
    >>> faults.settle()
    Traceback (most recent call last):
    ...
    consilium.domain.errors.UsageError: the service must be able to start; got 2 faults: (1) a port must be
    free; got 80: take another (2) a port must be free; got 80: take another: correct them all
    """

    def __init__(self) -> None:
        self._found: list[ConsiliumError] = []
        self._made: list[object] = []

    def attempt(self, make: Callable[[], Made]) -> Made | None:
        """Return what is made, or None if it fails."""
        try:
            made = make()
        except ConsiliumError as error:
            self._found.append(error)
            return None
        self._made.append(made)
        return made

    def need(self, made: Made | None) -> Made:
        """Return what was made; where it was not, tell everything that is wrong.

        Raises
        ------
        ConsiliumError
            Something failed.
        """
        self.settle()
        if made is None:
            raise ConsiliumError("a part must be made", "none", "report it")
        return made

    def settle(self) -> None:
        """Tell everything that is wrong.

        Raises
        ------
        ConsiliumError
            One fault as it is, several in one line.
        """
        if not self._found:
            return
        for made in self._made:
            close = getattr(made, "close", None)
            if close is not None:
                close()
        self._made.clear()
        if len(self._found) == 1:
            raise self._found[0]
        told = " ".join(f"({number}) {error}" for number, error in enumerate(self._found, start=1))
        raise UsageError(
            "the service must be able to start", f"{len(self._found)} faults: {told}", "correct them all"
        )
