"""Ports: what one room needs of another, filled by ``consilium.app.bootstrap``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from consilium.domain.federation import Update
from consilium.domain.market import Candle
from consilium.domain.trading import Fill, Order, OrderEvent, Position


@runtime_checkable
class Clock(Protocol):
    """Where the time comes from; backtest, paper and live differ in it."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""
        ...


@runtime_checkable
class Forecaster(Protocol):
    """A three-class forecaster with the scikit-learn interface.

    ``window`` is the number of rows that one forecast reads: at 1, X has shape (n, F); above, (n, window, F).
    Columns of a distribution are (down, flat, up), whatever classes the training data held.
    """

    name: str
    window: int
    classes_: NDArray[np.int64]
    n_features_in_: int

    def fit(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.int64],
        *,
        sample_weight: NDArray[np.float64] | None = None,
        validation: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
    ) -> Self:
        """Learn from rows; ``validation`` is a later slice for early stopping."""
        ...

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return directions, shape (n,)."""
        ...

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, shape (n, 3), rows sum to 1."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted state into an existing folder, in native or JSON files."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote."""
        ...


@runtime_checkable
class Broker(Protocol):
    """Where orders go."""

    def submit(self, order: Order) -> Sequence[OrderEvent | Fill]:
        """Hand in an order; what it led to at once."""
        ...

    def cancel(self, order_id: str, ts_event: int) -> Sequence[OrderEvent]:
        """Withdraw an order; an unknown or finished one gives a rejection with a reason."""
        ...

    def open_orders(self) -> Mapping[str, Order]:
        """Return the orders that still wait, by id."""
        ...

    def positions(self) -> Mapping[str, Position]:
        """Return what is held, by symbol."""
        ...


@runtime_checkable
class Feed(Protocol):
    """Where candles come from, in the order in which they close."""

    def candles(self) -> Iterable[Candle]:
        """Yield finished candles."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """Scores flat parameters on data that only its holder sees."""

    def evaluate(self, parameters: NDArray[np.float64]) -> Mapping[str, float]:
        """Return figures by name."""
        ...


@runtime_checkable
class TradingEnv(Protocol):
    """A trading environment as gymnasium has it: reset and step."""

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[np.float64], Mapping[str, object]]:
        """Start an episode; return observation and info."""
        ...

    def step(
        self, action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool, bool, Mapping[str, object]]:
        """Act; return observation, reward, terminated, truncated, info."""
        ...


@runtime_checkable
class EnvFactory(Protocol):
    """Makes trading environments for those who must not know the trading room."""

    def make(self, symbols: Sequence[str]) -> TradingEnv:
        """Return a fresh environment."""
        ...


@runtime_checkable
class Aggregator(Protocol):
    """Merges updates: shape (n, d) in, (d,) out."""

    def aggregate(self, updates: Sequence[Update]) -> NDArray[np.float64]:
        """Return the merged delta."""
        ...
