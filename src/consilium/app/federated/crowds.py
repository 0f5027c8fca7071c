"""Participants of a simulated attempt in several processes: each plays its share of them."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

import numpy as np

from consilium.app.federated.crowd import Answer, Cast, Crowd, Whole
from consilium.domain import OutputProblem

BATCH = 8
"""Messages of one delivery: enough to hide the way, few enough to keep every process busy."""


class Crowds:
    """As `Crowd`, over processes.

    Parameters
    ----------
    cast
        Who plays.
    owners
        All of them, dealt out in turn.
    jobs
        Processes, >= 2.
    """

    def __init__(self, cast: Cast, owners: Sequence[str], jobs: int) -> None:
        context = get_context("spawn")
        self._of = {owner: at % jobs for at, owner in enumerate(owners)}
        self._pipes: list[Connection] = []
        self._processes = []
        for at in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_play, args=(theirs, cast, owners[at::jobs]), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def answers(self, messages: Iterable[tuple[str, bytes]]) -> Iterator[Answer]:
        """Deliver encoded messages; yield what the receivers answer, as it comes."""
        queues: list[list[tuple[str, bytes]]] = [[] for _ in self._pipes]
        out = [0] * len(self._pipes)
        for owner, data in messages:
            queues[self._of[owner]].append((owner, data))
        while any(queues) or any(out):
            for at, pipe in enumerate(self._pipes):
                # Only to one that waits: two that send to each other more than a pipe holds wait for ever.
                if queues[at] and not out[at]:
                    _send(pipe, ("answers", queues[at][:BATCH]))
                    del queues[at][:BATCH]
                    out[at] = 1
            for ready in wait([pipe for at, pipe in enumerate(self._pipes) if out[at]]):
                at = self._pipes.index(ready)  # type: ignore[arg-type]  # only our pipes are waited for
                out[at] = 0
                yield from _received(self._pipes[at])

    def drop(self, owners: Iterable[str]) -> None:
        """Let some fall silent for good."""
        gone = list(owners)
        self._ask("drop", gone)

    def finish(self) -> tuple[tuple[str, ...], Whole | None, int]:
        """Return whose vectors were masked and sent, the sum of them, and bytes written to SecretStores."""
        found = self._ask("finish")
        sums = [total for _, total, _ in found if total is not None]
        names = tuple(name for masked, _, _ in found for name in masked)
        return (
            names,
            np.sum(sums, axis=0, dtype=np.int64) if sums else None,
            sum(size for _, _, size in found),
        )

    def _ask(self, what: str, *given: Any) -> list[Any]:
        for pipe in self._pipes:
            _send(pipe, (what, *given))
        return [_received(pipe) for pipe in self._pipes]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.terminate()


def _send(pipe: Connection, what: tuple[Any, ...]) -> None:
    try:
        pipe.send(what)
    except OSError:
        raise _ended() from None


def _ended() -> OutputProblem:
    return OutputProblem(
        "every process must live until the round is over",
        "one that ended",
        "use fewer --jobs, or fewer participants, if memory ran out",
    )


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise _ended() from None


def _play(pipe: Connection, cast: Cast, owners: Sequence[str]) -> None:
    """Answer what comes through a pipe until its other end is closed."""
    # Whoever interrupts means the whole run: the other end closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    crowd = Crowd(cast, owners)
    try:
        while True:
            what, *given = pipe.recv()
            if what == "answers":
                pipe.send(list(crowd.answers(*given)))
            elif what == "drop":
                crowd.drop(*given)
                pipe.send(None)
            else:
                pipe.send(crowd.finish())
    except (EOFError, OSError):
        return
