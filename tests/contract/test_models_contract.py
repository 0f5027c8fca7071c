"""One exam for every forecaster in the tables; a new model sits it by being listed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from consilium.domain import ArtefactRefused, Forecaster, InvalidValue, OutputProblem, UsageError, log_loss
from consilium.models import BASELINES, FALLBACKS, FORECASTERS, load_forecaster, make_forecaster
from consilium.models.layers.inputs import NotFitted
from consilium.models.layers.storage import STATE_FILE
from network_cases import SMALL_NETWORKS

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]

FEATURES = ("return_1", "rsi_14", "ema_10_gap", "ema_50_gap")
TRAINED = tuple(FORECASTERS | BASELINES)
LEARNERS = tuple(name for name in TRAINED if name != "prior")
EVERYONE = (*TRAINED, *FALLBACKS)

QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 15},
    "lightgbm": {"rounds": 15},
    "minirocket": {"window": 16, "num_features": 168},
    **SMALL_NETWORKS,
}
"""Small settings, so that the exam takes seconds."""


def make(name: str, seed: int = 3) -> Forecaster:
    try:
        return make_forecaster(name, feature_names=FEATURES, seed=seed, n_threads=1, **QUICK.get(name, {}))
    except UsageError as missing:
        if "consilium[torch]" not in str(missing):
            raise
        pytest.skip(str(missing))


def problem(model: Forecaster, n: int = 240, seed: int = 0) -> tuple[Rows, Labels]:
    """Three classes that show in the sign of return_1 and, within a window, in the pitch of a wave."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    X = 0.1 * rng.standard_normal((n, model.window, len(FEATURES)))
    X[:, :, 0] = (y - 1)[:, None] * rng.uniform(0.5, 1.5, (n, model.window))
    X[:, :, 1] += np.sin(np.arange(model.window) * (0.4 + 0.5 * y[:, None]))
    return (X[:, 0] if model.window == 1 else X), y


def require_distributions(p: NDArray[np.float64], n: int) -> None:
    assert p.shape == (n, 3)
    assert p.dtype == np.float64
    assert np.isfinite(p).all()
    assert (p > 0.0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("name", EVERYONE)
def test_it_is_a_forecaster_with_its_own_name(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    fitted = model.fit(X, y)
    assert fitted is model
    assert isinstance(fitted, Forecaster)
    assert fitted.name == name
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert fitted.n_features_in_ == len(FEATURES)


@pytest.mark.parametrize("name", EVERYONE)
def test_its_rows_are_distributions(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y)
    require_distributions(model.predict_proba(X), len(X))
    far, _ = problem(model, seed=1)
    require_distributions(model.predict_proba(1e6 * far), len(far))


@pytest.mark.parametrize("name", EVERYONE)
def test_no_rows_give_no_forecasts(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    assert model.fit(X, y).predict_proba(X[:0]).shape == (0, 3)
    assert model.predict(X[:0]).shape == (0,)


@pytest.mark.parametrize("name", EVERYONE)
def test_two_fits_of_one_seed_are_equal_bit_for_bit(name: str) -> None:
    one, two = make(name), make(name)
    X, y = problem(one)
    np.testing.assert_array_equal(one.fit(X, y).predict_proba(X), two.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("name", EVERYONE)
def test_a_row_alone_gets_the_forecast_it_gets_among_others(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    together = model.fit(X, y).predict_proba(X)
    alone = np.concatenate([model.predict_proba(X[i : i + 1]) for i in range(25)])
    np.testing.assert_array_equal(alone, together[:25])


@pytest.mark.parametrize("name", EVERYONE)
def test_it_survives_save_and_load_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    before = model.fit(X, y).predict_proba(X)
    model.save(tmp_path)
    loaded = type(model).load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X), before)
    np.testing.assert_array_equal(load_forecaster(tmp_path).predict_proba(X), before)
    assert loaded.get_params() == model.get_params()
    assert loaded.n_features_in_ == model.n_features_in_


@pytest.mark.parametrize("name", EVERYONE)
def test_a_saved_folder_holds_no_pickle(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y).save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".txt", ".npz", ".safetensors"}
    for path in tmp_path.glob("*.npz"):
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[key].dtype != object for key in archive.files)


@pytest.mark.parametrize("name", EVERYONE)
def test_any_file_cut_in_half_is_refused(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y).save(tmp_path)
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ArtefactRefused, match=path.name):
            type(model).load(tmp_path)
        path.unlink()
        with pytest.raises(ArtefactRefused, match=f"must hold {path.name}"):
            type(model).load(tmp_path)
        path.write_bytes(whole)
    np.testing.assert_array_equal(type(model).load(tmp_path).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", EVERYONE)
def test_a_changed_parameter_file_and_a_foreign_model_are_refused(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y).save(tmp_path)
    path = tmp_path / STATE_FILE
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "prior": [0.0, 0.0, 1.0]}))
    with pytest.raises(ArtefactRefused, match="SHA-256"):
        type(model).load(tmp_path)
    other = make("prior" if name != "prior" else "logistic")
    X, y = problem(other)
    other.fit(X, y).save(tmp_path)
    with pytest.raises(ArtefactRefused, match=f"must hold a model {name}"):
        type(model).load(tmp_path)


