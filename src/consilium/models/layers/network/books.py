"""Order books as a network reads them: across levels, then over several scales of time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from consilium.models.layers.network.module import Layer

CHANNELS = 4
"""Bid price, bid volume, ask price, ask volume."""

LEVELS_SEEN = 3
"""Neighbouring levels that one convolution sees."""


class SnapshotEncoder(Layer):
    """Each book alone: convolutions across its levels, then one linear map; (n, T, 4 L) to (n, T, d).

    Parameters
    ----------
    levels
        L.
    channels
        Outputs of each convolution.
    width
        d.

    Examples
    --------
    >>> SnapshotEncoder(20, (32, 64, 128), 16)(torch.zeros(2, 5, 80)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, levels: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.levels = levels
        parts: list[nn.Module] = []
        for inputs, outputs in zip((CHANNELS, *channels), channels, strict=False):
            parts += [
                nn.Conv1d(inputs, outputs, LEVELS_SEEN, padding=LEVELS_SEEN // 2),
                nn.BatchNorm1d(outputs),
                nn.GELU(),
            ]
        self.convs = nn.Sequential(*parts)
        self.flat = nn.Linear(channels[-1] * levels, width)

    def forward(self, books: Tensor) -> Tensor:
        """Return (n, T, d) of books (n, T, 4 L), level by level."""
        n, steps = books.shape[:2]
        levels = books.reshape(n * steps, self.levels, CHANNELS).transpose(1, 2)
        encoded: Tensor = self.flat(self.convs(levels).flatten(1))
        return encoded.reshape(n, steps, -1)


class ScaleMix(Layer):
    """Convolutions over time of several lengths, joined and projected back; (n, T, d) to (n, T, d).

    Parameters
    ----------
    width
        d.
    kernels
        Steps that each sees, odd.

    Examples
    --------
    >>> ScaleMix(16, (3, 5, 7))(torch.zeros(2, 9, 16)).shape
    torch.Size([2, 9, 16])
    """

    def __init__(self, width: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(width, width, k, padding=k // 2) for k in kernels)
        self.project = nn.Linear(width * len(kernels), width)

    def forward(self, steps: Tensor) -> Tensor:
        """Return (n, T, d)."""
        across = steps.transpose(1, 2)
        found = [nn.functional.gelu(conv(across)) for conv in self.convs]
        mixed: Tensor = self.project(torch.cat(found, dim=1).transpose(1, 2))
        return mixed
