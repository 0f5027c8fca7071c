"""Patches: some steps of one channel become one token."""

import torch
from torch import Tensor, nn

from consilium.models.layers.network.module import Layer

KINDS = ("linear", "conv")


def patch_count(window: int, length: int, stride: int) -> int:
    """Return how many patches of a length fit into a window; the oldest steps that fill none are left out.

    Examples
    --------
    >>> patch_count(120, 12, 12), patch_count(120, 12, 6)
    (10, 19)
    """
    return (window - length) // stride + 1


class PatchEmbedding(Layer):
    """Windows (n, T, C) to tokens (n, C, P, d): ``W x_patch + b``, each channel on its own.

    Parameters
    ----------
    window, length, stride
        T, steps of a patch, steps from one patch to the next.
    width
        d.
    channels
        C.
    kind
        ``linear`` cuts patches and multiplies; ``conv`` slides a convolution, the same function.
    shared
        One W for all channels, or one a channel.

    Examples
    --------
    >>> PatchEmbedding(12, 4, 4, 8, 3)(torch.ones(2, 12, 3)).shape
    torch.Size([2, 3, 3, 8])

    References
    ----------
    Nie et al. (2023), section 3.1.
    """

    places: Tensor

    def __init__(
        self,
        window: int,
        length: int,
        stride: int,
        width: int,
        channels: int,
        *,
        kind: str = "linear",
        shared: bool = True,
    ) -> None:
        super().__init__()
        self.length, self.stride, self.channels, self.kind = length, stride, channels, kind
        count = patch_count(window, length, stride)
        self.start = window - (length + stride * (count - 1))
        self.register_buffer(
            "places", torch.arange(count)[:, None] * stride + torch.arange(length), persistent=False
        )
        copies = 1 if shared else channels
        self.weight = nn.Parameter(torch.empty(copies, width, length))
        self.bias = nn.Parameter(torch.zeros(copies, width))
        bound = length**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, windows: Tensor) -> Tensor:
        """Return tokens (n, C, P, d)."""
        channels = windows[:, self.start :].transpose(1, 2)
        if self.kind == "conv":
            return self._slide(channels)
        if self.stride == self.length:
            patches = channels.reshape(*channels.shape[:2], -1, self.length)
        else:
            patches = channels[:, :, self.places]
        return torch.matmul(patches, self.weight.transpose(1, 2)) + self.bias[:, None]

    def _slide(self, channels: Tensor) -> Tensor:
        n, count, steps = channels.shape
        if len(self.weight) == 1:
            flat = channels.reshape(n * count, 1, steps)
            tokens = nn.functional.conv1d(flat, self.weight[0][:, None], self.bias[0], self.stride)
        else:
            kernels = self.weight.flatten(0, 1)[:, None]
            tokens = nn.functional.conv1d(
                channels, kernels, self.bias.flatten(), self.stride, groups=self.channels
            )
        return tokens.reshape(n, count, self.weight.shape[1], -1).transpose(2, 3)
