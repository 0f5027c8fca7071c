"""TLOB: a transformer on windows of order books, as seed 004 sets it, and its published namesake."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from consilium.domain import InvalidValue
from consilium.models.layers.network.attention import Encoder, require_divisible
from consilium.models.layers.network.books import CHANNELS, ScaleMix, SnapshotEncoder
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.dual_attention import DualAttention
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import CONFIDENCE, DIRECTION, HeadedNetwork, Heads
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Layer, Quantities, clipped
from consilium.models.layers.network.positions import Positions
from consilium.models.layers.network.settings import require_choice, require_counts, require_share

NAME = "tlob"
VARIANTS = ("spatial_cnn", "dual_attention")
OWN = 0
"""The primary horizon of a head that learns the label of the rows, whatever that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TLOBConfig:
    """Sizes of TLOB.

    Parameters
    ----------
    window
        Snapshots T; 100.
    num_levels
        Levels L of a book; 20. A window is (T, 4 L + A): the levels of one snapshot, best first, each as bid
        price, bid volume, ask price, ask volume, then the auxiliary features, of which the last step counts.
    spatial_channels
        Outputs of the convolutions across levels; (32, 64, 128).
    kernels
        Snapshots that the convolutions over time see; (3, 5, 7).
    temporal_hidden, num_temporal_layers, num_heads
        128, 4, 4.
    dropout
        In [0, 1); 0.1.
    horizons
        Snapshots ahead, one direction and one confidence for each; (10, 30, 50).
    primary
        The horizon that ``predict_proba`` tells; 30. 0 adds a head of its own for the label of the rows, such
        as that of candles, beside those of the horizons.
    aux_features
        A, where a window has them; 112. A window of 4 L columns has none.
    variant
        ``spatial_cnn`` (the seed) or ``dual_attention`` (the published network; no auxiliary features).
    """

    window: int = 100
    num_levels: int = 20
    spatial_channels: tuple[int, ...] = (32, 64, 128)
    kernels: tuple[int, ...] = (3, 5, 7)
    temporal_hidden: int = 128
    num_temporal_layers: int = 4
    num_heads: int = 4
    dropout: float = 0.1
    horizons: tuple[int, ...] = (10, 30, 50)
    primary: int = 30
    aux_features: int = 112
    variant: str = "spatial_cnn"

    @property
    def columns(self) -> int:
        """Columns of one snapshot."""
        return CHANNELS * self.num_levels

    def require(self) -> None:
        """Refuse values outside their bounds."""
        sizes = (
            "window",
            "num_levels",
            "temporal_hidden",
            "num_temporal_layers",
            "num_heads",
            "aux_features",
        )
        require_counts(NAME, self, sizes)
        require_choice(NAME, "variant", self.variant, VARIANTS)
        require_share(NAME, "dropout", self.dropout)
        if self.variant == "spatial_cnn":
            require_divisible(self.temporal_hidden, self.num_heads)
        if not self.spatial_channels or min(self.spatial_channels) < 1:
            raise InvalidValue(
                f"spatial_channels of {NAME} must be >= 1 each", self.spatial_channels, "correct them"
            )
        if not self.kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise InvalidValue(f"kernels of {NAME} must be odd", self.kernels, "use 3, 5, 7")
        if len(set(self.horizons)) != len(self.horizons) or min(self.horizons, default=0) < 1:
            raise InvalidValue(
                f"horizons of {NAME} must be different numbers >= 1", self.horizons, "correct horizons"
            )
        if self.primary not in (OWN, *self.horizons):
            raise InvalidValue(
                f"primary of {NAME} must be one of the horizons {self.horizons}", self.primary, "choose one"
            )

    def aux_of(self, n_features: int) -> int:
        """Return how many auxiliary features a window of so many columns has.

        Raises
        ------
        InvalidValue
            Neither 4 L columns nor 4 L + A.
        """
        known = (
            [self.columns]
            if self.variant == "dual_attention"
            else [self.columns, self.columns + self.aux_features]
        )
        if n_features not in known:
            raise InvalidValue(
                f"{NAME} reads {' or '.join(map(str, known))} columns",
                n_features,
                "give whole books, or set num_levels and aux_features",
            )
        return n_features - self.columns


