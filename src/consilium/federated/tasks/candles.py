"""Networks of the zoo on candles that stay with those who have them: a symbol or a few each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from consilium.domain import DataProblem, InvalidValue, UsageError
from consilium.federated.local import LocalPlan, LocalRule, Trained
from consilium.federated.sampling import seed_of
from consilium.federated.tasks.network import SharedStart, flat, load_flat
from consilium.federated.tasks.task import require_parameters, require_participant
from consilium.market.candles import CandleSeries
from consilium.models import make_forecaster
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.learning import forecast_quantities, seeded
from consilium.models.layers.network.module import Network
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelDefinition, LabelSpec
from consilium.training.lessons import strided
from consilium.training.network.loop import TrainingLoop
from consilium.training.reading import Reading, Table
from consilium.training.splits import Fold, walk_forward_folds
from consilium.training.teaching import Teaching

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Local:
    """What one participant keeps: its rows, its own scale, and which rows are for what.

    Parameters
    ----------
    dataset, table
        Its rows, and their windows in its own standard units.
    fit, stop, test
        Rows to learn from, to judge rounds by, and to judge once at the end.
    """

    dataset: Dataset
    table: Table
    fit: Rows
    stop: Rows
    test: Rows


class Candles:
    """A network that participants train on their own candles, by the loop of `consilium.training`.

    Features are standardised by each participant on its own fit part; no statistic leaves it. The network has
    no early stopping: a round is as long as its plan.

    Parameters
    ----------
    panels
        Candles of each participant, by symbol.
    model
        A network of the zoo; ``nhits``.
    sizes
        Its sizes, as the zoo names them.
    features
        Name of a feature set; ``core14``.
    spec
        Definition of the label.
    stride
        Learn from every so many-th bar, >= 1.
    test_share
        Share of the times at the end that is judged once, in (0, 1); 0.2.
    seed
        Of first weights.

    Raises
    ------
    DataProblem
        No participants, or candles too short for the features.
    InvalidValue
        A model that is no network, or a part without rows.
    """

    name: ClassVar[str] = "candles"

    def __init__(
        self,
        panels: Mapping[str, Mapping[str, CandleSeries]],
        *,
        model: str = "nhits",
        sizes: Mapping[str, Any] | None = None,
        features: str = "core14",
        spec: LabelDefinition | None = None,
        stride: int = 1,
        test_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        if not panels:
            raise DataProblem("a task on candles needs >= 1 participant", "none", "give candles to each")
        self.model, self.sizes, self.seed, self.stride = model, dict(sizes or {}), seed, stride
        Teaching(stride=stride).require()
        first = self._forecaster(LocalPlan(), 0)
        self.window = first.window
        self._locals = {
            name: self._local(build_dataset(panels[name], features, spec or LabelSpec()), first, test_share)
            for name in sorted(panels)
        }
        any_local = next(iter(self._locals.values()))
        self.columns = any_local.table.columns
        self.feature_names = any_local.dataset.feature_names
        self._first = flat(self._network())

    @property
    def dimension(self) -> int:
        """Numbers of the network."""
        return len(self._first)

    @property
    def participants(self) -> tuple[str, ...]:
        """Whose candles this process has."""
        return tuple(self._locals)

    def examples(self, participant: str) -> int:
        """Return the rows that a participant learns from."""
        return len(self.local(participant).fit)

    def local(self, participant: str) -> Local:
        """Return what a participant keeps."""
        require_participant(participant, self._locals)
        return self._locals[participant]

    def initial(self) -> Floats:
        """Return the first weights."""
        return self._first.copy()

    def train(
        self, participant: str, parameters: Floats, *, plan: LocalPlan, rule: LocalRule, seed: int
    ) -> Trained:
        """Teach the network on a participant's rows."""
        local = self.local(participant)
        require_parameters(self.name, parameters, self.dimension)
        loop = SharedStart(TrainingLoop(Teaching(device="cpu"), name=self.model), parameters, rule)
        labels = local.dataset.y[local.fit]
        # Windows are read like an array, batch by batch.
        windows: Any = local.table.of_rows(local.fit)
        with threadpool_limits(1):
            self._forecaster(plan, seed).fit(windows, labels, loop=loop)
        stated = self.probabilities(loop.parameters, participant, local.stop)
        return Trained(
            parameters=loop.parameters,
            mean_gradient=loop.mean_gradient,
            steps=loop.steps,
            examples=len(local.fit),
            performance=-float(_log_losses(stated, local, local.stop).mean()),
        )

    def probabilities(self, parameters: Floats, participant: str, rows: Rows) -> Floats:
        """Return what a model states of some rows of a participant, shape (n, 3)."""
        network = self._network()
        load_flat(network, parameters)
        with threadpool_limits(1), seeded(0, 1):
            stated = forecast_quantities(network, self.local(participant).table.of_rows(rows)[:])
        logits = stated[network.primary].double()
        result: Floats = logits.softmax(dim=1).numpy()
        return result

    def evaluate(self, parameters: Floats) -> dict[str, float]:
        """Return log-loss and accuracy on the rows between fit and test, mean over participants."""
        require_parameters(self.name, parameters, self.dimension)
        losses, right = [], []
        for name, local in self._locals.items():
            stated = self.probabilities(parameters, name, local.stop)
            losses.append(float(_log_losses(stated, local, local.stop).mean()))
            right.append(float((stated.argmax(axis=1) == local.dataset.y[local.stop]).mean()))
        return {"accuracy": float(np.mean(right)), "log_loss": float(np.mean(losses))}

    def _local(self, dataset: Dataset, forecaster: NetworkForecaster, test_share: float) -> Local:
        reading = Reading.of(dataset, forecaster)
        fold: Fold = walk_forward_folds(
            dataset.ts_event,
            dataset.ts_matured,
            labelled=dataset.labelled,
            folds=1,
            first_fraction=1.0 - test_share,
        )[0]
        eligible = reading.eligible()
        fit, stop, test = (
            rows[eligible[rows] & dataset.labelled[rows]] for rows in (fold.fit, fold.stop, fold.test)
        )
        fit, stop = strided(dataset, fit, self.stride), strided(dataset, stop, self.stride)
        for part, rows in (("fit", fit), ("stop", stop), ("test", test)):
            if len(rows) == 0:
                raise InvalidValue(
                    f"'{part}' needs rows with {reading.told_window}", 0, "give a longer history"
                )
        table = reading.windows(reading.fit_scaler(fold.fit))
        return Local(dataset=dataset, table=table, fit=fit, stop=stop, test=test)

    def _forecaster(self, plan: LocalPlan, seed: int) -> NetworkForecaster:
        plain = make_forecaster(self.model)
        if not isinstance(plain, NetworkForecaster):
            raise InvalidValue(
                "a task on candles trains a network", self.model, "use nhits; trees are bagged"
            )
        learning = {
            "epochs": plan.epochs,
            "batch_size": plan.batch_size,
            "learning_rate": plan.learning_rate,
            "seed": seed % 2**31,
        }
        try:
            return type(plain)(**{**self.sizes, **learning})
        except TypeError as error:
            raise UsageError(f"sizes of {self.model} must be its own", f"{error}", "leave it out") from None

    def _network(self) -> Network:
        forecaster = self._forecaster(LocalPlan(), 0)
        with seeded(seed_of(self.seed, self.name, self.model, "first"), 1):
            return forecaster.build(forecaster.config, self.columns)


def _log_losses(stated: Floats, local: Local, rows: Rows) -> Floats:
    right = stated[np.arange(len(rows)), local.dataset.y[rows]]
    losses: Floats = -np.log(np.maximum(right, 1e-12))
    return losses
