"""The MiniRocket transform: 84 fixed kernels, dilated, and the share of positive values of each.

Letters: B windows of length L with F channels, d a dilation, D features. A kernel has nine taps, six of
weight -1 and three of weight 2, so its weights sum to 0 and a constant shift of a window changes nothing.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
Whole = NDArray[np.int64]

TAPS = 9
KERNELS = tuple(combinations(range(TAPS), 3))
"""The positions of weight 2 in each of the 84 kernels."""

MAX_DILATIONS = 32
MAX_CHANNELS = 9
GOLDEN = (np.sqrt(5.0) + 1.0) / 2.0
_BYTES_AT_ONCE = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rocket:
    """A fitted transform.

    Parameters
    ----------
    length
        Length L of a window.
    dilations
        Shape (m,), increasing.
    per_dilation
        Shape (m,): biases of each kernel at each dilation.
    channels
        Shape (m * 84, 9): the channels that each combination of dilation and kernel adds up, -1 filled.
    biases
        Shape (D,), ordered by dilation, kernel, quantile.
    """

    length: int
    dilations: Whole
    per_dilation: Whole
    channels: Whole
    biases: Singles

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return len(self.biases)

    def transform(self, X: Rows) -> Singles:
        """Return the share of positive values of each kernel, shape (n, D), from windows (n, L, F).

        ``PPV(w, d, b) = mean_t [ (x * w_d)_t > b ]``, over the padded convolution and over its inner part
        by turns. One window gives the same bits alone and among others.
        """
        result = np.empty((len(X), self.n_features), dtype=np.float32)
        batch = max(1, _BYTES_AT_ONCE // (4 * self.length))
        for start in range(0, len(X), batch):
            block = np.ascontiguousarray(X[start : start + batch].transpose(2, 1, 0), dtype=np.float32)
            self._transform_block(block, result[start : start + batch])
        return result

    def _transform_block(self, block: Singles, result: Singles) -> None:
        feature = 0
        for combination, (turn, kernel) in enumerate(_turns(len(self.dilations))):
            dilation = int(self.dilations[turn])
            inner = (turn + kernel) % 2 == 1
            values = convolve(block, self.channels[combination], dilation, KERNELS[kernel], inner=inner)
            for _ in range(int(self.per_dilation[turn])):
                result[:, feature] = _share_above(values, self.biases[feature])
                feature += 1


def fit_rocket(X: Rows, num_features: int, rng: np.random.Generator) -> Rocket:
    """Choose dilations, channel subsets and biases.

    Parameters
    ----------
    X
        Windows (n, L, F), n >= 1, L >= 9.
    num_features
        About how many features, >= 84; rounded down to a multiple of 84. The paper has 9,996.
    rng
        Picks the channels, and the window from whose convolution each bias is taken.

    References
    ----------
    Dempster, Schmidt, Webb (2021), section 3; the multivariate form adds up to nine channels chosen at
    random for each combination of kernel and dilation, as in the authors' multivariate variant.
    """
    n, length, n_channels = X.shape
    dilations, per_dilation = choose_dilations(length, num_features)
    channels = _choose_channels(len(dilations) * len(KERNELS), n_channels, rng)
    total = int(per_dilation.sum()) * len(KERNELS)
    quantiles = (np.arange(1, total + 1) * GOLDEN) % 1.0
    biases = np.empty(total, dtype=np.float32)
    feature = 0
    for combination, (turn, kernel) in enumerate(_turns(len(dilations))):
        window = np.asarray(X[int(rng.integers(n))], dtype=np.float32).T[:, :, None]
        values = convolve(window, channels[combination], int(dilations[turn]), KERNELS[kernel], inner=False)
        stop = feature + int(per_dilation[turn])
        biases[feature:stop] = np.quantile(values, quantiles[feature:stop])
        feature = stop
    return Rocket(
        length=length, dilations=dilations, per_dilation=per_dilation, channels=channels, biases=biases
    )


def choose_dilations(length: int, num_features: int) -> tuple[Whole, Whole]:
    """Return dilations ``floor(2^e)``, e even in [0, log2((L - 1) / 8)], and the biases of each.

    Parameters
    ----------
    length
        Length L of a window, >= 9.
    num_features
        At least 84.

    Examples
    --------
    >>> [part.tolist() for part in choose_dilations(64, 1_008)]
    [[1, 2, 3, 4, 5, 6, 7], [4, 2, 2, 1, 1, 1, 1]]
    """
    per_kernel = num_features // len(KERNELS)
    distinct = min(per_kernel, MAX_DILATIONS)
    top = np.log2((length - 1) / (TAPS - 1))
    raw = np.logspace(0.0, top, distinct, base=2.0).astype(np.int64)
    dilations, counts = np.unique(raw, return_counts=True)
    per_dilation = (counts * (per_kernel / distinct)).astype(np.int64)
    missing = per_kernel - int(per_dilation.sum())
    per_dilation += missing // len(counts)
    per_dilation[: missing % len(counts)] += 1
    return dilations, per_dilation


def convolve(
    block: Singles, channels: Whole, dilation: int, kernel: tuple[int, ...], *, inner: bool
) -> Singles:
    """Convolve the sum of some channels with one kernel: ``C_t = sum_j w_j S_{t + (j - 4) d}``.

    Parameters
    ----------
    block
        Shape (F, L, B).
    channels
        Indices of the channels to add up; entries of -1 are left out.
    dilation
        Distance d between taps.
    kernel
        The three taps of weight 2.
    inner
        Whether to keep only the part where all nine taps lie inside the window; else the window is
        padded with zeros and the result has length L.

    Returns
    -------
    Shape (L, B), or (L - 8 d, B) for the inner part.
    """
    first, *others = [int(c) for c in channels if c >= 0]
    margin = (TAPS // 2) * dilation
    length, width = block.shape[1:]
    pad = 0 if inner else margin
    signal = np.zeros((length + 2 * pad, width), dtype=np.float32)
    centre = signal[pad : pad + length]
    centre += block[first]
    for channel in others:
        centre += block[channel]
    size = len(signal) - 2 * margin
    taps = [signal[j * dilation : j * dilation + size] for j in range(TAPS)]
    light = taps[0] + taps[1]
    for tap in taps[2:]:
        light += tap
    heavy = taps[kernel[0]] + taps[kernel[1]]
    heavy += taps[kernel[2]]
    heavy *= np.float32(3.0)
    heavy -= light
    return heavy


def _turns(n_dilations: int) -> list[tuple[int, int]]:
    return [(turn, kernel) for turn in range(n_dilations) for kernel in range(len(KERNELS))]


def _choose_channels(combinations_: int, n_channels: int, rng: np.random.Generator) -> Whole:
    most = min(n_channels, MAX_CHANNELS)
    sizes = (2.0 ** rng.uniform(0.0, np.log2(most + 1), combinations_)).astype(np.int64)
    chosen = np.full((combinations_, MAX_CHANNELS), -1, dtype=np.int64)
    for row, size in zip(chosen, sizes, strict=True):
        row[:size] = rng.choice(n_channels, int(size), replace=False)
    return chosen


def _share_above(values: Singles, bias: np.float32) -> Singles:
    above = (values > bias).view(np.uint8)
    counts = np.zeros(values.shape[1], dtype=np.float32)
    # Bytes add up many times faster than wider integers, and 255 of them cannot overflow.
    for start in range(0, len(above), 255):
        counts += np.add.reduce(above[start : start + 255], axis=0, dtype=np.uint8)
    counts /= np.float32(len(values))
    return counts
