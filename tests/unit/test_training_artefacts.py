"""Models on disk: what comes back is what was written, or it is refused in one line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.domain import ArtefactRefused, OutputProblem, digest
from consilium.market.features import feature_names
from consilium.models import make_forecaster
from consilium.training.artefacts import MANIFEST, load_artefact, save_artefact
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec, TripleBarrierSpec
from consilium.training.trained import TrainedModel
from consilium.training.trainer import train_final
from training_panels import momentum_panel

NAMES = feature_names("core14")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(2, 1_200, persistence=0.4), "core14", LabelSpec())


@pytest.fixture(scope="module")
def trained(dataset: Dataset) -> TrainedModel:
    factory = partial(make_forecaster, "lightgbm", rounds=10)
    return train_final(dataset, factory, name="lightgbm", seed=1)


@pytest.fixture
def folder(tmp_path: Path, trained: TrainedModel) -> Path:
    return save_artefact(tmp_path / "pool" / "lightgbm", trained, ts_created=5, code_version="0.1.0")


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as a writer with the same rules would: with a digest that fits."""
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = digest({k: v for k, v in content.items() if k != "digest"})
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name", ["lightgbm", "xgboost", "logistic", "minirocket", "persistence", "prior", "fallback"]
)
def test_a_loaded_model_forecasts_bit_for_bit_as_the_saved_one(
    tmp_path: Path, dataset: Dataset, name: str
) -> None:
    options: dict[str, Any] = {"rounds": 5} if name in ("lightgbm", "xgboost") else {}
    made = train_final(dataset, partial(make_forecaster, name, **options), name=name, seed=2)
    made = replace(made, calibration=replace(made.calibration, skilled=True))
    save_artefact(tmp_path / name, made, ts_created=1, code_version="v")
    loaded = load_artefact(tmp_path / name, expect_features=NAMES)
    X = dataset.inputs(np.flatnonzero(dataset.eligible(made.window))[:200], made.window)
    for before, after in zip(made.predict(X), loaded.predict(X), strict=True):
        assert before.tobytes() == after.tobytes()


def test_a_loaded_model_says_what_it_was_trained_for(folder: Path, trained: TrainedModel) -> None:
    loaded = load_artefact(folder)
    for name in (
        "name",
        "feature_names",
        "features_hash",
        "label_id",
        "spec",
        "interval_ns",
        "seed",
        "means",
    ):
        assert getattr(loaded.model, name) == getattr(trained, name)
    assert loaded.model.calibration == trained.calibration
    assert (loaded.ts_created, loaded.code_version) == (5, "0.1.0")


@pytest.mark.promise("002", "output: model, scaler and metadata of each model")
def test_model_scaler_and_metadata_lie_in_the_folder(tmp_path: Path, trained: TrainedModel) -> None:
    figures = {"test_accuracy": 0.5}
    folder = save_artefact(tmp_path / "m", trained, ts_created=5, code_version="0.1.0", metrics=figures)
    stored = json.loads((folder / MANIFEST).read_text())
    assert trained.scaler is not None
    assert stored["scaler"] == trained.scaler.state()
    assert stored["feature_names"] == list(NAMES)
    assert (stored["name"], stored["metrics"]) == ("lightgbm", figures)
    assert (folder / "model" / "trees.txt").stat().st_size > 0


def test_another_labeller_and_metrics_that_are_not_finite_are_stored(
    tmp_path: Path, trained: TrainedModel
) -> None:
    barriers = replace(trained, spec=TripleBarrierSpec(up=1.5))
    metrics = {"sharpe": float("nan"), "loss": np.float64(0.5), "rows": np.int64(3)}
    save_artefact(tmp_path / "m", barriers, ts_created=1, code_version="v", metrics=metrics)
    loaded = load_artefact(tmp_path / "m")
    assert loaded.model.spec == TripleBarrierSpec(up=1.5)
    assert loaded.metrics == {"sharpe": None, "loss": 0.5, "rows": 3}


