"""What participants train: splits, gradients, local rules, and networks through the one trainer."""

import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import InvalidValue, UnknownName, UsageError
from consilium.federated.learner import Learner, clip_to
from consilium.federated.local import LocalPlan, LocalRule
from consilium.federated.sampling import version_of
from consilium.federated.tasks import task_class
from consilium.federated.tasks.digits import HELD_OUT, Digits
from consilium.federated.tasks.partition import dirichlet_parts
from consilium.market.sources import sample_candles
from federated_cases import terms_of

pytest.importorskip("torch")


@given(
    st.integers(1, 12), st.floats(0.01, 100.0), st.integers(0, 2), st.integers(0, 2**31), st.integers(30, 90)
)
def test_every_row_belongs_to_exactly_one_participant(
    count: int, alpha: float, least: int, seed: int, rows: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, size=rows)
    names = [f"p{number}" for number in range(count)]
    parts = dirichlet_parts(labels, names, alpha=alpha, least=least, seed=seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(rows))
    assert min(len(part) for part in parts.values()) >= least


def test_a_small_alpha_gives_participants_of_few_classes() -> None:
    labels = np.repeat(np.arange(10), 200)
    names = [f"p{number}" for number in range(10)]
    spread = []
    for alpha in (0.05, 100.0):
        parts = dirichlet_parts(labels, names, alpha=alpha, least=20, seed=1)
        shares = [np.bincount(labels[rows], minlength=10).max() / len(rows) for rows in parts.values()]
        spread.append(float(np.mean(shares)))
    assert spread[0] > 0.5 > 0.2 > spread[1]
    with pytest.raises(InvalidValue, match="10 participants need 201 of the rows each; got 2000 rows"):
        dirichlet_parts(labels, names, alpha=1.0, least=201)


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_gradient_of_digits_is_that_of_its_loss(hidden: int) -> None:
    task = Digits(participants=3, hidden=hidden)
    rng = np.random.default_rng(0)
    parameters = task.initial() + 0.05 * rng.normal(size=task.dimension)
    rows = np.arange(20)
    gradient = task.gradient(parameters, rows)
    for _ in range(8):
        direction = rng.normal(size=task.dimension)
        step = 1e-6 * direction
        slope = (task.loss(parameters + step, rows) - task.loss(parameters - step, rows)) / 2e-6
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-4, abs=1e-6)


