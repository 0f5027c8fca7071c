"""Stated confidence, abstention, ranking, diversity: against peers, plain loops and planted truth."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from consilium.domain import InvalidValue
from consilium.training.judge import (
    binomial_interval,
    coverage_against_accuracy,
    effective_models,
    icir,
    information_by_timestamp,
    power_table,
    recalibration,
    rejection_rate,
)

Floats = NDArray[np.float64]
TS = np.arange(2_000)


def stated(slope: float, intercept: float, seed: int = 0) -> tuple[Floats, NDArray[np.bool_]]:
    """Confidences whose truth lies at the given slope and intercept."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 0.95, size=len(TS))
    odds = intercept + slope * np.log(confidence / (1 - confidence))
    return confidence, rng.uniform(size=len(TS)) < 1 / (1 + np.exp(-odds))


def test_slope_and_intercept_are_those_of_scikit_learn() -> None:
    confidence, right = stated(0.6, -0.2)
    odds = np.log(confidence / (1 - confidence))[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1_000).fit(odds, right)
    found = recalibration(confidence, right, TS, horizon_bars=1, seed=0, draws=50)
    assert found["slope"].value == pytest.approx(peer.coef_[0, 0], abs=1e-5)
    assert found["intercept"].value == pytest.approx(peer.intercept_[0], abs=1e-5)


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = {"slope": 0, "intercept": 0}
    for world in range(60):
        confidence, right = stated(0.7, 0.1, seed=world)
        found = recalibration(confidence, right, TS, horizon_bars=1, seed=world, draws=300)
        for name, truth in (("slope", 0.7), ("intercept", 0.1)):
            low, high = found[name].low, found[name].high
            assert low is not None
            assert high is not None
            held[name] += low <= truth <= high
    assert min(held.values()) >= 53


def test_the_interval_is_as_wide_as_the_error_of_maximum_likelihood() -> None:
    linear: Any = pytest.importorskip("statsmodels.api")
    confidence, right = stated(0.7, 0.1)
    odds = np.log(confidence / (1 - confidence))
    errors = linear.Logit(right.astype(float), linear.add_constant(odds)).fit(disp=0).bse
    found = recalibration(confidence, right, TS, horizon_bars=1, seed=0)
    for name, error in (("intercept", errors[0]), ("slope", errors[1])):
        low, high = found[name].low, found[name].high
        assert low is not None
        assert high is not None
        assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize(
    ("confidence", "right", "reason"),
    [
        ([0.6] * 200, [True, False] * 100, "constant confidence"),
        ([0.6, 0.7] * 100, [True] * 200, "always right"),
        ([0.6, 0.7] * 100, [False] * 200, "never right"),
        ([0.4, 0.7] * 100, [False, True] * 100, "confidence separates right from wrong"),
        ([], [], "no outcomes"),
    ],
)
def test_what_has_no_slope_says_why(confidence: list[float], right: list[bool], reason: str) -> None:
    found = recalibration(confidence, right, np.arange(len(right)), horizon_bars=1, seed=0)
    assert found["slope"].value is None
    assert found["slope"].reason == found["intercept"].reason == reason


def test_certainty_is_clipped_and_few_outcomes_have_no_interval() -> None:
    confidence, right = stated(1.0, 0.0)
    sure = np.where(np.arange(len(right)) < 10, 1.0, confidence)
    found = recalibration(sure, right, TS, horizon_bars=24, seed=0)
    assert found["slope"].value is not None
    assert found["slope"].low is None
    assert found["slope"].reason == "too few independent outcomes"


def test_confidences_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"confidence must lie in \[0, 1\]"):
        recalibration([60.0], [True], [0], horizon_bars=1, seed=0)
    with pytest.raises(InvalidValue, match="one shape"):
        recalibration([0.6], [True, False], [0], horizon_bars=1, seed=0)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1"):
        recalibration([0.6], [True], [0], horizon_bars=0, seed=0)