@pytest.mark.parametrize("name", EVERYONE)
def test_saving_into_a_missing_folder_says_so(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    with pytest.raises(OutputProblem, match="existing folder"):
        model.fit(X, y).save(tmp_path / "missing")


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("only", [0, 1, 2])
def test_one_class_in_training_gives_three_columns_and_a_finite_loss(
    name: str, only: int, tmp_path: Path
) -> None:
    model = make(name)
    X, y = problem(model)
    p = model.fit(X, np.full_like(y, only)).predict_proba(X)
    require_distributions(p, len(X))
    assert (p.argmax(axis=1) == only).all()
    assert (p[:, only] > 0.99).all()
    model.save(tmp_path)
    np.testing.assert_array_equal(type(model).load(tmp_path).predict_proba(X), p)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_an_absent_class_gets_a_small_probability_above_zero(name: str, absent: int, tmp_path: Path) -> None:
    model = make(name)
    X, y = problem(model)
    p = model.fit(X[y != absent], y[y != absent]).predict_proba(X)
    require_distributions(p, len(X))
    assert p[:, absent].max() < 0.05
    assert log_loss(p, np.full(len(X), absent)).max() < 15.0
    model.save(tmp_path)
    np.testing.assert_array_equal(type(model).load(tmp_path).predict_proba(X), p)


@pytest.mark.parametrize("name", TRAINED)
def test_constant_features_teach_nothing_but_the_prior(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    y[:60] = 2
    p = model.fit(np.ones_like(X), y).predict_proba(np.ones_like(X))
    np.testing.assert_allclose(p, np.tile(np.bincount(y) / len(y), (len(y), 1)), atol=0.02)


@pytest.mark.parametrize("name", EVERYONE)
def test_a_constant_number_shifted_by_rounding_does_no_harm(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    X[..., 3] = 0.1
    p = model.fit(X, y).predict_proba(X)
    shifted = X.copy()
    shifted[..., 3] = np.nextafter(0.1, 1.0)
    np.testing.assert_allclose(model.predict_proba(shifted), p, atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_a_plain_problem(name: str) -> None:
    model = make(name)
    X, y = problem(model, n=300)
    later, truth = problem(model, n=150, seed=9)
    model.fit(X, y)
    assert np.mean(model.predict(later) == truth) > 0.9
    assert log_loss(model.predict_proba(later), truth).mean() < 0.6


@pytest.mark.parametrize("name", TRAINED)
def test_a_row_of_weight_zero_is_as_if_absent(name: str) -> None:
    one, two = make(name), make(name)
    X, y = problem(one)
    wrong = np.concatenate([y, (y + 1) % 3])
    weights = np.concatenate([np.ones(len(y)), np.zeros(len(y))])
    heavy = one.fit(np.concatenate([X, X]), wrong, sample_weight=weights)
    np.testing.assert_array_equal(heavy.predict_proba(X), two.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("name", TRAINED)
def test_weights_move_the_forecast(name: str) -> None:
    light, heavy = make(name), make(name)
    X, y = problem(light)
    X = np.ones_like(X)
    p = light.fit(X, y).predict_proba(X[:1])
    q = heavy.fit(X, y, sample_weight=np.where(y == 2, 8.0, 1.0)).predict_proba(X[:1])
    assert abs(p[0, 2] - 1 / 3) < 0.02
    assert abs(q[0, 2] - 0.8) < 0.05


@pytest.mark.parametrize("name", TRAINED)
def test_a_validation_slice_is_taken_by_all(name: str) -> None:
    one, two = make(name), make(name)
    X, y = problem(one)
    later = problem(one, n=90, seed=5)
    p = one.fit(X, y, validation=later).predict_proba(X)
    require_distributions(p, len(X))
    np.testing.assert_array_equal(two.fit(X, y, validation=later).predict_proba(X), p)
    later[0][4, ..., 1] = np.nan
    with pytest.raises(InvalidValue, match="row 4"):
        make(name).fit(X, y, validation=later)


@pytest.mark.parametrize("name", EVERYONE)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_number_is_named_by_row_and_column(name: str, bad: float) -> None:
    model = make(name)
    X, y = problem(model)
    spoilt = X.copy()
    spoilt[7, ..., 2] = bad
    spoilt[9] = bad
    with pytest.raises(InvalidValue, match=rf"got {bad} in row 7.*, column 2:"):
        make(name).fit(spoilt, y)
    model.fit(X, y)
    with pytest.raises(InvalidValue, match=r"row 7.*, column 2:"):
        model.predict_proba(spoilt)


@pytest.mark.parametrize("name", EVERYONE)
def test_another_number_of_features_is_refused_with_both_numbers(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y)
    with pytest.raises(InvalidValue, match=r"(3 .* 4)|(4 .* 3)"):
        model.predict_proba(X[..., :3])


@pytest.mark.parametrize("name", EVERYONE)
def test_another_number_of_dimensions_is_refused(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    model.fit(X, y)
    wrong = X[0] if X.ndim == 2 else X[:, 0]
    with pytest.raises(InvalidValue, match="Reshape your data"):
        model.predict(wrong)


@pytest.mark.parametrize("name", TRAINED)
def test_forecasting_and_saving_before_fit_are_refused_with_the_cure(name: str, tmp_path: Path) -> None:
    model = make(name)
    X, _ = problem(model)
    with pytest.raises(NotFitted, match="call fit or load"):
        model.predict_proba(X)
    with pytest.raises(NotFitted, match="call fit"):
        model.save(tmp_path)


@pytest.mark.parametrize("name", TRAINED)
def test_labels_outside_the_three_directions_are_refused(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    y[3] = -1
    with pytest.raises(InvalidValue, match="got -1"):
        model.fit(X, y)


@pytest.mark.parametrize("name", EVERYONE)
def test_its_parameters_make_the_same_model_again(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    again = type(model)(**model.get_params())
    assert again.get_params() == model.get_params()
    twin = clone(model)
    np.testing.assert_array_equal(twin.fit(X, y).predict_proba(X), model.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("name", EVERYONE)
def test_it_does_not_change_its_input(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    kept, labels, weights = X.copy(), y.copy(), np.linspace(0.0, 2.0, len(y))
    frozen = weights.copy()
    model.fit(X, y, sample_weight=weights, validation=(X, y))
    model.predict_proba(X)
    np.testing.assert_array_equal(X, kept)
    np.testing.assert_array_equal(y, labels)
    np.testing.assert_array_equal(weights, frozen)


@pytest.mark.parametrize("name", EVERYONE)
def test_single_precision_input_is_taken(name: str) -> None:
    model = make(name)
    X, y = problem(model)
    X = X.astype(np.float32).astype(np.float64)
    p = model.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(X.astype(np.float32)), p, atol=1e-4)


@pytest.mark.parametrize("name", EVERYONE)
def test_it_says_how_many_rows_it_can_learn_from(name: str) -> None:
    most = type(make(name)).max_fit_rows  # type: ignore[attr-defined]
    assert most is None or most >= 1_000
