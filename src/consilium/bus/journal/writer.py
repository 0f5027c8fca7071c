"""One thread that writes: all that waits at one time shares a commit."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from consilium.bus.journal.backend import Backend, told
from consilium.bus.journal.chain import Row, Stored, link
from consilium.bus.journal.head import read_head
from consilium.bus.journal.marks import passed
from consilium.domain import ConsiliumError, OutputProblem

_GROUP = 4_000
"""Most rows of several callers in one commit."""
_WAITING = 100_000
"""Rows that may wait before the next caller has to."""


@dataclass(slots=True)
class Task:
    """Something to be done in a transaction.

    Parameters
    ----------
    rows
        To be appended.
    mark
        Consumer and event id; the rows are left out if the inbox has them.
    alone
        Called with the connection in a transaction of its own, instead of rows.
    """

    rows: Sequence[Row] = ()
    mark: tuple[str, str] | None = None
    alone: Callable[[Connection], Any] | None = None
    future: "Future[Any]" = field(default_factory=Future)


class Writer:
    """Takes tasks from any thread, and writes them in order of arrival.

    Parameters
    ----------
    written
        Called with the new head's offset after each commit.
    """

    def __init__(self, backend: Backend, written: Callable[[int], None]) -> None:
        self._backend = backend
        self._written = written
        self._tasks: deque[Task] = deque()
        self._waiting = 0
        self._lock = Lock()
        self._something = Condition(self._lock)
        self._room = Condition(self._lock)
        self._closed = False
        self.failed = ""
        self.rows_written = 0
        self.commits = 0
        self.commit_seconds = 0.0
        self._connection: Connection | None = None
        self._thread = Thread(target=self._work, name="journal-writer", daemon=True)
        self._thread.start()

    def put(self, task: Task) -> "Future[Any]":
        """Queue a task; waits while too much is queued.

        Raises
        ------
        OutputProblem
            The journal was closed.
        """
        with self._lock:
            while self._waiting > _WAITING and not self._closed:
                self._room.wait()
            if self._closed:
                raise OutputProblem("a journal must be open to be written", "a closed one", "open it again")
            self._tasks.append(task)
            self._waiting += len(task.rows)
            self._something.notify()
        return task.future

    def close(self) -> None:
        """Write what is queued, and end the thread."""
        with self._lock:
            self._closed = True
            self._something.notify()
            self._room.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while group := self._take():
            try:
                results = self._attempt(group)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the callers; the thread lives on
                self._drop_connection()
                self.failed = _failure(error)
                for task in group:
                    _answer(task.future, error=error)
                continue
            self.failed = ""
            for task, result in zip(group, results, strict=True):
                _answer(task.future, result=result)
        self._drop_connection()

    def _take(self) -> list[Task]:
        """Return what is to be written together; nothing at the end."""
        with self._lock:
            while not self._tasks and not self._closed:
                self._something.wait()
            group: list[Task] = []
            rows = 0
            while self._tasks:
                task = self._tasks[0]
                if group and (
                    task.alone is not None or group[0].alone is not None or rows + len(task.rows) > _GROUP
                ):
                    break
                group.append(self._tasks.popleft())
                rows += len(task.rows)
            self._waiting -= rows
            self._room.notify_all()
            return group

    def _attempt(self, group: list[Task]) -> list[Any]:
        """Write a group; once more if the connection was found dead before the commit."""
        began = time.perf_counter()
        for last in (False, True):
            transaction = _Transaction(self._backend)
            try:
                with told(self._backend, "written", writing=True):
                    try:
                        connection = self._connected()
                        results = transaction.run(connection, group)
                        transaction.committing = True
                        connection.commit()
                    except DBAPIError as error:
                        if error.connection_invalidated and not last and not transaction.committing:
                            self._drop_connection()
                            continue
                        raise
            finally:
                if self._connection is not None and self._connection.in_transaction():
                    self._drop_connection()
            self.rows_written += len(transaction.new)
            self.commit_seconds += time.perf_counter() - began
            self.commits += 1
            self._written(transaction.head[0])
            return results
        raise AssertionError  # pragma: no cover - the second attempt returns or raises

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._backend.engine.connect()
        return self._connection

    def _drop_connection(self) -> None:
        """Let go of the connection: after a failure nobody knows what it has kept in its memory."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


class _Transaction:
    """The rows of one commit, chained behind the head that it found."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.committing = False
        self.new: list[Stored] = []
        self.head: tuple[int, bytes] = (0, bytes(32))

    def run(self, connection: Connection, group: list[Task]) -> list[Any]:
        """Do all that the tasks ask; return what to answer to each."""
        self._backend.begin(connection)
        self.head = read_head(connection)
        if group[0].alone is not None:
            return [group[0].alone(connection)]
        ids = [row.event_id for task in group for row in task.rows]
        known = self._backend.known(connection, ids) if ids else {}
        results = [self._one(connection, task, known) for task in group]
        if self.new:
            self._backend.insert(connection, self.new)
        return results

    def _one(self, connection: Connection, task: Task, known: dict[str, int]) -> Any:
        if task.mark is None:
            return self._append(task.rows, known)
        consumer, event_id = task.mark
        up_to = passed(connection, consumer)
        if up_to and self._backend.known(connection, [event_id]).get(event_id, up_to + 1) <= up_to:
            return False
        done = self._backend.mark(connection, consumer, event_id)
        if done:
            self._append(task.rows, known)
        return done

    def _append(self, rows: Sequence[Row], known: dict[str, int]) -> tuple[int, ...]:
        offset, tip = self.head
        offsets = []
        for row in rows:
            at = known.get(row.event_id)
            if at is None:
                offset += 1
                tip = link(tip, row)
                known[row.event_id] = at = offset
                self.new.append(Stored(offset, *row, tip))
            offsets.append(at)
        self.head = (offset, tip)
        return tuple(offsets)


def _failure(error: BaseException) -> str:
    """Return why nothing can be written: a caller's mistake is no reason."""
    if isinstance(error, ConsiliumError):
        return str(error) if isinstance(error, OutputProblem) else ""
    return f"{type(error).__name__}: {error}"


def _answer(future: "Future[Any]", *, result: Any = None, error: BaseException | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
