"""What one snapshot says by itself and beside the one before: sums over levels, slopes, walks, flows."""

import numpy as np

from consilium.market.features.operation import SMALLEST_MOVE, FloatArray

DEPTH = 20
"""Levels a side that count: deeper ones are left out, missing ones have no size."""
DEPTHS = (1, 3, 5, 10, 20)
FLOW_DEPTHS = (1, 5, 10)
LEVEL_COLUMNS = (
    "mid",
    "spread",
    *(f"{side}_{k}" for k in DEPTHS for side in ("bid", "ask")),
    "bid_decayed",
    "ask_decayed",
    "bid_moment",
    "ask_moment",
    "bid_rise",
    "ask_rise",
    "bid_run",
    "ask_run",
    "bid_gap",
    "ask_gap",
    "bid_span",
    "ask_span",
    "bid_walk",
    "ask_walk",
    "bid_step",
    "ask_step",
    *(f"flow_{k}" for k in FLOW_DEPTHS),
    "left",
    "changed",
    "least_gap",
)
"""Columns of `level_columns`, in order."""

_UP = np.array([[1.0], [-1.0]])
_DECAY = np.exp(-np.arange(DEPTH) / 5.0)
_TAKEN = np.array(DEPTHS) - 1
_FLOWS = np.array(FLOW_DEPTHS) - 1
_sum = np.add.reduce


def ladder(
    bid_price: FloatArray, bid_size: FloatArray, ask_price: FloatArray, ask_size: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return rank and size of all levels, shape (n, 2, 20), bids first.

    The rank of a bid is its price, that of an ask its price below zero: the larger, the nearer to a trade.
    A level that is not there has rank -inf and size 0.

    Parameters
    ----------
    bid_price, bid_size, ask_price, ask_size
        Shape (n, L), best first; a missing level has a NaN price.

    Examples
    --------
    >>> rank, size = ladder(*np.array([[[9.0, 8.0]], [[1.0, 2.0]], [[10.0, np.nan]], [[3.0, 0.0]]]))
    >>> rank[0, :, :3].tolist(), size[0, 1, :2].tolist()
    ([[9.0, 8.0, -inf], [-10.0, -inf, -inf]], [3.0, 0.0])
    """
    rank = np.full((len(bid_price), 2, DEPTH), -np.inf)
    size = np.zeros(rank.shape)
    for side, price, quantity in ((0, bid_price, bid_size), (1, ask_price, ask_size)):
        levels = min(price.shape[1], DEPTH)
        rank[:, side, :levels] = price[:, :levels] if side == 0 else -price[:, :levels]
        size[:, side, :levels] = quantity[:, :levels]
    missing = np.isnan(rank)
    if missing.any():
        rank[missing], size[missing] = -np.inf, 0.0
    return rank, size


def level_columns(
    rank: FloatArray, size: FloatArray, rank_1: FloatArray, size_1: FloatArray, quantity: FloatArray
) -> FloatArray:
    """Return the columns `LEVEL_COLUMNS` of n snapshots; each row by the same arithmetic whatever n is.

    With d_j the distance of level j from the mid and C_j the size up to it: ``moment = sum5 d_j q_j``;
    ``rise / run = sum (d_j - mean d) C_j / sum (d_j - mean d)^2``, the slope of C on d; ``walk =
    sum (d_{j+1} - d_j) max(Q - C_j, 0)``, what buying (or selling) Q costs beyond d_1 Q, with all that the
    levels cannot give at the price of the last; ``flow_k = sum_{j<=k}`` of the order flow at level j;
    ``left`` is what left the two best queues.

    Parameters
    ----------
    rank, size
        Of the snapshots, shape (n, 2, 20), as `ladder` gives them.
    rank_1, size_1
        Of the snapshot before each (of itself, where there is none).
    quantity
        Q, what a walk takes, shape (n,).

    Returns
    -------
    FloatArray
        Shape (n, 34).

    References
    ----------
    R. Cont, A. Kukanov, S. Stoikov, The price impact of order book events, Journal of Financial
    Econometrics 12 (2014), eq. 4, for the flow at the best prices; K. Xu, M. D. Gould, S. D. Howison,
    Multi-level order-flow imbalance in a limit order book, Market Microstructure and Liquidity 4 (2018),
    section 2.2, for deeper levels.
    """
    rows = len(rank)
    best = rank[:, :, 0]
    mid = (best[:, 0] - best[:, 1]) * 0.5
    columns = np.empty((rows, len(LEVEL_COLUMNS)))
    columns[:, 0] = mid
    columns[:, 1] = -(best[:, 0] + best[:, 1])
    cumulated = np.add.accumulate(size, axis=2)
    columns[:, 2:12].reshape(rows, 5, 2)[...] = cumulated[:, :, _TAKEN].transpose(0, 2, 1)
    columns[:, 12:14] = _sum(size * _DECAY, axis=2)
    distance, centred = _distances(rank, mid)
    columns[:, 14:16] = _sum(distance[:, :, :5] * size[:, :, :5], axis=2)
    columns[:, 16:18] = _sum(centred * cumulated, axis=2)
    columns[:, 18:20] = _sum(centred * centred, axis=2)
    gaps = distance[:, :, 1:] - distance[:, :, :-1]
    columns[:, 20:22] = gaps[:, :, 0]
    columns[:, 22:24] = distance[:, :, -1]
    wanting = np.maximum(quantity[:, None, None] - cumulated[:, :, :-1], 0.0)
    columns[:, 24:26] = _sum(gaps * wanting, axis=2)
    columns[:, 26:32] = _flow_columns(rank, size, rank_1, size_1)
    columns[:, 32] = ((rank != rank_1) | (size != size_1)).reshape(rows, -1).any(axis=1)
    true_gaps = np.where(gaps > (SMALLEST_MOVE * mid)[:, None, None], gaps, np.inf)
    columns[:, 33] = true_gaps.reshape(rows, -1).min(axis=1)
    return columns


def _distances(rank: FloatArray, mid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return distances from the mid, and from their mean; a missing level is where the last one is."""
    distance = mid[:, None, None] * _UP - rank
    if rank[:, :, -1].min() > -np.inf:
        return distance, distance - _sum(distance, axis=2, keepdims=True) / DEPTH
    there = rank > -np.inf
    distance[~there] = 0.0
    mean = _sum(distance, axis=2, keepdims=True) / there.sum(axis=2, keepdims=True)
    centred = np.where(there, distance - mean, 0.0)
    return np.maximum.accumulate(distance, axis=2), centred


def _flow_columns(rank: FloatArray, size: FloatArray, rank_1: FloatArray, size_1: FloatArray) -> FloatArray:
    """Return steps of the best prices, flow_1, flow_5, flow_10, left."""
    found = np.empty((len(rank), 6))
    deepest = FLOW_DEPTHS[-1]
    now, before = rank[:, :, :deepest], rank_1[:, :, :deepest]
    came = (now >= before) * size[:, :, :deepest] - (now <= before) * size_1[:, :, :deepest]
    found[:, 2:5] = np.add.accumulate(came[:, 0] - came[:, 1], axis=1)[:, _FLOWS]
    step = np.sign(rank[:, :, 0] - rank_1[:, :, 0])
    found[:, 0] = step[:, 0]
    found[:, 1] = -step[:, 1]
    queue = size_1[:, :, 0]
    stayed = np.where(step == 0.0, size[:, :, 0], 0.0)
    left = np.where(step > 0.0, 0.0, np.maximum(queue - stayed, 0.0))
    found[:, 5] = left[:, 0] + left[:, 1]
    return found
