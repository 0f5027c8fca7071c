"""CNN-LSTM: local patterns by convolutions, their order by a recurrent net, and attention over time."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from consilium.domain import InvalidValue
from consilium.models.layers.network.dropout import Dropout
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import THREE, HeadedNetwork, Heads
from consilium.models.layers.network.layout import FULL, FeatureLayout
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Layer, Quantities
from consilium.models.layers.network.pooling import AttentionPooling
from consilium.models.layers.network.settings import require_counts, require_share

NAME = "cnn_lstm"


@dataclass(frozen=True, slots=True, kw_only=True)
class CnnLstmConfig:
    """Sizes of the CNN-LSTM.

    Parameters
    ----------
    window
        Steps T; 60.
    input_features
        Columns of the layout; 112. Fewer features stand in the first of them.
    channels
        Outputs of each convolution; (128, 128).
    kernel_size
        Steps that a convolution sees, odd; 3.
    lstm_hidden
        Width of each direction of a recurrent layer; 224.
    lstm_layers
        2.
    dropout
        In [0, 1); 0.1.
    """

    window: int = 60
    input_features: int = FULL
    channels: tuple[int, ...] = (128, 128)
    kernel_size: int = 3
    lstm_hidden: int = 224
    lstm_layers: int = 2
    dropout: float = 0.1

    def require(self) -> None:
        """Refuse values outside their bounds."""
        sizes = ("window", "input_features", "kernel_size", "lstm_hidden", "lstm_layers")
        require_counts(NAME, self, sizes)
        if not self.channels or min(self.channels) < 1:
            raise InvalidValue(f"channels of {NAME} must be >= 1 each", self.channels, "correct channels")
        if self.kernel_size % 2 == 0:
            raise InvalidValue(f"kernel_size of {NAME} must be odd", self.kernel_size, "use 3, 5 or 7")
        require_share(NAME, "dropout", self.dropout)


class ResidualConv(Layer):
    """``gelu(x + BN(conv(x)))`` over time; without the shortcut where the width changes.

    Parameters
    ----------
    inputs, outputs
        Widths.
    kernel_size
        Odd; the length stays.

    Examples
    --------
    >>> ResidualConv(4, 4, 3)(torch.ones(2, 4, 9)).shape
    torch.Size([2, 4, 9])

    References
    ----------
    He et al. (2016), eq. 1.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.shortcut = inputs == outputs
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, steps: Tensor) -> Tensor:
        """Return (n, outputs, T) of (n, inputs, T)."""
        found: Tensor = self.norm(self.conv(steps))
        return nn.functional.gelu(steps + found if self.shortcut else found)


class CnnLstm(HeadedNetwork):
    """Convolutions, a bidirectional LSTM, attention over time, three heads.

    The LSTM may read both ways: the whole window lies in the past.

    Parameters
    ----------
    config
        Sizes.
    n_features
        F.

    Examples
    --------
    >>> sorted(CnnLstm(CnnLstmConfig(), 112)(torch.zeros(2, 60, 112)))
    ['confidence', 'direction', 'expected_return']
    """

    names = THREE

    def __init__(self, config: CnnLstmConfig, n_features: int) -> None:
        super().__init__()
        self.layout = FeatureLayout(NAME, n_features, config.input_features)
        widths = (config.input_features + 1, *config.channels)
        self.convs = nn.Sequential(*(ResidualConv(a, b, config.kernel_size) for a, b in pairwise(widths)))
        between = config.dropout if config.lstm_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            config.channels[-1],
            config.lstm_hidden,
            config.lstm_layers,
            batch_first=True,
            bidirectional=True,
            dropout=between,
        )
        self.pool = AttentionPooling(2 * config.lstm_hidden)
        self.drop = Dropout(config.dropout)
        self.heads = Heads(2 * config.lstm_hidden, self.names)

    def quantities(self, windows: Tensor) -> Quantities:
        """Return the quantities of windows (n, T, F)."""
        columns, flag = self.layout(windows)
        found = self.convs(torch.cat([columns, flag], dim=2).transpose(1, 2)).transpose(1, 2)
        steps, _ = self.lstm(found)
        stated: Quantities = self.heads(self.drop(self.pool(steps)))
        return stated


class CnnLstmForecaster(NetworkForecaster):
    """CNN-LSTM on windows of standardised features.

    Parameters are those of `CnnLstmConfig`, of `Plan` (100 epochs, patience 10, four batches of 32 to a
    step, AdamW at 1e-4) and ``n_threads``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 3
    >>> X = (y - 1)[:, None, None] + 0.5 * rng.standard_normal((120, 8, 2))
    >>> model = CnnLstmForecaster(window=8, input_features=2, channels=(8, 8), lstm_hidden=8,
    ...     lstm_layers=1, epochs=10, learning_rate=0.01, accumulate=1)
    >>> bool(model.fit(X[:90], y[:90]).score(X[90:], y[90:]) > 0.9)
    True

    References
    ----------
    Hochreiter, Schmidhuber (1997), Long short-term memory.
    """

    name = NAME
    config_type = CnnLstmConfig
    plan = Plan(accumulate=4)

    @classmethod
    def build(cls, config: CnnLstmConfig, n_features: int) -> CnnLstm:
        """Return a fresh network."""
        return CnnLstm(config, n_features)
