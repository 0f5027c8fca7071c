"""MPDTransformer: a vision transformer on the picture of time by features, as seed 004 sets it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from consilium.domain import InvalidValue
from consilium.models.layers.network.attention import Encoder, require_divisible
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import START, THREE, HeadedNetwork, Heads
from consilium.models.layers.network.layout import FULL, FeatureLayout
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Quantities
from consilium.models.layers.network.positions import Positions
from consilium.models.layers.network.settings import require_counts, require_share

NAME = "mpd_transformer"


@dataclass(frozen=True, slots=True, kw_only=True)
class MPDConfig:
    """Sizes of the MPDTransformer.

    Parameters
    ----------
    window
        Steps T, a multiple of the patch's; 60.
    input_features
        Columns of the layout, a multiple of the patch's; 112. Fewer features stand in the first of them.
    patch_size
        Steps and columns of a patch; (10, 14), which makes 48 of them.
    embed_dim, num_layers, num_heads
        256, 6, 8.
    mlp_ratio
        Width of the feed-forward net over embed_dim; 4.
    dropout
        In [0, 1); 0.1.
    use_cls_token
        Whether a token of its own is read out, else the mean of all; True.
    """

    window: int = 60
    input_features: int = FULL
    patch_size: tuple[int, int] = (10, 14)
    embed_dim: int = 256
    num_layers: int = 6
    num_heads: int = 8
    mlp_ratio: float = 4.0
    dropout: float = 0.1
    use_cls_token: bool = True

    @property
    def num_patches(self) -> int:
        """Patches of a window."""
        return (self.window // self.patch_size[0]) * (self.input_features // self.patch_size[1])

    @property
    def inner(self) -> int:
        """Width of the feed-forward net."""
        return int(self.embed_dim * self.mlp_ratio)

    def require(self) -> None:
        """Refuse values outside their bounds."""
        require_counts(
            NAME, self, ("window", "input_features", "embed_dim", "num_layers", "num_heads", "inner")
        )
        sides = (self.window, self.input_features)
        if any(patch < 1 or side % patch for patch, side in zip(self.patch_size, sides, strict=True)):
            raise InvalidValue(
                f"patch_size of {NAME} must divide {self.window} steps x {self.input_features} columns",
                self.patch_size,
                "correct patch_size",
            )
        require_divisible(self.embed_dim, self.num_heads)
        require_share(NAME, "dropout", self.dropout)


class MPDTransformer(HeadedNetwork):
    """Patches of steps x features, an encoder, three heads.

    Whether the book spoke stands outside the patches: it is added to the token that is read out.

    Parameters
    ----------
    config
        Sizes.
    n_features
        F.

    Examples
    --------
    >>> stated = MPDTransformer(MPDConfig(num_layers=1), 112)(torch.zeros(2, 60, 112))
    >>> {name: tuple(value.shape) for name, value in stated.items()}
    {'direction': (2, 3), 'confidence': (2, 1), 'expected_return': (2, 1)}

    References
    ----------
    Dosovitskiy et al. (2021), eq. 1-4.
    """

    names = THREE

    def __init__(self, config: MPDConfig, n_features: int) -> None:
        super().__init__()
        width = config.embed_dim
        self.patch = config.patch_size
        self.layout = FeatureLayout(NAME, n_features, config.input_features)
        self.embedding = nn.Linear(config.patch_size[0] * config.patch_size[1], width)
        self.book = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.book, std=START)
        self.cls: nn.Parameter | None = None
        if config.use_cls_token:
            self.cls = nn.Parameter(torch.empty(width))
            nn.init.trunc_normal_(self.cls, std=START)
        self.positions = Positions("learnable", config.num_patches + int(config.use_cls_token), width)
        self.drop = Dropout(config.dropout)
        self.encoder = Encoder(
            config.num_layers, width, config.num_heads, config.inner, config.dropout, final_norm=True
        )
        self.heads = Heads(width, self.names)

    def cut(self, columns: Tensor) -> Tensor:
        """Return patches (n, P, steps * columns of a patch) of a picture (n, T, columns)."""
        n, steps, width = columns.shape
        high, wide = self.patch
        grid = columns.reshape(n, steps // high, high, width // wide, wide)
        return grid.transpose(2, 3).reshape(n, -1, high * wide)

    def quantities(self, windows: Tensor) -> Quantities:
        """Return the quantities of windows (n, T, F)."""
        columns, flag = self.layout(windows)
        tokens = self.embedding(self.cut(columns))
        book = flag.mean(dim=1, keepdim=True) * self.book
        if self.cls is None:
            known = self.encoder(self.drop(self.positions(tokens) + book)).mean(dim=1)
        else:
            tokens = torch.cat([self.cls + book, tokens], dim=1)
            known = self.encoder(self.drop(self.positions(tokens)), only=0)[:, 0]
        stated: Quantities = self.heads(known)
        return stated


class MPDForecaster(NetworkForecaster):
    """MPDTransformer on windows of standardised features.

    Parameters are those of `MPDConfig`, of `Plan` (100 epochs, patience 10, four batches of 32 to a
    step, AdamW at 1e-4) and ``n_threads``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 3
    >>> X = (y - 1)[:, None, None] + 0.5 * rng.standard_normal((120, 8, 2))
    >>> model = MPDForecaster(window=8, input_features=2, patch_size=(4, 2), embed_dim=8, num_layers=1,
    ...     num_heads=2, epochs=20, learning_rate=0.01, accumulate=1)
    >>> bool(model.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.9)
    True

    References
    ----------
    Dosovitskiy et al. (2021), An image is worth 16x16 words.
    """

    name = NAME
    config_type = MPDConfig
    plan = Plan(accumulate=4)

    @classmethod
    def build(cls, config: MPDConfig, n_features: int) -> MPDTransformer:
        """Return a fresh network."""
        return MPDTransformer(config, n_features)
