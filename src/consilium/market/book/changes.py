"""One side of many books as what changes from each to the next: a tenth of the numbers, and exact."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem

Integers = NDArray[np.int64]


class Changes(NamedTuple):
    """What differs from the row before; every ``block`` rows a row is told whole.

    Parameters
    ----------
    counts
        Changes of each row, shape (n,).
    price, size
        The changes row after row, each row's by ascending price; size 0 where a level is gone.
    """

    counts: Integers
    price: Integers
    size: Integers


def to_changes(price: Integers, size: Integers, block: int) -> Changes:
    """Tell each row by what differs from the row before.

    Parameters
    ----------
    price, size
        Levels, whole numbers, shape (n, L); a level with size 0 is not there.
    block
        Rows 0, block, 2 block, ... are told whole, >= 1.

    Examples
    --------
    >>> changes = to_changes(np.array([[10, 9], [10, 9], [11, 10]]), np.array([[5, 6], [5, 7], [1, 5]]), 100)
    >>> [part.tolist() for part in changes]
    [[2, 1, 2], [9, 10, 9, 9, 11], [6, 5, 7, 0, 1]]
    """
    n, _ = price.shape
    there = size.ravel() > 0
    row = np.repeat(np.arange(n), price.shape[1])[there]
    key, amount = price.ravel()[there], size.ravel()[there]
    order = np.lexsort((row, key))
    row, key, amount = row[order], key[order], amount[order]
    follows = np.zeros(len(row), dtype=bool)
    follows[1:] = (key[1:] == key[:-1]) & (row[1:] == row[:-1] + 1) & (row[1:] % block != 0)
    told = ~follows
    told[1:] |= amount[1:] != amount[:-1]
    left = ~np.append(follows[1:], False) & (row + 1 < n) & ((row + 1) % block != 0)
    rows = np.concatenate([row[told], row[left] + 1])
    keys = np.concatenate([key[told], key[left]])
    amounts = np.concatenate([amount[told], np.zeros(int(left.sum()), dtype=np.int64)])
    order = np.lexsort((keys, rows))
    return Changes(np.bincount(rows, minlength=n).astype(np.int64), keys[order], amounts[order])


def from_changes(changes: Changes, *, levels: int, block: int, rising: bool) -> tuple[Integers, Integers]:
    """Return prices and sizes of each row, best first, shape (n, levels); 0 where a level is not there.

    Each change lasts until the next one of the same price, or to the end of its block.

    Parameters
    ----------
    rising
        Whether the best level has the lowest price, as on the side of asks.

    Raises
    ------
    DataProblem
        The changes make a row of more than ``levels`` levels, or one price is told twice in a row.

    Examples
    --------
    >>> rows = np.array([[10, 9], [10, 9], [11, 10]]), np.array([[5, 6], [5, 7], [1, 5]])
    >>> back = from_changes(to_changes(*rows, block=100), levels=2, block=100, rising=False)
    >>> [bool((a == b).all()) for a, b in zip(rows, back)]
    [True, True]
    """
    n = len(changes.counts)
    row = np.repeat(np.arange(n), changes.counts)
    known, rank = np.unique(changes.price, return_inverse=True)
    group = (row // block) * max(len(known), 1) + rank
    order = np.argsort(group * n + row)
    row, rank, group, size = row[order], rank[order], group[order], changes.size[order]
    same = group[1:] == group[:-1]
    end = np.minimum((row // block + 1) * block, n)
    end[:-1][same] = row[1:][same]
    if np.any(end <= row):
        raise DataProblem("a price may change once a row", "it changes twice", "record again")
    kept = size > 0
    return _spread(row[kept], end[kept], known[rank[kept]], size[kept], shape=(n, levels), rising=rising)


def _spread(
    row: Integers, end: Integers, price: Integers, size: Integers, *, shape: tuple[int, int], rising: bool
) -> tuple[Integers, Integers]:
    """Write each level into all rows from ``row`` to before ``end``."""
    length = end - row
    total = int(length.sum())
    if total > shape[0] * shape[1]:
        raise DataProblem(f"rows must have at most {shape[1]} levels", "more", "record again")
    # laid out by price, levels of one row come in the order of their prices: one stable sort by row is left
    order = np.argsort(price if rising else -price, kind="stable")
    row, length, price, size = row[order], length[order], price[order], size[order]
    begun = np.cumsum(length) - length
    at = np.repeat(row - begun, length) + np.arange(total)
    order = np.argsort(at, kind="stable")
    at = at[order]
    counts = np.bincount(at, minlength=shape[0])
    if total and counts.max() > shape[1]:
        raise DataProblem(f"rows must have at most {shape[1]} levels", int(counts.max()), "record again")
    place = at, np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    prices, sizes = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    prices[place] = np.repeat(price, length)[order]
    sizes[place] = np.repeat(size, length)[order]
    return prices, sizes
