"""The table of all rules and policies, from walk-forward forecasts to plain JSON."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from consilium.app.backtest.economics import Economics, signals_of
from consilium.app.backtest.pooling import pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.judge import table
from consilium.app.judge.table import EQUAL_WEIGHT, Played, Variants, play_all, table_section, variant_returns
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import DAY_NS, InvalidValue, half_brier
from consilium.ensemble import PRESETS, RULES, TRUST
from consilium.market.candles import CandleSeries
from consilium.market.simulator import simulate
from consilium.trading.books import run_unit_book
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge import mean_by_timestamp
from consilium.training.judge.bootstrap import TOO_FEW
from consilium.training.judge.diebold_mariano import IDENTICAL
from consilium.training.labels import LabelSpec

HORIZON = 2


class Replay(NamedTuple):
    """Forecasts of two folds, the second of which is taken for the lock-box."""

    request: BacktestRequest
    panel: Mapping[str, CandleSeries]
    dataset: Dataset
    whole: Forecasts
    lockbox: Forecasts
    played: dict[tuple[str, str], Played]

    @property
    def first(self) -> int:
        return len(self.whole.rows) - len(self.lockbox.rows)

    @property
    def economics(self) -> Economics:
        return Economics(self.request, self.panel, int(self.dataset.ts_event[self.lockbox.rows[0]]))

    def section(self, **changed: Any) -> dict[str, Any]:
        this = self._replace(**changed)
        variants = variant_returns(this.economics, this.dataset, this.lockbox, this.played)
        found = table_section(this.request, this.dataset, this.lockbox, this.played, variants)
        json.dumps(found, allow_nan=False)
        return found


def since(series: CandleSeries, first: int) -> CandleSeries:
    return series.slice(first, len(series))


def knowing(forecasts: Forecasts, dataset: Dataset) -> Forecasts:
    """Put forecasts that know something, each model something else, in the place of the trained ones."""
    rng = np.random.default_rng(5)
    rows = forecasts.rows
    came = np.eye(3)[np.maximum(dataset.y[rows], 0)]
    said = {}
    for name, knows in zip(forecasts.probabilities, (0.5, 0.9), strict=True):
        p = forecasts.climatology * np.exp(0.4 * rng.normal(size=came.shape) + knows * came)
        said[name] = p / p.sum(axis=1, keepdims=True)
    return replace(
        forecasts,
        probabilities=said,
        expected_return={name: 0.02 * (p[:, 2] - p[:, 0]) for name, p in said.items()},
        skilled={name: np.ones(len(rows), dtype=np.bool_) for name in said},
    )


@pytest.fixture(scope="module")
def replay() -> Replay:
    settings = Settings.model_validate(
        {"training": {"folds": 2}, "ensemble": {"min_confidence": {"logistic": 0.36}}}
    )
    request = BacktestRequest(
        settings=settings,
        models=("logistic", "persistence"),
        baselines=(),
        rule="smart_vote",
        trust="fixed_share",
        horizon=HORIZON,
    )
    panel = simulate(symbols=3, bars=1_500, seed=3).series
    # One symbol begins late and one ends early: most instants lack a symbol.
    names = sorted(panel)
    panel = {
        names[0]: since(panel[names[0]], 300),
        names[1]: panel[names[1]].slice(0, 1_300),
        names[2]: panel[names[2]],
    }
    dataset = build_dataset(panel, "core14", LabelSpec(horizon=HORIZON))
    whole = knowing(forecast(request, dataset), dataset)
    return Replay(request, panel, dataset, whole, whole.since_fold(1), play_all(request, dataset, whole))


@pytest.mark.parametrize(
    ("rule", "trust", "preset"),
    [
        ("smart_vote", "fixed_share", "edge"),
        ("trust_weighted", "agreement", "seed"),
        ("log_pool", "adahedge", "edge"),
    ],
)
def test_a_variant_is_what_the_ensemble_says_alone(
    replay: Replay, rule: str, trust: str, preset: str
) -> None:
    request = replace(replay.request, rule=rule, trust=trust)
    alone = pool(request, replay.dataset, replay.whole, preset, silent)
    found = replay.played[rule, trust]
    assert np.array_equal(found.probabilities, alone.probabilities)
    assert np.array_equal(found.direction, alone.direction)
    assert np.array_equal(found.actionable[preset], alone.actionable)


def test_processes_change_nothing(replay: Replay) -> None:
    again = play_all(
        replay.request, replay.dataset, replay.whole, jobs=2, variants=[EQUAL_WEIGHT, ("adaptive", "ewa_log")]
    )
    for name, found in again.items():
        one = replay.played[name]
        assert np.array_equal(found.probabilities, one.probabilities)
        for preset in PRESETS:
            assert np.array_equal(found.actionable[preset], one.actionable[preset])


def test_jobs_below_one_are_refused(replay: Replay) -> None:
    with pytest.raises(InvalidValue, match="jobs"):
        play_all(replay.request, replay.dataset, replay.whole, jobs=0)


def test_each_variant_is_compared_with_equal_weight(replay: Replay) -> None:
    found = replay.section()
    rows = {(row["rule"], row["trust"]): row for row in found["rows"]}
    assert list(rows) == [(rule, trust) for rule in RULES for trust in TRUST]
    assert [name for name, row in rows.items() if row["primary"]] == [("smart_vote", "fixed_share")]
    places = np.flatnonzero(replay.dataset.labelled[replay.lockbox.rows])
    y = replay.dataset.y[replay.lockbox.rows[places]]
    for name in (EQUAL_WEIGHT, ("confidence_based", "ewa_brier"), ("log_pool", "uniform")):
        loss = half_brier(replay.played[name].probabilities[replay.first :][places], y)
        ts = replay.dataset.ts_event[replay.lockbox.rows[places]]
        mean = mean_by_timestamp(loss, ts)[1].mean()
        assert rows[name]["half_brier"] == pytest.approx(mean, abs=1e-15)
    assert rows[EQUAL_WEIGHT]["difference"] == 0.0
    assert rows[EQUAL_WEIGHT]["reason"] == IDENTICAL
    assert rows["log_pool", "uniform"]["same_as"] is None
    assert rows["log_pool", "agreement"]["same_as"] == "log_pool + uniform"
    other = rows["confidence_based", "ewa_brier"]
    assert other["low"] < other["difference"] < other["high"]
    assert 0.0 <= other["p_value"] <= 1.0
    assert rows["smart_vote", "uniform"]["same_as"] == "weighted_voting + uniform"
    assert set(found["confidence_set"]["names"]) == {
        f"{rule} + {trust}" for (rule, trust), row in rows.items() if row["in_set"]
    }
    assert 0.0 <= found["spa"]["p_value"] <= 1.0
    assert "The winner is not re-labelled primary" in found["text"]
    assert "log_pool under every policy" in found["text"]


def test_the_books_are_those_of_the_broker(replay: Replay) -> None:
    chosen = {name: replay.played[name] for name in (EQUAL_WEIGHT, ("majority", "agreement"))}
    economics = replay.economics
    variants = variant_returns(economics, replay.dataset, replay.lockbox, chosen)
    assert variants.names == tuple((*name, preset) for name in chosen for preset in PRESETS)
    assert variants.trades.sum() > 0
    for k, (rule, trust, preset) in enumerate(variants.names):
        said = replay.played[rule, trust]
        book = run_unit_book(
            economics.tapes,
            signals_of(
                replay.dataset,
                replay.lockbox,
                said.direction[replay.first :],
                said.actionable[preset][replay.first :],
            ),
            horizon=HORIZON,
            costs=economics.costs,
            instruments=economics.instruments,
            notional=replay.request.settings.paper.unit_notional,
            start_ts=economics.start_ts,
        )
        assert variants.trades[k] == book.trades
        assert variants.net_return[k] == pytest.approx(book.net_return, abs=1e-9)
        assert variants.daily[:, k] == pytest.approx(book.daily, abs=1e-9)
    assert variants.day[0] == economics.start_ts // DAY_NS
    assert np.all(np.diff(variants.day) == 1)


def test_without_the_package_the_table_says_why(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "arch", None)
    found = replay.section()
    assert "arch" in found["spa"]["reason"]
    assert "arch" in found["confidence_set"]["reason"]
    assert found["spa"]["p_value"] is None
    assert len(found["confidence_set"]["names"]) == len(found["rows"])
    assert all(row["p_set"] is None for row in found["rows"])


def test_without_numba_the_books_are_the_same(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {EQUAL_WEIGHT: replay.played[EQUAL_WEIGHT]}
    compiled = variant_returns(replay.economics, replay.dataset, replay.lockbox, few)
    monkeypatch.setattr(table, "find_spec", lambda _: None)
    plain = variant_returns(replay.economics, replay.dataset, replay.lockbox, few)
    assert np.array_equal(plain.daily, compiled.daily)
    assert plain.trades.tolist() == compiled.trades.tolist()


def test_too_few_outcomes_give_no_statistic(replay: Replay) -> None:
    few = replay.lockbox.rows[-120:]
    lockbox = replace(replay.lockbox, rows=few)
    found = replay.section(lockbox=lockbox)
    assert {row["reason"] for row in found["rows"]} == {IDENTICAL, TOO_FEW}
    assert found["spa"]["reason"] == TOO_FEW
    assert found["confidence_set"]["reason"] == TOO_FEW
    assert all(row["in_set"] and row["low"] is None for row in found["rows"])


def test_no_outcome_gives_no_loss(replay: Replay) -> None:
    unknown = replay.dataset.y.copy()
    unknown[replay.lockbox.rows] = -1
    found = replay.section(dataset=replace(replay.dataset, y=unknown))
    assert all(row["half_brier"] is None and row["difference"] is None for row in found["rows"])
    assert found["spa"]["best"] is None


def test_models_without_skill_leave_one_forecast_for_all(replay: Replay) -> None:
    same = Played(
        probabilities=replay.whole.climatology,
        direction=np.ones(len(replay.whole.rows), dtype=np.int8),
        actionable={preset: np.zeros(len(replay.whole.rows), dtype=np.bool_) for preset in PRESETS},
    )
    found = replay.section(played=dict.fromkeys(replay.played, same))
    assert {row["reason"] for row in found["rows"]} == {IDENTICAL}
    assert found["spa"]["reason"] == IDENTICAL
    assert found["confidence_set"]["reason"] == IDENTICAL
    assert "All 48 variants forecast the same." in found["text"]
    assert {row["trading"]["edge"]["trades"] for row in found["rows"]} == {0}
    assert isinstance(
        variant_returns(replay.economics, replay.dataset, replay.lockbox, {EQUAL_WEIGHT: same}), Variants
    )