def test_no_file_is_a_pickle(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {path.suffix for path in files} <= {".json", ".txt", ".ubj", ".npz", ".safetensors"}
    assert not any(path.read_bytes().startswith(b"\x80") for path in files)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_refused(folder: Path, keep: float) -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(ArtefactRefused) as refused:
            load_artefact(folder)
        assert path.name in str(refused.value)
        assert "\n" not in str(refused.value)
        path.write_bytes(whole)
    load_artefact(folder)


def test_any_changed_byte_is_refused(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for place in rng.integers(0, len(whole), 25):
            changed = bytearray(whole)
            changed[place] ^= 0x01
            path.write_bytes(bytes(changed))
            if path.name == MANIFEST:
                _assert_refused_or_the_same_content(folder, whole)
            else:
                with pytest.raises(ArtefactRefused, match="other bytes"):
                    load_artefact(folder)
        path.write_bytes(whole)


def _assert_refused_or_the_same_content(folder: Path, whole: bytes) -> None:
    """White space between the fields of a manifest may change: it means nothing."""
    path = folder / MANIFEST
    try:
        same = json.loads(path.read_bytes()) == json.loads(whole)
    except ValueError:
        same = False
    if not same:
        with pytest.raises(ArtefactRefused):
            load_artefact(folder)


def test_a_missing_and_an_added_file_are_refused(folder: Path) -> None:
    (folder / "model" / "extra.json").write_text("{}")
    with pytest.raises(ArtefactRefused, match=r"extra\.json .* a file that the manifest does not know"):
        load_artefact(folder)
    (folder / "model" / "extra.json").unlink()
    (folder / "model" / "trees.txt").unlink()
    with pytest.raises(ArtefactRefused, match=r"trees\.txt .* a missing file"):
        load_artefact(folder)


def test_another_feature_set_is_refused_with_both(folder: Path) -> None:
    with pytest.raises(ArtefactRefused, match=r"reads 14 features \(return_1, .*got 62 features \(return_1"):
        load_artefact(folder, expect_features=feature_names("candle62"))
    with pytest.raises(ArtefactRefused, match="reads 14 features"):
        load_artefact(folder, expect_features=tuple(reversed(NAMES)))


def test_features_of_the_same_names_but_other_formulas_are_refused(folder: Path) -> None:
    _rewrite(folder, lambda content: content.update(features_hash="0123456789abcdef"))
    with pytest.raises(ArtefactRefused, match="reads features with formulas 0123456789abcdef"):
        load_artefact(folder, expect_features=NAMES)


def test_a_newer_format_and_an_unknown_model_are_refused(folder: Path) -> None:
    _rewrite(folder, lambda content: content.update(format_version=2))
    with pytest.raises(ArtefactRefused, match=r"format version <= 1; got 2: update consilium"):
        load_artefact(folder)
    _rewrite(folder, lambda content: content.update(format_version=1, model="oracle"))
    with pytest.raises(ArtefactRefused, match=r"one of the models .*; got 'oracle'"):
        load_artefact(folder)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match="must hold a trained model; got no folder"):
        load_artefact(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactRefused, match=r"got no manifest\.json"):
        load_artefact(tmp_path / "empty")
    (tmp_path / "empty" / MANIFEST).write_text('{"name": "somebody else\'s"}')
    with pytest.raises(ArtefactRefused, match="another kind of manifest"):
        load_artefact(tmp_path / "empty")
    (tmp_path / "empty" / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(ArtefactRefused, match="must be readable JSON"):
        load_artefact(tmp_path / "empty")


def test_a_manifest_that_lacks_a_part_is_refused(folder: Path) -> None:
    _rewrite(folder, lambda content: content.pop("calibration"))
    with pytest.raises(ArtefactRefused, match="must hold a complete model; got 'calibration'"):
        load_artefact(folder)


def test_files_of_another_model_are_refused_though_each_is_whole(
    tmp_path: Path, folder: Path, dataset: Dataset
) -> None:
    other = train_final(dataset, partial(make_forecaster, "logistic"), name="logistic", seed=1)
    save_artefact(tmp_path / "logistic", other, ts_created=1, code_version="v")
    shutil.rmtree(folder / "model")
    shutil.copytree(tmp_path / "logistic" / "model", folder / "model")
    with pytest.raises(ArtefactRefused, match="must be as it was written"):
        load_artefact(folder)


def test_a_new_version_replaces_the_old_and_leaves_nothing_behind(
    folder: Path, trained: TrainedModel
) -> None:
    save_artefact(folder, trained, ts_created=6, code_version="0.2.0")
    assert load_artefact(folder).ts_created == 6
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lightgbm.lock", "lightgbm"]


def test_between_the_two_renames_the_old_version_is_found(folder: Path, trained: TrainedModel) -> None:
    old, new = (folder.parent / f".lightgbm.{role}" for role in ("old", "new"))
    folder.rename(old)
    new.mkdir()
    (new / MANIFEST).write_text("{")
    assert load_artefact(folder).ts_created == 5
    save_artefact(folder, trained, ts_created=7, code_version="v")
    assert load_artefact(folder).ts_created == 7
    assert not old.exists()
    assert not new.exists()


def test_a_failed_write_keeps_the_old_version(folder: Path, trained: TrainedModel) -> None:
    class _DiskFull:
        name, window = trained.forecaster.name, 1

        def __getattr__(self, attribute: str) -> object:
            return getattr(trained.forecaster, attribute)

        def save(self, place: Path) -> None:
            (place / "half.txt").write_text("half")
            raise OSError(28, "No space left on device")

    broken = replace(trained, forecaster=_DiskFull())  # type: ignore[arg-type]
    with pytest.raises(OutputProblem, match="No space left on device"):
        save_artefact(folder, broken, ts_created=8, code_version="v")
    assert load_artefact(folder).ts_created == 5


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, trained: TrainedModel) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="a model needs a writable folder"):
        save_artefact(tmp_path / "file" / "model", trained, ts_created=1, code_version="v")


def test_a_copied_folder_loads_without_its_lock(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert load_artefact(tmp_path / "copy").ts_created == 5
    assert not (tmp_path / ".copy.lock").exists()


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (folder / "model" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ArtefactRefused, match="does not know"):
        load_artefact(folder)
    (tmp_path / "outside").unlink()
    with pytest.raises(ArtefactRefused, match="must be readable"):
        load_artefact(folder)


def test_the_manifest_names_every_file_with_its_digest(folder: Path) -> None:
    files = json.loads((folder / MANIFEST).read_text())["files"]
    assert files == {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
