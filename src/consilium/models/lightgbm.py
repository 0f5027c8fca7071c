"""Gradient boosted trees by LightGBM, as seed 002 sets them."""

from collections.abc import Callable, Mapping
from typing import Any

import lightgbm as lgb
import numpy as np

from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation
from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.settings import require_above_zero, require_count

TREES_FILE = "trees.txt"


class LightGBMForecaster(ThreeClassForecaster):
    """Boosted trees grown leaf by leaf: ``p = softmax(sum_t lr f_t(x))``, one tree a class and round.

    Parameters
    ----------
    rounds
        Boosting rounds, >= 1; 200 rounds are 600 trees. With a validation slice it is the most.
    num_leaves
        Leaves of a tree, >= 2; 31.
    max_depth
        Depth of a tree, >= 1; 6.
    learning_rate
        Shrinkage of each tree, in (0, 1]; 0.1.
    early_stopping_rounds
        With a validation slice: stop after so many rounds without a lower log-loss there, and keep the
        best round; >= 1; 20.
    seed
        Seed of the learner, >= 0.
    n_threads
        Threads for fit and predict, >= 1; 1.

    Examples
    --------
    >>> X = np.linspace(-1.0, 1.0, 300)[:, None]
    >>> model = LightGBMForecaster(rounds=20).fit(X, np.digitize(X[:, 0], [-0.3, 0.3]))
    >>> model.predict([[-0.9], [0.0], [0.9]]).tolist()
    [0, 1, 2]

    References
    ----------
    Ke et al. (2017), algorithm 1.
    """

    name = "lightgbm"
    files = (TREES_FILE,)

    booster_: lgb.Booster

    def __init__(
        self,
        rounds: int = 200,
        num_leaves: int = 31,
        max_depth: int = 6,
        learning_rate: float = 0.1,
        early_stopping_rounds: int = 20,
        seed: int = 0,
        n_threads: int = 1,
    ) -> None:
        self.rounds = rounds
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.early_stopping_rounds = early_stopping_rounds
        self.seed = seed
        self.n_threads = n_threads

    @property
    def n_trees_(self) -> int:
        """Number of trees kept."""
        return int(self.booster_.num_trees())

    def _require_settings(self) -> None:
        for parameter, least in (
            ("rounds", 1),
            ("num_leaves", 2),
            ("max_depth", 1),
            ("early_stopping_rounds", 1),
            ("seed", 0),
            ("n_threads", 1),
        ):
            require_count(self.name, parameter, getattr(self, parameter), least)
        require_above_zero(self.name, "learning_rate", self.learning_rate, 1.0)

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        settings = {
            "objective": "multiclass",
            "num_class": CLASSES,
            "metric": "multi_logloss",
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "deterministic": True,
            "force_row_wise": True,
            "seed": self.seed,
            "num_threads": self.n_threads,
            "verbosity": -1,
        }
        data = lgb.Dataset(rows, labels, weight=weights, params=settings)
        held_out: list[lgb.Dataset] = []
        callbacks: list[Callable[..., Any]] = []
        if validation is not None:
            held_out = [data.create_valid(*validation)]
            callbacks = [lgb.early_stopping(self.early_stopping_rounds, verbose=False)]
        grown = lgb.train(settings, data, self.rounds, valid_sets=held_out, callbacks=callbacks)
        # The text form drops the training data and the rounds after the best one.
        self.booster_ = lgb.Booster(model_str=grown.model_to_string())

    def _distribution(self, rows: Rows) -> Floats:
        # LightGBM keeps no thread count in its file and would take every core.
        return np.asarray(self.booster_.predict(rows, num_threads=self.n_threads), dtype=np.float64)

    def _payload(self) -> Mapping[str, bytes]:
        return {TREES_FILE: self.booster_.model_to_string().encode()}

    def _restore(self, _state: Mapping[str, Any], payload: Mapping[str, bytes], /) -> None:
        self.booster_ = lgb.Booster(model_str=payload[TREES_FILE].decode())
