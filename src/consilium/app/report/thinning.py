"""Long lines with fewer points and the same look."""

from collections.abc import Sequence

import numpy as np

POINTS = 2_000
"""A line of the report has at most this many points."""


def extremes(values: Sequence[float | None], points: int = POINTS) -> list[int]:
    """Places to keep of a long line: first, last, and the lowest and highest of each stretch.

    Plain striding would miss the bottom of a crash; this keeps every stretch's extremes.

    Parameters
    ----------
    values
        The line, in time order; None counts as 0.
    points
        Most places to return, >= 4.

    Returns
    -------
    Ascending places; all of them if the line is short enough.

    Examples
    --------
    >>> line = [0.0] * 50 + [-9.0] + [0.0] * 50
    >>> 50 in extremes(line, points=10), len(extremes(line, points=10)) <= 10
    (True, True)
    """
    if len(values) <= points:
        return list(range(len(values)))
    line = np.array([0.0 if value is None else value for value in values])
    kept = {0, len(line) - 1}
    for stretch in np.array_split(np.arange(len(line)), (points - 2) // 2):
        kept.add(int(stretch[line[stretch].argmin()]))
        kept.add(int(stretch[line[stretch].argmax()]))
    return sorted(kept)


def strides(length: int, points: int = POINTS) -> list[int]:
    """Places to keep of lines that share one axis: evenly spread, first and last included.

    Examples
    --------
    >>> strides(5), strides(9, points=3)
    ([0, 1, 2, 3, 4], [0, 4, 8])
    """
    if length <= points:
        return list(range(length))
    return sorted({round(place) for place in np.linspace(0, length - 1, points).tolist()})
