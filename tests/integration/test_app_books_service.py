"""Models of 112 features stored, loaded and asked again; others are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consilium.app.deploy import Pool, load_pool, train
from consilium.app.newest import predict
from consilium.app.observe import Observed, observe
from consilium.app.settings import Settings
from consilium.domain import ArtefactRefused, DataProblem, digest
from consilium.market.features import feature_names, features_hash
from consilium.training.artefacts import load_artefact
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.manifest import MANIFEST
from consilium.training.serving import load_served

DATA = "simulate:kind=book,symbols=1,bars=1900,strength=1"
FULL = feature_names("full112")


@pytest.fixture(scope="module")
def observed() -> Observed:
    return observe(DATA, None, books=("simulate",)).with_books(FULL)


@pytest.fixture(scope="module")
def folder(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    settings = Settings.model_validate({"data_dir": folder, "training": {"folds": 1}})
    done = train(settings, observed, ["lightgbm"], features="full112", horizon=1, folder=folder / "models")
    assert done.summary == "FULL"
    return folder / "models"


def stored(folder: Path) -> Path:
    """The folder of the one version that was trained."""
    return next((folder / "lightgbm").rglob(MANIFEST)).parent


def ask(observed: Observed, pool: Pool) -> list[dict[str, object]]:
    rules = {"rule": "smart_vote", "trust": "uniform", "gates": "seed"}
    return predict(Settings(), observed, pool, **rules).rows


@pytest.mark.promise("004", "a stored model holds the hash of its 112 features")
def test_an_artefact_of_112_features_holds_their_hash(folder: Path) -> None:
    manifest = json.loads((stored(folder) / MANIFEST).read_text())
    assert manifest["feature_names"] == list(FULL)
    assert manifest["features_hash"] == features_hash(FULL)
    assert manifest["scaler"]["maskable"] == list(range(62, 112))


def test_the_newest_bar_is_forecast_with_its_book_as_a_row_of_training_is(
    folder: Path, observed: Observed
) -> None:
    pool = load_pool(folder)
    (row,) = ask(observed, pool)
    assert row["masked"] is False
    dataset = build_dataset(observed.panel, "full112", LabelSpec(), observed.books)
    expected, _ = pool.artefacts["lightgbm"].predict(dataset.inputs(np.array([len(dataset) - 1])))
    said = row["predictions"]
    assert isinstance(said, dict)
    assert said["lightgbm"]["probabilities"] == expected[0].tolist()


def test_a_newest_bar_without_a_fresh_book_is_said_to_be_masked(folder: Path, observed: Observed) -> None:
    columns = observed.books["SIM00"]
    values = columns.values.copy()
    values[-1] = np.nan
    stale = replace(observed, books={"SIM00": replace(columns, values=values)})
    (row,) = ask(stale, load_pool(folder))
    assert row["masked"] is True


def test_models_that_learned_from_books_refuse_to_forecast_without(folder: Path) -> None:
    alone = observe(DATA, None)
    with pytest.raises(DataProblem, match="learned from books need books; got lightgbm: add --books"):
        ask(alone, load_pool(folder))


def test_a_model_whose_formulas_have_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lightgbm"
    shutil.copytree(stored(folder), copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["features_hash"] = "0" * 16
    manifest["digest"] = digest({name: value for name, value in manifest.items() if name != "digest"})
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtefactRefused, match="reads features with formulas 0000000000000000"):
        load_artefact(copy)
    with pytest.raises(ArtefactRefused, match="reads features with formulas 0000000000000000"):
        load_served(copy)


def test_full112_without_books_is_trained_on_masks_and_served_without_books(tmp_path: Path) -> None:
    alone = observe("simulate:symbols=1,bars=1900,kind=garch", None)
    masked = alone.with_books(FULL)
    assert "no books were given" in masked.findings[-1]
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 1}})
    done = train(settings, masked, ["lightgbm"], features="full112", horizon=1, folder=tmp_path / "models")
    assert done.summary == "FULL"
    (row,) = ask(masked, load_pool(tmp_path / "models"))
    assert row["masked"] is True