class SpatialTLOB(Layer):
    """Levels, then scales of time, then attention; the newest snapshot is read out.

    `encode` treats each row alone: its result may be kept while the window moves on.

    Parameters
    ----------
    config
        Sizes.
    aux
        Auxiliary features, 0 for none.

    Examples
    --------
    >>> net = SpatialTLOB(TLOBConfig(), 112)
    >>> net(net.encode(torch.zeros(2, 100, 192))).shape
    torch.Size([2, 128])
    """

    def __init__(self, config: TLOBConfig, aux: int) -> None:
        super().__init__()
        width = config.temporal_hidden
        self.width, self.columns = width, config.columns
        self.snapshots = SnapshotEncoder(config.num_levels, config.spatial_channels, width)
        self.scales = ScaleMix(width, config.kernels)
        self.aux: nn.Module | None = None
        if aux:
            self.aux = nn.Sequential(nn.Linear(aux, width), nn.GELU(), nn.Linear(width, width))
            self.join_steps = nn.Linear(width, width)
            self.join_aux = nn.Linear(width, width, bias=False)
        self.positions = Positions("learnable", config.window, width)
        self.drop = Dropout(config.dropout)
        self.encoder = Encoder(
            config.num_temporal_layers, width, config.num_heads, 4 * width, config.dropout, final_norm=True
        )

    def encode(self, rows: Tensor) -> Tensor:
        """Return encodings (n, T, H) of rows (n, T, 4 L + A): each of its own row and no other."""
        codes: Tensor = self.snapshots(rows[..., : self.columns])
        if self.aux is not None:
            codes = torch.cat([codes, self.aux(rows[..., self.columns :])], dim=-1)
        return codes

    def read(self, windows: Tensor) -> Tensor:
        """Return (n, d) of windows (n, T, 4 L + A); auxiliary features are encoded where they are read."""
        codes = self.snapshots(windows[..., : self.columns])
        beside = None if self.aux is None else self.aux(windows[:, -1:, self.columns :])
        return self._known(codes, beside)

    def forward(self, codes: Tensor) -> Tensor:
        """Return (n, d) of encodings (n, T, H); of the auxiliary ones the last step's are read."""
        return self._known(codes[..., : self.width], codes[:, -1:, self.width :])

    def _known(self, codes: Tensor, beside: Tensor | None) -> Tensor:
        steps = self.scales(codes)
        if self.aux is not None:
            steps = self.join_steps(steps) + self.join_aux(beside)
        known: Tensor = self.encoder(self.drop(self.positions(steps)), only=-1)[:, 0]
        return known


class TLOB(HeadedNetwork):
    """TLOB with a direction and a confidence for each horizon.

    Parameters
    ----------
    config
        Sizes.
    n_features
        4 L, or 4 L + A.

    Examples
    --------
    >>> sorted(TLOB(TLOBConfig(), 192)(torch.zeros(2, 100, 192)))[3:]
    ['direction_10', 'direction_30', 'direction_50']
    """

    def __init__(self, config: TLOBConfig, n_features: int) -> None:
        super().__init__()
        aux = config.aux_of(n_features)
        self.primary = DIRECTION if config.primary == OWN else f"{DIRECTION}_{config.primary}"
        own = (DIRECTION, CONFIDENCE) if config.primary == OWN else ()
        self.names = own + tuple(f"{kind}_{h}" for h in config.horizons for kind in (DIRECTION, CONFIDENCE))
        self.spatial: SpatialTLOB | None = None
        self.dual: DualAttention | None = None
        if config.variant == "spatial_cnn":
            self.spatial = SpatialTLOB(config, aux)
            width = self.spatial.width
        else:
            self.dual = DualAttention(
                steps=config.window,
                features=config.columns,
                hidden=config.temporal_hidden,
                layers=config.num_temporal_layers,
                heads=config.num_heads,
            )
            width = self.dual.width
        self.heads = Heads(width, self.names)

    def quantities(self, windows: Tensor) -> Quantities:
        """Return the quantities of windows (n, T, 4 L + A)."""
        known = self._spatial().read(windows) if self.dual is None else self.dual(windows)
        stated: Quantities = self.heads(known)
        return stated

    def encode(self, rows: Tensor) -> Tensor:
        """Return encodings (n, H) of rows (n, 4 L + A), each on its own."""
        codes: Tensor = self._spatial().encode(clipped(rows)[:, None])[:, 0]
        return codes

    def decide(self, codes: Tensor) -> Quantities:
        """Return the quantities of windows of encodings (n, T, H)."""
        stated: Quantities = self.heads(self._spatial()(codes))
        return stated

    def _spatial(self) -> SpatialTLOB:
        if self.spatial is None:
            raise InvalidValue(
                f"only the variant spatial_cnn of {NAME} reads each row on its own",
                "dual_attention",
                "export it whole",
            )
        return self.spatial


class TLOBForecaster(NetworkForecaster):
    """TLOB on windows of books in standard units, each flattened to 4 L columns.

    The trainer gives rows as `consilium.market.book.rows` makes them; the tensors of
    `consilium.market.book.tensor`, flattened, will do as well. ``fit`` teaches the primary horizon from y;
    the others from ``outcomes``: ``direction_10`` and so on.
    Parameters are those of `TLOBConfig`, of `Plan` (100 epochs, patience 10, four batches of 32 to a
    step, AdamW at 1e-4) and ``n_threads``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 3
    >>> X = (y - 1)[:, None, None] + 0.5 * rng.standard_normal((120, 8, 8))
    >>> model = TLOBForecaster(window=8, num_levels=2, spatial_channels=(4, 8), temporal_hidden=8,
    ...     num_temporal_layers=1, num_heads=2, epochs=20, learning_rate=0.01, accumulate=1)
    >>> bool(model.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.9)
    True

    References
    ----------
    Berti, Kasneci (2025), TLOB, for the variant ``dual_attention``.
    """

    name = NAME
    config_type = TLOBConfig
    plan = Plan(accumulate=4)

    @property
    def book_levels(self) -> int:
        """Levels a side of the books that it reads."""
        return int(self.config.num_levels)

    @property
    def reads_features(self) -> bool:
        """Whether features may stand beside each book."""
        return bool(self.config.variant == VARIANTS[0])

    @classmethod
    def build(cls, config: TLOBConfig, n_features: int) -> TLOB:
        """Return a fresh network."""
        return TLOB(config, n_features)
