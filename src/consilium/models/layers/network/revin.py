"""Reversible instance normalisation: level and scale of one window are taken out, and kept."""

import torch
from torch import Tensor, nn

from consilium.models.layers.network.module import Layer

FLOOR = 1e-5


class RevIN(Layer):
    """``(x - m) / s`` with mean and deviation of each channel of one window, then ``a x + b`` a channel.

    Parameters
    ----------
    channels
        F.

    Examples
    --------
    >>> norm = RevIN(1)
    >>> x = torch.tensor([[[1.0], [3.0]]])
    >>> normal, mean, scale = norm(x)
    >>> normal.flatten().tolist(), mean.item(), round(scale.item(), 3)
    ([-0.99..., 0.99...], 2.0, 1.0)
    >>> bool(torch.allclose(norm.undo(normal, mean, scale), x, atol=1e-6))
    True

    References
    ----------
    Kim et al. (2022), Reversible instance normalization, eq. 2-4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return windows (n, T, F) normalised, and what was removed: mean and scale, each (n, 1, F)."""
        mean = windows.mean(dim=1, keepdim=True)
        centred = windows - mean
        scale = torch.sqrt((centred * centred).mean(dim=1, keepdim=True) + FLOOR)
        return centred / scale * self.gain + self.shift, mean, scale

    def undo(self, normal: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """Put level and scale back onto a forecast (n, H, F)."""
        return (normal - self.shift) / (self.gain + FLOOR * FLOOR) * scale + mean
