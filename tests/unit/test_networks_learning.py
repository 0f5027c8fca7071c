"""How networks learn: seeds, early stopping, several heads, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.domain import ArtefactRefused, InvalidValue, UnknownName
from consilium.models import FORECASTERS, make_forecaster
from consilium.models.layers.inputs import NotFitted
from consilium.models.layers.network.forecaster import WEIGHTS_FILE, NetworkForecaster
from consilium.models.layers.network.learning import (
    Diverged,
    Learnt,
    Lesson,
    Plan,
    _one_epoch,
    batch_loss,
    learn,
)
from consilium.models.layers.network.loss import LossWeights, multi_task_loss
from consilium.models.layers.network.module import Network
from consilium.models.layers.storage import STATE_FILE, read_state, write_state
from network_cases import SMALL_NETWORKS

NETWORKS = tuple(SMALL_NETWORKS)


def make(name: str, **params: Any) -> NetworkForecaster:
    made = make_forecaster(name, **{**SMALL_NETWORKS[name], **params})
    assert isinstance(made, NetworkForecaster)
    return made


def problem(
    model: NetworkForecaster, n: int = 160, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    return (y - 1)[:, None, None] + rng.standard_normal((n, model.window, 4)), y


def test_every_network_of_the_table_has_a_small_form_for_the_tests() -> None:
    listed = [name for name in FORECASTERS if isinstance(make_forecaster(name), NetworkForecaster)]
    assert sorted(listed) == sorted(NETWORKS)


@pytest.mark.promise("002", "networks: 50 epochs, patience 10, Adam 1e-3, batch 64, 120 steps")
@pytest.mark.promise(
    "004", "training: batch 32, lr 1e-4, weight decay 1e-5, 100 epochs, patience 10, accumulate 4"
)
def test_the_plans_are_those_of_the_documents() -> None:
    for name, window in (("nhits", 120), ("patchtst", 120)):
        expected = {
            "epochs": 50,
            "patience": 10,
            "learning_rate": 1e-3,
            "batch_size": 64,
            "weight_decay": 0.0,
        }
        params = make_forecaster(name).get_params()
        assert {key: params[key] for key in expected} == expected
        assert params["window"] == window
    for name, window in (("cnn_lstm", 60), ("mpd_transformer", 60), ("tlob", 100)):
        expected = {
            "epochs": 100,
            "patience": 10,
            "learning_rate": 1e-4,
            "batch_size": 32,
            "weight_decay": 1e-5,
        }
        params = make_forecaster(name).get_params()
        assert {key: params[key] for key in expected} == expected
        assert (params["window"], params["accumulate"], params["clip"]) == (window, 4, 1.0)
    assert LossWeights() == LossWeights(direction=1.0, confidence=0.5, expected_return=0.3)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_and_all_a_second_run_has_the_same_weights(name: str) -> None:
    kept = torch.get_rng_state()
    one, two = make(name, dropout=0.3), make(name, dropout=0.3)
    X, y = problem(one)
    one.fit(X, y)
    torch.rand(7)
    two.fit(X, y)
    assert one.learnt_ == two.learnt_
    for key, value in one.network_.state_dict().items():
        assert torch.equal(value, two.network_.state_dict()[key]), key
    other = make(name, dropout=0.3, seed=1).fit(X, y)
    assert other.learnt_ != one.learnt_
    torch.set_rng_state(kept)


def test_fitting_leaves_the_randomness_and_the_threads_of_torch_alone() -> None:
    model = make("nhits", n_threads=1)
    X, y = problem(model)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    model.fit(X, y).predict_proba(X)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.promise("004", "early stopping on a chronological validation slice; best checkpoint kept")
def test_the_best_epoch_on_the_later_slice_is_kept_and_training_stops_after_patience() -> None:
    model = make("mpd_transformer", epochs=60, patience=3, learning_rate=3e-3)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 8, 4)), np.arange(64) % 3
    later = rng.standard_normal((64, 8, 4)), np.arange(64) % 3
    model.fit(X, y, validation=later)
    losses = model.learnt_.validation_losses
    assert len(losses) < 60
    assert model.learnt_.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 3
    p = model.quantities(later[0])["direction"]
    kept = -np.log(p[np.arange(64), later[1]]).mean()
    assert kept == pytest.approx(min(losses), abs=1e-6)


def test_without_a_later_slice_all_epochs_are_run_and_the_last_is_kept() -> None:
    model = make("nhits", epochs=4)
    X, y = problem(model)
    model.fit(X, y)
    assert model.learnt_.best_epoch == len(model.learnt_.train_losses) == 4
    assert model.learnt_.validation_losses == ()
    assert model.learnt_.train_losses[-1] < model.learnt_.train_losses[0]


def test_before_any_step_a_network_says_about_the_class_shares() -> None:
    for name in NETWORKS:
        model = make(name, learning_rate=1e-12, epochs=1)
        X, _ = problem(model, n=200)
        y = np.repeat([0, 1, 2], [20, 60, 120])
        p = model.fit(X, y).predict_proba(X).mean(axis=0)
        np.testing.assert_allclose(p, [0.1, 0.3, 0.6], atol=0.07, err_msg=name)


@pytest.mark.promise("004", "accumulated gradients equal those of one larger batch")
@pytest.mark.parametrize(("batch_size", "accumulate", "steps"), [(40, 4, 1), (160, 1, 1), (40, 3, 2)])
def test_accumulated_batches_step_by_their_mean(batch_size: int, accumulate: int, steps: int) -> None:
    # Plain descent: Adam would hide a gradient that is four times too long.
    model = make("mpd_transformer", dropout=0.0)
    X, y = problem(model, n=160)
    lesson = Lesson(owner="x", inputs=X, targets={"direction": y}, weights=np.ones(160), validation=None)
    torch.manual_seed(0)
    network = model.build(model.config, 4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plan = Plan(batch_size=batch_size, accumulate=accumulate, clip=1e9)
    rate = 1e-3
    order = np.arange(160)
    _one_epoch(network, lesson, plan, torch.optim.SGD(network.parameters(), lr=rate), order)
    after = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(before)
    groups = [order] if steps == 1 else [order[:120], order[120:]]
    for rows in groups:
        network.zero_grad()
        torch.autograd.backward(batch_loss(network, lesson, rows))
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter.sub_(rate * parameter.grad)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0, msg=name)
    assert not torch.equal(after["cls"], before["cls"])


@pytest.mark.parametrize("name", ["cnn_lstm", "mpd_transformer"])
@pytest.mark.promise("004", "multi-task loss: direction 1.0, confidence 0.5, return 0.3")
def test_confidence_and_return_are_learnt_beside_the_direction(name: str) -> None:
    model = make(name, epochs=60, learning_rate=5e-3)
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    y = rng.integers(0, 3, 300)
    X = 0.1 * rng.standard_normal((300, model.window, 4))
    X[:, :, 0] += np.where(hard, 0.0, y - 1.0)[:, None]
    X[:, :, 1] += np.where(hard, 1.0, -1.0)[:, None]
    r = 0.02 * X[:, :, 2].mean(axis=1) + np.where(hard, 0.0, 0.01 * (y - 1.0))
    r[::7] = np.nan
    stated = model.fit(X, y, outcomes={"expected_return": r}).quantities(X)
    assert stated["confidence"][~hard].mean() > stated["confidence"][hard].mean() + 0.2
    known = np.isfinite(r)
    assert np.corrcoef(stated["expected_return"][known], r[known])[0, 1] > 0.8
    assert np.std(stated["expected_return"]) == pytest.approx(np.nanstd(r), rel=0.4)


def test_each_horizon_of_tlob_learns_its_own_outcomes() -> None:
    model = make("tlob", epochs=40)
    rng = np.random.default_rng(0)
    near, far = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    X = 0.2 * rng.standard_normal((200, model.window, 4))
    X[:, :, 0] += (near - 1.0)[:, None]
    X[:, :, 1] += (far - 1.0)[:, None]
    partly = np.where(rng.random(200) < 0.3, -1, far)
    stated = model.fit(X, near, outcomes={"direction_50": partly}).quantities(X)
    assert np.mean(stated["direction_30"].argmax(axis=1) == near) > 0.9
    assert np.mean(stated["direction_50"].argmax(axis=1) == far) > 0.9
    np.testing.assert_allclose(model.predict_proba(X), stated["direction_30"], atol=1e-3)


def test_the_loss_of_open_outcomes_and_of_another_heads_gradient_is_nothing() -> None:
    stated = {
        "direction": torch.zeros(2, 3, requires_grad=True),
        "confidence": torch.zeros(2, 1, requires_grad=True),
        "expected_return": torch.zeros(2, 1, requires_grad=True),
    }
    targets = {
        "direction": torch.tensor([2, -1]),
        "expected_return": torch.tensor([float("nan"), 2.0]),
    }
    loss = multi_task_loss(stated, targets, torch.ones(2), LossWeights())
    # Half of ln 3, half of ln 2 at 0.5, and half of 2^2 at 0.3.
    assert loss.item() == pytest.approx((np.log(3.0) + 0.5 * np.log(2.0) + 0.3 * 4.0) / 2.0, abs=1e-6)
    torch.autograd.backward(loss)
    for name, place in (("direction", 1), ("confidence", 1), ("expected_return", 0)):
        grad = stated[name].grad
        assert grad is not None
        assert torch.isfinite(grad).all()
        assert grad[place].abs().sum() == 0
        assert grad[1 - place].abs().sum() > 0


@pytest.mark.parametrize(
    ("outcomes", "error", "clue"),
    [
        ({"direction_10": np.zeros(160)}, UnknownName, "outcome must be one of direction, expected_return"),
        ({"confidence": np.zeros(160)}, UnknownName, "outcome must be one of"),
        ({"expected_return": np.zeros(3)}, InvalidValue, r"expected_return must have shape \(160,\)"),
        ({"expected_return": np.full(160, np.inf)}, InvalidValue, "finite or NaN; got inf"),
        ({"direction": np.full(160, 7)}, InvalidValue, "must be 0, 1, 2 or -1; got 7"),
    ],
)
def test_outcomes_that_no_head_can_learn_are_refused(
    outcomes: Any, error: type[Exception], clue: str
) -> None:
    model = make("cnn_lstm")
    X, y = problem(model)
    with pytest.raises(error, match=clue):
        model.fit(X, y, outcomes=outcomes)


def test_another_loop_may_take_over() -> None:
    seen: list[tuple[Network, Lesson, Plan]] = []

    def two_epochs(network: Network, lesson: Lesson, plan: Plan) -> Learnt:
        seen.append((network, lesson, plan))
        return learn(network, lesson, Plan(epochs=2, batch_size=plan.batch_size))

    model = make("nhits", epochs=30)
    X, y = problem(model)
    weights = np.linspace(0.0, 2.0, len(y))
    model.fit(X, y, sample_weight=weights, validation=(X, y), loop=two_epochs)
    assert len(model.learnt_.train_losses) == 2
    ((network, lesson, plan),) = seen
    assert network is model.network_
    assert plan.epochs == 30
    assert len(lesson.inputs) == len(lesson.weights) == len(y) - 1
    assert lesson.weights.mean() == pytest.approx(1.0)
    assert lesson.targets["direction"].tolist() == y[1:].tolist()
    assert not hasattr(model, "_asked")


@pytest.mark.parametrize("name", NETWORKS)
def test_too_few_rows_are_refused(name: str) -> None:
    model = make(name)
    X, y = problem(model, n=31)
    with pytest.raises(InvalidValue, match=rf"{name} needs at least 32 rows to learn from; got 31"):
        model.fit(X, y)


def test_a_window_of_another_length_is_refused() -> None:
    model = make("nhits")
    X, y = problem(model)
    with pytest.raises(InvalidValue, match="nhits reads windows of 8 rows; got shape"):
        model.fit(X[:, 1:], y)


def test_a_loss_that_is_not_finite_stops_and_names_the_rate_to_try() -> None:
    model = make("mpd_transformer", learning_rate=1e30, clip=1e30, epochs=5)
    X, y = problem(model)
    with pytest.raises(
        Diverged, match=r"must stay finite; got (nan|inf) in epoch \d at learning_rate 1e\+30"
    ) as stopped:
        model.fit(X, y)
    assert str(stopped.value).endswith("try learning_rate 1e+29")
    assert stopped.value.retry == pytest.approx(1e29)
    with pytest.raises(NotFitted):
        model.quantities(X)


def test_the_heads_of_a_network_that_was_taught_one_class_say_nothing() -> None:
    model = make("nhits")
    X, y = problem(model)
    model.fit(X, np.ones_like(y))
    with pytest.raises(NotFitted, match="fit on 2 classes"):
        model.quantities(X)


def test_a_refit_on_one_class_forgets_the_network() -> None:
    model = make("nhits")
    X, y = problem(model)
    model.fit(X, y)
    model.fit(X, np.ones_like(y))
    with pytest.raises(NotFitted):
        model.quantities(X)


@pytest.mark.promise("004", "a checkpoint of another configuration is refused")
def test_weights_of_another_configuration_are_refused_though_their_digest_is_right(tmp_path: Path) -> None:
    model = make("patchtst")
    X, y = problem(model)
    model.fit(X, y).save(tmp_path)
    content, files = read_state(tmp_path, "patchtst", (WEIGHTS_FILE,))
    content["params"]["ff_dim"] = 16
    body = {key: value for key, value in content.items() if key not in {"format", "files"}}
    write_state(tmp_path, body, files)
    with pytest.raises(ArtefactRefused, match=r"weights\.safetensors must fit the configuration of patchtst"):
        type(model).load(tmp_path)
    write_state(tmp_path, {**body, "params": model.get_params()}, {WEIGHTS_FILE: b"no tensors at all"})
    with pytest.raises(ArtefactRefused, match=r"weights\.safetensors"):
        type(model).load(tmp_path)
    assert (tmp_path / STATE_FILE).exists()


def test_what_it_learnt_survives_saving(tmp_path: Path) -> None:
    model = make("cnn_lstm")
    X, y = problem(model)
    r = 0.01 * X[:, :, 0].mean(axis=1)
    model.fit(X, y, validation=(X, y), outcomes={"expected_return": r}).save(tmp_path)
    loaded = type(model).load(tmp_path)
    assert loaded.learnt_ == model.learnt_
    for name, values in model.quantities(X).items():
        np.testing.assert_array_equal(loaded.quantities(X)[name], values)
