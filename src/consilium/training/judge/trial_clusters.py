"""How many of the trials were really different: clusters of their returns, and what each cluster earned."""

from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import norm

from consilium.domain import InvalidValue

WEAKEST = 0.1
"""A mean silhouette below this shows no groups at all: each trial counts for itself."""
CHANCE = 0.05
"""How often unrelated trials may be taken for related ones."""
SAME = 1e-6
"""Trials whose distance is below this made the same returns."""


def cluster_trials(trial_returns: ArrayLike) -> NDArray[np.int64]:
    """Group trials whose returns move together.

    Hierarchical clustering with average linkage on ``d = sqrt((1 - rho) / 2)``; the number of clusters in
    2 .. K with the largest mean silhouette, of the cuts that join nothing further apart than `furthest`: a
    trial alone counts 0 in the silhouette, so joining two unrelated ones raises it. Where that is below .1
    there are no groups and each distinct trial is its own cluster: the larger number deflates more. Trials
    without a trade are one cluster.

    Parameters
    ----------
    trial_returns
        Shape (T, K), finite.

    Returns
    -------
    Cluster of each trial, shape (K,), from 0 on.

    Raises
    ------
    InvalidValue
        Not a finite matrix.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ideas = np.repeat(rng.normal(size=(300, 3)), 4, axis=1)
    >>> cluster_trials(ideas + 0.3 * rng.normal(size=ideas.shape)).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]

    References
    ----------
    Lopez de Prado and Lewis (2019), sec. 4 (clusters of trials, silhouette); Rousseeuw (1987).
    """
    x = np.asarray(trial_returns, dtype=np.float64)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InvalidValue("trial_returns must be finite, shape (T, K)", x.shape, "one column a trial")
    moving = np.flatnonzero(_moves(x))
    labels = np.full(x.shape[1], -1, dtype=np.int64)
    labels[moving] = _clusters(_distances(x[:, moving]), len(x))
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def cluster_returns(trial_returns: ArrayLike) -> NDArray[np.float64]:
    """Average the returns of each cluster of trials that traded, weighted by 1 / variance.

    Parameters
    ----------
    trial_returns
        Shape (T, K), finite.

    Returns
    -------
    Shape (T, C), clusters in the order of their first trials; no column without a trial that traded.

    Raises
    ------
    InvalidValue
        Not a finite matrix.

    Examples
    --------
    >>> one = np.random.default_rng(0).normal(size=300)
    >>> found = cluster_returns(np.column_stack([one, np.zeros(300), one]))
    >>> found.shape, bool(np.allclose(found[:, 0], one))
    ((300, 1), True)

    References
    ----------
    Lopez de Prado and Lewis (2019), sec. 5.
    """
    labels = cluster_trials(trial_returns)
    x = np.asarray(trial_returns, dtype=np.float64)
    moving = _moves(x)
    if not moving.any():
        return np.zeros((len(x), 0))
    x, labels = x[:, moving], np.unique(labels[moving], return_inverse=True)[1]
    weight = np.eye(labels.max() + 1)[labels] / x.var(axis=0)[:, None]
    result: NDArray[np.float64] = x @ (weight / weight.sum(axis=0))
    return result


def _moves(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.ptp(x, axis=0) > 1e-15 if len(x) else np.zeros(x.shape[1], dtype=np.bool_)


def _distances(x: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = x - x.mean(axis=0) if len(x) else x
    unit = centred / np.sqrt((centred**2).sum(axis=0))
    distance = np.sqrt(np.clip((1.0 - unit.T @ unit) / 2.0, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    result: NDArray[np.float64] = (distance + distance.T) / 2.0
    return result


def furthest(count: int, days: int) -> float:
    """Distance beyond which two trials cannot be told from unrelated ones.

    ``sqrt((1 - rho) / 2)`` with ``rho = z(1 - .05 / pairs) / sqrt(T - 1)``: of all pairs of unrelated trials
    one comes closer in 5 % of cases. 0 where no number of days below T could tell.

    Parameters
    ----------
    count
        K trials, >= 2.
    days
        T.

    Examples
    --------
    >>> round(furthest(8, 250), 3), furthest(8, 5)
    (0.638, 0.0)
    """
    pairs = count * (count - 1) / 2
    least = norm.ppf(1.0 - CHANCE / pairs) / sqrt(max(days - 1, 1))
    return sqrt(max(0.0, (1.0 - float(least)) / 2.0))


def _clusters(distance: NDArray[np.float64], days: int) -> NDArray[np.int64]:
    count = len(distance)
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    tree = linkage(squareform(distance, checks=False), method="average")
    alone: NDArray[np.int64] = fcluster(tree, SAME, criterion="distance").astype(np.int64)
    if alone.max() == 1:
        return alone
    best, cut = max(WEAKEST, mean_silhouette(distance, alone)), alone
    limit = furthest(int(alone.max()), days)
    # Every height of the tree at which something joins is one way to cut it, up to where chance joins.
    for low, high in pairwise(tree[:, 2]):
        if low > limit:
            break
        labels = fcluster(tree, (low + high) / 2.0, criterion="distance").astype(np.int64)
        if 2 <= len(np.unique(labels)) < len(np.unique(alone)):
            width = mean_silhouette(distance, labels)
            if width > best:
                best, cut = width, labels
    return cut


def mean_silhouette(distance: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of ``(b - a) / max(a, b)``: a the mean distance inside the own cluster, b to the nearest other.

    Members of a cluster of one count 0.

    Examples
    --------
    >>> d = np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 4.0], [4.0, 4.0, 0.0]])
    >>> mean_silhouette(d, np.array([0, 0, 1]))
    0.5

    References
    ----------
    Rousseeuw (1987), eq. 4.
    """
    _, labels = np.unique(labels, return_inverse=True)
    member = np.eye(labels.max() + 1)[labels]
    size = member.sum(axis=0)
    sums = distance @ member
    own = size[labels]
    rows = np.arange(len(labels))
    inside = sums[rows, labels] / np.maximum(own - 1.0, 1.0)
    means = sums / size
    means[rows, labels] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    width = np.where(
        (own > 1) & (larger > 0.0), (outside - inside) / np.where(larger > 0.0, larger, 1.0), 0.0
    )
    return float(width.mean())
