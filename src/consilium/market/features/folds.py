"""What windows gather: sums, extremes, their ages, and moments that merge without cancellation."""

import operator
from typing import Any

import numpy as np

from consilium.market.features.rolling import Fold, Moments


def _add(older: Moments, newer: Moments, _m: int, _n: int) -> Moments:
    return (older[0] + newer[0],)


def _spread(older: Moments, newer: Moments, m: int, n: int) -> Moments:
    gap = newer[0] - older[0]
    return older[0] + gap * (n / (m + n)), older[1] + newer[1] + gap * gap * (m * n / (m + n))


def _asymmetry(older: Moments, newer: Moments, m: int, n: int) -> Moments:
    gap, total = newer[0] - older[0], m + n
    mean, second = _spread(older[:2], newer[:2], m, n)
    third = gap * gap * gap * (m * n * (m - n) / (total * total))
    third = older[2] + newer[2] + third + gap * (m * newer[1] - n * older[1]) * (3.0 / total)
    return mean, second, third


def _together(older: Moments, newer: Moments, m: int, n: int) -> Moments:
    x, y = newer[0] - older[0], newer[1] - older[1]
    share = n / (m + n)
    return older[0] + x * share, older[1] + y * share, older[2] + newer[2] + x * y * (m * share)


def _counted_rows(older: Moments, newer: Moments, _m: int, _n: int) -> Moments:
    return _counted(older, newer, np.maximum(older[0] + newer[0], 1.0))


def _counted_bar(older: Moments, newer: Moments, _m: int, _n: int) -> Moments:
    return _counted(older, newer, max(older[0] + newer[0], 1.0))


def _counted(older: Moments, newer: Moments, total: Any) -> Moments:
    gap, share = newer[1] - older[1], newer[0] / total
    return (
        older[0] + newer[0],
        older[1] + gap * share,
        older[2] + newer[2] + gap * gap * (older[0] * share),
    )


def _latest_rows(older: Moments, newer: Moments, _m: int, n: int) -> Moments:
    keep = newer[0] >= older[0]
    return np.where(keep, newer[0], older[0]), np.where(keep, newer[1], older[1] + n)


def _latest_bar(older: Moments, newer: Moments, _m: int, n: int) -> Moments:
    return newer if newer[0] >= older[0] else (older[0], older[1] + n)


SUM = Fold(lambda x: (x,), _add, _add, join=operator.add)
HIGHEST = Fold(
    lambda x: (x,),
    lambda older, newer, _m, _n: (np.maximum(older[0], newer[0]),),
    lambda older, newer, _m, _n: (max(older[0], newer[0]),),
    join=max,
)
LOWEST = Fold(
    lambda x: (x,),
    lambda older, newer, _m, _n: (np.minimum(older[0], newer[0]),),
    lambda older, newer, _m, _n: (min(older[0], newer[0]),),
    join=min,
)
AGE_OF_HIGHEST = Fold(lambda x: (x, x * 0.0), _latest_rows, _latest_bar, several=True)
"""(highest, bars since it); of equals the latest."""
SPREAD = Fold(lambda x: (x, x * 0.0), _spread, _spread, several=True)
"""(mean, sum of squared deviations)."""
ASYMMETRY = Fold(lambda x: (x, x * 0.0, x * 0.0), _asymmetry, _asymmetry, several=True)
"""(mean, sum of squared, sum of cubed deviations)."""
TOGETHER = Fold(lambda x, y: (x, y, x * 0.0), _together, _together, several=True)
"""(mean of x, mean of y, sum of products of deviations)."""
COUNTED = Fold(lambda counts, x: (counts, x, x * 0.0), _counted_rows, _counted_bar, several=True)
"""(count, mean, sum of squared deviations) of the bars that count, where ``counts`` is 1 rather than 0."""
