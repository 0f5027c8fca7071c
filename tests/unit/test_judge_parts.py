"""What each part is worth on a small market; diversity and paths as the report tells them."""

import json
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from consilium.app.backtest.assessment import Judged
from consilium.app.backtest.economics import Economics, plain_figures, signals_of
from consilium.app.backtest.pooling import pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.judge.parts import (
    Lockbox,
    _ablation_text,
    ablations_section,
    cross_validation_section,
    diversity_section,
)
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import HOUR_NS, Direction, Prediction, half_brier
from consilium.ensemble import Vote
from consilium.ensemble.rules.smart_vote import SmartVote
from consilium.market.simulator import simulate
from consilium.training.cross_validation import CrossValidated, PathScores, SkippedSplit
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge import TOO_FEW, compare_half_brier
from consilium.training.labels import LabelSpec

MODELS = ("lightgbm", "xgboost")


@dataclass(frozen=True)
class Small:
    """A small market, forecast walk-forward, its last two folds the lock-box."""

    request: BacktestRequest
    dataset: Dataset
    whole: Forecasts
    economics: Economics

    def lockbox(self, request: BacktestRequest, whole: Forecasts) -> Lockbox:
        box = whole.since_fold(1)
        first = len(whole.rows) - len(box.rows)
        said = pool(request, self.dataset, whole, request.gates, silent)
        direction, actionable = said.direction[first:], said.actionable[first:]
        cut = replace(
            said,
            probabilities=said.probabilities[first:],
            direction=direction,
            actionable=actionable,
            signals=signals_of(self.dataset, box, direction, actionable),
        )
        return Lockbox(
            dataset=self.dataset,
            whole=whole,
            first_place=first,
            forecasts=box,
            pooled=cut,
            judged=Judged.of(self.dataset, box, cut.probabilities, actionable),
            economics=self.economics,
        )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    settings = Settings(data_dir=tmp_path_factory.mktemp("runs")).model_copy(
        update={"training": Settings().training.model_copy(update={"folds": 3})}
    )
    request = BacktestRequest.checked(
        settings=settings, models=MODELS, trust="fixed_share", gates="seed", limits=False
    )
    request = replace(request, baselines=())
    panel = simulate(symbols=2, bars=2_100, seed=4, signal_ic=0.3, kind="garch").series
    dataset = build_dataset(panel, "core14", LabelSpec())
    whole = forecast(request, dataset)
    economics = Economics(request, panel, int(dataset.ts_event[whole.since_fold(1).rows[0]]))
    return Small(request=request, dataset=dataset, whole=whole, economics=economics)


@pytest.fixture(scope="module")
def box(small: Small) -> Lockbox:
    return small.lockbox(small.request, small.whole)


@pytest.fixture(scope="module")
def found(small: Small, box: Lockbox) -> dict[str, Any]:
    stages: list[tuple[int, int]] = []

    def progress(stage: str, done: int, total: int, text: str = "") -> None:
        stages.append((done, total))

    section = ablations_section(small.request, box, seed=1, progress=progress)
    json.dumps(section, allow_nan=False)
    assert stages == [(done, 5) for done in range(1, 6)]
    return section


def by_part(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["part"]: row for row in rows}


@pytest.mark.promise("004", "each part of the ensemble is left out once and what that changes is told")
def test_every_part_is_left_out_once(found: dict[str, Any]) -> None:
    parts = [row["part"] for row in found["forecast"]]
    assert parts == ["trust", "without lightgbm", "without xgboost"]
    assert [row["part"] for row in found["trading"]] == ["gates", "boosts", "meta", "trust"]
    for row in found["forecast"]:
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p_value"] <= row["p_holm"]


def test_a_model_left_out_leaves_the_forecast_of_the_other(box: Lockbox, found: dict[str, Any]) -> None:
    y, ts = box.dataset.y[box.judged.rows], box.dataset.ts_event[box.judged.rows]
    ours = half_brier(box.judged.probabilities["consensus"], y)
    rows = by_part(found["forecast"])
    for name, other in (("lightgbm", "xgboost"), ("xgboost", "lightgbm")):
        alone = half_brier(box.judged.probabilities[other], y)
        expected = compare_half_brier(ours, alone, ts, 1, 1)
        assert rows[f"without {name}"]["difference"] == pytest.approx(expected.mean_difference)
        assert rows[f"without {name}"]["p_value"] == pytest.approx(expected.p_value)