def test_the_curve_is_the_mean_of_the_most_confident() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=400)
    right = rng.uniform(size=400) < confidence
    curve = coverage_against_accuracy(confidence, right, points=10)
    for share, accuracy, threshold in zip(curve.coverage, curve.accuracy, curve.threshold, strict=True):
        best = np.sort(confidence)[::-1][: round(share * 400)]
        assert threshold == best[-1]
        assert accuracy == pytest.approx(right[confidence >= threshold].mean())
    assert curve.accuracy[0] > 0.85 > curve.accuracy[-1]
    assert curve.area is not None
    assert curve.area > curve.accuracy[-1]


def test_equal_confidence_gains_nothing_by_silence_whatever_the_order() -> None:
    right = np.arange(100) < 60
    curve = coverage_against_accuracy(np.full(100, 0.6), right, points=5)
    assert curve.accuracy == pytest.approx([0.6] * 5)
    assert curve.as_dict()["coverage"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_short_curve_has_one_point_for_each_row_and_an_empty_one_none() -> None:
    assert coverage_against_accuracy([0.5, 0.9, 0.7], [True, True, False]).coverage == pytest.approx(
        [1 / 3, 2 / 3, 1]
    )
    assert coverage_against_accuracy([], []).area is None
    with pytest.raises(InvalidValue, match="points must be >= 1"):
        coverage_against_accuracy([0.5], [True], points=0)
    with pytest.raises(InvalidValue, match="must be finite"):
        coverage_against_accuracy([np.nan], [True])


def test_the_ic_of_each_time_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    ts = rng.integers(60, size=700)
    score, returns = rng.integers(5, size=700).astype(float), rng.normal(size=700).round(1)
    times, ic = information_by_timestamp(score, returns, ts)
    assert len(times) > 50
    for t, value in zip(times, ic, strict=True):
        assert value == pytest.approx(spearmanr(score[ts == t], returns[ts == t]).statistic)


def test_a_time_with_few_symbols_or_a_constant_side_is_left_out() -> None:
    ts = np.array([0] * 4 + [1] * 5 + [2] * 6)
    score = np.array([1.0, 2, 3, 4] + [1.0] * 5 + [1.0, 2, 3, 4, 5, 6])
    times, ic = information_by_timestamp(score, np.arange(15.0), ts)
    assert times.tolist() == [2]
    assert ic.tolist() == [pytest.approx(1.0)]


def test_the_icir_is_mean_over_spread_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    ts = np.repeat(np.arange(800), 12)
    score = rng.normal(size=len(ts))
    returns = 0.1 * score + rng.normal(size=len(ts))
    _, ic = information_by_timestamp(score, returns, ts)
    found = icir(score, returns, ts, horizon_bars=1, seed=0, draws=500)
    assert found["mean_ic"].value == pytest.approx(ic.mean())
    assert found["icir"].value == pytest.approx(ic.mean() / ic.std())
    assert found["icir"].n == 800
    low, high = found["icir"].low, found["icir"].high
    assert low is not None
    assert high is not None
    assert 0.0 < low < ic.mean() / ic.std() < high


def test_one_symbol_has_no_icir_and_a_long_horizon_no_interval() -> None:
    rng = np.random.default_rng(0)
    alone = icir(rng.normal(size=300), rng.normal(size=300), np.arange(300), horizon_bars=1, seed=0)
    assert alone["icir"].value is None
    assert alone["icir"].reason == "fewer than 2 timestamps with 5 symbols that differ"
    ts = np.repeat(np.arange(50), 6)
    few = icir(rng.normal(size=300), rng.normal(size=300), ts, horizon_bars=1, seed=0)
    assert few["icir"].value is not None
    assert few["icir"].reason == "too few independent outcomes"
    with pytest.raises(InvalidValue, match="horizon_bars"):
        icir([1.0], [1.0], [0], horizon_bars=0, seed=0)
    with pytest.raises(InvalidValue, match="one shape"):
        icir([1.0, 2.0], [1.0], [0], horizon_bars=1, seed=0)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7])
