"""The search for parameters: where it looks, what it repeats, and that each trial counts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("optuna", reason="needs the extra tune")

from consilium.app.deploy import train
from consilium.app.observe import observe
from consilium.app.settings import Settings
from consilium.domain import UsageError
from consilium.models import make_forecaster
from consilium.training.artefacts import load_artefact
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.registry import ModelRegistry
from consilium.training.runs import RunTable
from consilium.training.tuning import SEARCHED, Trial, searched_in, tune
from consilium.training.walkforward import cut_folds
from training_panels import momentum_panel


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(2, 900, persistence=0.4), "core14", LabelSpec())


def lightgbm(parameters: Any) -> Any:
    return partial(make_forecaster, "lightgbm", rounds=20, **parameters)


def test_a_search_repeats_itself_and_is_never_worse_than_the_models_own_parameters(dataset: Dataset) -> None:
    fold = cut_folds(dataset)[0]
    first, again = (tune(dataset, fold, lightgbm, name="lightgbm", trials=4, seed=1) for _ in range(2))
    assert first == again
    assert len(first.trials) == 4
    assert first.trials[0].parameters == {"learning_rate": 0.1, "max_depth": 6, "num_leaves": 31}
    assert first.default_log_loss == first.trials[0].log_loss
    assert first.log_loss == min(trial.log_loss for trial in first.trials if trial.log_loss is not None)
    assert first != tune(dataset, fold, lightgbm, name="lightgbm", trials=4, seed=2)


def test_a_search_reads_nothing_but_the_fit_part_of_the_first_fold(dataset: Dataset) -> None:
    fold = cut_folds(dataset)[0]
    found = tune(dataset, fold, lightgbm, name="lightgbm", trials=2, seed=1)
    changed = replace(dataset.where(np.ones(len(dataset), dtype=bool)), matrix=dataset.matrix.copy())
    outside = np.setdiff1d(np.arange(len(dataset)), fold.fit)
    changed.y[outside] = 2 - changed.y[outside]
    changed.realised_return[outside] *= -3.0
    changed.matrix[np.setdiff1d(np.arange(len(dataset.matrix)), dataset.position[fold.fit])] *= 100.0
    assert tune(changed, fold, lightgbm, name="lightgbm", trials=2, seed=1) == found


def test_what_is_set_by_hand_is_not_searched() -> None:
    made = make_forecaster("lightgbm", learning_rate=0.05)
    assert set(searched_in(made, {})) == {"learning_rate", "max_depth", "num_leaves"}
    assert set(searched_in(made, {"learning_rate": 0.05})) == {"max_depth", "num_leaves"}
    assert set(searched_in(made, {})) < set(SEARCHED)


def test_a_trial_that_fails_is_told_and_the_search_goes_on(dataset: Dataset) -> None:
    calls: list[Trial] = []

    def sometimes(parameters: Any) -> Any:
        if parameters and len(calls) == 1:
            raise RuntimeError("too deep")
        return lightgbm(parameters)

    found = tune(
        dataset,
        cut_folds(dataset)[0],
        sometimes,
        name="lightgbm",
        trials=3,
        seed=1,
        begin=lambda _number, _parameters: calls.append,
    )
    assert [trial.error for trial in found.trials] == ["", "too deep", ""]
    assert tuple(calls) == found.trials


@pytest.mark.promise("001", "hyperparameter_tuning: tune parameters using Optuna")
@pytest.mark.promise("002", "to come: hyperparameter optimization")
def test_the_command_counts_each_trial_and_stores_the_best_parameters(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 1, "tune": 3}})
    observed = observe("simulate:symbols=2,bars=900,kind=garch", None)
    result = train(settings, observed, ["lightgbm"], features="core14", horizon=1, folder=tmp_path / "models")
    tuned = result.models["lightgbm"]["tuned"]
    assert tuned["trials"] == 3
    assert tuned["log_loss"] <= tuned["default_log_loss"]
    table = RunTable(tmp_path / "runs.db", _Clock())
    assert table.trials() == 4
    assert [row.status for row in table.rows("tune")] == ["ok"] * 3
    assert min(row.figures["log_loss"] for row in table.rows("tune")) == tuned["log_loss"]
    served = ModelRegistry(tmp_path / "models").served("lightgbm")
    assert served is not None
    stored = load_artefact(served.folder)
    assert stored.metrics["tuned"] == tuned


def test_a_search_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 1, "tune": 3}})
    observed = observe("simulate:symbols=2,bars=900,kind=garch", None)
    with pytest.raises(UsageError, match=r"--tune needs the package optuna; .* 'consilium\[tune\]'"):
        train(settings, observed, ["lightgbm"], features="core14", horizon=1, folder=tmp_path / "models")


class _Clock:
    def now_ns(self) -> int:
        return 0
