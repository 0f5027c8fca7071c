"""A trained model: between a raw feature and an honest probability."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Forecaster, InvalidValue
from consilium.market.book.rows import levels_in, row_names
from consilium.training.calibration import Calibration
from consilium.training.class_means import ClassMeans
from consilium.training.labels import LabelDefinition
from consilium.training.scaler import Scaler


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedModel:
    """A fitted forecaster with everything between a raw feature and an honest probability.

    Parameters
    ----------
    name
        Under which it is registered.
    forecaster
        Fitted.
    scaler
        Of the fit part, or None where the model reads features in their own units.
    calibration
        Calibrator and verdict of the calibration part.
    means
        Class shares and means of the fit part.
    feature_names, features_hash
        What it reads.
    spec, label_id, interval_ns
        What it forecasts.
    seed
        From which its randomness was made.
    figures
        Rows and scores of its training.
    """

    name: str
    forecaster: Forecaster
    scaler: Scaler | None
    calibration: Calibration
    means: ClassMeans
    feature_names: tuple[str, ...]
    features_hash: str
    spec: LabelDefinition
    label_id: str
    interval_ns: int
    seed: int
    figures: Mapping[str, float]

    @property
    def window(self) -> int:
        """Bars that one forecast reads."""
        return self.forecaster.window

    @property
    def skilled(self) -> bool:
        """False: it emits climatology."""
        return self.calibration.skilled

    @property
    def book_levels(self) -> int:
        """Levels a side of the books that it reads; 0 for a model of bars."""
        return levels_in(self.feature_names)

    @property
    def bar_features(self) -> tuple[str, ...]:
        """The features of bars that it reads, if any."""
        return self.feature_names[len(row_names(self.book_levels)) :]

    @property
    def reads_features(self) -> bool:
        """Whether it reads features of bars."""
        return bool(self.bar_features)

    def predict(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forecast from unscaled features, (n, F) or (n, window, F).

        Returns
        -------
        Probabilities (n, 3) and expected log return (n,).

        Raises
        ------
        InvalidValue
            Another shape than the model was trained on.
        """
        expected = (len(self.feature_names),) if self.window == 1 else (self.window, len(self.feature_names))
        if X.ndim != len(expected) + 1 or X.shape[1:] != expected:
            raise InvalidValue(
                f"{self.name} reads X of shape (n, {', '.join(map(str, expected))})",
                X.shape,
                "compute the features and the window of its manifest",
            )
        if self.skilled and len(X):
            probabilities = self.calibration.calibrator.apply(asked(self.forecaster, self.scaler, X))
        else:
            probabilities = self.means.climatology(len(X))
        return probabilities, self.means.expected_return(probabilities)


def asked(forecaster: Forecaster, scaler: Scaler | None, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a forecaster says of unscaled inputs; refuse what is no distribution."""
    p = np.asarray(forecaster.predict_proba(read_by(scaler, X)), dtype=np.float64)
    if p.shape != (len(X), 3) or not np.all(np.isfinite(p)) or np.any(p < 0):
        raise InvalidValue(
            "predict_proba must return finite probabilities >= 0 of shape (n, 3)",
            f"shape {p.shape}" if p.shape != (len(X), 3) else "NaN, infinite or negative values",
            f"repair the forecaster {forecaster.name}",
        )
    return p


def read_by(scaler: Scaler | None, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a forecaster reads; one that reads features in their own units reads no masked ones."""
    return np.nan_to_num(X) if scaler is None else scaler.transform(X)
