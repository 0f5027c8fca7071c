"""The secondary hypotheses and the months of a judgement."""

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.app.backtest.assessment import Judged
from consilium.app.judge.secondary import AGAINST, months_section, secondary_section
from consilium.domain import HOUR_NS, half_brier, log_loss
from consilium.training.forecasts import Forecasts, ModelFailure
from consilium.training.judge import TOO_FEW, diebold_mariano, holm, mean_by_timestamp

FloatArray = NDArray[np.float64]
SYMBOLS, T = 6, 1_600
PRIOR = np.array([0.33, 0.34, 0.33])
SLOPE = np.array([-1.0, 0.0, 1.0])


class World:
    """Outcomes, a forecast that knows of them, and ones that do not."""

    def __init__(self, timestamps: int = T, seed: int = 2) -> None:
        rng = np.random.default_rng(seed)
        n = SYMBOLS * timestamps
        self.prior = np.tile(PRIOR, (n, 1))
        tilts = rng.normal(0.0, 0.08, (3, n)).clip(-0.3, 0.3)
        self.knows, self.guesses, self.dreams = (PRIOR + x[:, None] * SLOPE for x in tilts)
        self.y = (rng.uniform(size=(n, 1)) > self.knows.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        self.ts = np.repeat(np.arange(timestamps) * HOUR_NS, SYMBOLS)
        returns = 0.01 * (self.y - 1) * rng.uniform(0.5, 1.5, n) + 0.001 * rng.normal(size=n)
        self.dataset: Any = SimpleNamespace(y=self.y, realised_return=returns, ts_event=self.ts)

    def judged(self, consensus: FloatArray, **others: FloatArray) -> Judged:
        said = {**others, "consensus": consensus}
        rows = np.arange(len(self.y))
        spoke = {name: np.ones(len(rows), dtype=bool) for name in said}
        return Judged(places=rows, rows=rows, probabilities=said, spoke=spoke, climatology=self.prior)


def forecasts_with(*failures: ModelFailure) -> Forecasts:
    return cast("Forecasts", SimpleNamespace(failures=failures))


def section(w: World, judged: Judged, **changed: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "pool_models": ("one", "two"),
        "log_pool": None,
        "horizon": 1,
        "seed": 1,
        "forecasts": forecasts_with(),
    }
    found = secondary_section(w.dataset, judged, **asked | changed)
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def knowing(world: World) -> dict[str, Any]:
    judged = world.judged(
        world.knows,
        one=world.knows,
        two=world.guesses,
        logistic=world.guesses,
        minirocket=world.dreams,
        persistence=world.knows * 0.5 + world.guesses * 0.5,
        prior=world.prior,
    )
    return section(world, judged, log_pool=world.knows * 0.99 + world.prior * 0.01)


def test_every_figure_stands_against_every_comparator(knowing: dict[str, Any]) -> None:
    pairs = [(row["against"], row["figure"]) for row in knowing["rows"]]
    figures = ("log_loss", "mcc", "macro_f1", "ic", "icir", "ece")
    assert pairs == [(name, figure) for name in (*AGAINST, "log_pool") for figure in figures]
    assert knowing["absent"] == []
    assert knowing["tests"] == sum(row["p_value"] is not None for row in knowing["rows"])


@pytest.mark.promise("002", "secondary figures of the consensus are corrected together (Holm)")
def test_all_p_values_are_corrected_together(knowing: dict[str, Any]) -> None:
    tested = {
        f"{row['against']} {row['figure']}": row for row in knowing["rows"] if row["p_value"] is not None
    }
    adjusted = holm({name: row["p_value"] for name, row in tested.items()})
    assert {name: row["p_holm"] for name, row in tested.items()} == adjusted
    assert len(tested) > 20
    for row in knowing["rows"]:
        if row["p_holm"] is None or row["p_holm"] > 0.05:
            assert row["word"] == "not distinguishable"


def test_who_knows_more_is_better_by_what_counts_more_and_by_what_counts_less(
    knowing: dict[str, Any],
) -> None:
    words = {(row["against"], row["figure"]): row["word"] for row in knowing["rows"]}
    for figure in ("log_loss", "mcc", "macro_f1", "ic", "icir", "ece"):
        assert words["logistic", figure] == "better", figure
    assert words["prior", "log_loss"] == "better"
    signs = {row["figure"]: row["difference"] for row in knowing["rows"] if row["against"] == "logistic"}
    assert signs["log_loss"] < 0 < signs["mcc"]


def test_who_knows_less_is_worse(world: World) -> None:
    found = section(world, world.judged(world.guesses, logistic=world.knows))
    words = {row["figure"]: row["word"] for row in found["rows"]}
    assert words == dict.fromkeys(words, "worse")
    assert [row["name"] for row in found["absent"]] == ["minirocket", "persistence", "prior", "log_pool"]


def test_the_log_loss_is_tested_by_diebold_and_mariano(world: World, knowing: dict[str, Any]) -> None:
    ours, other = log_loss(world.knows, world.y), log_loss(world.guesses, world.y)
    row = knowing["rows"][0]
    assert row["p_value"] == diebold_mariano(ours, other, world.ts, 1).p_value
    assert row["ours"] == pytest.approx(mean_by_timestamp(ours, world.ts)[1].mean())
    assert row["difference"] == pytest.approx(row["ours"] - row["other"])


def test_the_oracle_is_named_and_never_compared(world: World, knowing: dict[str, Any]) -> None:
    assert knowing["oracle"]["name"] == "one"
    assert knowing["oracle"]["half_brier"] == pytest.approx(
        mean_by_timestamp(half_brier(world.knows, world.y), world.ts)[1].mean()
    )
    assert {"one", "two"}.isdisjoint(row["against"] for row in knowing["rows"])
    assert "no comparator" in knowing["text"]


def test_calibration_and_coverage_are_told(knowing: dict[str, Any]) -> None:
    slope, intercept = (knowing["recalibration"][name] for name in ("slope", "intercept"))
    assert slope["low"] < 1.0 < slope["high"]
    assert intercept["low"] < 0.0 < intercept["high"]
    assert knowing["coverage"]["accuracy"][0] > knowing["coverage"]["accuracy"][-1]
    assert knowing["icir"]["icir"]["low"] > 0.0


def test_few_outcomes_give_the_words_and_no_test() -> None:
    few = World(timestamps=150)
    found = section(few, few.judged(few.knows, logistic=few.guesses, prior=few.prior), horizon=2)
    assert found["tests"] == 0
    assert found["text"].startswith(f"{TOO_FEW}: 75 are there, 100 are needed; nothing was tested.")
    assert {row["reason"] for row in found["rows"] if row["against"] == "logistic"} == {TOO_FEW}
    assert {row["word"] for row in found["rows"]} == {"not distinguishable"}


def test_where_all_say_climatology_nothing_is_told_apart(world: World) -> None:
    found = section(world, world.judged(world.prior, one=world.prior, two=world.prior, prior=world.prior))
    assert {row["reason"] for row in found["rows"]} == {"identical forecasts"}
    assert {row["difference"] for row in found["rows"]} == {0.0}
    assert found["tests"] == 0
    assert found["text"].startswith("Nothing could be tested")
    assert found["text"].endswith("No model was better than climatology, not even in hindsight.")
    assert (found["oracle"]["name"], found["oracle"]["alike"]) == (None, ["one", "two"])
    assert found["recalibration"]["slope"]["reason"] == "constant confidence"


def test_models_that_are_the_best_alike_are_named_together(world: World) -> None:
    judged = world.judged(world.knows, one=world.knows, two=world.knows, three=world.prior, prior=world.prior)
    found = section(world, judged, pool_models=("one", "two", "three"))
    assert found["oracle"]["alike"] == ["one", "two"]
    assert found["text"].endswith(
        "one and two were alike the best models in hindsight: shown, but no comparator, for none could know."
    )


def test_a_comparator_that_is_not_there_is_named_with_its_error(world: World) -> None:
    failed = forecasts_with(ModelFailure(model="minirocket", fold=0, error="too short a history"))
    found = section(world, world.judged(world.knows), forecasts=failed, pool_models=())
    assert found["rows"] == []
    assert {"name": "minirocket", "reason": "too short a history"} in found["absent"]
    assert found["oracle"] is None
    assert "Not compared: logistic, minirocket, persistence, prior, log_pool." in found["text"]


def test_the_months_are_told_one_by_one(world: World) -> None:
    months = months_section(world.dataset, world.judged(world.knows), horizon=1)
    json.dumps(months, allow_nan=False)
    assert [month["month"] for month in months] == ["1970-01", "1970-02", "1970-03"]
    assert sum(month["n_timestamps"] for month in months) == T
    assert all(month["difference"] < 0.0 for month in months)
    assert months[0]["low"] < months[0]["difference"] < months[0]["high"]
    same = months_section(world.dataset, world.judged(world.prior), horizon=1)
    assert {month["reason"] for month in same} == {"identical forecasts"}
    few = months_section(world.dataset, world.judged(world.knows), horizon=10)
    assert {month["reason"] for month in few} == {TOO_FEW}
