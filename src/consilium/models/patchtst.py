"""PatchTST: each feature cut into patches, one encoder for all, as seed 002 sets it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from consilium.domain import InvalidValue
from consilium.models.layers.network.attention import Encoder, require_divisible
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import DIRECTION, HeadedNetwork, Heads
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Layer, Quantities
from consilium.models.layers.network.patches import KINDS as PATCHINGS
from consilium.models.layers.network.patches import PatchEmbedding, patch_count
from consilium.models.layers.network.positions import KINDS as POSITIONS
from consilium.models.layers.network.positions import Positions
from consilium.models.layers.network.revin import RevIN
from consilium.models.layers.network.settings import require_choice, require_counts, require_share

NAME = "patchtst"
NORMS = ("pre_layer", "post_batch")
EMBEDDINGS = ("shared", "per_channel")
HEADS = ("mean", "flatten")

TOKENS_AT_ONCE = 5_000
"""Tokens of one pass in training: what is kept of more is written past the caches of a processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchTSTConfig:
    """Sizes and choices of PatchTST.

    Parameters
    ----------
    window
        Steps T; 120.
    patch_len
        Steps of a patch; 12.
    stride
        Steps from one patch to the next; None for patch_len, and half of it with ``conv``.
    d_model, num_heads, num_layers, ff_dim
        128, 8, 3, 512.
    dropout
        In [0, 1); 0.1.
    revin
        Whether each window loses its level and scale. Off: a class may lie in just these. On: both are
        handed to the head.
    patching
        ``linear``, or ``conv``: overlapping patches.
    positions
        ``learnable`` or ``sinusoidal``.
    norm
        ``pre_layer`` (the seed) or ``post_batch`` (the paper).
    embedding
        ``shared`` (the paper) or ``per_channel`` (the seed).
    head
        ``mean`` over patches, or ``flatten``.
    """

    window: int = 120
    patch_len: int = 12
    stride: int | None = None
    d_model: int = 128
    num_heads: int = 8
    num_layers: int = 3
    ff_dim: int = 512
    dropout: float = 0.1
    revin: bool = False
    patching: str = "linear"
    positions: str = "learnable"
    norm: str = "pre_layer"
    embedding: str = "shared"
    head: str = "mean"

    @property
    def step(self) -> int:
        """Steps from one patch to the next."""
        if self.stride is not None:
            return self.stride
        return self.patch_len if self.patching == "linear" else max(1, self.patch_len // 2)

    @property
    def num_patches(self) -> int:
        """Patches of a window."""
        return patch_count(self.window, self.patch_len, self.step)

    def require(self) -> None:
        """Refuse values outside their bounds."""
        sizes = ("window", "patch_len", "step", "d_model", "num_heads", "num_layers", "ff_dim")
        require_counts(NAME, self, sizes)
        if self.patch_len > self.window:
            raise InvalidValue(
                f"patch_len of {NAME} must be <= window {self.window}", self.patch_len, "correct patch_len"
            )
        require_divisible(self.d_model, self.num_heads)
        require_share(NAME, "dropout", self.dropout)
        for name, known in (
            ("patching", PATCHINGS),
            ("positions", POSITIONS),
            ("norm", NORMS),
            ("embedding", EMBEDDINGS),
            ("head", HEADS),
        ):
            require_choice(NAME, name, getattr(self, name), known)


class PatchTSTBackbone(Layer):
    """Windows (n, T, C) to tokens (n, C, P, d); channels are folded into the batch and never meet.

    Parameters
    ----------
    config
        Sizes and choices; ``revin`` and ``head`` belong to others.
    channels
        C.

    Examples
    --------
    >>> PatchTSTBackbone(PatchTSTConfig(), 14)(torch.zeros(2, 120, 14)).shape
    torch.Size([2, 14, 10, 128])

    References
    ----------
    Nie et al. (2023), section 3.1.
    """

    def __init__(self, config: PatchTSTConfig, channels: int) -> None:
        super().__init__()
        self.embedding = PatchEmbedding(
            config.window,
            config.patch_len,
            config.step,
            config.d_model,
            channels,
            kind=config.patching,
            shared=config.embedding == "shared",
        )
        self.positions = Positions(config.positions, config.num_patches, config.d_model)
        self.drop = Dropout(config.dropout)
        self.encoder = Encoder(
            config.num_layers, config.d_model, config.num_heads, config.ff_dim, config.dropout, config.norm
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return tokens (n, C, P, d)."""
        tokens = self.drop(self.positions(self.embedding(windows)))
        n, channels = tokens.shape[:2]
        result: Tensor = self.encoder(tokens.flatten(0, 1)).reshape(n, channels, *tokens.shape[2:])
        return result

    def mean(self, windows: Tensor) -> Tensor:
        """Return the mean (n, C, d) over the tokens of each channel, without dropout."""
        tokens = self.positions(self.embedding(windows))
        n, channels = tokens.shape[:2]
        return self.encoder.mean(tokens.flatten(0, 1)).reshape(n, channels, -1)


class PatchTST(HeadedNetwork):
    """PatchTST for three classes.

    Parameters
    ----------
    config
        Sizes and choices.
    n_features
        F.

    Examples
    --------
    >>> PatchTST(PatchTSTConfig(), 14).eval()(torch.zeros(2, 120, 14))["direction"].shape
    torch.Size([2, 3])
    """

    names = (DIRECTION,)

    def __init__(self, config: PatchTSTConfig, n_features: int) -> None:
        super().__init__()
        self.mean = config.head == "mean"
        self.pre_layer = config.norm == "pre_layer"
        self.revin = RevIN(n_features) if config.revin else None
        self.backbone = PatchTSTBackbone(config, n_features)
        known = n_features * config.d_model * (1 if self.mean else config.num_patches)
        self.drop = Dropout(config.dropout)
        if self.pre_layer:
            self.rows_at_once = max(1, TOKENS_AT_ONCE // (n_features * config.num_patches))
        self.heads = Heads(known + (2 * n_features if config.revin else 0), self.names)

    def quantities(self, windows: Tensor) -> Quantities:
        """Return the logits of windows (n, T, F)."""
        removed: list[Tensor] = []
        if self.revin is not None:
            windows, mean, scale = self.revin(windows)
            removed = [mean[:, 0], scale[:, 0]]
        if self.mean and self.pre_layer and torch.onnx.is_in_onnx_export():
            # A file is written once and read for ever: it takes a tenth less time than the form of training.
            known = self.backbone.mean(windows)
        else:
            tokens = self.backbone(windows)
            known = tokens.mean(dim=2) if self.mean else tokens
        stated: Quantities = self.heads(torch.cat([self.drop(known.flatten(1)), *removed], dim=1))
        return stated


class PatchTSTForecaster(NetworkForecaster):
    """PatchTST on windows of standardised features.

    Parameters are those of `PatchTSTConfig`, of `Plan` (50 epochs, patience 10, batches of 64, Adam at 1e-3)
    and ``n_threads``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 3
    >>> X = (y - 1)[:, None, None] + 0.5 * rng.standard_normal((120, 16, 2))
    >>> model = PatchTSTForecaster(window=16, patch_len=4, d_model=16, num_heads=2, ff_dim=32, epochs=20)
    >>> bool(model.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.9)
    True

    References
    ----------
    Nie et al. (2023), A time series is worth 64 words.
    """

    name = NAME
    config_type = PatchTSTConfig
    plan = Plan(epochs=50, patience=10, batch_size=64, learning_rate=1e-3, weight_decay=0.0)

    @classmethod
    def build(cls, config: PatchTSTConfig, n_features: int) -> PatchTST:
        """Return a fresh network."""
        return PatchTST(config, n_features)
