"""One exam for every server optimizer and every aggregator of the tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import InvalidValue, UnknownName, UsageError
from consilium.federated.aggregators import AGGREGATORS, make_aggregator
from consilium.federated.aggregators.mean import Mean
from consilium.federated.optimizers import OPTIMIZERS, make_optimizer
from consilium.federated.optimizers.fedadam import FedAdam
from consilium.federated.optimizers.fedavg import FedAvg
from consilium.federated.optimizers.optimizer import Optimizer

D = 7


@pytest.fixture(params=sorted(OPTIMIZERS))
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    return make_optimizer(request.param)


def _mean(optimizer: Optimizer, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=optimizer.parts * D)


def test_an_optimizer_is_known_by_its_name(optimizer: Optimizer) -> None:
    assert OPTIMIZERS[optimizer.name]
    assert optimizer.parts in (1, 2)


def test_a_step_moves_along_the_mean_and_leaves_what_it_was_given(optimizer: Optimizer) -> None:
    parameters, mean = np.arange(D, dtype=float), _mean(optimizer)
    state = optimizer.start(D)
    before = {name: value.copy() for name, value in state.items()}
    moved, later = optimizer.step(parameters, mean, state, share=0.5)
    assert moved.shape == (D,)
    assert np.all(np.sign(moved - parameters) == np.sign(mean[:D]))
    assert parameters.tolist() == list(range(D))
    assert set(later) == set(before)
    assert all(np.array_equal(state[name], before[name]) for name in before)
    assert all(value.shape == (D,) for value in later.values())


def test_a_mean_of_zero_moves_nothing_in_the_first_round(optimizer: Optimizer) -> None:
    moved, _ = optimizer.step(np.ones(D), np.zeros(optimizer.parts * D), optimizer.start(D))
    assert moved.tolist() == [1.0] * D


def test_the_same_rounds_give_the_same_bits(optimizer: Optimizer) -> None:
    ends = []
    for _ in range(2):
        parameters, state = np.ones(D), optimizer.start(D)
        for number in range(4):
            parameters, state = optimizer.step(parameters, _mean(optimizer, number), state, share=0.25)
        ends.append(parameters.tobytes())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_mean_that_is_not_finite_is_refused(optimizer: Optimizer, wrong: float) -> None:
    mean = _mean(optimizer)
    mean[3] = wrong
    with pytest.raises(InvalidValue, match=r"mean of .* must be finite; got .* at 3: leave out that update"):
        optimizer.step(np.ones(D), mean, optimizer.start(D))


def test_a_mean_of_another_length_is_refused(optimizer: Optimizer) -> None:
    with pytest.raises(InvalidValue, match=rf"mean of shape \({optimizer.parts * D},\); got \(3,\)"):
        optimizer.step(np.ones(D), np.ones(3), optimizer.start(D))


def test_parameters_that_would_overflow_are_refused(optimizer: Optimizer) -> None:
    fast = make_optimizer(optimizer.name, learning_rate=1.7e308)
    with np.errstate(over="ignore"), pytest.raises(InvalidValue, match="parameters must stay finite"):
        fast.step(np.full(D, 1.7e308), np.ones(fast.parts * D), fast.start(D))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_learning_rate_that_is_not_above_zero_is_refused(optimizer: Optimizer, rate: float) -> None:
    with pytest.raises(InvalidValue, match=r"learning_rate of .* must be finite and > 0"):
        make_optimizer(optimizer.name, learning_rate=rate)


def test_an_unknown_optimizer_or_setting_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'fedadam'"):
        make_optimizer("fedadm")
    with pytest.raises(UsageError, match=r"settings of fedavg must be those of its class; got .*mu"):
        make_optimizer("fedavg", mu=0.1)


# Oracles.


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 2**31)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_fedavg_is_the_plain_weighted_mean_bit_for_bit_in_the_order_of_ids(
    drawn: list[tuple[int, int]], shuffled: object
) -> None:
    ids = [f"desk-{number:02}" for number in range(len(drawn))]
    weights = np.array([float(weight) for weight, _ in drawn])
    updates = np.stack([np.random.default_rng(seed).normal(size=D) for _, seed in drawn])
    base = np.random.default_rng(0).normal(size=D)
    # By hand: one participant after the other, one parameter after the other.
    expected = []
    for place in range(D):
        total = whole = 0.0
        for row in range(len(ids)):
            total = total + float(weights[row]) * float(updates[row, place])
            whole = whole + float(weights[row])
        expected.append(float(base[place]) + total / whole)
    order = list(range(len(ids)))
    shuffled.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' own type
    mean = Mean()(updates[order], ids=[ids[row] for row in order], weights=weights[order])
    moved, _ = FedAvg().step(base, mean, {})
    assert moved.tolist() == expected


def test_fedadam_follows_the_paper_by_plain_loops() -> None:
    rate, b1, b2, tau = 0.05, 0.8, 0.95, 1e-2
    optimizer = FedAdam(learning_rate=rate, beta_1=b1, beta_2=b2, tau=tau)
    rng = np.random.default_rng(3)
    parameters, state = rng.normal(size=D), optimizer.start(D)
    x, m, v = parameters.tolist(), [0.0] * D, [tau * tau] * D
    for _ in range(6):
        mean = rng.normal(size=D)
        parameters, state = optimizer.step(parameters, mean, state)
        for j in range(D):
            m[j] = b1 * m[j] + (1 - b1) * mean[j]
            v[j] = b2 * v[j] + (1 - b2) * mean[j] * mean[j]
            x[j] = x[j] + rate * m[j] / (v[j] ** 0.5 + tau)
    np.testing.assert_allclose(parameters, x, rtol=1e-14)


def test_scaffold_with_controls_of_zero_is_fedavg() -> None:
    rng = np.random.default_rng(4)
    scaffold, average = make_optimizer("scaffold"), make_optimizer("fedavg")
    x = y = rng.normal(size=D)
    state = scaffold.start(D)
    for _ in range(3):
        mean = rng.normal(size=D)
        x, state = scaffold.step(x, np.concatenate([mean, np.zeros(D)]), state, share=0.3)
        y, _ = average.step(y, mean, {})
    assert x.tobytes() == y.tobytes()
    assert not state["control"].any()


def test_the_control_of_scaffold_follows_as_many_as_took_part() -> None:
    optimizer = make_optimizer("scaffold")
    _, state = optimizer.step(np.zeros(2), np.array([0.0, 0.0, 8.0, -4.0]), optimizer.start(2), share=0.25)
    assert state["control"].tolist() == [2.0, -1.0]
    with pytest.raises(InvalidValue, match=r"share must lie in \(0, 1\]; got 0"):
        optimizer.step(np.zeros(2), np.zeros(4), optimizer.start(2), share=0.0)


# Aggregators.


@pytest.mark.parametrize("name", sorted(AGGREGATORS))
def test_an_aggregator_ignores_the_order_bit_for_bit(name: str) -> None:
    rng = np.random.default_rng(5)
    updates, weights = rng.normal(size=(9, D)), rng.uniform(1.0, 5.0, size=9)
    ids = [f"p{number}" for number in range(9)]
    aggregator, results = make_aggregator(name), set()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(9)
        results.add(
            aggregator(updates[order], ids=[ids[row] for row in order], weights=weights[order]).tobytes()
        )
    assert len(results) == 1


@pytest.mark.parametrize("name", sorted(AGGREGATORS))
def test_an_aggregator_of_equal_updates_returns_them(name: str) -> None:
    updates = np.tile(np.arange(D, dtype=float), (5, 1))
    merged = make_aggregator(name)(updates, ids=list("abcde"), weights=np.arange(1.0, 6.0))
    np.testing.assert_allclose(merged, updates[0], rtol=1e-15)


@pytest.mark.parametrize("name", sorted(AGGREGATORS))
def test_an_aggregator_refuses_what_cannot_be_merged(name: str) -> None:
    aggregator, ones = make_aggregator(name), np.ones(2)
    with pytest.raises(InvalidValue, match="updates of shape"):
        aggregator(np.ones((0, D)), ids=[], weights=np.ones(0))
    with pytest.raises(InvalidValue, match="2 ids and weights"):
        aggregator(np.ones((2, D)), ids=["a"], weights=ones)
    with pytest.raises(InvalidValue, match="must differ"):
        aggregator(np.ones((2, D)), ids=["a", "a"], weights=ones)
    with pytest.raises(InvalidValue, match=r"weights of .* must be finite and > 0; got 0"):
        aggregator(np.ones((2, D)), ids=["a", "b"], weights=np.array([0.0, 1.0]))
    bad = np.ones((2, D))
    bad[1, 2] = np.nan
    with pytest.raises(InvalidValue, match="must be finite; got NaN or inf of b: leave it out"):
        aggregator(bad, ids=["a", "b"], weights=ones)
