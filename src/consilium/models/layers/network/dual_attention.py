"""Dual attention on order books: attention over time and over features by turns, as TLOB was published."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.models.layers.network.module import Layer
from consilium.models.layers.network.positions import Positions

FLAT = 1e-4
"""A deviation below this counts as 1."""

NARROW = 128
"""Numbers at which the last layers stop quartering."""


class BilinearNorm(Layer):
    """``y_1 (l_t z_t + b_t) + y_2 (l_f z_f + b_f)``, z over features of a step and steps of a feature.

    Parameters
    ----------
    steps, features
        T and F.

    Examples
    --------
    >>> BilinearNorm(5, 4)(torch.randn(2, 5, 4)).shape
    torch.Size([2, 5, 4])

    References
    ----------
    Tran et al. (2021), Data normalization for bilinear structures in high-frequency financial time series,
    eq. 4-8.
    """

    def __init__(self, steps: int, features: int) -> None:
        super().__init__()
        self.steps, self.features = steps, features
        self.step_gain = nn.Parameter(torch.empty(steps, 1))
        self.step_shift = nn.Parameter(torch.zeros(steps, 1))
        self.feature_gain = nn.Parameter(torch.empty(features, 1))
        self.feature_shift = nn.Parameter(torch.zeros(features, 1))
        self.shares = nn.Parameter(torch.tensor([0.5, 0.5]))
        nn.init.xavier_normal_(self.step_gain)
        nn.init.xavier_normal_(self.feature_gain)

    def forward(self, windows: Tensor) -> Tensor:
        """Return windows (n, T, F), normalised both ways."""
        # A share that went below 0 counts as 0.01, as published.
        shares = torch.where(self.shares < 0.0, torch.full_like(self.shares, 0.01), self.shares)
        by_step = self.step_gain * _standard(windows, 2, self.features) + self.step_shift
        by_feature = self.feature_gain.T * _standard(windows, 1, self.steps) + self.feature_shift.T
        return shares[0] * by_step + shares[1] * by_feature


def _standard(windows: Tensor, axis: int, count: int) -> Tensor:
    centred = windows - windows.mean(dim=axis, keepdim=True)
    squares = (centred * centred).sum(dim=axis, keepdim=True)
    spread = torch.sqrt(squares / max(count - 1, 1))
    return centred / torch.where(spread < FLAT, torch.ones_like(spread), spread)


class DualBlock(Layer):
    """Attention over one axis, then a net along the other, which may narrow it.

    Parameters
    ----------
    width
        Numbers of a token.
    heads
        Heads, each as wide as the token.
    outputs
        Numbers of a token afterwards; shortcuts are left out where they differ from ``width``.

    Examples
    --------
    >>> DualBlock(8, 2, 2)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 2])

    References
    ----------
    Berti, Kasneci (2025), TLOB, section 4.
    """

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        self.spread = nn.Linear(width, 3 * width * heads)
        self.query, self.key, self.value, self.joined = (
            nn.Linear(width * heads, width * heads) for _ in range(4)
        )
        self.gather = nn.Linear(width * heads, width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, outputs)
        self.out_norm = nn.LayerNorm(outputs)
        self.keeps = width == outputs

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (n, P, outputs) of tokens (n, P, width)."""
        query, key, value = self.spread(tokens).chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value))
        )
        joined = self.joined(mixed.transpose(1, 2).flatten(2))
        known = self.norm(self.gather(joined) + tokens)
        made = self.narrow(F.gelu(self.wide(known)))
        made = F.gelu(self.out_norm(made + known if self.keeps else made))
        return made + tokens if self.keeps else made

    def _split(self, part: Tensor) -> Tensor:
        n, tokens, width = part.shape
        return part.reshape(n, tokens, self.heads, width // self.heads).transpose(1, 2)


class DualAttention(Layer):
    """Windows of books (n, T, F) to what is known of them (n, width), by blocks over time and over features.

    Parameters
    ----------
    steps, features
        T and F.
    hidden
        Width of a step.
    layers
        Pairs of blocks; the last pair quarters both axes.
    heads
        Heads of each block.

    Examples
    --------
    >>> net = DualAttention(steps=16, features=8, hidden=8, layers=2, heads=1)
    >>> net(torch.randn(3, 16, 8)).shape[1] == net.width
    True

    References
    ----------
    Berti, Kasneci (2025), TLOB: a transformer model with dual attention for price trend prediction.
    """

    def __init__(self, *, steps: int, features: int, hidden: int, layers: int, heads: int) -> None:
        super().__init__()
        self.norm = BilinearNorm(steps, features)
        self.embedding = nn.Linear(features, hidden)
        self.positions = Positions("sinusoidal", steps, hidden)
        blocks = [
            block
            for _ in range(layers - 1)
            for block in (DualBlock(hidden, heads, hidden), DualBlock(steps, heads, steps))
        ]
        short, thin = max(1, steps // 4), max(1, hidden // 4)
        blocks += [DualBlock(hidden, heads, thin), DualBlock(steps, heads, short)]
        self.blocks = nn.ModuleList(blocks)
        width = short * thin
        quarters: list[nn.Module] = []
        while width > NARROW:
            quarters += [nn.Linear(width, width // 4), nn.GELU()]
            width //= 4
        self.quarters = nn.Sequential(*quarters)
        self.width = width

    def forward(self, books: Tensor) -> Tensor:
        """Return (n, width) of books (n, T, F)."""
        tokens = self.positions(self.embedding(self.norm(books)))
        for block in self.blocks:
            tokens = block(tokens).transpose(1, 2)
        known: Tensor = self.quarters(tokens.flatten(1))
        return known
