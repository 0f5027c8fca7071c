"""TLOB in the zoo: trained where there are books, stored, asked again, silent without one, left out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.deploy import Pool, load_pool, train
from consilium.app.membership import NO_BOOKS, with_windows
from consilium.app.newest import predict
from consilium.app.observe import Observed, observe
from consilium.app.settings import Settings
from consilium.domain import ConsiliumError, DataProblem, UsageError
from consilium.market.book.rows import row_names
from consilium.training.labels import LabelSpec
from consilium.training.reading import Reading
from consilium.training.serving import load_served

pytest.importorskip("torch", reason="torch is not installed")

DATA = "simulate:kind=book,symbols=1,bars=1500,strength=1"
SMALL: dict[str, Any] = {
    "window": 20,
    "spatial_channels": (4, 8),
    "temporal_hidden": 8,
    "num_temporal_layers": 1,
    "num_heads": 2,
    "learning_rate": 5e-3,
    "accumulate": 1,
}
RULES = {"rule": "smart_vote", "trust": "uniform", "gates": "seed"}


def settings_for(folder: Path, **training: Any) -> Settings:
    parameters = {"tlob": SMALL | training.pop("tlob", {})}
    given = {"folds": 1, "epochs": 2, "parameters": parameters, **training}
    return Settings.model_validate({"data_dir": folder, "training": given})


@pytest.fixture(scope="module")
def observed() -> Observed:
    return observe(DATA, None, books=("simulate",))


@pytest.fixture(scope="module")
def trained(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folders = {}
    for variant in ("spatial_cnn", "dual_attention"):
        folder = folders[variant] = tmp_path_factory.mktemp(variant)
        settings = settings_for(folder, tlob={"variant": variant})
        models = ["tlob", "lightgbm"] if variant == "spatial_cnn" else ["tlob"]
        done = train(settings, observed, models, features="core14", horizon=1, folder=folder / "models")
        assert done.summary == "FULL"
        assert done.skipped == {}
        assert list(done.models) == models
    return folders


def skilled(pool: Pool) -> Pool:
    """Let every model speak for itself: so short a training leaves them without skill."""
    artefacts = {
        name: replace(
            artefact, model=replace(artefact.model, calibration=_skilled(artefact.model.calibration))
        )
        for name, artefact in pool.artefacts.items()
    }
    return Pool(artefacts=artefacts, refused=pool.refused)


def _skilled(calibration: Any) -> Any:
    return replace(calibration, skilled=True)


@pytest.mark.promise("004", "TLOB is trained on windows of 100 raw books and 112 features")
@pytest.mark.parametrize("variant", ["spatial_cnn", "dual_attention"])
def test_the_newest_bar_is_forecast_from_its_books_as_a_row_of_training_is(
    variant: str, trained: Mapping[str, Path], observed: Observed
) -> None:
    pool = load_pool(trained[variant] / "models", kind="native")
    model = pool.artefacts["tlob"].model
    beside = len(model.bar_features)
    assert model.feature_names[:80] == row_names()
    assert beside == (14 if variant == "spatial_cnn" else 0)
    pool = skilled(pool)
    (row,) = predict(Settings(), observed, pool, **RULES).rows
    dataset = with_windows(observed, ["tlob"]).dataset("core14", LabelSpec())
    X = Reading.of(dataset, model).inputs(np.array([len(dataset) - 1]))
    expected, _ = pool.artefacts["tlob"].predict(X)
    assert row["predictions"]["tlob"]["probabilities"] == expected[0].tolist()
    assert row["abstained"] == {}


def test_the_stored_graphs_of_a_model_of_books_hold_what_it_says(
    trained: Mapping[str, Path], observed: Observed
) -> None:
    for variant, folder in trained.items():
        place = next((folder / "models" / "tlob").rglob("manifest.json")).parent
        native = load_pool(folder / "models", ["tlob"], kind="native").artefacts["tlob"].model
        served = load_served(place, kind="fp32", ask_all=True)
        assert served.book_columns == 80
        assert served.maskable is None
        dataset = with_windows(observed, ["tlob"]).dataset("core14", LabelSpec())
        reading = Reading.of(dataset, native)
        X = reading.inputs(np.flatnonzero(reading.eligible())[-20:])
        p, _ = served.predict(X)
        raw = native.forecaster.predict_proba(native.scaler.transform(X)) if native.scaler else X
        assert np.abs(p - native.calibration.calibrator.apply(raw)).max() < 1e-4, variant


def test_without_books_the_model_of_books_is_left_out_and_told(tmp_path: Path) -> None:
    alone = observe(DATA, None)
    settings = settings_for(tmp_path)
    done = train(
        settings, alone, ["tlob", "lightgbm"], features="core14", horizon=1, folder=tmp_path / "models"
    )
    assert done.summary == "FULL"
    assert dict(done.skipped) == {"tlob": NO_BOOKS}


def test_a_model_of_books_is_not_asked_without_books(trained: Mapping[str, Path]) -> None:
    pool = load_pool(trained["spatial_cnn"] / "models")
    with pytest.raises(DataProblem, match="learned from books need books; got tlob: add --books"):
        predict(Settings(), observe(DATA, None), pool, **RULES)


def test_where_the_newest_bar_has_no_book_the_others_speak(
    trained: Mapping[str, Path], observed: Observed
) -> None:
    rows = with_windows(observed, ["tlob"]).snapshots["SIM00"]
    close = observed.panel["SIM00"].ts_close[-1]
    gap = int(np.searchsorted(rows.touch.ts_event, close, side="right")) - 5
    cut = replace(rows, run=np.where(np.arange(len(rows)) < gap, rows.run, rows.run - rows.run[gap - 1]))
    torn = replace(observed, snapshots={"SIM00": cut})
    (row,) = predict(Settings(), torn, load_pool(trained["spatial_cnn"] / "models"), **RULES).rows
    assert list(row["predictions"]) == ["lightgbm"]
    assert row["abstained"]["tlob"].startswith("tlob needs 20 books of one session; got 5 of SIM00")
    alone = load_pool(trained["dual_attention"] / "models")
    with pytest.raises(ConsiliumError, match="needs 20 books of one session"):
        predict(Settings(), torn, alone, **RULES)


@pytest.mark.promise("004", "TLOB forecasts 10, 30 and 50 snapshots ahead, in a consensus of its own")
def test_a_label_of_books_has_its_own_horizon_and_its_own_consensus(
    tmp_path: Path, observed: Observed, trained: Mapping[str, Path]
) -> None:
    settings = settings_for(tmp_path, label="book10")
    done = train(
        settings, observed, ["tlob", "lightgbm"], features="core14", horizon=1, folder=tmp_path / "models"
    )
    assert done.summary == "FULL"
    short, candle = load_pool(tmp_path / "models"), load_pool(trained["spatial_cnn"] / "models")
    model = short.artefacts["tlob"].model
    assert model.spec.span_ns(model.interval_ns) == 10**9
    assert model.label_id == short.artefacts["lightgbm"].model.label_id
    assert model.label_id != candle.artefacts["tlob"].model.label_id
    (row,) = predict(settings, observed, short, **RULES).rows
    assert row["horizon_ns"] == 10**9
    assert set(row["predictions"]) == {"tlob", "lightgbm"}
    mixed = Pool(artefacts={**candle.artefacts, "tlob": short.artefacts["tlob"]}, refused={})
    with pytest.raises(ConsiliumError, match="models that vote together must share one label"):
        predict(settings, observed, mixed, **RULES)


def test_a_label_of_books_needs_them(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, label="book30")
    with pytest.raises(UsageError, match="a label of books needs books; got --label book30: add --books"):
        train(
            settings, observe(DATA, None), ["lightgbm"], features="core14", horizon=1, folder=tmp_path / "m"
        )


def test_heads_learn_their_own_horizons_and_one_the_label_of_the_bars(trained: Mapping[str, Path]) -> None:
    forecaster: Any = (
        load_pool(trained["spatial_cnn"] / "models", ["tlob"], kind="native")
        .artefacts["tlob"]
        .model.forecaster
    )
    X = np.zeros((3, 20, 94))
    said = forecaster.quantities(X)
    assert {name for name in said if name.startswith("direction")} == {
        "direction",
        "direction_10",
        "direction_30",
        "direction_50",
    }
    biases = forecaster.network_.heads.maps
    learned = [float(biases[f"direction_{h}"].bias.detach().abs().sum()) for h in (10, 30, 50)]
    assert min(learned) > 0.5
