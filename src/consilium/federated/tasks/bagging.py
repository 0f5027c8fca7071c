"""Trees grown apart and put together: every participant's trees with equal weights, in one model."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from consilium.domain import ConsiliumError, DataProblem, InvalidValue
from consilium.domain.tables import lookup
from consilium.federated.sampling import seed_of
from consilium.federated.tasks.forest import CLASSES, Forest, united
from consilium.federated.tasks.task import require_participant
from consilium.market.candles import CandleSeries
from consilium.models import make_forecaster
from consilium.models.layers.forecaster import ThreeClassForecaster
from consilium.training.calibration import calibrate
from consilium.training.class_means import class_means
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelDefinition, LabelSpec
from consilium.training.splits import MIN_TIMES, Fold, final_split, walk_forward_folds
from consilium.training.trained import TrainedModel
from consilium.training.trainer import raw_forecasts

Rows = NDArray[np.int64]

FORESTS = {
    "xgboost": "consilium.federated.tasks.forest_xgboost",
    "lightgbm": "consilium.federated.tasks.forest_lightgbm",
}


class Bagging:
    """One round of trees: each grows its own, and the union of all states the mean of their margins.

    Features are read in their own units, so that all thresholds mean the same. The coordinator sees every
    participant's trees: this is no secret sum. Only splits and leaves travel, no counts and no ranges.

    Parameters
    ----------
    panels
        Candles of each participant, by symbol.
    model
        ``xgboost`` or ``lightgbm``.
    options
        Settings of that model.
    features
        Name of a feature set; ``core14``.
    spec
        Definition of the label.
    test_share
        Share of the times at the end that is judged once, in (0, 1); 0.2.
    seed
        Of the learners.
    """

    name: ClassVar[str] = "bagging"

    def __init__(
        self,
        panels: Mapping[str, Mapping[str, CandleSeries]],
        *,
        model: str = "xgboost",
        options: Mapping[str, Any] | None = None,
        features: str = "core14",
        spec: LabelDefinition | None = None,
        test_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        if not panels:
            raise DataProblem("a task on candles needs >= 1 participant", "none", "give candles to each")
        if model not in FORESTS:
            raise InvalidValue(
                f"trees must be of {' or '.join(FORESTS)}", repr(model), "networks are averaged"
            )
        self.model, self.options, self.seed = model, dict(options or {}), seed
        self.datasets = {
            name: build_dataset(panels[name], features, spec or LabelSpec()) for name in sorted(panels)
        }
        self.folds = {name: _fold(dataset, test_share) for name, dataset in self.datasets.items()}

    @property
    def participants(self) -> tuple[str, ...]:
        """Whose candles this process has."""
        return tuple(self.datasets)

    @property
    def features(self) -> int:
        """F."""
        return len(next(iter(self.datasets.values())).feature_names)

    def grow(self, participant: str) -> bytes:
        """Return the trees that a participant grows on its fit part, stopped by its own early-stop part.

        Raises
        ------
        InvalidValue
            Its rows hold a single class: there is nothing to learn.
        """
        require_participant(participant, self.datasets)
        dataset, fold = self.datasets[participant], self.folds[participant]
        seed = seed_of(self.seed, self.name, participant) % 2**31
        grown: Any = make_forecaster(self.model, **{**self.options, "seed": seed})
        with threadpool_limits(1):
            grown.fit(
                dataset.inputs(fold.fit),
                dataset.y[fold.fit],
                validation=(dataset.inputs(fold.stop), dataset.y[fold.stop]),
            )
        if len(grown.present_) < 2:
            raise InvalidValue("trees need >= 2 classes to learn", "1", f"leave {participant} out")
        forest: Forest = _library(self.model, "read_forest")(grown.booster_, self.features)
        return forest.to_bytes()

    def unite(self, grown: Mapping[str, bytes]) -> tuple[ThreeClassForecaster, dict[str, str]]:
        """Unite the trees of participants; who sent something else is left out, with the reason.

        Parameters
        ----------
        grown
            By participant, what `grow` returned, or what came in its place.

        Returns
        -------
        The fitted model, and reasons by id.

        Raises
        ------
        InvalidValue
            Nobody sent trees.
        """
        forests: dict[str, Forest] = {}
        refused: dict[str, str] = {}
        for name in sorted(grown):
            try:
                forest = Forest.from_bytes(grown[name], features=self.features)
                if forest.kind != self.model:
                    refused[name] = f"trees must be of {self.model}; got {forest.kind}: agree on one"
                    continue
                forests[name] = forest
            except ConsiliumError as error:
                refused[name] = str(error)
        return self._fitted(united(forests)), refused

    def trained(self, forecaster: ThreeClassForecaster, panel: Mapping[str, CandleSeries]) -> TrainedModel:
        """Calibrate and judge a union on the coordinator's own candles, so that it can be stored and served.

        Parameters
        ----------
        forecaster
            From `unite`.
        panel
            Candles that the coordinator has, by symbol; their last part calibrates.
        """
        any_dataset = next(iter(self.datasets.values()))
        dataset = build_dataset(panel, any_dataset.feature_names, any_dataset.spec)
        fold = final_split(
            dataset.ts_event, dataset.ts_matured, labelled=dataset.labelled, judged_times=MIN_TIMES
        )
        means = class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit])
        rows = fold.calibration
        with threadpool_limits(1):
            raw = raw_forecasts(dataset, rows, forecaster, None)
        calibration = calibrate(
            raw, dataset.y[rows], dataset.ts_event[rows], dataset.ts_matured[rows], np.asarray(means.prior)
        )
        return TrainedModel(
            name=self.model,
            forecaster=forecaster,
            scaler=None,
            calibration=calibration,
            means=means,
            feature_names=dataset.feature_names,
            features_hash=dataset.features_hash,
            spec=dataset.spec,
            label_id=dataset.label_id,
            interval_ns=dataset.interval_ns,
            seed=self.seed,
            figures={"calibration_rows": float(len(rows)), "participants": float(len(self.datasets))},
        )

    def _fitted(self, forest: Forest) -> ThreeClassForecaster:
        made: Any = make_forecaster(self.model, **self.options)
        made.n_features_in_ = forest.features
        made.classes_ = made.present_ = np.arange(CLASSES, dtype=np.int64)
        # No class shares travel: the floor under each outcome is the same for all.
        made.prior_ = np.full(CLASSES, 1.0 / CLASSES)
        made.booster_ = _library(self.model, "make_booster")(forest)
        fitted: ThreeClassForecaster = made
        return fitted


def _library(model: str, function: str) -> Any:
    return lookup("trees", model, {model: f"{FORESTS[model]}:{function}"}, "consilium.none")


def _fold(dataset: Dataset, test_share: float) -> Fold:
    fold = walk_forward_folds(
        dataset.ts_event,
        dataset.ts_matured,
        labelled=dataset.labelled,
        folds=1,
        first_fraction=1.0 - test_share,
    )
    return fold[0]
