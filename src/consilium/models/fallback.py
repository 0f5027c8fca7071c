"""The conservative fallback of seed 002: RSI and an EMA cross, without any training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from consilium.domain import Direction, InvalidValue, signal_probabilities, stated_directions
from consilium.models.layers.columns import column_of, require_named
from consilium.models.layers.forecaster import Floats, Labels
from consilium.models.layers.inputs import CLASSES, checked_rows, require_features
from consilium.models.layers.storage import read_state, write_state

CONFIDENCE = 0.5
"""Enough for the seed's confidence threshold of 0.5 and for nothing more: below the 0.65 of a split, the
0.69 of a single model and the 0.70 of a volatile market. A fixed figure is no calibrated one."""

_NEEDED = ("rsi_14", "ema_10_gap", "ema_50_gap")


class RsiEmaFallback(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """RSI and EMA cross, each with one voice; it speaks only when no model does.

    RSI below ``oversold`` says UP, above ``overbought`` says DOWN. The cross ``EMA10 / EMA50 - 1 =
    exp(ema_50_gap - ema_10_gap) - 1`` beyond +-``cross`` says UP or DOWN. One voice, or two that agree,
    give that direction with probability 0.5. No voice, or two that contradict, give 1/3 each: that is
    FLAT, and says honestly that nothing is known. Contradiction is common (a steep fall is oversold and
    has crossed down), so letting either side win would be no conservative reading.

    Parameters
    ----------
    feature_names
        Names of the columns of X; rsi_14 (a fraction), ema_10_gap and ema_50_gap must be among them.
    oversold, overbought
        Bounds of the RSI as fractions; 0.30 and 0.70.
    cross
        Bound of the EMA cross, a fraction; 0.015.

    Examples
    --------
    >>> model = RsiEmaFallback(feature_names=("rsi_14", "ema_10_gap", "ema_50_gap"))
    >>> model.predict_proba([[0.25, 0.0, 0.0], [0.5, 0.0, 0.0]]).round(2).tolist()
    [[0.25, 0.25, 0.5], [0.33, 0.33, 0.33]]

    References
    ----------
    Wilder (1978), ch. 6 (RSI with 30 and 70).
    """

    name = "fallback"
    window = 1
    max_fit_rows = None

    def __init__(
        self,
        feature_names: Sequence[str] | None = None,
        oversold: float = 0.30,
        overbought: float = 0.70,
        cross: float = 0.015,
    ) -> None:
        self.feature_names = feature_names
        self.oversold = oversold
        self.overbought = overbought
        self.cross = cross

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Always 0, 1, 2."""
        return np.arange(CLASSES, dtype=np.int64)

    @property
    def n_features_in_(self) -> int:
        """Number of columns that it reads."""
        return len(self.feature_names or ())

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,  # noqa: ARG002 - nothing is learned
        *,
        sample_weight: ArrayLike | None = None,  # noqa: ARG002 - nothing is learned
        validation: tuple[ArrayLike, ArrayLike] | None = None,  # noqa: ARG002 - nothing is learned
    ) -> Self:
        """Check the columns; there is nothing to learn."""
        self._require_settings()
        rows = checked_rows(X, 2)
        for feature in _NEEDED:
            column_of(self.name, feature, self.feature_names)
        require_named(self.name, self.feature_names or (), rows.shape[1])
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return probabilities (down, flat, up), shape (n, 3).

        Raises
        ------
        InvalidValue
            A needed feature is missing, NaN, or the number of columns is not that of ``feature_names``.
        """
        self._require_settings()
        at = {feature: column_of(self.name, feature, self.feature_names) for feature in _NEEDED}
        rows = checked_rows(X, 2)
        require_features(type(self).__name__, rows, self.n_features_in_)
        rsi = rows[:, at["rsi_14"]]
        log_ratio = rows[:, at["ema_50_gap"]] - rows[:, at["ema_10_gap"]]
        # A price that stands still has RSI 0 by the rule x/0 = 0; that is silence and not oversold.
        moved = (rsi > 0.0) | (rows[:, at["ema_10_gap"]] != 0.0)
        by_rsi = ((rsi < self.oversold) & moved).astype(np.int64) - (rsi > self.overbought)
        by_cross = (log_ratio > np.log1p(self.cross)).astype(np.int64) - (log_ratio < np.log1p(-self.cross))
        voice = np.sign(by_rsi + by_cross)
        spoken = np.array(
            [
                signal_probabilities(Direction.DOWN, CONFIDENCE),
                (1.0 / CLASSES,) * CLASSES,
                signal_probabilities(Direction.UP, CONFIDENCE),
            ]
        )
        result: Floats = spoken[voice + 1]
        return result

    def predict(self, X: ArrayLike) -> Labels:
        """Return directions, shape (n,); without a clear voice FLAT."""
        return stated_directions(self.predict_proba(X))

    def _require_settings(self) -> None:
        bounds = (self.oversold, self.overbought, self.cross)
        if not (0.0 <= self.oversold < self.overbought <= 1.0 and 0.0 < self.cross < 1.0):
            raise InvalidValue(
                "fallback needs 0 <= oversold < overbought <= 1 and 0 < cross < 1",
                bounds,
                "give fractions, not percentages",
            )

    def save(self, folder: Path) -> None:
        """Write the parameters into an existing folder."""
        params: dict[str, Any] = self.get_params(deep=False)
        write_state(folder, {"model": self.name, "params": params}, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ArtefactRefused
            A missing, cut, changed or foreign file.
        """
        content, _ = read_state(folder, cls.name, ())
        params = content["params"]
        names = params.pop("feature_names")
        return cls(feature_names=None if names is None else tuple(names), **params)
