"""From a network that reads windows to numbers ahead instead of classes."""

from torch import Tensor, nn

from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.module import Layer
from consilium.models.layers.network.revin import RevIN


class Horizon(Layer):
    """Windows (n, T, C) to the next H steps (n, H, C); level and scale of each window are put back.

    ``y = undo(W body(norm(x)) + b)``, one W for all channels.

    Parameters
    ----------
    body
        Maps windows (n, T, C) to what it knows of each channel, (n, C, ...).
    channels
        C.
    width
        Numbers that ``body`` knows of a channel; None where these are the H steps themselves.
    steps
        H.
    dropout
        Of what is known, in [0, 1); 0.

    Examples
    --------
    >>> import torch
    >>> class Newest(Layer):
    ...     def forward(self, windows):
    ...         return windows[:, -2:].transpose(1, 2)
    >>> Horizon(Newest(), 3, 2, 5)(torch.ones(4, 8, 3)).shape
    torch.Size([4, 5, 3])

    References
    ----------
    Nie et al. (2023), section 3.1, flatten with linear head; Kim et al. (2022), eq. 2-4.
    """

    def __init__(
        self, body: Layer, channels: int, width: int | None, steps: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = RevIN(channels)
        self.body = body
        self.drop = Dropout(dropout)
        self.head: nn.Module = nn.Identity() if width is None else nn.Linear(width, steps)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the next steps (n, H, C)."""
        normal, mean, scale = self.norm(windows)
        ahead: Tensor = self.head(self.drop(self.body(normal).flatten(2)))
        return self.norm.undo(ahead.transpose(1, 2), mean, scale)