def test_equally_correlated_models_have_the_closed_form(rho: float) -> None:
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(60_000, 1)), rng.normal(size=(60_000, 7))
    found = effective_models(np.sqrt(rho) * common + np.sqrt(1 - rho) * own)
    assert found.effective == pytest.approx(7 / (1 + 6 * rho**2), rel=0.03)
    assert found.mean_correlation == pytest.approx(rho, abs=0.02)


def test_the_participation_ratio_is_that_of_the_eigenvalues() -> None:
    x = np.random.default_rng(0).normal(size=(400, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    values = np.linalg.eigvalsh(np.corrcoef(x.T))
    assert effective_models(x).effective == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_seven_copies_are_one_model_and_silent_models_are_none() -> None:
    one = np.random.default_rng(0).normal(size=(300, 1))
    found = effective_models(np.repeat(one, 7, axis=1))
    assert found.effective == pytest.approx(1.0)
    assert found.remark(7) == "When 7 of 7 agree, their errors are those of 1.0 model."
    with_silent = effective_models(np.column_stack([one, -one, np.zeros((300, 5))]))
    assert with_silent.speaking == 2
    assert with_silent.remark(7) == (
        "2 of 7 models say more than climatology. When these agree, their errors are those of 1.0 model."
    )
    assert with_silent.mean_correlation == pytest.approx(-1.0)
    alone = effective_models(np.column_stack([one, np.zeros((300, 6))]))
    assert alone.remark(7) == "1 of 7 models says more than climatology: there is nobody to agree with."
    nobody = effective_models(np.zeros((300, 3)))
    assert nobody.effective is None
    assert nobody.remark(3) == (
        "When 3 of 3 agree, that means nothing: none of them says more than climatology."
    )


def test_independent_models_are_said_to_be_so() -> None:
    found = effective_models(np.random.default_rng(0).normal(size=(5_000, 4)))
    assert found.remark(3) == "When 3 of 4 agree, their errors are nearly independent (4.0)."
    with pytest.raises(InvalidValue, match="errors must be finite"):
        effective_models(np.zeros((3, 0)))


def test_binomial_intervals_are_those_of_statsmodels() -> None:
    peers: Any = pytest.importorskip("statsmodels.stats.proportion")
    for hits, runs in ((0, 20), (1, 20), (15, 200), (20, 20)):
        expected = peers.proportion_confint(hits, runs, alpha=0.05, method="beta")
        assert binomial_interval(hits, runs) == pytest.approx(expected)


def test_a_rate_counts_words_and_keeps_them_all() -> None:
    words = ["better", "worse", "not distinguishable", "not distinguishable"]
    found = rejection_rate(lambda seed, ic: words[seed % 4 + int(ic)], range(40), words=("better", "worse"))
    assert (found.hits, found.runs, found.rate) == (20, 40, 0.5)
    assert found.words == (("better", 10), ("worse", 10), ("not distinguishable", 20))
    assert found.low < 0.5 < found.high


def test_the_power_table_asks_each_seed_at_each_ic() -> None:
    asked: list[tuple[int, float]] = []

    def judge(seed: int, ic: float) -> str:
        asked.append((seed, ic))
        return "better" if ic > 0.05 else "not distinguishable"

    table = power_table(judge, range(3))
    assert asked == [(seed, ic) for ic in (0.0, 0.03, 0.06) for seed in range(3)]
    assert [row.rate for row in table] == [0.0, 0.0, 1.0]


def test_no_seeds_and_impossible_counts_are_refused() -> None:
    with pytest.raises(InvalidValue, match="needs >= 1 seed"):
        rejection_rate(lambda seed, ic: f"{seed} {ic}", [])
    with pytest.raises(InvalidValue, match="hits must lie in"):
        binomial_interval(3, 2)
    with pytest.raises(InvalidValue, match="level must lie"):
        binomial_interval(1, 2, 95.0)
