"""What outcomes teach about the consensus: logistic fits, uniqueness, sets, each against a referee."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from consilium.domain import HOUR_NS, Direction, InvalidValue, from_iso
from consilium.ensemble import (
    Conformal,
    EnsembleService,
    Gates,
    MetaLabelling,
    Recalibration,
    reach_consensus,
    size_factor,
)
from consilium.ensemble.hindsight import Hindsight
from consilium.ensemble.meta_labelling import Situation, average_uniqueness, situation
from consilium.ensemble.newton import fit_logistic, sigmoid
from ensemble_cases import forecast
from trust_streams import outcome


def logistic_rows(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = (rng.random(n) < sigmoid(X @ np.array([1.0, -2.0, 0.5]) + 0.3)).astype(float)
    return X, y, rng.random(n) + 0.1


def test_newton_finds_what_scikit_learn_finds() -> None:
    X, y, w = logistic_rows(500)
    theirs = LogisticRegression(C=1 / 2.5, tol=1e-10, max_iter=1000).fit(X, y, sample_weight=w)
    ones = np.column_stack([np.ones(len(X)), X])
    mine = fit_logistic(ones, y, w, np.array([0.0, 2.5, 2.5, 2.5]), np.zeros(4))
    assert mine == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-6)


def test_newton_stands_still_at_the_least_of_its_objective() -> None:
    X, y, w = logistic_rows(200, seed=2)
    ridge, centre = np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.5, 1.0])
    b = fit_logistic(X, y, w, ridge, centre)
    slope = X.T @ (w * (sigmoid(X @ b) - y)) + ridge * (b - centre)
    assert np.abs(slope).max() < 1e-7


def test_newton_survives_a_perfect_separation() -> None:
    X = np.linspace(-1, 1, 50)[:, None] * 1e3
    b = fit_logistic(X, (X[:, 0] > 0).astype(float), np.ones(50), np.array([1e-3]), np.zeros(1))
    assert np.isfinite(b).all()
    assert b[0] > 0.0


def test_p_direction_is_the_pooled_one_until_200_outcomes_and_says_so() -> None:
    online = Recalibration()
    for i in range(199):
        online.learn(Direction.UP, 0.55, came=bool(i % 2))
    assert online.probability(Direction.UP, 0.55) == 0.55
    assert online.told(Direction.UP) == "not evaluated: pooled p, 199 of 200 outcomes"
    online.learn(Direction.UP, 0.55, came=True)
    assert online.told(Direction.UP) == "pass"
    assert online.told(Direction.DOWN) == "not evaluated: pooled p, 0 of 200 outcomes"
    assert online.probability(Direction.UP, 0.55) != 0.55


def test_a_timid_pool_is_made_calibrated_on_outcomes_to_come() -> None:
    rng = np.random.default_rng(3)
    online = Recalibration()
    errors: list[tuple[float, float]] = []
    for i in range(6000):
        true = rng.uniform(0.3, 0.9)
        pooled = float(sigmoid(np.array([0.5 * np.log(true / (1 - true)) - 0.1]))[0])
        came = bool(rng.random() < true)
        if i >= 1000:
            errors.append((abs(online.probability(Direction.DOWN, pooled) - true), abs(pooled - true)))
        online.learn(Direction.DOWN, pooled, came)
    recalibrated, before = np.mean(errors, axis=0)
    assert recalibrated < 0.025
    assert before > 0.08


def test_a_calibrated_pool_is_left_nearly_alone() -> None:
    rng = np.random.default_rng(4)
    online = Recalibration()
    for p in rng.uniform(0.3, 0.7, 4000).tolist():
        online.learn(Direction.UP, p, came=bool(rng.random() < p))
    grid = np.linspace(0.3, 0.7, 9).tolist()
    assert all(abs(online.probability(Direction.UP, p) - p) < 0.03 for p in grid)


def brute_uniqueness(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Walk over every unit of time."""
    open_now = np.zeros(int(end.max()) + 1)
    for a, b in zip(start, end, strict=True):
        open_now[a:b] += 1
    return np.array([np.mean(1 / open_now[a:b]) for a, b in zip(start, end, strict=True)])


def test_average_uniqueness_equals_counting_every_unit_of_time() -> None:
    rng = np.random.default_rng(5)
    start = rng.integers(0, 200, 80)
    end = start + rng.integers(1, 30, 80)
    mine = average_uniqueness(start, end)
    assert mine == pytest.approx(brute_uniqueness(start, end), rel=1e-12)
    assert average_uniqueness(np.array([3, 3]), np.array([3, 3])).tolist() == [1.0, 1.0]
    assert average_uniqueness(np.zeros(30, int), np.ones(30, int)).sum() == pytest.approx(1.0)


def at(rng: np.random.Generator) -> Situation:
    p = float(rng.uniform(0.35, 0.7))
    return situation(p, float(rng.choice([0.5, 1.0])), 1.0, (0.9 - p, 0.1, p), float(rng.uniform(0, 0.1)))


def taught(n: int, *, overlap: int = 1, seed: int = 6) -> tuple[MetaLabelling, np.random.Generator]:
    """Trades pay the more often the higher the volatility, whatever the pool says."""
    rng = np.random.default_rng(seed)
    meta = MetaLabelling(round_trip_cost=0.002)
    for i in range(n):
        of = at(rng)
        pays = rng.random() < 0.2 + 6.0 * of.volatility
        meta.learn(of, i * HOUR_NS, (i + overlap) * HOUR_NS, 0.01 if pays else 0.001)
    return meta, rng


def test_meta_confidence_is_p_direction_until_it_knows_and_says_so() -> None:
    meta, rng = taught(150)
    of = at(rng)
    assert meta.probability(of) == of.p_direction
    assert meta.told().startswith("not evaluated: p_direction, 150 of 200 effective outcomes, ")


def test_overlapping_outcomes_count_for_less() -> None:
    assert taught(1000)[0].told() == "pass"
    meta, _ = taught(1000, overlap=8)
    assert meta.told().startswith("not evaluated: p_direction, 126 of 200 effective outcomes")


def test_the_rarer_class_must_have_been_seen_too() -> None:
    meta = MetaLabelling()
    rng = np.random.default_rng(7)
    for i in range(1000):
        meta.learn(at(rng), i * HOUR_NS, (i + 1) * HOUR_NS, 0.01 if i % 25 == 0 else 0.0)
    assert meta.told() == (
        "not evaluated: p_direction, 1000 of 200 effective outcomes, 40 of 50 of the rarer class"
    )


def test_meta_labelling_learns_when_acting_pays() -> None:
    meta, rng = taught(4000)
    wrong = []
    for _ in range(200):
        of = at(rng)
        wrong.append(abs(meta.probability(of) - (0.2 + 6.0 * of.volatility)))
    assert np.mean(wrong) < 0.06
    unknown = at(rng)._replace(volatility=float("nan"))
    assert 0.3 < meta.probability(unknown) < 0.7


def test_a_gain_below_the_cost_does_not_pay() -> None:
    meta = MetaLabelling(round_trip_cost=0.01)
    rng = np.random.default_rng(8)
    for i in range(600):
        meta.learn(at(rng), i * HOUR_NS, (i + 1) * HOUR_NS, 0.009 if i % 3 else 0.02)
    assert meta.probability(at(rng)) == pytest.approx(1 / 3, abs=0.12)


def brute_conformal(
    said: list[tuple[float, float, float]],
    came: list[int],
    alpha: float,
    gamma: float,
    window: int,
    warm: int,
) -> list[tuple[int, ...] | None]:
    level = alpha
    scores: list[float] = []
    sets: list[tuple[int, ...] | None] = []
    for p, y in zip(said, came, strict=True):
        if len(scores) < warm:
            sets.append(None)
        else:
            past = np.sort(scores[-window:])
            rank = int(np.ceil((len(past) + 1) * (1 - level) - 1e-9))
            limit = -np.inf if rank < 1 else np.inf if rank > len(past) else past[rank - 1] + 1e-12
            now = tuple(k for k in range(3) if 1.0 - p[k] <= limit)
            sets.append(now)
            level += gamma * (alpha - (y not in now))
        scores.append(1.0 - p[y])
    return sets


def test_conformal_sets_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(9)
    said = [tuple(row) for row in rng.dirichlet((2.0, 2.0, 2.0), 600).tolist()]
    came = [int(rng.choice(3, p=p)) for p in said]
    gate = Conformal(alpha=0.3, gamma=0.02, window=150, warm_up=40)
    sets: list[tuple[int, ...] | None] = []
    for i, (p, y) in enumerate(zip(said, came, strict=True)):
        now = gate.set_of("BTCUSDT", p)
        sets.append(None if now is None else tuple(int(k) for k in now))
        gate.learn("BTCUSDT", i * HOUR_NS, now, p, Direction(y))
    assert sets == brute_conformal(said, came, 0.3, 0.02, 150, 40)
    assert {len(s) for s in sets if s is not None} >= {1, 2}


@pytest.mark.parametrize("delay", [0, 5])
def test_coverage_holds_even_where_forecasts_turn_worthless(delay: int) -> None:
    rng = np.random.default_rng(10)
    gate, alpha, missed, waiting = Conformal(alpha=0.2, warm_up=50), 0.2, [], []
    for i in range(4000):
        p = tuple(rng.dirichlet((0.5, 0.5, 0.5)).tolist())
        y = Direction(int(rng.choice(3, p=p) if i < 2000 else np.argmin(p)))
        now = gate.set_of("BTCUSDT", p)
        waiting.append((i * HOUR_NS, now, p, y))
        if len(waiting) > delay:
            ts, said, q, end = waiting.pop(0)
            gate.learn("BTCUSDT", ts, said, q, end)
            if said is not None:
                missed.append(end not in said)
                bound = (0.8 + (delay + 1) * 0.005) / (0.005 * len(missed))
                assert abs(np.mean(missed) - alpha) <= bound + 1e-12
    assert np.mean(missed) == pytest.approx(0.2, abs=0.045)


def test_the_gate_opens_for_a_single_direction_to_trade_only() -> None:
    gate = Conformal(warm_up=3)
    assert gate.verdict("BTCUSDT", Direction.UP, None) == "not evaluated: 0 of 3 outcomes of BTCUSDT"
    assert gate.verdict("BTCUSDT", Direction.UP, (Direction.UP,)) == "pass"
    assert gate.verdict("BTCUSDT", Direction.DOWN, (Direction.DOWN,)) == "pass"
    assert gate.verdict("BTCUSDT", Direction.FLAT, (Direction.FLAT,)).startswith("not_singleton")
    assert gate.verdict("BTCUSDT", Direction.UP, (Direction.DOWN,)) == (
        "not_singleton: the set at 80% holds DOWN"
    )
    assert gate.verdict("BTCUSDT", Direction.UP, ()) == "not_singleton: the set at 80% holds nothing"


def test_coverage_and_singletons_are_told_by_month() -> None:
    gate = Conformal(warm_up=2, alpha=0.5)
    january, february = from_iso("2024-01-31"), from_iso("2024-02-01")
    for i in range(6):
        p = (0.1, 0.1, 0.8)
        ts = january if i < 4 else february
        gate.learn("BTCUSDT", ts, gate.set_of("BTCUSDT", p), p, Direction.UP if i != 5 else Direction.DOWN)
    assert [tuple(month) for month in gate.by_month()] == [
        ("2024-01", 2, 1.0, 1.0),
        ("2024-02", 2, 0.5, 1.0),
    ]


@pytest.mark.parametrize("part", [Recalibration, MetaLabelling, Conformal])
def test_a_damaged_state_is_refused(part: Any) -> None:
    for damaged in ({}, {"seen": 1}, {"trades": [1]}, {"symbols": {"a": 1}}):
        with pytest.raises(InvalidValue, match="restore a whole state"):
            part().restore(damaged)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        (Recalibration, {"ridge": 0.0}),
        (Recalibration, {"window": 10}),
        (Recalibration, {"refit_every": 0}),
        (MetaLabelling, {"round_trip_cost": -0.1}),
        (MetaLabelling, {"ridge": 0.0}),
        (MetaLabelling, {"window": 10}),
        (MetaLabelling, {"refit_every": 0}),
        (Conformal, {"alpha": 1.0}),
        (Conformal, {"gamma": 0.0}),
        (Conformal, {"warm_up": 0}),
    ],
)
def test_a_wrong_setting_is_refused(part: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValue):
        part(**wrong)


def play(service: EnsembleService, rounds: int, seed: int = 11) -> list[Any]:
    """Forecasts that are calibrated each, so that their mean is too timid."""
    rng = np.random.default_rng(seed)
    told: list[Any] = []
    for ts in range(0, rounds * HOUR_NS, HOUR_NS):
        y = int(rng.integers(3))
        for m in ("a", "b"):
            p = np.full(3, 0.2)
            p[y if rng.random() < 0.6 else int(rng.integers(3))] = 0.6
            told += service.handle(forecast(m, tuple((p / p.sum()).tolist()), ts_event=ts))
        service.handle(outcome(y, ts))
    return told


def test_the_service_recalibrates_and_models_what_pays() -> None:
    service = EnsembleService(("a", "b"), rule="weighted_voting", conformal=0.4)
    told = play(service, 1500)
    first, last = told[0], told[-1]
    assert first.gates["p_direction"] == "not evaluated: pooled p, 0 of 200 outcomes"
    assert first.gates["conformal"] == "not evaluated: 0 of 100 outcomes of BTCUSDT"
    assert first.p_direction == pytest.approx(first.probabilities[first.direction])
    sided = [c for c in told[-200:] if c.direction is not Direction.FLAT]
    assert {c.gates["p_direction"] for c in sided} == {c.gates["meta_confidence"] for c in sided} == {"pass"}
    assert all(c.p_direction > c.probabilities[c.direction] + 0.1 for c in sided if c.agreement == 1.0)
    assert last.gates["conformal"] == "pass" or last.gates["conformal"].startswith("not_singleton")
    conformal = service.hindsight(HOUR_NS, "l1").conformal
    assert conformal is not None
    months = conformal.by_month()
    judged = sum(month.outcomes for month in months)
    assert judged == 1400
    assert sum(m.coverage * m.outcomes for m in months) / judged == pytest.approx(0.6, abs=0.03)
    assert all(month.singletons > 0.3 for month in months)


def test_a_note_about_what_is_not_learned_holds_nothing_back_even_under_strict() -> None:
    spoken = [forecast(m, (0.1, 0.1, 0.8)) for m in "ab"]
    strict = reach_consensus(spoken, gates=Gates.seed(strict=True), volatility=0.01, hindsight=Hindsight())
    assert strict.actionable
    gated = reach_consensus(
        spoken, gates=Gates.seed(strict=True), volatility=0.01, hindsight=Hindsight(conformal={})
    )
    assert gated.reason == "not_evaluated"


def test_meta_confidence_decides_at_break_even_and_shrinks_the_position() -> None:
    hindsight = Hindsight(round_trip_cost=0.002)
    assert hindsight.meta is not None
    rng = np.random.default_rng(12)
    for i in range(1000):
        hindsight.meta.learn(at(rng), i * HOUR_NS, (i + 1) * HOUR_NS, 0.01 if rng.random() < 0.3 else -0.01)
    spoken = [forecast(m, (0.2, 0.1, 0.7)) for m in "ab"]
    gates = Gates.edge(mean_up=0.02, mean_down=-0.02, mean_gain=0.01, mean_loss=0.01)
    plain = reach_consensus(spoken, gates=gates)
    assert (plain.actionable, size_factor(plain)) == (True, 1.0)
    wary = reach_consensus(spoken, gates=gates, hindsight=hindsight)
    assert wary.reason == "below_break_even"
    assert wary.p_direction == plain.p_direction
    assert wary.meta_confidence == pytest.approx(0.3, abs=0.1)
    assert size_factor(wary) == pytest.approx(wary.meta_confidence / 0.7)


def test_hindsight_of_what_never_matures_is_bounded() -> None:
    service = EnsembleService(("a",), capacity=10)
    for ts in range(100):
        service.handle(forecast("a", (0.1, 0.2, 0.7), ts_event=ts))
    assert len(service.hindsight(HOUR_NS, "l1").state()["waiting"]) == 10


def test_an_outcome_teaches_nothing_about_consensuses_before_it_came() -> None:
    """The future is not seen: a run that is cut short says what the whole run said until then."""
    whole = play(EnsembleService(("a", "b"), conformal=0.4), 800)
    cut = play(EnsembleService(("a", "b"), conformal=0.4), 500)
    assert whole[:500] == cut
    json.dumps([dict(c.gates) for c in cut[-1:]])
