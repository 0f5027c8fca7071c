"""What every trained forecaster shares: checks, the three columns, the floor, saving and loading."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from consilium.domain import ArtefactRefused, InvalidValue, stated_directions
from consilium.models.layers.inputs import (
    CLASSES,
    NotFitted,
    checked_labels,
    checked_rows,
    checked_weights,
    require_features,
)
from consilium.models.layers.storage import read_state, write_state

Rows = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Validation = tuple[Rows, Labels] | None

PRIOR_SHARE = 1e-3
"""Share of the training prior in every forecast, so that no outcome ever has probability 0."""


def smoothed_prior(labels: Labels, weights: Floats) -> Floats:
    """Class shares of the training rows with one third of a row added to each: ``(n_k + 1/3) / (n + 1)``.

    Parameters
    ----------
    labels, weights
        Shape (n,); the weights count as numbers of rows.

    Examples
    --------
    >>> smoothed_prior(np.array([2, 2, 2]), np.ones(3)).round(3).tolist()
    [0.083, 0.083, 0.833]
    """
    counts = np.bincount(labels, weights=weights, minlength=CLASSES)
    prior: Floats = (counts + 1.0 / CLASSES) / (counts.sum() + 1.0)
    return prior


class ThreeClassForecaster(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Base of the trained forecasters: ``p = (1 - s) q + s prior``, s = `PRIOR_SHARE`.

    A subclass says how to learn and what q is. Where the training rows hold a single class there is
    nothing to learn, and the forecast is the smoothed prior. Rows of weight 0 count as absent.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    max_fit_rows: ClassVar[int | None] = None
    min_fit_rows: ClassVar[int] = 1
    window: int = 1

    classes_: Labels
    n_features_in_: int
    prior_: Floats
    present_: Labels

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Learn from rows.

        Parameters
        ----------
        X
            Shape (n, F), or (n, window, F) where the window is longer than 1; finite.
        y
            Shape (n,), values 0, 1, 2.
        sample_weight
            Shape (n,), >= 0; ones if not given.
        validation
            A later slice (X, y), for early stopping where the model has it.

        Raises
        ------
        InvalidValue
            NaN or inf in X, labels other than 0, 1, 2, lengths that differ.
        """
        rows = self._checked(X)
        labels = checked_labels(y, len(rows))
        weights = checked_weights(sample_weight, len(rows))
        if not weights.all():
            kept = weights > 0.0
            rows, labels, weights = rows[kept], labels[kept], weights[kept]
        self._require_settings()
        self.n_features_in_ = rows.shape[-1]
        self.classes_ = np.arange(CLASSES, dtype=np.int64)
        self.prior_ = smoothed_prior(labels, weights)
        self.present_ = np.unique(labels)
        if len(self.present_) > 1:
            self._learn(rows, labels, weights, self._checked_validation(validation))
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return probabilities (down, flat, up), shape (n, 3); rows sum to 1 and none is 0.

        Raises
        ------
        NotFitted
            Before fit.
        InvalidValue
            NaN or inf, or another number of features than in fit.
        """
        if not hasattr(self, "prior_"):
            raise NotFitted(
                f"{self.name} must be fitted before it forecasts", "an unfitted model", "call fit or load"
            )
        rows = self._checked(X)
        require_features(type(self).__name__, rows, self.n_features_in_)
        learnt = np.tile(self.prior_, (len(rows), 1))
        if len(self.present_) > 1 and len(rows):
            learnt = self._distribution(rows)
        mixed = (1.0 - PRIOR_SHARE) * learnt + PRIOR_SHARE * self.prior_
        result: Floats = mixed / mixed.sum(axis=1, keepdims=True)
        return result

    def predict(self, X: ArrayLike) -> Labels:
        """Return directions, shape (n,); a tie is FLAT."""
        return stated_directions(self.predict_proba(X))

    def save(self, folder: Path) -> None:
        """Write the fitted state into an existing folder: JSON, beside native or npz files.

        Raises
        ------
        NotFitted
            Before fit.
        OutputProblem
            The folder cannot be written.
        """
        if not hasattr(self, "prior_"):
            raise NotFitted(f"{self.name} must be fitted before it is saved", "an unfitted model", "call fit")
        learnt = len(self.present_) > 1
        content = {
            "model": self.name,
            "params": self.get_params(deep=False),
            "n_features_in": self.n_features_in_,
            "prior": self.prior_.tolist(),
            "present": self.present_.tolist(),
            "state": self._state() if learnt else {},
        }
        write_state(folder, content, self._payload() if learnt else {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the forecasts are the same bit for bit.

        Raises
        ------
        ArtefactRefused
            A missing, cut, changed or foreign file.
        """
        content, _ = read_state(folder, cls.name, ())
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in content["params"].items()}
        try:
            model = cls(**params)
        except TypeError as reason:
            raise ArtefactRefused(
                f"{folder} must fit this version of {cls.name}", f"{reason}", "train the model again"
            ) from None
        model.n_features_in_ = int(content["n_features_in"])
        model.classes_ = np.arange(CLASSES, dtype=np.int64)
        model.prior_ = np.array(content["prior"], dtype=np.float64)
        model.present_ = np.array(content["present"], dtype=np.int64)
        if len(model.present_) > 1:
            _, payload = read_state(folder, cls.name, cls.files)
            model._restore(content["state"], payload)
        return model

    @abstractmethod
    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        """Learn from checked rows that hold at least two classes."""

    @abstractmethod
    def _distribution(self, rows: Rows) -> Floats:
        """Return q, shape (n, 3), rows sum to 1."""

    def _require_settings(self) -> None:
        """Refuse parameters outside their bounds."""

    def _state(self) -> Mapping[str, Any]:
        """Return what goes into the JSON file."""
        return {}

    def _payload(self) -> Mapping[str, bytes]:
        """Return what goes into files of its own, by file name."""
        return {}

    def _restore(self, state: Mapping[str, Any], payload: Mapping[str, bytes], /) -> None:
        """Take back `_state` and `_payload`."""

    def _checked(self, X: Any) -> Rows:
        rows = checked_rows(X, 2 if self.window == 1 else 3)
        if self.window > 1 and rows.shape[1] != self.window:
            raise InvalidValue(
                f"{self.name} reads windows of {self.window} rows",
                f"shape {rows.shape}",
                "cut windows of that length or set window",
            )
        return rows

    def _checked_validation(self, validation: tuple[ArrayLike, ArrayLike] | None) -> Validation:
        if validation is None:
            return None
        rows = self._checked(validation[0])
        require_features(type(self).__name__, rows, self.n_features_in_)
        return rows, checked_labels(validation[1], len(rows))
