"""Stored models as they are served: the same probabilities, refused when they are not what they were."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from consilium.domain import ArtefactRefused, UsageError, digest
from consilium.models import make_forecaster
from consilium.training.artefacts import MANIFEST, load_artefact, save_artefact
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.serving import load_served, make_serving
from consilium.training.trained import TrainedModel
from consilium.training.trainer import held_out, train_final
from serving_cases import OPTIONS, SERVABLE
from training_panels import momentum_panel

BOUND = 1e-5


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(2, 1_200, persistence=0.4), "core14", LabelSpec())


def _trained(dataset: Dataset, name: str) -> TrainedModel:
    made = train_final(dataset, partial(make_forecaster, name, **OPTIONS.get(name, {})), name=name, seed=1)
    return replace(made, calibration=replace(made.calibration, skilled=True))


def _store(folder: Path, dataset: Dataset, made: TrainedModel) -> Path:
    rows = held_out(dataset, made)
    X = dataset.inputs(rows, made.window)
    serving = make_serving(made.forecaster, made.scaler, X, dataset.y[rows])
    return save_artefact(folder, made, ts_created=7, code_version="v", serving=serving)


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> Path:
    return _store(tmp_path / "lightgbm", dataset, _trained(dataset, "lightgbm"))


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = digest({k: v for k, v in content.items() if k != "digest"})
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", SERVABLE)
def test_the_served_model_says_what_the_trained_one_says(tmp_path: Path, dataset: Dataset, name: str) -> None:
    made = _trained(dataset, name)
    served = load_served(_store(tmp_path / name, dataset, made))
    assert (served.kind, served.name, served.label_id) == ("fp32", name, dataset.label_id)
    assert served.horizon_ns == dataset.horizon_ns
    X = dataset.inputs(np.arange(800))
    for mine, theirs in zip(served.predict(X), made.predict(X), strict=True):
        assert np.abs(mine - theirs).max() <= BOUND


def test_a_model_without_an_onnx_form_serves_by_its_own_library(tmp_path: Path, dataset: Dataset) -> None:
    made = _trained(dataset, "minirocket")
    served = load_served(_store(tmp_path / "minirocket", dataset, made))
    assert served.kind == "native"
    assert "no graph is stored" in served.note
    X = dataset.inputs(np.flatnonzero(dataset.eligible(64))[:20], 64)
    assert served.predict(X)[0].tobytes() == made.predict(X)[0].tobytes()


def test_a_model_without_skill_is_not_asked(tmp_path: Path, dataset: Dataset) -> None:
    made = _trained(dataset, "logistic")
    silent = replace(made, calibration=replace(made.calibration, skilled=False))
    served = load_served(_store(tmp_path / "m", dataset, silent))
    assert (served.kind, served.engine) == ("climatology", None)
    X = dataset.inputs(np.arange(5))
    assert served.predict(X)[0].tolist() == silent.predict(X)[0].tolist()


def test_a_model_stored_before_there_were_graphs_still_loads(tmp_path: Path, dataset: Dataset) -> None:
    made = _trained(dataset, "lightgbm")
    save_artefact(tmp_path / "m", made, ts_created=7, code_version="v")
    assert load_served(tmp_path / "m").kind == "native"
    with pytest.raises(ArtefactRefused, match="must hold an fp32 graph; got none was written"):
        load_served(tmp_path / "m", kind="fp32")


def test_any_changed_byte_of_a_graph_is_refused(folder: Path) -> None:
    path = folder / "serving" / "graph.fp32.onnx"
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 25):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        path.write_bytes(bytes(changed))
        with pytest.raises(
            ArtefactRefused, match=r"graph\.fp32\.onnx must be as it was written; got other bytes"
        ):
            load_served(folder)
    path.write_bytes(whole)
    load_served(folder)


@pytest.mark.promise("004", "a tampered model is refused: it must forecast fixed rows as when it was written")
def test_a_graph_exchanged_with_fitting_digests_of_files_is_refused_by_its_forecasts(folder: Path) -> None:
    path = folder / "serving" / "graph.fp32.onnx"
    model = onnx.load(path)
    base = next(held for held in model.graph.initializer if held.name == "base")
    base.CopyFrom(numpy_helper.from_array(np.array([0.5, 0.0, 0.0]), "base"))
    path.write_bytes(model.SerializeToString())
    stored = sha256(path.read_bytes()).hexdigest()
    _rewrite(folder, lambda content: content["files"].update({"serving/graph.fp32.onnx": stored}))
    with pytest.raises(
        ArtefactRefused, match="must forecast the fixed rows as it did when it was written"
    ) as e:
        load_served(folder)
    assert "\n" not in str(e.value)


def test_a_pickle_in_place_of_the_graph_is_refused_though_the_manifest_names_it(folder: Path) -> None:
    import pickle

    path = folder / "serving" / "graph.fp32.onnx"
    path.write_bytes(pickle.dumps({"trees": [1, 2]}))
    stored = sha256(path.read_bytes()).hexdigest()
    _rewrite(folder, lambda content: content["files"].update({"serving/graph.fp32.onnx": stored}))
    with pytest.raises(ArtefactRefused, match="must not be a pickle; got a pickle of protocol"):
        load_served(folder)


def test_a_pickle_offered_as_a_model_is_refused(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "xgb_model.pkl").write_bytes(pickle.dumps({"model": 1}))
    for load in (load_artefact, load_served):
        with pytest.raises(ArtefactRefused, match="must not be a pickle"):
            load(tmp_path / "xgb_model.pkl")


def test_trees_have_no_int8_form_and_asking_for_it_says_so(folder: Path) -> None:
    with pytest.raises(ArtefactRefused, match="must hold an int8 graph; got no int8 form"):
        load_served(folder, kind="int8")
    with pytest.raises(UsageError, match="a served kind must be one of best, fp32, int8, native; got 'fast'"):
        load_served(folder, kind="fast")


def test_a_manifest_that_lacks_a_part_of_serving_is_refused(folder: Path) -> None:
    _rewrite(folder, lambda content: content["serving"].pop("form"))
    with pytest.raises(ArtefactRefused, match="must hold a complete model; got 'form'"):
        load_served(folder)
