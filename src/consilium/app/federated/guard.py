"""One at a time; and where a change fails half-way, what is in memory does not count any more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

from consilium.domain import ConsiliumError, OutputProblem


class Guard:
    """Lets one thread at a time have something that is kept on a disk, until a change of it fails.

    Parameters
    ----------
    what
        What is guarded, for errors.
    failed
        Called once, when it breaks, by who holds it.

    Examples
    --------
    >>> guard = Guard("session s-1", lambda: None)
    >>> with guard.held():
    ...     guard.broken
    ''
    """

    def __init__(self, what: str, failed: Callable[[], None]) -> None:
        self._what, self._failed = what, failed
        self._lock = RLock()
        self.broken = ""
        """Why nothing is answered any more; empty while all is well."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it, to look.

        Raises
        ------
        OutputProblem
            It broke before.
        """
        with self._lock:
            self.require()
            yield

    @contextmanager
    def changing(self, *refusals: type[ConsiliumError]) -> Iterator[None]:
        """Hold it, to change it; a failure breaks it, but for errors that come before anything is changed.

        Raises
        ------
        OutputProblem
            It broke before.
        """
        with self.held():
            try:
                yield
            except refusals:
                raise
            except BaseException as error:
                self.give_up(str(error.value) if isinstance(error, ConsiliumError) else repr(error))
                raise

    def require(self) -> None:
        """Refuse what broke.

        Raises
        ------
        OutputProblem
            It did.
        """
        if self.broken:
            raise OutputProblem(f"{self._what} must keep what it does", self.broken, "try again soon")

    def give_up(self, why: str) -> None:
        """Let it be broken."""
        with self._lock:
            if not self.broken:
                self.broken = why or "a failure"
                self._failed()
