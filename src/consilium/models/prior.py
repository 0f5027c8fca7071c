"""Climatology: the class shares of the training rows, whatever comes in."""

import numpy as np

from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation


class PriorForecaster(ThreeClassForecaster):
    """Climatology of the training part: ``p_k = (n_k + 1/3) / (n + 1)``, n_k the weight of class k.

    The forecast with no skill by definition; a model that does not beat it knows nothing.

    Examples
    --------
    >>> model = PriorForecaster().fit(np.zeros((4, 1)), [0, 2, 2, 2])
    >>> model.predict_proba([[5.0]]).round(3).tolist()
    [[0.267, 0.067, 0.667]]

    References
    ----------
    Wilks (2011), ch. 8 (climatology as the reference of a skill score).
    """

    name = "prior"

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        """Learn nothing more than the base class did."""

    def _distribution(self, rows: Rows) -> Floats:
        return np.tile(self.prior_, (len(rows), 1))

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags
