"""The verdict is one of three words, and says what could not have been seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import DAY_NS, HOUR_NS, InvalidValue
from consilium.training.judge import Verdict, compare_half_brier, trading_verdict, verdict

T = 1_000
HOURS = np.arange(T) * HOUR_NS


def losses(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0.2, 0.5, size=T)


def noise(seed: int = 9) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(scale=0.02, size=T)


def judged(climatology: float, single: float, equal: float, spread: float = 1.0) -> Verdict:
    """Judge ours against three others that are worse by the given amounts on average."""
    ours = losses()
    return verdict(
        ours,
        climatology=ours + climatology + spread * noise(1),
        best_single=ours + single + spread * noise(2),
        equal_weight=ours + equal + spread * noise(3),
        ts_event=HOURS,
        horizon_bars=1,
        seed=0,
        best_name="xgboost",
        draws=500,
    )


def test_better_needs_all_three() -> None:
    v = judged(0.01, 0.01, 0.01)
    assert v.word == "better"
    assert v.text.startswith("better than climatology (half-Brier difference -0.0")
    assert "the best single model (xgboost)" in v.text
    assert "the equal-weight mean" in v.text
    assert "over 1,000 hours." in v.text


@pytest.mark.parametrize(("single", "equal"), [(0.0, 0.01), (0.01, 0.0), (0.0, 0.0), (-0.01, 0.01)])
def test_better_than_climatology_alone_is_not_enough(single: float, equal: float) -> None:
    v = judged(0.01, single, equal)
    assert v.word == "not distinguishable"
    assert v.text.startswith("not distinguishable")
    assert "though better than climatology" in v.text
    assert ("worse than the best single model" in v.text) == (single < 0)
    assert ("the equal-weight mean" in v.text) == (equal == 0.0)


def test_worse_than_climatology_is_worse_whatever_the_others() -> None:
    v = judged(-0.01, 0.01, 0.01)
    assert v.word == "worse"
    assert v.text.startswith("worse than climatology: half-Brier difference 0.0")


def test_no_difference_names_the_smallest_effect_that_could_have_been_seen() -> None:
    v = judged(0.0, 0.0, 0.0)
    assert v.word == "not distinguishable"
    base = v.comparisons["climatology"]
    assert base.test is not None
    assert base.test.critical is not None
    assert base.test.standard_error is not None
    assert base.smallest_visible == base.test.critical * base.test.standard_error
    assert f"an effect smaller than {base.smallest_visible:.4f} could not have been seen" in v.text


def test_a_tiny_effect_is_printed_with_digits_that_tell_it_from_zero() -> None:
    assert "an effect smaller than 0.000000 could" not in judged(0.0, 0.0, 0.0, spread=1e-4).text
    assert "-0.0000 " not in judged(0.0, 0.0, 0.0, spread=1e-4).text


def test_identical_losses_have_no_statistic_and_the_text_says_why() -> None:
    v = judged(0.0, 0.0, 0.0, spread=0.0)
    assert v.word == "not distinguishable"
    assert "all models are no_skill" in v.text
    for row in v.as_dict()["comparisons"]:
        assert row["difference"] == 0.0
        assert row["low"] is row["high"] is None
        assert row["reason"] == "identical forecasts"


def test_a_pool_equal_to_the_mean_is_not_called_climatology() -> None:
    ours = losses()
    v = verdict(
        ours,
        climatology=ours + 0.01 + noise(1),
        best_single=ours + 0.01 + noise(2),
        equal_weight=ours,
        ts_event=HOURS,
        horizon_bars=1,
        seed=0,
    )
    assert v.word == "better"
    assert v.text.endswith("It is the equal-weight mean itself, so that comparison says nothing.")
    assert v.comparisons["the equal-weight mean"].word == "not distinguishable"


def test_one_model_alone_is_judged_against_climatology() -> None:
    ours = losses()
    v = verdict(
        ours,
        climatology=ours + 0.01 + noise(1),
        best_single=ours,
        equal_weight=ours,
        ts_event=HOURS,
        horizon_bars=1,
        seed=0,
    )
    assert v.word == "better"
    assert v.text.startswith("better than climatology (half-Brier difference -0.0")
    assert "the best single model and the equal-weight mean itself" in v.text


def test_losses_that_differ_in_the_last_bits_are_identical() -> None:
    assert judged(0.0, 0.0, 0.0, spread=1e-14).comparisons["climatology"].reason == "identical forecasts"


def test_too_few_independent_outcomes_are_told_and_decide_nothing() -> None:
    ours = losses()
    v = verdict(
        ours,
        climatology=ours + 0.1 + noise(),
        best_single=ours + 0.1 + noise(),
        equal_weight=ours + 0.1 + noise(),
        ts_event=HOURS,
        horizon_bars=24,
        seed=0,
    )
    assert v.word == "not distinguishable"
    assert v.text == (
        "not distinguishable from climatology: too few independent outcomes "
        "(1,000 hours at a horizon of 24 bars are 41; 100 are needed)."
    )
    assert v.comparisons["climatology"].mean_difference == pytest.approx(-0.1, abs=0.01)


def test_no_outcomes_at_all_are_too_few() -> None:
    nothing = np.zeros(0)
    v = verdict(
        nothing,
        climatology=nothing,
        best_single=nothing,
        equal_weight=nothing,
        ts_event=nothing,
        horizon_bars=1,
        seed=0,
    )
    assert v.word == "not distinguishable"
    assert "too few independent outcomes" in v.text


def test_timestamps_weigh_equally_however_many_symbols_they_have() -> None:
    ts = np.concatenate([np.zeros(9), np.arange(1, 200)]).astype(np.int64)
    difference = np.concatenate([np.full(9, 0.2), np.zeros(199)])
    c = compare_half_brier(difference, np.zeros(208), ts, 1, seed=0, draws=50)
    assert c.n_timestamps == 200
    assert c.mean_difference == pytest.approx(0.2 / 200)


def test_days_are_called_days_and_odd_bars_timestamps() -> None:
    ours = losses()
    for step, unit in ((DAY_NS, "days"), (7 * HOUR_NS, "timestamps")):
        v = verdict(
            ours,
            climatology=ours + noise(),
            best_single=ours,
            equal_weight=ours,
            ts_event=np.arange(T) * step,
            horizon_bars=1,
            seed=0,
            draws=50,
        )
        assert f"over 1,000 {unit}" in v.text


def test_a_verdict_is_plain_json_as_the_report_wants_it() -> None:
    row = judged(0.0, 0.0, 0.0).as_dict()["comparisons"][0]
    assert row["against"] == "climatology"
    assert {"difference", "low", "high", "word"} <= set(row)


def test_losses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidValue, match="one shape"):
        compare_half_brier(losses(), losses()[:-1], HOURS, 1, seed=0)
    with pytest.raises(InvalidValue, match="losses must be finite"):
        compare_half_brier(losses() * np.nan, losses(), HOURS, 1, seed=0)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1; got 0"):
        compare_half_brier(losses(), losses(), HOURS, 0, seed=0)


def test_a_losing_account_is_told_plainly() -> None:
    v = trading_verdict(-0.031, -0.4, 12)
    assert v.word == "does not pay"
    assert v.text == (
        "The paper account lost 3.1 % after costs in 12 trades; doing nothing would have lost nothing, "
        "buy and hold would have lost 40.0 %."
    )


def test_a_profit_alone_is_not_called_paying() -> None:
    v = trading_verdict(0.5, None, 1)
    assert v.word == "does not pay"
    assert v.text.startswith(
        "The paper account made 50.0 % after costs in 1 trade; doing nothing would have made nothing."
    )
    assert "proves nothing by itself" in v.text


def test_no_trade_is_a_valid_result() -> None:
    assert "made no trade" in trading_verdict(0.0, 0.1, 0).text
    assert "valid result" in trading_verdict(0.0, None, 0).text


def test_a_small_loss_is_not_rounded_to_nothing() -> None:
    assert "lost 0.0210 %" in trading_verdict(-0.00021, None, 3).text


@pytest.mark.parametrize(("net", "trades"), [(float("nan"), 1), (-1.5, 1), (0.0, -1)])
def test_impossible_accounts_are_refused(net: float, trades: int) -> None:
    with pytest.raises(InvalidValue, match="must be"):
        trading_verdict(net, None, trades)
