"""A search for parameters before a training; each trial is a run, because each is a look at outcomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consilium import __version__
from consilium.app.bootstrap import ForecasterFactory
from consilium.app.settings import Training
from consilium.app.stages import ProgressCall
from consilium.domain import plain
from consilium.training.dataset import Dataset
from consilium.training.runs import RunTable
from consilium.training.teaching import Teaching
from consilium.training.tuning import Trial, Tuned, require_search, searched_in, tune
from consilium.training.walkforward import cut_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the searches of one training share.

    Parameters
    ----------
    table
        Where each trial becomes a row.
    dataset, data_digest
        Rows, and the hash of the data that they came from.
    training, teaching
        How models are trained.
    progress
        Called after each trial.
    """

    table: RunTable
    dataset: Dataset
    data_digest: str
    training: Training
    teaching: Teaching
    progress: ProgressCall

    def of(
        self, chosen: Mapping[str, ForecasterFactory]
    ) -> tuple[dict[str, ForecasterFactory], dict[str, Mapping[str, Any]], dict[str, str]]:
        """Search for each model in turn.

        Returns
        -------
        Factories with the best parameters; what was found, by model; and why a search failed, by model. A
        model without anything to search is handed back as it is.
        """
        require_search()
        fold = cut_folds(
            self.dataset, folds=self.training.folds, first_fraction=self.training.first_fraction
        )[0]
        factories: dict[str, ForecasterFactory] = {}
        found: dict[str, Mapping[str, Any]] = {}
        failures: dict[str, str] = {}
        for name, factory in chosen.items():
            if not searched_in(factory(), factory.parameters):
                factories[name] = factory
                continue
            try:
                tuned = tune(
                    self.dataset,
                    fold,
                    factory.with_parameters,
                    name=name,
                    trials=self.training.tune,
                    seed=self.training.seed,
                    fixed=factory.parameters,
                    teaching=self.teaching,
                    begin=self._counting(name),
                )
            except Exception as error:  # noqa: BLE001 - one model's search must not stop the others
                failures[name] = " ".join(str(error).split()) or type(error).__name__
                continue
            factories[name] = factory.with_parameters(tuned.parameters)
            found[name] = _told(tuned)
        return factories, found, failures

    def _counting(self, name: str) -> Callable[[int, Mapping[str, Any]], Callable[[Trial], None]]:
        def begin(number: int, parameters: Mapping[str, Any]) -> Callable[[Trial], None]:
            run = self.table.start(
                "tune",
                plain({"model": name, "trial": number, "parameters": parameters}),
                seed=self.training.seed,
                data_digest=self.data_digest,
                code_version=__version__,
            )

            def end(trial: Trial) -> None:
                run.record({"log_loss": trial.log_loss})
                self.table.end(run.run_id, "failed" if trial.error else "ok", trial.error)
                self.progress(f"tune {name}", number, self.training.tune)

            return end

        return begin


def _told(tuned: Tuned) -> Mapping[str, Any]:
    return {
        "parameters": dict(tuned.parameters),
        "trials": len(tuned.trials),
        "log_loss": tuned.log_loss,
        "default_log_loss": tuned.default_log_loss,
    }
