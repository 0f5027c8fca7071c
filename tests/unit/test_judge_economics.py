"""Sharpe ratios, counted trials and what pays: against published examples and planted truth."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from consilium.domain import InvalidValue
from consilium.training.judge import (
    Moments,
    cluster_returns,
    cluster_trials,
    deflated_sharpe,
    mean_silhouette,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_by_luck,
    trading_judgement,
)
from consilium.training.judge.trial_clusters import furthest


def test_the_deflated_sharpe_is_that_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2014), "A numerical example": SR 2.5 a year, 250 days, N = 100, V = 1/2.
    luck = sharpe_by_luck(sqrt(0.5 / 250), 100)
    shown = Moments(sharpe=2.5 / sqrt(250), skewness=-3.0, kurtosis=10.0, days=1_250)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(shown, luck) == pytest.approx(0.9004, abs=5e-4)


def test_the_probabilistic_sharpe_is_that_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2012): a hedge fund of 24 months, as it is and as if normal.
    fund = Moments(sharpe=0.458, skewness=-2.448, kurtosis=10.164, days=24)
    assert probabilistic_sharpe(fund) == pytest.approx(0.913, abs=5e-4)
    normal = Moments(sharpe=0.458, skewness=0.0, kurtosis=3.0, days=24)
    assert probabilistic_sharpe(normal) == pytest.approx(0.982, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_is_that_of_the_paper(periods: int, years: float) -> None:
    two = Moments(sharpe=2 / sqrt(periods), skewness=0.0, kurtosis=3.0, days=1)
    needed = minimum_track_record(two, 1 / sqrt(periods))
    assert needed is not None
    assert needed / periods == pytest.approx(years, abs=0.006)


def test_after_the_minimum_track_record_the_probability_is_reached() -> None:
    m = Moments(sharpe=0.08, skewness=-0.5, kurtosis=7.0, days=1)
    needed = minimum_track_record(m, 0.01, 0.9)
    assert needed is not None
    long_enough = Moments(sharpe=0.08, skewness=-0.5, kurtosis=7.0, days=round(needed))
    assert probabilistic_sharpe(long_enough, 0.01) == pytest.approx(0.9, abs=1e-3)
    assert minimum_track_record(m, 0.08) is None


def test_the_luck_of_n_trials_is_the_mean_of_the_largest() -> None:
    rng = np.random.default_rng(0)
    for count in (5, 20, 100):
        largest = rng.normal(0.0, 0.05, size=(40_000, count)).max(axis=1).mean()
        assert sharpe_by_luck(0.05, count) == pytest.approx(largest, rel=0.08)
    assert sharpe_by_luck(0.05, 1) == 0.0


def test_the_moments_are_raw_and_a_day() -> None:
    r = np.random.default_rng(0).standard_t(5, size=400) * 0.01 + 0.001
    m = Moments.of(r)
    assert m is not None
    assert m.sharpe == pytest.approx(r.mean() / r.std(ddof=1))
    assert m.kurtosis == pytest.approx(((r - r.mean()) ** 4).mean() / r.var() ** 2)
    assert m.days == 400
    assert Moments.of(np.full(50, 0.01)) is None
    assert Moments.of([]) is None


def test_variants_that_all_earned_the_same_are_one_trial() -> None:
    one = np.random.default_rng(2).normal(0.0, 0.01, 300)
    assert len(np.unique(cluster_trials(np.column_stack([one, one, one])))) == 1


def test_the_best_of_twenty_without_skill_is_not_believed() -> None:
    believed = naive = 0
    for world in range(60):
        trials = np.random.default_rng(world).normal(0.0, 0.01, size=(365, 20))
        best = trials[:, int(np.argmax(trials.mean(axis=0) / trials.std(axis=0)))]
        found = deflated_sharpe(best, trials)
        assert found.probability is not None
        believed += found.probability > 0.95
        moments = Moments.of(best)
        assert moments is not None
        naive += probabilistic_sharpe(moments) > 0.95
    assert believed <= 3
    assert naive >= 30


def test_variants_that_never_trade_and_copies_deflate_nothing() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0.0011, 0.01, 250)
    ideas = np.column_stack([own, rng.normal(0.0, 0.01, size=(5, 250)).T])
    plain = deflated_sharpe(own, ideas)
    idle = deflated_sharpe(own, np.column_stack([ideas, np.zeros((250, 48))]))
    assert (idle.trials, idle.independent) == (54, 6)
    assert idle.probability == pytest.approx(plain.probability, rel=1e-9)
    near = own[:, None] + rng.normal(0.0, 1e-5, size=(250, 40))
    copied = deflated_sharpe(own, np.column_stack([ideas, near]))
    assert (copied.trials, copied.independent) == (46, 6)
    assert copied.probability == pytest.approx(plain.probability, abs=1e-3)


def test_the_best_of_ideas_tried_in_many_copies_is_not_believed() -> None:
    believed = 0
    for world in range(60):
        rng = np.random.default_rng(world)
        ideas = rng.normal(0.0, 0.01, size=(250, 8))
        copied = np.repeat(ideas, [30, 1, 1, 1, 1, 1, 1, 1], axis=1)
        trials = np.column_stack([copied + rng.normal(0.0, 1e-4, size=copied.shape), np.zeros((250, 40))])
        best = ideas[:, int(np.argmax(ideas.mean(axis=0) / ideas.std(axis=0)))]
        found = deflated_sharpe(best, np.column_stack([best, trials]))
        assert found.probability is not None
        believed += found.probability > 0.95
    assert believed == 0


def test_a_cluster_earns_the_mean_of_its_members_weighted_by_one_over_variance() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 400))
    x = np.column_stack([np.zeros(400), a + 0.2 * rng.normal(size=400), b, 0.5 * a])
    found = cluster_returns(x)
    weight = 1.0 / x[:, [1, 3]].var(axis=0)
    np.testing.assert_allclose(found, np.column_stack([x[:, [1, 3]] @ weight / weight.sum(), b]))
    assert cluster_returns(np.zeros((9, 2))).shape == (9, 0)
    assert cluster_returns(np.zeros((0, 2))).shape == (0, 0)


def test_one_idea_beside_aborted_trials_is_deflated_by_the_error_of_a_ratio() -> None:
    one = np.random.default_rng(1).normal(0.001, 0.01, 400)
    found = deflated_sharpe(one, np.column_stack([one, one]), aborted=4)
    assert found.independent == 5
    assert found.by_luck == pytest.approx(sharpe_by_luck(1.0 / sqrt(399.0), 5))
    assert deflated_sharpe(one, one[:, None]).by_luck == 0.0


def test_a_skill_far_above_luck_is_believed() -> None:
    trials = np.random.default_rng(0).normal(0.0, 0.01, size=(700, 20))
    trials[:, 4] += 0.003
    found = deflated_sharpe(trials[:, 4], trials)
    assert found.probability is not None
    assert found.probability > 0.95
    assert found.independent == 20


def test_aborted_trials_count() -> None:
    trials = np.random.default_rng(0).normal(0.0, 0.01, size=(400, 6))
    without, with_them = (deflated_sharpe(trials[:, 0], trials, aborted=n) for n in (0, 30))
    assert with_them.trials == 36
    assert with_them.independent == without.independent + 30
    assert with_them.by_luck is not None
    assert without.by_luck is not None
    assert with_them.by_luck > without.by_luck


def test_too_short_or_flat_returns_have_no_probability() -> None:
    trials = np.random.default_rng(0).normal(size=(29, 3))
    assert deflated_sharpe(trials[:, 0], trials).reason == "fewer than 30 days"
    assert deflated_sharpe(np.zeros(40), np.zeros((40, 3))).reason == "returns do not vary"
    with pytest.raises(InvalidValue, match="trial_returns must be finite"):
        deflated_sharpe(np.zeros(40), np.full((40, 2), np.nan))
    with pytest.raises(InvalidValue, match="aborted must be >= 0"):
        deflated_sharpe(np.zeros(40), np.zeros((40, 2)), aborted=-1)
    with pytest.raises(InvalidValue, match="independent must be >= 1"):
        sharpe_by_luck(0.1, 0)
    with pytest.raises(InvalidValue, match="spread_of_trials must be finite"):
        sharpe_by_luck(float("nan"), 3)
    with pytest.raises(InvalidValue, match="daily returns must be finite"):
        Moments.of([np.nan])
    with pytest.raises(InvalidValue, match="confidence must lie"):
        minimum_track_record(Moments(sharpe=0.1, skewness=0.0, kurtosis=3.0, days=9), confidence=1.0)


@pytest.mark.parametrize(("ideas", "each"), [(2, 5), (4, 8), (7, 3)])
def test_planted_groups_of_trials_are_counted(ideas: int, each: int) -> None:
    rng = np.random.default_rng(ideas)
    trials = np.repeat(rng.normal(size=(400, ideas)), each, axis=1)
    found = cluster_trials(trials + 0.4 * rng.normal(size=trials.shape))
    assert found.tolist() == np.repeat(np.arange(ideas), each).tolist()


@pytest.mark.parametrize(("each", "noise"), [((30, 1, 1, 1, 1, 1, 1, 1), 0.4), ((10, 10, 1, 1, 1, 1), 0.3)])
def test_unrelated_ideas_do_not_merge_beside_many_copies_of_one(each: tuple[int, ...], noise: float) -> None:
    counted = []
    for world in range(40):
        rng = np.random.default_rng(world)
        trials = np.repeat(rng.normal(size=(250, len(each))), each, axis=1)
        counted.append(cluster_trials(trials + noise * rng.normal(size=trials.shape)).max() + 1)
    assert np.mean(np.array(counted) == len(each)) >= 0.95
    assert min(counted) >= len(each) - 1


def test_of_unrelated_trials_one_pair_comes_within_the_limit_in_five_percent_of_worlds() -> None:
    close = 0
    for world in range(1_000):
        x = np.random.default_rng(world).normal(size=(250, 8))
        rho = np.asarray(np.corrcoef(x.T))[np.triu_indices(8, 1)]
        close += bool(np.sqrt((1.0 - rho.max()) / 2.0) < furthest(8, 250))
    assert 30 <= close <= 70


def test_trials_without_groups_count_each_for_itself() -> None:
    independent = np.random.default_rng(0).normal(size=(500, 25))
    assert len(np.unique(cluster_trials(independent))) == 25


def test_copies_and_trials_without_trades_do_not_add_to_the_count() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    found = cluster_trials(np.column_stack([x, x, np.zeros((500, 2))]))
    assert found.tolist() == [0, 1, 2, 0, 1, 2, 3, 3]
    assert cluster_trials(np.zeros((10, 1))).tolist() == [0]
    assert cluster_trials(np.zeros((0, 2))).tolist() == [0, 0]
    assert cluster_trials(x[:, :2]).tolist() == [0, 1]


def test_the_silhouette_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import silhouette_score

    points = np.random.default_rng(0).normal(size=(30, 2))
    distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    labels = np.random.default_rng(1).integers(4, size=30)
    assert mean_silhouette(distance, labels) == pytest.approx(
        silhouette_score(distance, labels, metric="precomputed")
    )


GOOD = {"deflated_sharpe": 0.97, "overfitting": 0.1, "permutation": 0.01}


@pytest.mark.promise("002", "pays after costs needs DSR > .95, PBO < .2 and a permutation p < .05, all three")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"deflated_sharpe": 0.95}, "the deflated Sharpe ratio is 0.950, not > 0.95"),
        ({"overfitting": 0.2}, "the probability of overfitting is 0.200, not < 0.2"),
        ({"permutation": 0.05}, "the permutation p-value is 0.050, not < 0.05"),
        ({"deflated_sharpe": None}, "the deflated Sharpe ratio could not be computed"),
        ({"overfitting": None}, "the probability of overfitting could not be computed"),
        ({"permutation": None}, "the permutation p-value could not be computed"),
    ],
)
def test_one_condition_missed_does_not_pay(changed: dict[str, float | None], told: str) -> None:
    assert trading_judgement(0.2, None, 90, **GOOD).word == "pays after costs"
    v = trading_judgement(0.2, None, 90, **{**GOOD, **changed})
    assert v.word == "does not pay"
    assert v.text.endswith(f"It is not shown to pay: {told}.")


def test_what_pays_says_why() -> None:
    text = trading_judgement(0.2, 0.3, 90, **GOOD).text
    assert text.startswith("The paper account made 20.0 % after costs in 90 trades")
    assert "the deflated Sharpe ratio is 0.970" in text
    assert "proves nothing" not in text


def test_a_loss_or_no_trade_never_pays() -> None:
    assert trading_judgement(-0.01, None, 90, **GOOD).word == "does not pay"
    assert trading_judgement(0.0, None, 0, **GOOD).word == "does not pay"
    with pytest.raises(InvalidValue, match="the permutation p-value must lie in"):
        trading_judgement(0.1, None, 3, deflated_sharpe=0.9, overfitting=0.1, permutation=5.0)


def test_the_normal_quantile_of_the_formula_is_that_of_scipy() -> None:
    euler = 0.5772156649
    expected = (1 - euler) * norm.ppf(1 - 1 / 7) + euler * norm.ppf(1 - 1 / (7 * np.e))
    assert sharpe_by_luck(1.0, 7) == pytest.approx(expected, rel=1e-9)
