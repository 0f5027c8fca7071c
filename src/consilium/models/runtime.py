"""Workers that share the models of one decision."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import Any, Generic, TypeVar

from consilium.domain import InvalidValue

Result = TypeVar("Result")
Timer = Callable[[], int]

MOST_STRAY = 8
"""Workers that may hang in jobs which were given up, before no more are started in their place."""


class TooSlow(Exception):
    """A job that was not done by the deadline."""


class _Round(Generic[Result]):
    """The jobs of one decision and what came of them."""

    def __init__(self, jobs: Mapping[str, Callable[[], Result]]) -> None:
        self.waiting = deque(jobs.items())
        self.left = len(jobs)
        self.results: dict[str, Result | Exception] = {}
        self.running: dict[str, _Worker | None] = {}
        self.changed = Condition()
        self.over = False

    def work(self, worker: "_Worker | None") -> None:
        """Do jobs until none waits; what a job raises is its result."""
        while True:
            with self.changed:
                if self.over or not self.waiting:
                    return
                name, job = self.waiting.popleft()
                self.running[name] = worker
            found: Result | Exception
            try:
                found = job()
            except Exception as error:  # noqa: BLE001 - a failing model must not stop the others
                found = error
            with self.changed:
                self.running.pop(name, None)
                if not self.over:
                    self.results[name] = found
                self.left -= 1
                if self.left == 0:
                    self.changed.notify_all()
            if worker is not None and worker.given_up:
                return

    def wait(self, seconds: float | None) -> list["_Worker"]:
        """Wait for all jobs; return the workers that hang in jobs which are given up."""
        with self.changed:
            self.changed.wait_for(lambda: self.left == 0, seconds)
            self.over = True
            hanging = [worker for worker in self.running.values() if worker is not None]
            for name in [*self.running, *(name for name, _ in self.waiting)]:
                self.results[name] = TooSlow(name)
        return hanging


class _Worker:
    def __init__(self, rounds: "SimpleQueue[_Round[Any] | None]", name: str) -> None:
        self.given_up = False
        self._rounds = rounds
        self._thread = Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        while not self.given_up:
            found = self._rounds.get()
            if found is None:
                return
            found.work(self)

    @property
    def alive(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)


class Runtime:
    """Runs the jobs of a decision on several workers and comes back by the deadline.

    Without a deadline the calling thread is one of the workers. With one it waits: what is not done in time
    is given up, its result is dropped whenever it comes, and a fresh worker takes the place of the one that
    hangs in it.

    Parameters
    ----------
    workers
        Threads that share the jobs, >= 1; two.
    deadline_ns
        Most nanoseconds for all jobs of a decision, > 0; None for no bound, which is deterministic.

    Examples
    --------
    >>> runtime = Runtime(workers=2)
    >>> runtime.run({"a": lambda: 1, "b": lambda: 2}) == {"a": 1, "b": 2}
    True
    >>> runtime.close()
    """

    def __init__(self, workers: int = 2, deadline_ns: int | None = None) -> None:
        if workers < 1:
            raise InvalidValue("workers must be >= 1", workers, "use 2")
        if deadline_ns is not None and deadline_ns <= 0:
            raise InvalidValue("the deadline must be > 0 or None", deadline_ns, "give nanoseconds")
        self.workers = workers
        self.deadline_ns = deadline_ns
        self._rounds: SimpleQueue[_Round[Any] | None] = SimpleQueue()
        self._lock = Lock()
        helpers = workers - 1 if deadline_ns is None else workers
        self._helpers = [self._hire() for _ in range(helpers)]
        self._stray: list[_Worker] = []
        self._closed = False

    def _hire(self) -> _Worker:
        return _Worker(self._rounds, "consilium-model")

    def run(self, jobs: Mapping[str, Callable[[], Result]]) -> dict[str, Result | Exception]:
        """Run jobs, the first ones first; what fails or is too slow comes back as its exception.

        Raises
        ------
        InvalidValue
            The runtime is closed.
        """
        if self._closed:
            raise InvalidValue("a runtime must be open", "a closed one", "make a new one")
        started: _Round[Result] = _Round(jobs)
        for _ in range(min(len(self._helpers), len(jobs))):
            self._rounds.put(started)
        if self.deadline_ns is None:
            started.work(None)
            started.wait(None)
        else:
            self._replace(started.wait(self.deadline_ns / 1e9))
        return started.results

    def _replace(self, hanging: list[_Worker]) -> None:
        with self._lock:
            self._stray = [worker for worker in self._stray if worker.alive]
            for worker in hanging:
                if worker in self._helpers and len(self._stray) < MOST_STRAY:
                    worker.given_up = True
                    self._stray.append(worker)
                    self._helpers[self._helpers.index(worker)] = self._hire()

    def close(self) -> None:
        """End the workers that are idle; those that hang end with their job."""
        self._closed = True
        for _ in self._helpers:
            self._rounds.put(None)
        for worker in self._helpers:
            worker.join(1.0)


TIMER: Timer = time.perf_counter_ns
