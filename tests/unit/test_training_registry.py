"""The registry: versions, what is served, rollback, and folders of before there were versions."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from consilium.domain import ArtefactRefused, OutputProblem, UnknownName, UsageError
from consilium.models import make_forecaster
from consilium.training.artefacts import load_artefact, save_artefact
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.promotion import challenge, not_worse
from consilium.training.registry import STATE, ModelRegistry
from consilium.training.trained import TrainedModel
from consilium.training.trainer import train_final
from training_panels import momentum_panel


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(2, 1_200, persistence=0.5), "core14", LabelSpec())


@pytest.fixture(scope="module")
def trained(dataset: Dataset) -> TrainedModel:
    return train_final(dataset, partial(make_forecaster, "logistic"), name="logistic", seed=1)


def _add(registry: ModelRegistry, trained: TrainedModel, ts: int, keep: int = 10) -> int:
    return registry.add("logistic", trained, ts_created=ts, code_version="v", keep=keep).number


def test_the_first_version_is_served_and_a_later_one_only_when_promoted(
    tmp_path: Path, trained: TrainedModel
) -> None:
    registry = ModelRegistry(tmp_path)
    assert [_add(registry, trained, ts) for ts in (10, 20, 30)] == [1, 2, 3]
    served = registry.served("logistic")
    assert served is not None
    assert (served.number, served.ts_created) == (1, 10)
    assert registry.promote("logistic", 3, ts=40, reason="not worse").served
    assert [v.served for v in registry.versions("logistic")] == [False, False, True]
    assert [(e.kind, e.version) for e in registry.events("logistic")] == [
        ("added", 1),
        ("added", 2),
        ("added", 3),
        ("promoted", 3),
    ]
    assert load_artefact(registry.versions("logistic")[2].folder).ts_created == 30


@pytest.mark.promise("004", "a model can be rolled back to the version that was served before")
def test_a_rollback_serves_what_was_served_before_and_a_second_one_goes_back_further(
    tmp_path: Path, trained: TrainedModel
) -> None:
    registry = ModelRegistry(tmp_path)
    for ts in (10, 20, 30):
        _add(registry, trained, ts)
    for number in (2, 3):
        registry.promote("logistic", number, ts=40, reason="better")
    back = [registry.rollback("logistic", ts=50, reason="worse live").number for _ in range(2)]
    assert back == [2, 1]
    with pytest.raises(UsageError, match="a rollback of logistic needs a version that was served before"):
        registry.rollback("logistic", ts=60, reason="again")
    assert registry.served("logistic").number == 1  # type: ignore[union-attr]


def test_a_rollback_passes_over_versions_that_are_gone(tmp_path: Path, trained: TrainedModel) -> None:
    registry = ModelRegistry(tmp_path)
    for ts in (10, 20, 30):
        _add(registry, trained, ts)
    for number in (2, 3):
        registry.promote("logistic", number, ts=40, reason="better")
    shutil.rmtree(registry.version("logistic", 2).folder)
    assert registry.rollback("logistic", ts=50, reason="x").number == 1


def test_old_versions_go_but_never_the_served_one_nor_the_one_before(
    tmp_path: Path, trained: TrainedModel
) -> None:
    registry = ModelRegistry(tmp_path)
    _add(registry, trained, 10)
    _add(registry, trained, 20)
    registry.promote("logistic", 2, ts=25, reason="x")
    for ts in (30, 40, 50):
        _add(registry, trained, ts, keep=2)
    assert [v.number for v in registry.versions("logistic")] == [1, 2, 4, 5]
    assert _add(registry, trained, 60, keep=2) == 6


def test_a_folder_of_before_there_were_versions_is_served_and_becomes_version_0(
    tmp_path: Path, trained: TrainedModel
) -> None:
    save_artefact(tmp_path / "logistic", trained, ts_created=5, code_version="old")
    registry = ModelRegistry(tmp_path)
    assert registry.models() == ("logistic",)
    (found,) = registry.versions("logistic")
    assert (found.number, found.served, found.folder) == (0, True, tmp_path / "logistic")
    assert _add(registry, trained, 10) == 1
    served = registry.served("logistic")
    assert served is not None
    assert served.number == 0
    assert load_artefact(served.folder).code_version == "old"
    registry.promote("logistic", 1, ts=20, reason="x")
    assert registry.rollback("logistic", ts=30, reason="x").number == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [".logistic.lock", "logistic"]
    assert sorted(p.name for p in (tmp_path / "logistic").iterdir()) == [STATE, "versions"]


@pytest.mark.parametrize("stage", ["copied", "between the renames"])
def test_an_interrupted_move_to_versions_is_finished_or_undone(
    tmp_path: Path, trained: TrainedModel, stage: str
) -> None:
    save_artefact(tmp_path / "logistic", trained, ts_created=5, code_version="old")
    shutil.copytree(tmp_path / "logistic", tmp_path / ".logistic.new" / "versions" / "000000")
    if stage == "between the renames":
        (tmp_path / "logistic").rename(tmp_path / ".logistic.old")
    registry = ModelRegistry(tmp_path)
    assert registry.models() == ("logistic",)
    served = registry.served("logistic")
    assert served is not None
    assert load_artefact(served.folder).ts_created == 5
    assert _add(registry, trained, 10) == 1
    assert [v.number for v in registry.versions("logistic")] == [0, 1]


def test_unknown_models_and_versions_are_named_with_what_there_is(
    tmp_path: Path, trained: TrainedModel
) -> None:
    registry = ModelRegistry(tmp_path)
    _add(registry, trained, 10)
    with pytest.raises(
        UnknownName, match=r"stored model must be one of logistic; got 'logistik': did you mean"
    ):
        registry.versions("logistik")
    with pytest.raises(UnknownName, match=r"version must be one of 1; got '7'"):
        registry.promote("logistic", 7, ts=1, reason="x")
    for name in ("../x", ".logistic.lock"):
        with pytest.raises(UnknownName):
            registry.versions(name)


def test_a_damaged_version_is_listed_with_its_problem_and_not_promoted(
    tmp_path: Path, trained: TrainedModel
) -> None:
    registry = ModelRegistry(tmp_path)
    _add(registry, trained, 10)
    _add(registry, trained, 20)
    (registry.version("logistic", 2).folder / "manifest.json").write_text("{")
    assert "must be readable JSON" in registry.versions("logistic")[1].problem
    with pytest.raises(ArtefactRefused, match="version 2 of logistic must be whole"):
        registry.promote("logistic", 2, ts=1, reason="x")


def test_a_changed_pointer_is_refused(tmp_path: Path, trained: TrainedModel) -> None:
    registry = ModelRegistry(tmp_path)
    _add(registry, trained, 10)
    _add(registry, trained, 20)
    path = tmp_path / "logistic" / STATE
    content = json.loads(path.read_text())
    content["served"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(ArtefactRefused, match="must match its digest"):
        registry.served("logistic")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, trained: TrainedModel) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="needs a writable folder"):
        _add(ModelRegistry(tmp_path / "file"), trained, 1)


@pytest.mark.promise("004", "a challenger is promoted if it is not worse on the newest slice")
@pytest.mark.parametrize(
    ("shift", "noise", "promoted", "told"),
    [
        (-0.02, 0.1, True, "not worse: log-loss"),
        (0.0, 0.0, True, "not worse: log-loss"),
        (0.003, 0.2, True, "not worse beyond chance"),
        (0.003, 0.002, False, "worse beyond chance"),
        (0.03, 0.01, False, "tolerance 0.005"),
        (0.03, 1.0, False, "tolerance 0.005"),
    ],
)
def test_a_challenger_is_promoted_unless_it_is_worse(
    shift: float, noise: float, promoted: bool, told: str
) -> None:
    rng = np.random.default_rng(0)
    champion = rng.uniform(0.8, 1.2, 400)
    difference = rng.standard_normal(400)
    difference = shift + noise * (difference - difference.mean())
    found = not_worse(champion + difference, champion, np.arange(400), 1)
    assert found.promoted is promoted
    assert told in found.reason


def test_a_challenger_that_learned_nothing_is_not_promoted_over_one_that_knows(
    tmp_path: Path, dataset: Dataset, trained: TrainedModel
) -> None:
    assert trained.skilled
    save_artefact(tmp_path / "m", trained, ts_created=1, code_version="v")
    champion = load_artefact(tmp_path / "m")

    def other(names: tuple[str, ...]) -> Dataset:
        raise AssertionError(names)

    same = challenge(dataset, trained, champion, other)
    assert same.promoted
    assert same.difference is not None
    assert abs(same.difference) < 0.005
    ignorant = train_final(dataset, partial(make_forecaster, "prior"), name="logistic", seed=1)
    found = challenge(dataset, ignorant, champion, other)
    assert not found.promoted
    assert found.difference is not None
    assert found.difference > 0.005
    relabelled = challenge(dataset, replace(trained, label_id="another"), champion, other)
    assert relabelled.promoted
    assert "another label" in relabelled.reason


def test_a_champion_of_other_features_is_compared_on_the_same_bars(
    tmp_path: Path, trained: TrainedModel, dataset: Dataset
) -> None:
    panel = momentum_panel(2, 1_200, persistence=0.5)
    names = ("return_1", "rsi_14")
    small = build_dataset(panel, names, LabelSpec())
    champion = train_final(small, partial(make_forecaster, "logistic"), name="logistic", seed=1)
    save_artefact(tmp_path / "m", champion, ts_created=1, code_version="v")
    asked = []

    def other(wanted: tuple[str, ...]) -> Dataset:
        asked.append(wanted)
        return build_dataset(panel, wanted, LabelSpec())

    found = challenge(dataset, trained, load_artefact(tmp_path / "m"), other)
    assert asked == [names]
    assert found.timestamps >= 20
    assert found.difference is not None
    assert abs(found.difference) < 0.05
