"""Fixed-b critical values and p-values agree with published tables, closed forms and simulation."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from consilium.domain import InvalidValue
from consilium.training.judge import fixed_b_critical, fixed_b_p_value, long_run_variance

# Kiefer, Vogelsang and Bunzel (2000), table II: b = 1, in units where the variance lacks the factor 2.
TABLE_AT_ONE = {0.10: 3.875, 0.05: 5.323, 0.025: 6.747, 0.01: 8.613}


@pytest.mark.parametrize("tail", TABLE_AT_ONE)
def test_at_b_of_one_the_table_of_2000_is_met(tail: float) -> None:
    published = TABLE_AT_ONE[tail] / sqrt(2)
    assert fixed_b_critical(1.0, tail, two_sided=False) == pytest.approx(published, rel=0.015)
    assert fixed_b_p_value(published, 1.0, 2_000) / 2 == pytest.approx(tail, rel=0.03)


@pytest.mark.parametrize("b", [0.004, 0.02, 0.05, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("tail", [0.10, 0.05, 0.025, 0.01])
def test_the_polynomials_and_the_distribution_agree(b: float, tail: float) -> None:
    p = fixed_b_p_value(fixed_b_critical(b, 2 * tail), b, 5_000)
    assert p == pytest.approx(2 * tail, rel=0.06)


@pytest.mark.parametrize("b", [0.004, 0.02, 0.05, 0.1])
def test_at_the_critical_value_the_p_value_is_between_0475_and_05(b: float) -> None:
    assert 0.0475 <= fixed_b_p_value(fixed_b_critical(b), b, 5_000) <= 0.0501


@pytest.mark.parametrize("statistic", [0.3, 1.0, 2.5, 8.0])
def test_without_lags_the_p_value_is_students(statistic: float) -> None:
    # With M = 1 the variance is that of the sample, divided by T and not by T - 1.
    expected = 2 * student.sf(statistic * sqrt(19 / 20), df=19)
    assert fixed_b_p_value(statistic, 1 / 20, 20) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("length", "bandwidth"), [(40, 8), (64, 32), (60, 60)])
def test_p_values_of_independent_normal_series_are_uniform(length: int, bandwidth: int) -> None:
    rng = np.random.default_rng(length)
    series = rng.normal(size=(2_000, length))
    t = [x.mean() / sqrt(long_run_variance(x, bandwidth) / length) for x in series]
    p = np.array([fixed_b_p_value(value, bandwidth / length, length) for value in t])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=3.5 * sqrt(level * (1 - level) / 2_000))


def test_the_further_from_zero_the_smaller_the_p_value() -> None:
    p = [fixed_b_p_value(x, 0.05, 1_000) for x in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)]
    assert p == sorted(p, reverse=True)
    assert fixed_b_p_value(-2.0, 0.05, 1_000) == p[3]
    assert 0.0 < p[-1] < 1e-15


def test_a_normal_table_would_reject_too_often() -> None:
    assert fixed_b_p_value(1.96, 0.1, 1_000) > 0.07


@pytest.mark.parametrize("b", [0.0, -0.1, 1.01])
def test_a_bandwidth_longer_than_the_series_is_refused(b: float) -> None:
    with pytest.raises(InvalidValue, match=r"b must lie in \(0, 1\]"):
        fixed_b_critical(b)


def test_levels_without_a_polynomial_are_refused_with_those_that_have_one() -> None:
    with pytest.raises(InvalidValue, match=r"one of 0.2, 0.1, 0.05, 0.02; got 0.03"):
        fixed_b_critical(0.1, 0.03)
    with pytest.raises(InvalidValue, match=r"one of 0.1, 0.05, 0.025, 0.01; got 0.02"):
        fixed_b_critical(0.1, 0.02, two_sided=False)


def test_a_statistic_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(InvalidValue, match="statistic must be finite"):
        fixed_b_p_value(float("nan"), 0.1, 100)
    with pytest.raises(InvalidValue, match="timestamps must be >= 2"):
        fixed_b_p_value(1.0, 0.1, 1)
