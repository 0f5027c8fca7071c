"""Networks in a walk-forward: what they are given, in how much memory, and how it goes on after a kill."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from consilium.models import make_forecaster
from consilium.models.cnn_lstm import CnnLstmForecaster
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.windows import Windows
from consilium.training.artefacts import load_artefact, save_artefact
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.labels import LabelSpec
from consilium.training.lessons import strided
from consilium.training.teaching import Lap, Teaching
from consilium.training.trainer import held_out, train_final
from consilium.training.walkforward import walk_forward
from network_cases import SMALL_NETWORKS
from training_panels import momentum_panel

QUICK = {name: SMALL_NETWORKS[name] | {"epochs": 1} for name in ("nhits", "cnn_lstm")}
MODELS: Mapping[str, Any] = {
    "nhits": partial(make_forecaster, "nhits", **QUICK["nhits"]),
    "cnn_lstm": partial(make_forecaster, "cnn_lstm", **QUICK["cnn_lstm"] | {"input_features": 14}),
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(2, 800), "core14", LabelSpec(horizon=2))


def judged(found: Forecasts, name: str) -> list[float]:
    """The log-loss of each fold before it is decided whether the model may speak: every bit of it counts."""
    return [fold.models[name]["judged_loss"] for fold in found.folds]


def test_a_walk_forward_of_networks_repeats_its_bits_and_tells_each_epoch(dataset: Dataset) -> None:
    laps: list[Lap] = []
    first, again = (
        walk_forward(dataset, MODELS, folds=2, seed=3, teaching=Teaching(stride=3, tell=tell))
        for tell in (laps.append, None)
    )
    assert first.failures == ()
    for name in MODELS:
        assert np.array_equal(first.probabilities[name], again.probabilities[name])
        assert judged(first, name) == judged(again, name)
    assert [(lap.model, lap.part) for lap in laps if lap.share == 1.0 and lap.over == 1] == [
        (name, f"fold {fold}") for fold in (1, 2) for name in MODELS
    ]


@pytest.mark.promise("004", "multi-task learning: the realised return is taught beside the direction")
def test_a_network_is_given_windows_of_its_table_and_the_returns_of_its_rows(dataset: Dataset) -> None:
    given: dict[str, Any] = {}

    class Watching(CnnLstmForecaster):
        name = "watching"

        def fit(self, X: Any, y: Any, *, loop: Any = None, **rest: Any) -> Any:
            given.update(X=X, y=y, **rest)
            return super().fit(X, y, loop=loop, **rest)

    options = QUICK["cnn_lstm"] | {"input_features": 14}
    walk_forward(dataset, {"watching": partial(Watching, **options)}, folds=2, seed=3)
    final_fit = given["X"]
    assert isinstance(final_fit, Windows)
    # One table in single precision for all windows, whatever their length.
    assert final_fit.table.shape == dataset.matrix.shape
    assert final_fit.table.dtype == np.float32
    assert given["outcomes"]["expected_return"].shape == given["y"].shape
    last = np.flatnonzero(dataset.position == final_fit.last[-1])
    assert given["outcomes"]["expected_return"][-1] == dataset.realised_return[last]


def test_a_stride_keeps_every_nth_bar_of_each_symbol_and_leaves_no_symbol_out(dataset: Dataset) -> None:
    rows = np.arange(100, 900)
    # With two symbols every second row would be one symbol only.
    kept = strided(dataset, rows, 2)
    assert set(dataset.symbol_index[kept]) == {0, 1}
    for symbol in (0, 1):
        bars = dataset.bar[kept[dataset.symbol_index[kept] == symbol]]
        assert set(np.diff(bars)) == {2}
    assert strided(dataset, rows, 1) is rows


def test_a_stride_thins_what_is_learned_from_and_nothing_else(dataset: Dataset) -> None:
    whole, thinned = (
        walk_forward(dataset, MODELS, folds=1, seed=3, teaching=Teaching(stride=stride)) for stride in (1, 4)
    )
    for name in MODELS:
        before, after = (found.folds[0].models[name] for found in (whole, thinned))
        assert after["fit_rows"] == pytest.approx(before["fit_rows"] / 4, abs=2)
        assert after["stop_rows"] == pytest.approx(before["stop_rows"] / 4, abs=2)
        assert after["calibration_rows"] == before["calibration_rows"]
    assert np.array_equal(whole.rows, thinned.rows)
    assert whole.folds[0].prior == thinned.folds[0].prior
    with pytest.raises(ValueError, match="stride must be >= 1; got 0"):
        walk_forward(dataset, MODELS, folds=1, seed=3, teaching=Teaching(stride=0))


class Stopped(BaseException):
    """Stands for a kill."""


def test_a_walk_forward_that_was_broken_off_goes_on_from_its_checkpoints(
    dataset: Dataset, tmp_path: Path
) -> None:
    def tell(lap: Lap) -> None:
        if (lap.model, lap.part) == ("cnn_lstm", "fold 2"):
            raise Stopped

    teaching = Teaching(stride=3, checkpoints=tmp_path, every_seconds=0.0, tell=tell)
    with pytest.raises(Stopped):
        walk_forward(dataset, MODELS, folds=2, seed=3, teaching=teaching)
    told: list[Lap] = []
    resumed = walk_forward(
        dataset, MODELS, folds=2, seed=3, teaching=Teaching(stride=3, checkpoints=tmp_path, tell=told.append)
    )
    assert told == [], "every training was over before or right after the last step that was kept"
    undisturbed = walk_forward(dataset, MODELS, folds=2, seed=3, teaching=Teaching(stride=3))
    for name in MODELS:
        assert judged(resumed, name) == judged(undisturbed, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cnn_lstm-fold1",
        "cnn_lstm-fold2",
        "nhits-fold1",
        "nhits-fold2",
    ]


def test_a_checkpoint_of_other_features_in_the_same_place_fails_its_model_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    teaching = Teaching(stride=3, checkpoints=tmp_path)
    only = {"nhits": MODELS["nhits"]}
    walk_forward(dataset, only, folds=1, seed=3, teaching=teaching)
    turned = build_dataset(momentum_panel(2, 800), dataset.feature_names[::-1], LabelSpec(horizon=2))
    found = walk_forward(
        turned,
        only | {"logistic": partial(make_forecaster, "logistic")},
        folds=1,
        seed=3,
        teaching=teaching,
    )
    (failure,) = found.failures
    assert "nhits-fold1 must hold a training with features" in failure.error
    assert set(found.probabilities) == {"logistic"}


def test_a_network_that_diverges_is_a_failure_with_the_rate_to_try(dataset: Dataset) -> None:
    wild = partial(make_forecaster, "nhits", **QUICK["nhits"] | {"learning_rate": 1e30, "clip": 1e30})
    models = {"nhits": wild, "logistic": partial(make_forecaster, "logistic")}
    found = walk_forward(dataset, models, folds=1, seed=3)
    assert "try learning_rate 1e+29" in found.failures[0].error


def test_a_network_trained_for_service_forecasts_the_same_after_save_and_load(
    dataset: Dataset, tmp_path: Path
) -> None:
    for name, factory in MODELS.items():
        final = train_final(dataset, factory, name=name, seed=1, teaching=Teaching(stride=4))
        assert final.forecaster.get_params()["seed"] == final.seed
        save_artefact(tmp_path / name, final, ts_created=1, code_version="v")
        X = dataset.inputs(held_out(dataset, final)[:20], final.window)
        p, expected = final.predict(X)
        again, expected_again = load_artefact(tmp_path / name, kind="native").predict(X)
        assert np.array_equal(p, again)
        assert np.array_equal(expected, expected_again)


@pytest.mark.promise("004", "TrainingConfig: AdamW, clip 1.0, accumulation 4, 100 epochs, patience 10, 1e-4")
def test_the_plan_of_the_second_document_is_the_default_of_its_three_networks() -> None:
    from consilium.models.mpd_transformer import MPDForecaster
    from consilium.models.tlob import TLOBForecaster

    for kind in (CnnLstmForecaster, MPDForecaster, TLOBForecaster):
        assert kind.plan == Plan(
            epochs=100,
            patience=10,
            batch_size=32,
            learning_rate=1e-4,
            weight_decay=1e-5,
            accumulate=4,
            clip=1.0,
        )
