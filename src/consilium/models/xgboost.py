"""Gradient boosted trees by XGBoost, as seed 002 sets them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost as xgb

from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation
from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.settings import require_above_zero, require_count

TREES_FILE = "trees.json"


class XGBoostForecaster(ThreeClassForecaster):
    """Boosted trees: ``p = softmax(sum_t lr f_t(x))``, one tree a class and round.

    Parameters
    ----------
    rounds
        Boosting rounds, >= 1; 200 rounds are 600 trees. With a validation slice it is the most.
    max_depth
        Depth of a tree, >= 1; 6.
    learning_rate
        Shrinkage of each tree, in (0, 1]; 0.1.
    early_stopping_rounds
        With a validation slice: stop after so many rounds without a lower mlogloss there, and keep the
        best round; >= 1; 20.
    seed
        Seed of the learner, >= 0.
    n_threads
        Threads for fit and predict, >= 1; 1.

    Examples
    --------
    >>> X = np.linspace(-1.0, 1.0, 300)[:, None]
    >>> model = XGBoostForecaster(rounds=20).fit(X, np.digitize(X[:, 0], [-0.3, 0.3]))
    >>> model.predict([[-0.9], [0.0], [0.9]]).tolist()
    [0, 1, 2]

    References
    ----------
    Chen, Guestrin (2016), eq. 2.
    """

    name = "xgboost"
    files = (TREES_FILE,)

    booster_: xgb.Booster

    def __init__(
        self,
        rounds: int = 200,
        max_depth: int = 6,
        learning_rate: float = 0.1,
        early_stopping_rounds: int = 20,
        seed: int = 0,
        n_threads: int = 1,
    ) -> None:
        self.rounds = rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.early_stopping_rounds = early_stopping_rounds
        self.seed = seed
        self.n_threads = n_threads

    @property
    def n_trees_(self) -> int:
        """Number of trees kept."""
        return int(self.booster_.num_boosted_rounds()) * CLASSES

    def _require_settings(self) -> None:
        for parameter, least in (
            ("rounds", 1),
            ("max_depth", 1),
            ("early_stopping_rounds", 1),
            ("seed", 0),
            ("n_threads", 1),
        ):
            require_count(self.name, parameter, getattr(self, parameter), least)
        require_above_zero(self.name, "learning_rate", self.learning_rate, 1.0)

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        settings = {
            "objective": "multi:softprob",
            "num_class": CLASSES,
            "eval_metric": "mlogloss",
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "tree_method": "hist",
            "device": "cpu",
            "seed": self.seed,
            "nthread": self.n_threads,
            "verbosity": 0,
        }
        data = xgb.DMatrix(rows, labels, weight=weights, nthread=self.n_threads)
        if validation is None:
            self.booster_ = xgb.train(settings, data, self.rounds)
            return
        held_out = xgb.DMatrix(validation[0], validation[1], nthread=self.n_threads)
        grown = xgb.train(
            settings,
            data,
            self.rounds,
            evals=[(held_out, "validation")],
            early_stopping_rounds=self.early_stopping_rounds,
            verbose_eval=False,
        )
        self.booster_ = grown[: grown.best_iteration + 1]

    def _distribution(self, rows: Rows) -> Floats:
        # XGBoost keeps no thread count in its file and would take every core.
        self.booster_.set_param({"nthread": self.n_threads})
        return np.asarray(self.booster_.inplace_predict(rows), dtype=np.float64).reshape(-1, CLASSES)

    def _payload(self) -> Mapping[str, bytes]:
        return {TREES_FILE: bytes(self.booster_.save_raw("json"))}

    def _restore(self, _state: Mapping[str, Any], payload: Mapping[str, bytes], /) -> None:
        self.booster_ = xgb.Booster()
        self.booster_.load_model(bytearray(payload[TREES_FILE]))
