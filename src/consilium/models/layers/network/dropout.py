"""Dropout whose masks are cheap on a processor, where torch spends a sixth of a training step on them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.models.layers.network.module import Layer

LEVELS = 1 << 16
"""A chance is a multiple of 1 / LEVELS: 0.1 is 6554 / 65536."""

LEAST = 1 << 14
"""Numbers below which torch's own is as fast."""


class Dropout(Layer):
    """``x m / (1 - p)`` with ``m`` 0 at chance p, 1 else; in training only.

    The masks come from 16 random bits a number, of a generator that is seeded by one draw from torch's: the
    same seed gives the same masks, and a state of torch's generator that is put back gives them again.

    Parameters
    ----------
    share
        p in [0, 1).

    Examples
    --------
    >>> drop = Dropout(0.1)
    >>> left = drop(torch.ones(200, 1000))
    >>> round(float((left == 0).float().mean()), 2), round(float(left.mean()), 2)
    (0.1, 1.0)
    >>> bool((drop.eval()(torch.ones(3)) == 1).all())
    True

    References
    ----------
    Srivastava et al. (2014), Dropout, section 10.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, numbers: Tensor) -> Tensor:
        """Return numbers of any shape, some of them 0."""
        if not self.training or self.share == 0.0:
            return numbers
        if numbers.device.type != "cpu" or numbers.numel() < LEAST:
            return F.dropout(numbers, self.share)
        kept: Tensor = _Masked.apply(numbers, *_mask(numbers, self.share))  # type: ignore[no-untyped-call, unused-ignore]  # torch's
        return kept


class _Masked(torch.autograd.Function):  # type: ignore[misc, unused-ignore]  # untyped where torch is absent
    """Zero where the mask is, the rest scaled; a mask of bytes is all that is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return _scaled(numbers, mask, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return _scaled(gradients[0], mask, ctx.scale), None, None


def _scaled(numbers: Tensor, mask: Tensor, scale: float) -> Tensor:
    return (numbers * mask).mul_(scale)


def _mask(numbers: Tensor, share: float) -> tuple[Tensor, float]:
    """Return what stays, and by how much it grows."""
    count, least = numbers.numel(), round(share * LEVELS)
    draws = np.random.SFC64(int(torch.randint(1 << 62, ()))).random_raw(-(-count // 4))
    bits = torch.from_numpy(draws.view(np.int16))[:count].reshape(numbers.shape)
    # A product with bytes takes half the time of one with truth values.
    return (bits >= least - LEVELS // 2).view(torch.uint8), LEVELS / (LEVELS - least)
