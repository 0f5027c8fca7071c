"""What reading, writing and copying a journal share."""

from typing import TYPE_CHECKING, Any

from consilium.bus.journal.backend import Backend
from consilium.bus.journal.reader import Reader
from consilium.bus.journal.writer import Task, Writer
from consilium.domain import OutputProblem

if TYPE_CHECKING:
    from concurrent.futures import Future


class Core:
    """A database with its reader, and its writer unless it is opened to read only."""

    def __init__(self, backend: Backend, writer: Writer | None) -> None:
        self.backend = backend
        self.reader = Reader(backend)
        self._writer = writer

    def put(self, task: Task) -> "Future[Any]":
        """Give a task to the writer.

        Raises
        ------
        OutputProblem
            The journal was opened to read only, or closed.
        """
        if self._writer is None:
            raise OutputProblem(
                "a journal must be open for writing", "one opened to read only", "open it without read_only"
            )
        return self._writer.put(task)
