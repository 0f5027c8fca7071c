"""Persistence: what usually follows a bar that rose, stood still or fell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.models.layers.columns import column_of, require_named
from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation
from consilium.models.layers.inputs import CLASSES

FEATURE = "return_1"


class PersistenceForecaster(ThreeClassForecaster):
    """What followed the sign s of a bar's return: ``p_k = (n_sk + prior_k) / (n_s + 1)``.

    The probabilistic form of "tomorrow as today": where moves persist the diagonal is large, where they
    revert it is small, and where the last bar says nothing the table falls back to the prior.

    Parameters
    ----------
    feature_names
        Names of the columns of X; ``return_1`` must be among them.

    Examples
    --------
    >>> model = PersistenceForecaster(feature_names=("return_1",))
    >>> model = model.fit([[0.1], [0.2], [-0.1], [-0.2]] * 50, [2, 2, 0, 0] * 50)
    >>> model.predict([[0.3], [-0.3]]).tolist()
    [2, 0]

    References
    ----------
    Murphy (1992), persistence as a reference forecast.
    """

    name = "persistence"

    table_: Floats

    def __init__(self, feature_names: Sequence[str] | None = None) -> None:
        self.feature_names = feature_names

    def _require_settings(self) -> None:
        column_of(self.name, FEATURE, self.feature_names)

    def _checked(self, X: Any) -> Rows:
        rows = super()._checked(X)
        if self.feature_names is not None:
            require_named(self.name, self.feature_names, rows.shape[1])
        return rows

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, _validation: Validation, /) -> None:
        cells = CLASSES * self._signs(rows) + labels
        counts = np.bincount(cells, weights=weights, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)
        self.table_ = (counts + self.prior_) / (counts.sum(axis=1, keepdims=True) + 1.0)

    def _distribution(self, rows: Rows) -> Floats:
        return self.table_[self._signs(rows)]

    def _signs(self, rows: Rows) -> NDArray[np.int64]:
        column = rows[:, column_of(self.name, FEATURE, self.feature_names)]
        return np.sign(column).astype(np.int64) + 1

    def _state(self) -> Mapping[str, Any]:
        return {"table": self.table_.tolist()}

    def _restore(self, state: Mapping[str, Any], _payload: Mapping[str, bytes], /) -> None:
        self.table_ = np.array(state["table"])
