"""N-HiTS: stacks of small nets that look at a window at several rates, as seed 002 sets them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.domain import InvalidValue
from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import DIRECTION, START
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Layer, Network, Quantities
from consilium.models.layers.network.settings import require_choice, require_counts, require_share

NAME = "nhits"
INPUTS = ("squeeze", "channels")


@dataclass(frozen=True, slots=True, kw_only=True)
class NHitsConfig:
    """Sizes of N-HiTS.

    Parameters
    ----------
    window
        Steps T, >= the largest pool; 120.
    hidden_size
        Width of the first stack, halved with each further one; 512.
    num_blocks
        Blocks of a stack; 3.
    pools
        Pooling of each stack; (1, 2, 4).
    inputs
        ``squeeze``: one learnt mixture of all features; ``channels``: each feature on its own through the
        same stacks, and the forecasts mixed.
    dropout
        In [0, 1); 0.
    """

    window: int = 120
    hidden_size: int = 512
    num_blocks: int = 3
    pools: tuple[int, ...] = (1, 2, 4)
    inputs: str = "squeeze"
    dropout: float = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each stack: hidden_size, half of it, a quarter of it."""
        return tuple(self.hidden_size >> stack for stack in range(len(self.pools)))

    def require(self) -> None:
        """Refuse values outside their bounds."""
        require_counts(NAME, self, ("window", "hidden_size", "num_blocks"))
        if not self.pools or min(self.pools) < 1 or max(self.pools) > self.window or self.widths[-1] < 1:
            raise InvalidValue(
                f"pools of {NAME} must be in [1, window], no more than hidden_size can be halved",
                self.pools,
                "correct pools",
            )
        require_choice(NAME, "inputs", self.inputs, INPUTS)
        require_share(NAME, "dropout", self.dropout)


class NHitsBlock(Layer):
    """Pool, two layers, and two outputs: what it explains of the window, and what it forecasts.

    ``h = MLP(pool_k(x))``, ``backcast = B h`` of full length T, ``forecast = interpolate(A h)`` from as many
    knots to as many numbers as asked for.

    Parameters
    ----------
    window, hidden, pool
        T, width, k; a last pool may be shorter.
    outputs
        Numbers that are forecast.
    knots
        Numbers that are learnt, <= outputs, the rest being interpolated; outputs if not given.
    dropout
        In [0, 1).

    Examples
    --------
    >>> backcast, forecast = NHitsBlock(12, 8, pool=4, outputs=6, knots=2)(torch.ones(5, 12))
    >>> tuple(backcast.shape), tuple(forecast.shape)
    ((5, 12), (5, 6))

    References
    ----------
    Challu et al. (2023), eq. 1-4.
    """

    def __init__(
        self,
        window: int,
        hidden: int,
        *,
        pool: int,
        outputs: int,
        knots: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.window, self.outputs = window, outputs
        self.pool = nn.MaxPool1d(pool, pool, ceil_mode=True)
        self.net = nn.Sequential(
            nn.Linear(-(-window // pool), hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.both = nn.Linear(hidden, window + (knots or outputs))
        # Small first forecasts, so that learning starts near the level.
        nn.init.trunc_normal_(self.both.weight[window:], std=START)
        nn.init.zeros_(self.both.bias[window:])

    def forward(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return backcast (n, T) and forecast (n, outputs) of series (n, T)."""
        theta = self.both(self.net(self.pool(series[:, None])[:, 0]))
        backcast, knots = theta[:, : self.window], theta[:, self.window :]
        if knots.shape[1] != self.outputs:
            knots = F.interpolate(knots[:, None], size=self.outputs, mode="linear")[:, 0]
        return backcast, knots


class NHitsStacks(Layer):
    """Blocks in a row: each reads what those before it left over, and all forecasts are added up.

    Parameters
    ----------
    config
        Sizes.
    outputs
        Numbers that are forecast.
    knots
        Learnt numbers of each stack; outputs for each if not given.

    Examples
    --------
    >>> NHitsStacks(NHitsConfig(window=16, hidden_size=8), outputs=4)(torch.ones(2, 16)).shape
    torch.Size([2, 4])

    References
    ----------
    Challu et al. (2023), eq. 5-6.
    """

    def __init__(self, config: NHitsConfig, outputs: int, knots: tuple[int, ...] | None = None) -> None:
        super().__init__()
        knots = knots or (outputs,) * len(config.pools)
        self.blocks = nn.ModuleList(
            NHitsBlock(config.window, width, pool=pool, outputs=outputs, knots=k, dropout=config.dropout)
            for pool, width, k in zip(config.pools, config.widths, knots, strict=True)
            for _ in range(config.num_blocks)
        )

    def forward(self, series: Tensor) -> Tensor:
        """Return the sum of forecasts (n, outputs) of series (n, T)."""
        left = series
        total: Tensor | None = None
        for block in self.blocks:
            backcast, forecast = block(left)
            left = left - backcast
            total = forecast if total is None else total + forecast
        assert total is not None, "a configuration has at least one block"  # noqa: S101
        return total


class NHits(Network):
    """N-HiTS for three classes: the summed forecasts are the logits.

    Parameters
    ----------
    config
        Sizes.
    n_features
        F.

    Examples
    --------
    >>> NHits(NHitsConfig(), 14)(torch.zeros(2, 120, 14))["direction"].shape
    torch.Size([2, 3])
    """

    names = (DIRECTION,)

    def __init__(self, config: NHitsConfig, n_features: int) -> None:
        super().__init__()
        self.channels = config.inputs == "channels"
        self.squeeze = nn.Identity() if self.channels else nn.Linear(n_features, 1)
        self.stacks = NHitsStacks(config, CLASSES)
        self.mix = nn.Linear(n_features * CLASSES, CLASSES) if self.channels else nn.Identity()
        self.level = nn.Parameter(torch.zeros(CLASSES))

    def quantities(self, windows: Tensor) -> Quantities:
        """Return the logits of windows (n, T, F)."""
        if not self.channels:
            return {DIRECTION: self.stacks(self.squeeze(windows)[:, :, 0]) + self.level}
        n, steps, features = windows.shape
        series = windows.transpose(1, 2).reshape(n * features, steps)
        return {DIRECTION: self.mix(self.stacks(series).reshape(n, -1)) + self.level}

    def start_at(self, priors: Mapping[str, Tensor]) -> None:
        """Set the level to ``ln prior``."""
        with torch.no_grad():
            self.level.copy_(priors[DIRECTION].log())


class NHitsForecaster(NetworkForecaster):
    """N-HiTS on windows of standardised features.

    Parameters are those of `NHitsConfig`, of `Plan` (50 epochs, patience 10, batches of 64, Adam at 1e-3) and
    ``n_threads``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 3
    >>> X = (y - 1)[:, None, None] + 0.5 * rng.standard_normal((120, 16, 2))
    >>> model = NHitsForecaster(window=16, hidden_size=32, epochs=20, learning_rate=0.01)
    >>> bool(model.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.9)
    True

    References
    ----------
    Challu et al. (2023), N-HiTS.
    """

    name = NAME
    config_type = NHitsConfig
    plan = Plan(epochs=50, patience=10, batch_size=64, learning_rate=1e-3, weight_decay=0.0)

    @classmethod
    def build(cls, config: NHitsConfig, n_features: int) -> NHits:
        """Return a fresh network."""
        return NHits(config, n_features)
