"""Trust is earned unless the settings say otherwise; every option of the ensemble arrives where it acts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.app.backtest.assessment import Judged, judge_consensus
from consilium.app.backtest.pooling import Pooled, pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.bootstrap import make_ensemble
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import UnknownName, UsageError
from consilium.ensemble import DEFAULT_TRUST, EnsembleService
from consilium.ensemble.trust.fixed_share import FixedShare
from consilium.ensemble.trust.regimes import PerRegime
from consilium.market.simulator import simulate
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.verdict import Verdict
from consilium.training.labels import LabelSpec

HOUR, LABEL = 3600 * 10**9, "l1"
PLANTED = ("left", "right", "loud")


def settings(**ensemble: object) -> Settings:
    return Settings.model_validate({"ensemble": ensemble, "training": {"folds": 2}})


def service(chosen: Settings, trust: str = DEFAULT_TRUST) -> EnsembleService:
    return make_ensemble(chosen, ["xgboost", "lightgbm"], rule="smart_vote", trust=trust, gates="edge")


def test_the_default_is_trust_that_learns_and_meta_labelling() -> None:
    chosen = Settings()
    assert chosen.ensemble.trust == DEFAULT_TRUST == BacktestRequest(settings=chosen).trust == "fixed_share"
    made = service(chosen)
    assert isinstance(made.trust(HOUR, LABEL), FixedShare)
    learned = made.hindsight(HOUR, LABEL)
    assert learned.meta is not None
    assert learned.recalibration is not None
    assert learned.conformal is None


def test_every_option_of_the_settings_reaches_the_service() -> None:
    made = service(settings(meta=False, conformal=0.1, per_regime=True, trust_options={"alpha": 0.25}))
    learned = made.hindsight(HOUR, LABEL)
    assert learned.meta is None
    assert learned.recalibration is None
    assert learned.conformal is not None
    assert learned.conformal.alpha == 0.1
    assert isinstance(made.trust(HOUR, LABEL), PerRegime)
    plain = service(settings(trust_options={"alpha": 0.25})).trust(HOUR, LABEL)
    assert isinstance(plain, FixedShare)
    assert plain.alpha == 0.25


def test_options_are_of_the_policy_that_the_settings_name_and_of_no_other() -> None:
    chosen = settings(trust_options={"alpha": 0.25})
    assert service(chosen, trust="uniform").trust(HOUR, LABEL).weights(["xgboost"]) == {"xgboost": 1.0}
    request = BacktestRequest.checked(settings=settings(trust_options={"interleave": 2}), trust="ewa_brier")
    assert request.settings.ensemble.trust == request.trust == "ewa_brier"
    assert type(request.settings.ensemble.trust_options["interleave"]) is int


@pytest.mark.parametrize(
    ("trust", "options", "told"),
    [
        ("fixed_share", {"alfa": 0.1}, "did you mean 'alpha'"),
        ("fixed_share", {"alpha": 7}, r"alpha must lie in \[0, 1\)"),
        ("fixed_share", {"interleave": 1.5}, "must fit fixed_share"),
        ("fixed_share", {"prior": 1}, "trust option must be one of alpha, interleave"),
        ("uniform", {"alpha": 0.1}, "uniform takes no options"),
    ],
)
def test_an_option_that_the_policy_cannot_take_is_refused_before_any_work(
    trust: str, options: dict[str, float], told: str
) -> None:
    with pytest.raises((UnknownName, UsageError), match=told) as caught:
        BacktestRequest.checked(settings=settings(trust_options=options), trust=trust)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("section", "name", "told"),
    [
        ("allocations", "xgbost", "did you mean 'xgboost'?"),
        ("min_confidence", "patchtst", "add it to --models"),
        ("allocations", "lightgbm", "add it to --models"),
    ],
)
def test_a_setting_for_a_model_that_is_not_chosen_is_refused_before_any_work(
    section: str, name: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        BacktestRequest.checked(settings=settings(**{section: {name: 0.5}}), models=["xgboost"])
    assert told in str(caught.value)


def test_equal_requests_are_equal_however_they_were_made() -> None:
    by_option = BacktestRequest.checked(settings=settings(), trust="uniform", rule="majority", gates="seed")
    by_file = BacktestRequest.checked(settings=settings(trust="uniform", rule="majority", gates="seed"))
    assert by_option.config() == by_file.config()


def evidence(
    rng: np.random.Generator, y: NDArray[np.int64], strength: float, claimed: float
) -> NDArray[np.float64]:
    """Forecast from ``strength (y - 1) + noise``; calibrated if it claims the strength that it has."""
    x = strength * (y - 1.0) + rng.normal(size=len(y))
    p = np.exp(-0.5 * (x[:, None] - claimed * np.array([-1.0, 0.0, 1.0])) ** 2)
    result: NDArray[np.float64] = p / p.sum(axis=1, keepdims=True)
    return result


@pytest.fixture(scope="module")
def market() -> tuple[Dataset, Forecasts]:
    """A walk-forward in which two models know different things and a third is loudly wrong."""
    dataset = build_dataset(
        simulate(symbols=2, bars=1_800, seed=3, kind="garch").series, "core14", LabelSpec()
    )
    request = BacktestRequest.checked(settings=settings(), models=["lightgbm"])
    learned = forecast(replace(request, models=("logistic",), baselines=()), dataset)
    rng = np.random.default_rng(5)
    y = dataset.y[learned.rows]
    said = {
        "left": evidence(rng, y, 0.45, 0.45),
        "right": evidence(rng, y, 0.45, 0.45),
        "loud": evidence(rng, y, 0.0, 0.7),
    }
    return dataset, replace(
        learned,
        probabilities=said,
        expected_return=dict.fromkeys(PLANTED, np.zeros(len(y))),
        skilled=dict.fromkeys(PLANTED, np.ones(len(y), dtype=np.bool_)),
        folds=tuple(
            replace(fold, models=dict.fromkeys(PLANTED, fold.models["logistic"])) for fold in learned.folds
        ),
    )


def judged(market: tuple[Dataset, Forecasts], trust: str, **ensemble: object) -> tuple[Pooled, Verdict]:
    dataset, forecasts = market
    chosen = BacktestRequest.checked(settings=settings(**ensemble), trust=trust, gates="seed")
    request = replace(chosen, models=PLANTED)
    said = pool(request, dataset, forecasts, "seed", silent)
    rows = Judged.of(dataset, forecasts, said.probabilities, said.actionable)
    return said, judge_consensus(dataset, forecasts, rows, PLANTED, horizon=1, seed=1)


def test_earned_trust_makes_the_equal_weight_mean_a_comparator_that_can_be_beaten(
    market: tuple[Dataset, Forecasts],
) -> None:
    said, found = judged(market, DEFAULT_TRUST)
    assert found.word == "better", found.text
    assert [row["word"] for row in found.as_dict()["comparisons"]] == ["better"] * 3
    assert said.weights["loud"][-1] < 0.05 < 0.2 < min(said.weights["left"][-1], said.weights["right"][-1])


def test_equal_trust_has_the_equal_weight_mean_left_out(market: tuple[Dataset, Forecasts]) -> None:
    _, found = judged(market, "uniform")
    reasons = {row["against"]: row["reason"] for row in found.as_dict()["comparisons"]}
    assert reasons["the equal-weight mean"] == "identical forecasts"


def test_coverage_and_singletons_are_told_by_month_where_the_gate_is_on(
    market: tuple[Dataset, Forecasts],
) -> None:
    said, _ = judged(market, DEFAULT_TRUST, conformal=0.2)
    assert said.conformal is not None
    assert [month["month"] for month in said.conformal] == sorted({m["month"] for m in said.conformal})
    outcomes = sum(month["outcomes"] for month in said.conformal)
    held = sum(month["outcomes"] * month["coverage"] for month in said.conformal)
    # The promise of the gate: (max(alpha, 1 - alpha) + (D + 1) gamma) / (gamma T) of each symbol, D = 1.
    assert held / outcomes == pytest.approx(0.8, abs=0.81 / (0.005 * outcomes / 2))
    assert held / outcomes == pytest.approx(0.8, abs=0.05)
    assert all(0.0 <= month["singletons"] <= 1.0 for month in said.conformal)
    assert judged(market, DEFAULT_TRUST)[0].conformal is None
