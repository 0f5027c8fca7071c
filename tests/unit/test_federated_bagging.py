"""Trees of several participants in one model."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.tasks.bagging import Bagging
from consilium.federated.tasks.forest import MAGIC, Forest, united
from consilium.market.sources import sample_candles
from consilium.training.artefacts import load_artefact, save_artefact

OPTIONS: dict[str, Any] = {"rounds": 6, "max_depth": 3}


@pytest.fixture(scope="module", params=["xgboost", "lightgbm"])
def bagging(request: pytest.FixtureRequest) -> Bagging:
    (series,) = sample_candles().series.values()
    third = len(series) // 3
    panels = {f"d{number}": {"X": series.slice(number * third, (number + 1) * third)} for number in range(3)}
    return Bagging(panels, model=request.param, options=OPTIONS)


@pytest.fixture(scope="module")
def grown(bagging: Bagging) -> dict[str, bytes]:
    return {name: bagging.grow(name) for name in bagging.participants}


def _margins(model: str, booster: Any, rows: np.ndarray) -> np.ndarray:
    if model == "lightgbm":
        return np.asarray(booster.predict(rows, raw_score=True))
    import xgboost as xgb

    return np.asarray(booster.predict(xgb.DMatrix(rows), output_margin=True))


def test_the_union_states_the_mean_of_the_margins(bagging: Bagging, grown: dict[str, bytes]) -> None:
    rows = bagging.datasets["d0"].inputs(bagging.folds["d0"].test)
    apart = []
    for name in grown:
        alone, _ = bagging.unite({name: grown[name]})
        apart.append(_margins(bagging.model, alone.booster_, rows))
    union, refused = bagging.unite(grown)
    assert refused == {}
    together = _margins(bagging.model, union.booster_, rows)
    np.testing.assert_allclose(together, np.mean(apart, axis=0), atol=2e-6)
    assert np.ptp(apart, axis=0).max() > 0.01


def test_trees_that_travelled_state_what_they_stated_at_home(
    bagging: Bagging, grown: dict[str, bytes]
) -> None:
    from consilium.federated.sampling import seed_of
    from consilium.models import make_forecaster

    dataset, fold = bagging.datasets["d1"], bagging.folds["d1"]
    seed = seed_of(0, "bagging", "d1") % 2**31
    home: Any = make_forecaster(bagging.model, **OPTIONS, seed=seed)
    home.fit(
        dataset.inputs(fold.fit),
        dataset.y[fold.fit],
        validation=(dataset.inputs(fold.stop), dataset.y[fold.stop]),
    )
    away, _ = bagging.unite({"d1": grown["d1"]})
    rows = dataset.inputs(fold.test)
    expected = _margins(bagging.model, home.booster_, rows)
    np.testing.assert_array_equal(_margins(bagging.model, away.booster_, rows), expected)


@pytest.mark.promise("003", "Collaborative training of trading models: trees by bagging")
def test_a_union_is_stored_loaded_and_served_as_any_model(
    bagging: Bagging, grown: dict[str, bytes], tmp_path: Path
) -> None:
    union, _ = bagging.unite(grown)
    (series,) = sample_candles().series.values()
    trained = bagging.trained(union, {"X": series})
    save_artefact(tmp_path / "model", trained, ts_created=1, code_version="0")
    loaded = load_artefact(tmp_path / "model", expect_features=trained.feature_names)
    rows = bagging.datasets["d2"].inputs(bagging.folds["d2"].test)
    np.testing.assert_array_equal(loaded.predict(rows)[0], trained.predict(rows)[0])
    np.testing.assert_array_equal(loaded.model.forecaster.predict_proba(rows), union.predict_proba(rows))


def test_what_is_sent_holds_no_counts_and_no_ranges(grown: dict[str, bytes], bagging: Bagging) -> None:
    forest = Forest.from_bytes(grown["d0"], features=bagging.features)
    nodes = len(forest.feature)
    assert len(grown["d0"]) == len(MAGIC) + struct.calcsize("<BIIQ3d") + 8 * forest.trees + 20 * nodes


def test_junk_is_left_out_with_its_reason(bagging: Bagging, grown: dict[str, bytes]) -> None:
    good = grown["d0"]
    other = "lightgbm" if bagging.model == "xgboost" else "xgboost"
    swapped = bytearray(good)
    swapped[len(MAGIC)] ^= 1
    sent = {
        **grown,
        "empty": b"",
        "junk": b"x" * 500,
        "cut": good[:-3],
        "longer": good + b"0",
        "other": bytes(swapped),
    }
    union, refused = bagging.unite(sent)
    assert sorted(refused) == ["cut", "empty", "junk", "longer", "other"]
    assert f"trees must be of {bagging.model}; got {other}" in refused["other"]
    assert "must have its length" in refused["cut"]
    plain, _ = bagging.unite(grown)
    rows = bagging.datasets["d0"].inputs(bagging.folds["d0"].test)
    np.testing.assert_array_equal(union.predict_proba(rows), plain.predict_proba(rows))
    with pytest.raises(InvalidValue, match="a union needs >= 1 forest"):
        bagging.unite({"junk": b""})


def _forest(**changed: Any) -> Forest:
    given: dict[str, Any] = {
        "kind": "xgboost",
        "features": 2,
        "base": (0.0, 0.0, 0.0),
        "sizes": np.array([3, 1, 1]),
        "feature": np.array([1, -1, -1, -1, -1], dtype=np.int32),
        "value": np.array([0.5, 1.0, -1.0, 0.2, 0.3]),
        "left": np.array([1, 0, 0, 0, 0], dtype=np.int32),
        "right": np.array([2, 0, 0, 0, 0], dtype=np.int32),
    }
    return Forest(**{**given, **changed})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"feature": np.array([2, -1, -1, -1, -1], dtype=np.int32)},
            r"features of nodes must lie in \[-1, 2\)",
        ),
        ({"value": np.array([np.nan, 1.0, -1.0, 0.2, 0.3])}, "thresholds and leaves must be finite"),
        ({"value": np.array([0.5, 1e7, -1.0, 0.2, 0.3])}, "leaves must lie in"),
        ({"left": np.zeros(5, dtype=np.int32)}, "children must come after their parent"),
        ({"right": np.array([3, 0, 0, 0, 0], dtype=np.int32)}, "children must come after their parent"),
        ({"sizes": np.array([4, 1])}, "a forest must have 3 to 30,000 trees"),
        ({"sizes": np.array([3, 1, 2])}, "a forest must have its nodes"),
        ({"base": (np.inf, 0.0, 0.0)}, "margins before any tree must be finite"),
        ({"kind": "other"}, "a forest must be of xgboost or lightgbm"),
    ],
)
def test_a_forest_that_could_harm_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        _forest(**changed)


def test_random_bytes_are_refused_in_one_line() -> None:
    rng = np.random.default_rng(0)
    whole = _forest().to_bytes()
    refused: list[str] = []
    for _ in range(2000):
        bent = bytearray(whole)
        for place in rng.integers(0, len(bent), size=rng.integers(1, 6)):
            bent[place] = rng.integers(0, 256)
        try:
            forest = Forest.from_bytes(bytes(bent), features=2)
        except InvalidValue as error:
            refused.append(str(error))
        else:
            assert forest.trees == 3
    assert len(refused) > 1000
    assert not any("\n" in told for told in refused)


def test_forests_of_several_kinds_are_not_united() -> None:
    with pytest.raises(InvalidValue, match="forests must be of one kind"):
        united({"a": _forest(), "b": _forest(kind="lightgbm")})
