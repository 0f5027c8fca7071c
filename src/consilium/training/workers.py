"""Work in several processes, which end when the one that asked for it ends, however that comes about."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import joblib

R = TypeVar("R")

LOOK_SECONDS = 1.0
"""How often a worker looks whether its parent is still there."""

_watched: set[int] = set()


def spread(calls: Iterable[Callable[[], R]], jobs: int, *, ordered: bool = False) -> Iterator[R]:
    """Yield the results of calls as they come, or in order.

    With one job they are made here, one after the other. Else in worker processes of one thread each, which
    stay for the next calls. A worker whose parent was killed ends within a second or so: nothing tells it
    that nobody will ever ask again, so it looks.

    Parameters
    ----------
    calls
        Functions without arguments that can be sent to another process.
    jobs
        Processes, >= 1.
    ordered
        Whether results come in the order of the calls.

    Examples
    --------
    >>> from functools import partial
    >>> list(spread([partial(pow, 2, k) for k in range(4)], 1))
    [1, 2, 4, 8]
    """
    if jobs == 1:
        for call in calls:
            yield call()
        return
    parent = os.getpid()
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        workers = joblib.Parallel(n_jobs=jobs, return_as="generator" if ordered else "generator_unordered")
        yield from workers(joblib.delayed(_watching)(call, parent) for call in calls)


def _watching(call: Callable[[], R], parent: int) -> R:
    """Run a call in a worker that ends with its parent."""
    if parent not in _watched and parent != os.getpid():
        _watched.add(parent)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return call()


def _end_with(parent: int) -> None:
    # The kernel could send a signal instead, but it does so when the thread that started the worker ends, and
    # workers are shared by all threads of the parent.
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    # Whatever is being computed, nobody waits for it.
    os._exit(1)
