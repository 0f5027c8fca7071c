"""Columns at fixed places, so that one network reads features with and without books."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.domain import InvalidValue
from consilium.models.layers.network.module import Layer

FULL, BOOK_FROM = 112, 62
"""All features; the last 50 are those of the book. Without books these are 0 after scaling."""


class FeatureLayout(Layer):
    """Windows (n, T, F) to (n, T, layout), missing columns 0, and whether the book spoke (n, T, 1).

    The flag is the column behind the layout, where there is one; else it is 1 where any book column differs
    from 0: a masked book is 0 in all of them.

    Parameters
    ----------
    owner
        Name of the model, for errors.
    n_features
        F, <= layout, or layout + 1: its features and the flag.
    layout
        Columns of the network.

    Examples
    --------
    >>> columns, flag = FeatureLayout("mpd_transformer", 62, 112)(torch.ones(2, 5, 62))
    >>> tuple(columns.shape), flag.sum().item()
    ((2, 5, 112), 0.0)
    """

    def __init__(self, owner: str, n_features: int, layout: int = FULL) -> None:
        super().__init__()
        self.flagged = n_features == layout + 1
        if n_features > layout and not self.flagged:
            raise InvalidValue(
                f"{owner} reads at most {layout} features", n_features, "raise input_features or choose fewer"
            )
        self.missing = max(layout - n_features, 0)
        self.has_books = layout == FULL and n_features > BOOK_FROM

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns in their places and the flag of the book."""
        if self.flagged:
            return windows[..., :-1], windows[..., -1:]
        columns = F.pad(windows, (0, self.missing)) if self.missing else windows
        if not self.has_books:
            return columns, torch.zeros_like(columns[..., :1])
        spoke = columns[..., BOOK_FROM:].abs().sum(dim=-1, keepdim=True) > 0.0
        return columns, spoke.to(columns.dtype)