def test_without_trust_the_forecast_is_the_plain_mean(box: Lockbox, found: dict[str, Any]) -> None:
    y, ts = box.dataset.y[box.judged.rows], box.dataset.ts_event[box.judged.rows]
    mean = np.mean([box.judged.probabilities[name] for name in MODELS], axis=0)
    ours = half_brier(box.judged.probabilities["consensus"], y)
    expected = compare_half_brier(ours, half_brier(mean, y), ts, 1, 1)
    assert by_part(found["forecast"])["trust"]["difference"] == pytest.approx(expected.mean_difference)
    assert expected.mean_difference != 0.0


def test_without_gates_every_up_and_down_is_acted_on(box: Lockbox, found: dict[str, Any]) -> None:
    direction = box.pooled.direction
    assert box.pooled.actionable.sum() < (direction != Direction.FLAT).sum()
    signals = signals_of(box.dataset, box.forecasts, direction, direction != Direction.FLAT)
    figures = plain_figures(box.economics.account(signals, limits=False))
    row = by_part(found["trading"])["gates"]
    assert (row["net_return"], row["trades"]) == (figures["net_return"], figures["trades"])
    assert row["trades"] > found["full"]["trades"]
    assert row["difference"] is not None


def test_boosts_never_decide_whether_to_act(found: dict[str, Any]) -> None:
    row = by_part(found["trading"])["boosts"]
    assert (row["difference"], row["reason"]) == (0.0, "identical signals")
    assert row["trades"] == found["full"]["trades"]
    # A split has fewer heads than are needed to act, whatever its score: true for every vote of up to five.
    for count in range(1, 6):
        for heads in product(Direction, repeat=count):
            votes = [_vote(k, direction, 0.5 + 0.08 * k) for k, direction in enumerate(heads)]
            for n in range(count, 7):
                one, two = SmartVote().verdict(votes, n), SmartVote(boosts=False).verdict(votes, n)
                assert (one.direction, one.probabilities, one.base) == (
                    two.direction,
                    two.probabilities,
                    two.base,
                )
                assert _acts(one.checks) == _acts(two.checks)


def _vote(k: int, direction: Direction, confidence: float) -> Vote:
    p = [(1.0 - confidence) / 2.0] * 3
    p[direction] = confidence
    said = Prediction(
        model=f"m{k}",
        symbol="S",
        ts_event=0,
        horizon_ns=1,
        label_id="l",
        probabilities=(p[0], p[1], p[2]),
    )
    return Vote(said, direction, 1.0, 1.0)


def _acts(checks: Any) -> bool:
    return all(verdict == "pass" for verdict in checks.values())


def test_two_processes_give_the_same_section(small: Small, box: Lockbox, found: dict[str, Any]) -> None:
    settings = small.request.settings
    training = settings.training.model_copy(update={"jobs": 2})
    asked = replace(small.request, settings=settings.model_copy(update={"training": training}))
    assert ablations_section(asked, box, seed=1) == found


def test_with_one_model_nothing_can_be_left_out(small: Small) -> None:
    settings = small.request.settings
    plain = settings.model_copy(update={"ensemble": settings.ensemble.model_copy(update={"meta": False})})
    alone = replace(small.request, models=("xgboost",), trust="uniform", settings=plain)
    section = ablations_section(alone, small.lockbox(alone, small.whole), seed=1)
    rows = by_part(section["forecast"])
    assert rows["trust"]["reason"] == "trust is uniform already"
    assert rows["one model"]["reason"] == "one model only: nothing can be left out"
    assert {row["word"] for row in section["forecast"]} == {"not distinguishable"}
    assert by_part(section["trading"])["meta"]["reason"] == "meta-labelling is off already"
    assert "No part could be told from nothing." in section["text"]


def test_settings_that_name_the_model_left_out_do_not_stop_the_run(small: Small) -> None:
    settings = small.request.settings
    ensemble = settings.ensemble.model_copy(
        update={"allocations": {"xgboost": 1.0, "lightgbm": 0.0}, "min_confidence": {"xgboost": 0.4}}
    )
    asked = replace(small.request, settings=settings.model_copy(update={"ensemble": ensemble}))
    section = ablations_section(asked, small.lockbox(asked, small.whole), seed=1)
    assert [row["part"] for row in section["forecast"]] == ["trust", "without lightgbm", "without xgboost"]


