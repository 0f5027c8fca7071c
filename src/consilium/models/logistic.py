"""Multinomial logistic regression on standardised features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation
from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.linear import linear_scores
from consilium.models.layers.settings import require_above_zero, require_count


class LogisticForecaster(ThreeClassForecaster):
    """Linear scores: ``p = softmax(W (x - m) / s + b)``, fitted by ``C log-loss + |W|^2 / 2``.

    m and s are mean and standard deviation of the training rows; s of a constant feature is 1.

    Parameters
    ----------
    C
        Weight of the data against the L2 penalty, > 0; 1.
    max_iterations
        Most steps of the optimiser, >= 1; 1,000.
    n_threads
        Threads of the linear algebra in fit, >= 1; 1.

    Examples
    --------
    >>> X = np.linspace(-1.0, 1.0, 300)[:, None]
    >>> model = LogisticForecaster().fit(X, np.digitize(X[:, 0], [-0.3, 0.3]))
    >>> model.predict([[-0.9], [0.0], [0.9]]).tolist()
    [0, 1, 2]

    References
    ----------
    Hastie, Tibshirani, Friedman (2009), eq. 4.17 and 18.10.
    """

    name = "logistic"

    mean_: Floats
    scale_: Floats
    coef_: Floats
    intercept_: Floats

    def __init__(self, C: float = 1.0, max_iterations: int = 1_000, n_threads: int = 1) -> None:
        self.C = C
        self.max_iterations = max_iterations
        self.n_threads = n_threads

    def _require_settings(self) -> None:
        require_above_zero(self.name, "C", self.C)
        require_count(self.name, "max_iterations", self.max_iterations, 1)
        require_count(self.name, "n_threads", self.n_threads, 1)

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, _validation: Validation, /) -> None:
        table = rows.astype(np.float64)
        self.mean_ = np.average(table, axis=0, weights=weights)
        table -= self.mean_
        spread = np.sqrt(np.average(table**2, axis=0, weights=weights))
        # Rounding leaves a tiny spread in a constant feature; dividing by it would blow up noise.
        self.scale_ = np.where(spread > 1e-12 * (1.0 + np.abs(self.mean_)), spread, 1.0)
        table /= self.scale_
        solver = LogisticRegression(C=self.C, max_iter=self.max_iterations)
        with threadpool_limits(self.n_threads):
            solver.fit(table, labels, sample_weight=weights)
        if len(self.present_) < CLASSES:
            # The two-class form has one row of coefficients: the log odds of the second class.
            self.coef_ = np.vstack([np.zeros_like(solver.coef_), solver.coef_])
            self.intercept_ = np.array([0.0, float(solver.intercept_[0])])
        else:
            self.coef_, self.intercept_ = solver.coef_, solver.intercept_

    def _distribution(self, rows: Rows) -> Floats:
        standard = (rows - self.mean_) / self.scale_
        scores = linear_scores(standard, self.coef_, self.intercept_)
        result = np.zeros((len(rows), CLASSES))
        result[:, self.present_] = softmax(scores, axis=1)
        return result

    def _state(self) -> Mapping[str, Any]:
        return {key: getattr(self, f"{key}_").tolist() for key in ("mean", "scale", "coef", "intercept")}

    def _restore(self, state: Mapping[str, Any], _payload: Mapping[str, bytes], /) -> None:
        self.mean_ = np.array(state["mean"])
        self.scale_ = np.array(state["scale"])
        self.coef_ = np.array(state["coef"])
        self.intercept_ = np.array(state["intercept"])
