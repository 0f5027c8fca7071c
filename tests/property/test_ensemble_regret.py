"""Regret never exceeds the bound of the policy, at any prefix, on generated and on adversarial outcomes.

Regret is what the pool lost more than the best model (or the best sequence of models), measured on the pool's
own loss; for log-loss the pool is one of clipped forecasts, since clipping is no part of the game that the
theorem is about. The adversary sees weights and forecasts and chooses what comes so that the pool loses most
against the model that leads.
"""

import os
from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.domain import Direction
from consilium.ensemble import make_trust
from consilium.ensemble.trust.experts import ExpertPolicy
from trust_streams import generated, outcome, prediction

SEEDS = 40 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 5
NAMES = "abcdefg"
LN = np.log
Bound = Callable[[int, int, float], float]

BOUNDS: dict[str, Bound] = {
    "ewa_brier": lambda n, _t, _v: 2 * LN(n),
    "ewa_log": lambda n, _t, _v: LN(n),
    "adahedge": lambda n, _t, v: 2 * np.sqrt(v * LN(n)) + 4 / 3 * LN(n) + 2,
    "fixed_share": lambda n, t, _v: 2 * (LN(n) - (t - 1) * np.log1p(-1 / 500 + 1 / 500 / n)),
}
policies = pytest.mark.parametrize("name", sorted(BOUNDS))


def make(name: str, n: int, **options: object) -> ExpertPolicy:
    policy = make_trust(name, NAMES[:n], **options)
    assert isinstance(policy, ExpertPolicy)
    return policy


def heard(policy: ExpertPolicy, p: np.ndarray) -> np.ndarray:
    """Forecasts as the policy hears them."""
    return np.clip(p, 1e-3, 1.0 - 2e-3) if policy.name == "ewa_log" else p


class Ledger:
    """Plays rounds and keeps what the pool and each model have lost."""

    def __init__(self, policy: ExpertPolicy) -> None:
        self.policy = policy
        self.pool: list[float] = []
        self.models: list[np.ndarray] = []
        self.variance = 0.0

    def weights(self) -> np.ndarray:
        return np.array(list(self.policy.weights(self.policy.models).values()))

    def losses(self, p: np.ndarray, y: int) -> np.ndarray:
        return np.array([self.policy.loss((r[0], r[1], r[2]), y) for r in p.tolist()])

    def play(self, p: np.ndarray, y: int, w: np.ndarray | None = None) -> None:
        weights = self.weights() if w is None else w
        loss = self.losses(p, y)
        self.pool.append(float(self.losses((weights @ heard(self.policy, p))[None], y)[0]))
        self.models.append(loss)
        self.variance += float(weights @ (loss - weights @ loss) ** 2)

    def teach(self, ts: int, p: np.ndarray, y: int) -> None:
        spoken = [
            prediction(m, (r[0], r[1], r[2]), ts) for m, r in zip(self.policy.models, p.tolist(), strict=True)
        ]
        self.policy.learn(spoken, outcome=outcome(y, ts))

    @property
    def regret(self) -> float:
        return sum(self.pool) - float(np.sum(self.models, axis=0).min())


def greedy(ledger: Ledger, p: np.ndarray) -> int:
    """Choose what hurts the pool most against the model that would then lead."""
    w, past = ledger.weights(), np.sum(ledger.models, axis=0) if ledger.models else np.zeros(len(p))
    pain = [
        float(ledger.losses((w @ heard(ledger.policy, p))[None], y)[0])
        - float((past + ledger.losses(p, y)).min())
        for y in Direction
    ]
    return int(np.argmax(pain))


def check(ledger: Ledger, bound: Bound, rounds: Iterable[np.ndarray | tuple[np.ndarray, int]]) -> float:
    worst = -np.inf
    for t, one in enumerate(rounds):
        p, y = one if isinstance(one, tuple) else (one, greedy(ledger, one))
        ledger.play(p, y)
        ledger.teach(t, p, y)
        limit = bound(len(p), t + 1, ledger.variance)
        assert ledger.regret <= limit + 1e-9, f"round {t}: {ledger.regret} > {limit}"
        worst = max(worst, ledger.regret / limit)
    return worst


