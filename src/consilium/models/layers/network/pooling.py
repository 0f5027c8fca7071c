"""Attention over time: one weighted mean of all steps."""

import torch
from torch import Tensor, nn

from consilium.models.layers.network.module import Layer


class AttentionPooling(Layer):
    """``sum_t a_t h_t`` with ``a = softmax_t(v' tanh h_t)``.

    Parameters
    ----------
    width
        Width d of a step, >= 1.

    Examples
    --------
    >>> AttentionPooling(4)(torch.ones(2, 5, 4)).shape
    torch.Size([2, 4])

    References
    ----------
    Zhou et al. (2016), Attention-based bidirectional LSTM networks for relation classification, eq. 9-11.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, steps: Tensor) -> Tensor:
        """Return (n, d) from steps (n, T, d)."""
        shares = self.score(torch.tanh(steps)).softmax(dim=1)
        pooled: Tensor = torch.matmul(shares.transpose(1, 2), steps).squeeze(1)
        return pooled