def test_where_no_model_has_skill_no_part_is_worth_anything(small: Small) -> None:
    whole = small.whole
    silent_whole = replace(
        whole,
        probabilities=dict.fromkeys(MODELS, whole.climatology),
        skilled={name: np.zeros(len(whole.rows), dtype=np.bool_) for name in MODELS},
    )
    box = small.lockbox(small.request, silent_whole)
    section = ablations_section(small.request, box, seed=1)
    for row in section["forecast"]:
        assert (row["difference"], row["p_value"], row["word"]) == (0.0, None, "not distinguishable")
        assert row["reason"] == "identical forecasts"
    assert diversity_section(small.dataset, box.judged, MODELS)["text"] == (
        "When 2 of 2 agree, that means nothing: none of them says more than climatology."
    )


def test_few_outcomes_give_the_words(small: Small, box: Lockbox) -> None:
    asked = replace(small.request, horizon=len(box.judged.rows))
    judged = replace(box, judged=box.judged)
    section = ablations_section(asked, judged, seed=1)
    assert {row["reason"] for row in section["forecast"]} == {TOO_FEW}


def test_the_parts_that_help_are_named_and_not_what_their_absence_does() -> None:
    def row(part: str, word: str, p_holm: float | None = 0.01) -> dict[str, Any]:
        return {"part": part, "word": word, "p_holm": p_holm}

    words = ("helps", "harms", "not distinguishable")
    rows = [row("trust", words[0]), row("without xgboost", words[0]), row("without logistic", words[2])]
    earned = [{"part": "gates", "difference": 0.01, "low": 0.005, "high": 0.02}]
    assert _ablation_text([*rows, row("without lstm", words[1])], earned) == (
        "Of the parts, trust and xgboost help the forecasts; lstm harms the forecasts; "
        "logistic is not distinguishable. In the account gates earned something. "
        "A part that is not distinguishable may be left out without a loss that could be seen."
    )
    assert _ablation_text([row("trust", words[2], None)], []).startswith(
        "No part could be told from nothing. "
        "In the account no part made a difference whose interval leaves out 0."
    )


def test_diversity_counts_the_models_behind_an_agreement(small: Small, box: Lockbox) -> None:
    two = diversity_section(small.dataset, box.judged, MODELS)
    json.dumps(two, allow_nan=False)
    assert (two["models"], two["speaking"]) == (2, 2)
    assert 1.0 <= two["effective"] < 2.0
    assert two["text"].startswith("When 2 of 2 agree, their errors are those of 1.")
    one = diversity_section(small.dataset, box.judged, ("xgboost",))
    assert one["text"] == "One model only: there is nobody to agree with."
    none = diversity_section(small.dataset, box.judged, ())
    assert (none["models"], none["effective"]) == (0, None)


def test_the_paths_are_told_with_what_is_missing() -> None:
    told = cross_validation_section(
        CrossValidated(
            groups=6,
            tested=2,
            splits=15,
            paths=5,
            embargo_ns=1_000 * HOUR_NS,
            max_fit_rows=20_000,
            models={
                "a": PathScores(differences=(-0.2, 0.1, -0.1, -0.3, -0.5), log_losses=(1.0,) * 5, no_skill=1),
                "b": PathScores(differences=(), log_losses=(), no_skill=0, reason="failed"),
            },
            skipped=(SkippedSplit(groups=(0, 3), reason="too few"),),
        ),
        HOUR_NS,
    )
    json.dumps(told, allow_nan=False)
    assert told["embargo_bars"] == 1_000
    assert told["models"]["a"]["mean"] == pytest.approx(-0.2)
    assert (told["models"]["a"]["worst"], told["models"]["a"]["best"]) == (0.1, -0.5)
    assert told["models"]["b"] == {
        "differences": [],
        "log_losses": [],
        "mean": None,
        "worst": None,
        "best": None,
        "no_skill_splits": 0,
        "reason": "failed",
    }
    assert told["skipped"] == [{"groups": [1, 4], "reason": "too few"}]
    assert "a 4 of 5." in told["text"]
    assert "1 of 15 splits left too little to learn from" in told["text"]
