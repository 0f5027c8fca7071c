"""Where a token stands."""

import math

import torch
from torch import Tensor, nn

from consilium.models.layers.network.module import Layer

KINDS = ("learnable", "sinusoidal")


def sinusoids(length: int, width: int) -> Tensor:
    """Return ``sin(t w_k), cos(t w_k)`` by turns, ``w_k = 10000^(-2k/d)``, shape (length, width).

    Parameters
    ----------
    length
        Tokens, >= 1.
    width
        d, >= 1; with an odd width the last cosine is left out.

    Examples
    --------
    >>> sinusoids(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]

    References
    ----------
    Vaswani et al. (2017), section 3.5.
    """
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


class Positions(Layer):
    """Adds one vector a place to tokens (..., P, d).

    Parameters
    ----------
    kind
        ``learnable`` (starts near 0) or ``sinusoidal`` (fixed).
    length, width
        P and d.

    Examples
    --------
    >>> Positions("sinusoidal", 3, 4)(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    table: Tensor

    def __init__(self, kind: str, length: int, width: int) -> None:
        super().__init__()
        if kind == "learnable":
            self.table = nn.Parameter(torch.empty(length, width))
            nn.init.trunc_normal_(self.table, std=0.02)
        else:
            self.register_buffer("table", sinusoids(length, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens plus their places."""
        return tokens + self.table