def test_training_is_the_same_for_a_seed_and_leaves_the_base_alone() -> None:
    task = Digits(participants=3, hidden=0)
    base = task.initial()
    kept = base.copy()
    rule, plan = LocalRule(base=base), LocalPlan(epochs=1)
    first, again, other = (
        task.train("p00001", base, plan=plan, rule=rule, seed=s).parameters for s in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert base.tobytes() == kept.tobytes()


def test_fedprox_pulls_towards_the_model_of_the_round() -> None:
    task = Digits(participants=4, alpha=0.1, hidden=0)
    base, plan = task.initial(), LocalPlan(epochs=5, learning_rate=0.01)
    lengths = [
        float(
            np.linalg.norm(
                task.train(
                    "p00002", base, plan=plan, rule=LocalRule(base=base, prox_mu=mu), seed=0
                ).parameters
                - base
            )
        )
        for mu in (0.0, 0.1, 10.0)
    ]
    assert lengths[0] > lengths[1] > 3 * lengths[2]


def test_a_correction_is_added_to_every_gradient_and_not_to_the_mean_of_plain_ones() -> None:
    task = Digits(participants=3, hidden=0)
    base, plan = task.initial(), LocalPlan(epochs=1, batch_size=10_000)
    push = np.zeros(task.dimension)
    push[7] = 100.0
    plain = task.train("p00000", base, plan=plan, rule=LocalRule(base=base), seed=0)
    pushed = task.train("p00000", base, plan=plan, rule=LocalRule(base=base, correction=push), seed=0)
    assert plain.steps == pushed.steps == 1
    np.testing.assert_array_equal(plain.mean_gradient, pushed.mean_gradient)
    assert pushed.parameters[7] < base[7]
    changed = np.flatnonzero(plain.parameters != pushed.parameters)
    assert set(changed.tolist()) <= {7}


def test_what_digits_does_not_know_is_refused() -> None:
    task = Digits(participants=2, hidden=0)
    base = task.initial()
    with pytest.raises(UnknownName, match="participant must be one of p00000, p00001; got 'p9'"):
        task.train("p9", base, plan=LocalPlan(), rule=LocalRule(base=base), seed=0)
    with pytest.raises(InvalidValue, match=r"parameters of digits must have shape \(650,\); got \(3,\)"):
        task.evaluate(np.zeros(3))
    with pytest.raises(InvalidValue, match="parameters of digits must be finite"):
        task.evaluate(np.full(650, np.nan))
    with pytest.raises(
        InvalidValue, match="1438 participants need 1 of the rows each; got 1437 rows: ask fewer"
    ):
        Digits(participants=1438)
    with pytest.raises(UnknownName, match="task must be one of candles, digits"):
        task_class("words")
    assert HELD_OUT == 360
    for wrong in ({"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}):
        with pytest.raises(InvalidValue):
            LocalPlan(**wrong)


def test_an_update_is_clipped_to_the_bound_and_says_so() -> None:
    task = Digits(participants=3, hidden=0)
    base = task.initial()
    for clip, inside in ((1e-3, False), (1e3, True)):
        learner = Learner("p00001", task, terms_of(clip=clip))
        update, within = learner.update(1, base, version_of(base), {}, clip=clip)
        assert within is inside
        assert np.linalg.norm(update.delta) <= clip * (1 + 1e-12)
        assert update.num_examples == task.examples("p00001")
    shorter, within = clip_to(np.full(4, 1e200), 1.0)
    assert not within
    assert np.linalg.norm(shorter) == pytest.approx(1.0)


def test_controls_are_clipped_with_the_update_as_one_vector() -> None:
    task = Digits(participants=3, hidden=0)
    base = task.initial()
    learner = Learner("p00001", task, terms_of(optimizer="scaffold", clip=0.01))
    state = learner.optimizer.start(task.dimension)
    update, _ = learner.update(1, base, version_of(base), state, clip=0.01)
    assert update.delta.shape == (2 * task.dimension,)
    assert np.linalg.norm(update.delta) <= 0.01 * (1 + 1e-12)
    assert np.linalg.norm(update.delta[task.dimension :]) > 0.0
    learner.settle(1, counted=True)
    np.testing.assert_array_equal(learner.control, update.delta[task.dimension :])


@cache
def _candles(stride: int = 8) -> "object":
    from consilium.federated.tasks.candles import Candles

    (series,) = sample_candles().series.values()
    half = len(series) // 2
    panels = {"left": {"X": series.slice(0, half)}, "right": {"X": series.slice(half, len(series))}}
    return Candles(panels, sizes={"window": 8, "hidden_size": 16, "num_blocks": 1}, stride=stride)


def test_a_network_is_taught_by_the_one_trainer_from_shared_parameters() -> None:
    from consilium.federated.tasks.candles import Candles
    from consilium.models import make_forecaster
    from consilium.training.network.loop import TrainingLoop
    from consilium.training.teaching import Teaching

    task = _candles()
    assert isinstance(task, Candles)
    base, plan = task.initial(), LocalPlan(epochs=2)
    trained = task.train("left", base, plan=plan, rule=LocalRule(base=base), seed=5)
    # The same by hand: the zoo's own fit, from a network whose first weights are those of the round.
    local = task.local("left")
    by_hand = make_forecaster(
        "nhits", window=8, hidden_size=16, num_blocks=1, epochs=2, batch_size=32, seed=5
    )
    seen = []

    def loop(network: object, lesson: object, asked: object) -> object:
        from consilium.federated.tasks.network import flat, load_flat

        load_flat(network, base)  # type: ignore[arg-type]
        learnt = TrainingLoop(Teaching(device="cpu"))(network, lesson, asked)  # type: ignore[arg-type]
        seen.append(flat(network))  # type: ignore[arg-type]
        return learnt

    windows = local.table.of_rows(local.fit)
    by_hand.fit(windows, local.dataset.y[local.fit], loop=loop)  # type: ignore[arg-type, call-arg]
    assert trained.parameters.tobytes() == seen[0].tobytes()
    assert trained.steps == 2 * -(-len(local.fit) // 32)
    assert np.linalg.norm(trained.mean_gradient) > 0.0


def test_the_local_rule_reaches_a_networks_gradients() -> None:
    from consilium.federated.tasks.candles import Candles

    task = _candles()
    assert isinstance(task, Candles)
    base, plan = task.initial(), LocalPlan(epochs=2)
    free = task.train("left", base, plan=plan, rule=LocalRule(base=base), seed=5)
    held = task.train("left", base, plan=plan, rule=LocalRule(base=base, prox_mu=1000.0), seed=5)
    # Adam's steps have about one length whatever the gradient: a strong pull turns them round.
    assert np.linalg.norm(held.parameters - base) < 0.7 * np.linalg.norm(free.parameters - base)
    # The rule ends with its training: it must not stand before the steps of any other optimizer.
    assert not sys.modules["torch.optim.optimizer"].__dict__["_global_optimizer_pre_hooks"]
    assert free.performance is not None
    assert set(task.evaluate(free.parameters)) == {"accuracy", "log_loss"}


def test_what_is_no_network_is_not_averaged() -> None:
    from consilium.federated.tasks.candles import Candles

    (series,) = sample_candles().series.values()
    with pytest.raises(
        InvalidValue, match="a task on candles trains a network; got xgboost: use nhits; trees are"
    ):
        Candles({"a": {"X": series}}, model="xgboost")
    with pytest.raises(UsageError, match="sizes of nhits must be its own; got nhits has no parameter depth"):
        Candles({"a": {"X": series}}, sizes={"depth": 3})
