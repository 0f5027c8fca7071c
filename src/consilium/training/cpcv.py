"""Combinatorial purged cross-validation: every choice of k of N groups of time is once the test.

::

    groups      | 1 | 2 | 3 | 4 | 5 | 6 |       N = 6, k = 2: 15 splits, 5 paths
    one split   | x |*T*|e x| x |*T*|e x|       T test, * purged before it, e embargo after it

Letters: N groups, k of them tested together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.labels import NEVER

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CombinatorialSplit:
    """One choice of test groups.

    Parameters
    ----------
    groups
        The groups tested, ascending, from 0 on.
    train
        Rows to learn from, ascending: with a label, purged and embargoed.
    test
        All rows of the tested groups, ascending, with a label or not.
    """

    groups: tuple[int, ...]
    train: Rows
    test: Rows


def path_count(groups: int, tested: int) -> int:
    """Number of backtest paths: ``C(N, k) k / N = C(N - 1, k - 1)``.

    Examples
    --------
    >>> path_count(6, 2)
    5

    References
    ----------
    Lopez de Prado (2018), ch. 12.4.
    """
    _check_counts(groups, tested)
    return comb(groups - 1, tested - 1)


def path_table(groups: int, tested: int) -> NDArray[np.int64]:
    """For each path and group, which split forecasts it; each split forecasts each of its groups once.

    Returns
    -------
    Shape (paths, N), numbers of splits in the order of `combinatorial_splits`.

    Examples
    --------
    >>> path_table(4, 2)
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])

    References
    ----------
    Lopez de Prado (2018), fig. 12.1.
    """
    paths = path_count(groups, tested)
    table = np.empty((paths, groups), dtype=np.int64)
    used = np.zeros(groups, dtype=np.int64)
    for split, chosen in enumerate(combinations(range(groups), tested)):
        for group in chosen:
            table[used[group], group] = split
            used[group] += 1
    return table


def combinatorial_splits(
    ts_event: NDArray[np.int64],
    ts_matured: NDArray[np.int64],
    *,
    groups: int = 6,
    tested: int = 2,
    embargo_ns: int,
    labelled: NDArray[np.bool_] | None = None,
) -> Iterator[CombinatorialSplit]:
    """Yield all C(N, k) splits of time into tested and training groups.

    A training row before a tested block is purged if its outcome becomes known after the block begins. One
    after it is left out until the outcomes of the block are known and the embargo, counted from its last
    time, is over: its features look back into the block. Neighbouring tested groups are one block.

    Parameters
    ----------
    ts_event
        Shape (n,), UTC nanoseconds, ascending; symbols may share a time and then share a group.
    ts_matured
        Shape (n,), when the outcome is known; NEVER for a row without one.
    groups
        N, >= 2; the distinct times are cut into N nearly equal parts.
    tested
        k, in [1, N - 1].
    embargo_ns
        The larger of the horizon and the longest feature window, nanoseconds, >= 0.
    labelled
        Shape (n,), rows that may be learned from; default those with an outcome.

    Raises
    ------
    InvalidValue
        A parameter outside its bound, rows out of order, fewer times than groups.

    Examples
    --------
    >>> time = np.arange(12)
    >>> first = next(combinatorial_splits(time, time + 1, groups=4, tested=1, embargo_ns=2))
    >>> first.test.tolist(), first.train.tolist()
    ([0, 1, 2], [5, 6, 7, 8, 9, 10, 11])

    References
    ----------
    Lopez de Prado (2018), ch. 7.4 (purging, embargo) and ch. 12.
    """
    _check_counts(groups, tested)
    known = _checked(ts_event, ts_matured, labelled, embargo_ns)
    borders = group_borders(ts_event, groups)
    matured = np.where(ts_matured < NEVER, ts_matured, ts_event)
    for chosen in combinations(range(groups), tested):
        free = known.copy()
        for begin, end in _blocks(chosen):
            rows = slice(int(borders[begin]), int(borders[end]))
            starts, last = int(ts_event[rows.start]), int(ts_event[rows.stop - 1])
            reach = int(matured[rows].max())
            free[: rows.start] &= ts_matured[: rows.start] <= starts
            free[rows] = False
            after = ts_event[rows.stop :]
            free[rows.stop :] &= (after >= reach) & (after > last + embargo_ns)
        test = [np.arange(borders[g], borders[g + 1], dtype=np.int64) for g in chosen]
        yield CombinatorialSplit(groups=chosen, train=np.flatnonzero(free), test=np.concatenate(test))


def group_borders(ts_event: NDArray[np.int64], groups: int) -> Rows:
    """Cut the distinct times into nearly equal groups: group g holds rows ``b[g]`` to ``b[g + 1] - 1``.

    Parameters
    ----------
    ts_event
        Shape (n,), ascending.
    groups
        N, >= 1.

    Returns
    -------
    b, shape (N + 1,).

    Raises
    ------
    InvalidValue
        Fewer times than groups.

    Examples
    --------
    >>> group_borders(np.array([1, 1, 2, 3, 3, 4]), 2).tolist()
    [0, 3, 6]
    """
    times = np.unique(ts_event)
    if len(times) < groups:
        raise InvalidValue(f"{groups} groups need >= {groups} times", len(times), "give a longer history")
    first = times[np.arange(groups) * len(times) // groups]
    return np.append(np.searchsorted(ts_event, first), len(ts_event)).astype(np.int64)


def _blocks(chosen: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Join neighbouring groups: half-open ranges of groups."""
    begin = chosen[0]
    for group, following in zip(chosen, (*chosen[1:], -1), strict=True):
        if following != group + 1:
            yield begin, group + 1
            begin = following


def _check_counts(groups: int, tested: int) -> None:
    if groups < 2:
        raise InvalidValue("groups must be >= 2", groups, "use 6")
    if not 1 <= tested < groups:
        raise InvalidValue(f"tested must lie in [1, {groups - 1}]", tested, "leave a group to learn from")


def _checked(
    ts_event: NDArray[np.int64],
    ts_matured: NDArray[np.int64],
    labelled: NDArray[np.bool_] | None,
    embargo_ns: int,
) -> NDArray[np.bool_]:
    if embargo_ns < 0:
        raise InvalidValue("embargo_ns must be >= 0", embargo_ns, "give the longest look-back")
    if ts_event.ndim != 1 or ts_event.shape != ts_matured.shape:
        raise InvalidValue(
            "ts_event and ts_matured must have one shape (n,)",
            f"{ts_event.shape} and {ts_matured.shape}",
            "give both for each row",
        )
    if len(ts_event) and not np.all(np.diff(ts_event) >= 0):
        raise InvalidValue("rows must be in the order of ts_event", "unsorted rows", "sort them by time")
    known: NDArray[np.bool_] = ts_matured < NEVER
    return known if labelled is None else known & labelled