@policies
@pytest.mark.parametrize("n", [2, 7])
def test_regret_stays_below_the_bound_on_generated_outcomes(name: str, n: int) -> None:
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        check(Ledger(make(name, n)), BOUNDS[name], generated(rng, n, 400))


@policies
@pytest.mark.parametrize("n", [2, 7])
@pytest.mark.parametrize("kind", ["sharp", "vague", "opposed"])
def test_regret_stays_below_the_bound_against_a_greedy_adversary(name: str, n: int, kind: str) -> None:
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        if kind == "opposed":
            corners = np.eye(3)[np.arange(n) % 3] * 0.98 + 0.02 / 3
            rounds = [corners] * 300
        else:
            spread = 0.2 if kind == "sharp" else 3.0
            rounds = list(rng.dirichlet(np.full(3, spread), (300, n)))
        check(Ledger(make(name, n)), BOUNDS[name], rounds)


def test_the_bound_is_not_slack_by_orders_of_magnitude() -> None:
    corners = np.array([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    ledger = Ledger(make("ewa_log", 2))
    assert check(ledger, BOUNDS["ewa_log"], [(corners, 2)] * 50) > 0.99


@pytest.mark.parametrize("name", ["ewa_brier", "ewa_log"])
def test_with_a_prior_the_regret_against_each_model_is_that_of_its_share(name: str) -> None:
    prior = {"a": 0.7, "b": 0.2, "c": 0.1}
    factor = 2.0 if name == "ewa_brier" else 1.0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        ledger = Ledger(make(name, 3, prior=prior))
        for t, (p, y) in enumerate(generated(rng, 3, 300)):
            ledger.play(p, y)
            ledger.teach(t, p, y)
            against = sum(ledger.pool) - np.sum(ledger.models, axis=0)
            assert np.all(against <= -factor * LN(list(prior.values())) + 1e-9)


def best_sequences(losses: np.ndarray, most: int) -> np.ndarray:
    """Least loss of a sequence of models with 0 .. most switches, by dynamic programming."""
    table = np.full((most + 1, losses.shape[1]), np.inf)
    table[0] = 0.0
    for loss in losses:
        switched = np.vstack(
            [np.full(losses.shape[1], np.inf), np.repeat(table.min(axis=1)[:-1, None], losses.shape[1], 1)]
        )
        table = np.minimum(table, switched) + loss
    best: np.ndarray = np.minimum.accumulate(table.min(axis=1))
    return best


def test_fixed_share_keeps_its_bound_against_the_best_sequence_with_switches() -> None:
    n, alpha = 5, 1 / 500
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        ledger = Ledger(make("fixed_share", n))
        for t, (p, y) in enumerate(generated(rng, n, 400)):
            ledger.play(p, y)
            ledger.teach(t, p, y)
            if t % 20 != 19:
                continue
            k = np.arange(9)
            stay = -np.log1p(-alpha + alpha / n)
            bound = 2 * (LN(n) + k * LN(n / alpha) + (t - k) * stay)
            regret = sum(ledger.pool) - best_sequences(np.array(ledger.models), 8)
            assert np.all(regret <= bound + 1e-9)


@pytest.mark.parametrize("name", ["ewa_brier", "ewa_log"])
def test_models_that_sleep_keep_the_bound_over_the_rounds_they_spoke_in(name: str) -> None:
    n, factor = 5, 2.0 if name == "ewa_brier" else 1.0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        policy = make(name, n)
        against = np.zeros(n)
        for t, (p, y) in enumerate(generated(rng, n, 400)):
            awake = [i for i in range(n) if rng.random() < 0.6] or [0]
            said = {NAMES[i]: (p[i, 0], p[i, 1], p[i, 2]) for i in awake}
            weights = policy.weights(said)
            pooled = np.sum([weights[m] * heard(policy, np.array(q)) for m, q in said.items()], axis=0)
            lost = policy.loss((pooled[0], pooled[1], pooled[2]), y)
            against[awake] += lost - np.array([policy.loss(said[NAMES[i]], y) for i in awake])
            policy.learn([prediction(m, q, t) for m, q in said.items()], outcome=outcome(y, t))
            assert np.all(against <= factor * LN(n) + 1e-9)


@pytest.mark.parametrize("delay", [1, 3])
@policies
def test_under_delay_interleaved_copies_keep_the_bound_that_many_times(name: str, delay: int) -> None:
    n = 4
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        ledger = Ledger(make(name, n, interleave=delay + 1))
        open_rounds: list[tuple[int, np.ndarray, int]] = []
        for t, (p, y) in enumerate(generated(rng, n, 300)):
            ledger.play(p, y)
            open_rounds.append((t, p, y))
            if len(open_rounds) > delay:
                ledger.teach(*open_rounds.pop(0))
            each = -(-(t + 1) // (delay + 1))
            if name == "adahedge":
                # The sum of the copies' bounds is largest where they share the variance evenly.
                limit = (delay + 1) * BOUNDS[name](n, each, ledger.variance / (delay + 1))
            else:
                limit = (delay + 1) * BOUNDS[name](n, each, 0.0)
            assert ledger.regret <= limit + 1e-9


@st.composite
def near_ties(draw: st.DrawFn) -> list[list[float]]:
    """Losses of models that are apart by gaps from rounding up to a tenth, in runs."""
    n = draw(st.integers(2, 5))
    gaps = st.one_of(st.just(0.0), st.floats(-15.0, -1.0).map(lambda e: 10.0**e))
    runs = st.tuples(
        st.integers(1, 30),
        st.floats(0.0, 0.9),
        st.lists(gaps, min_size=n, max_size=n),
        st.permutations(range(n)),
    )
    rounds = []
    for count, base, apart, order in draw(st.lists(runs, min_size=1, max_size=6)):
        rounds += [[base + apart[i] for i in order]] * count
    return rounds


@given(rounds=near_ties())
@settings(max_examples=2_000 if SEEDS > 5 else 150, deadline=None)
def test_models_that_are_almost_equal_keep_the_bound_of_adahedge(rounds: list[list[float]]) -> None:
    n = len(rounds[0])
    policy = make("adahedge", n)
    lost, pool, variance = np.zeros(n), 0.0, 0.0
    for t, losses in enumerate(rounds):
        w, loss = np.array(list(policy.weights(NAMES[:n]).values())), np.array(losses)
        pool, lost = pool + float(w @ loss), lost + loss
        variance += float(w @ (loss - w @ loss) ** 2)
        policy.charge(t, dict(zip(NAMES, losses, strict=False)))
        assert pool - float(lost.min()) <= BOUNDS["adahedge"](n, t + 1, variance) + 1e-9


def gap_of_the_paper(rounds: list[list[float]]) -> float:
    """Return D after the rounds by the formulas of the paper, in sixty digits and without underflow."""
    with localcontext(prec=60, Emin=-(10**15), Emax=10**15):
        n, gap, nothing = len(rounds[0]), Decimal(0), Decimal(0)
        total = [nothing] * n
        for losses in rounds:
            now = [Decimal(loss) for loss in losses]
            after = [a + b for a, b in zip(total, now, strict=True)]
            eta = Decimal(n).ln() / gap if gap else None
            held = [(-eta * lost).exp() if eta else Decimal(lost == min(total)) for lost in total]
            mass = sum(held, nothing)
            left = sum([(-eta * lost).exp() for lost in after], nothing) if eta else nothing
            mix = (mass.ln() - left.ln()) / eta if eta else min(after) - min(total)
            gap += sum((v * loss for v, loss in zip(held, now, strict=True)), nothing) / mass - mix
            total = after
        return float(gap)


@pytest.mark.parametrize("apart", [2e-9, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("turn", [[0.317, 0.313], [0.9, 0.1], [0.313, 0.3130001]])
def test_a_model_whose_weight_is_too_small_for_a_float_counts_when_it_catches_up(
    apart: float, turn: list[float]
) -> None:
    rounds = [[0.3, 0.3 + apart]] * 60 + [[0.308, 0.313], turn, turn]
    policy = make("adahedge", 2)
    for t, (a, b) in enumerate(rounds):
        policy.charge(t, {"a": a, "b": b})
    assert policy.state()["copies"][0][-1] == pytest.approx(gap_of_the_paper(rounds), rel=1e-4)
