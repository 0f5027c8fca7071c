"""What a run keeps of its consensuses is enough to reach each of them again, and to turn it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilium.app.backtest.pooling import pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.consensus_recall import StoredConsensus, StoredConsensuses
from consilium.app.consensus_store import ConsensusKeeper, place_of
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import ArtefactRefused, Consensus, Direction, InvalidValue, Prediction, UnknownName
from consilium.ensemble import ModelSetting, Pivot, action
from consilium.ensemble.rules.smart_vote import SmartVote
from consilium.market.simulator import simulate
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.labels import LabelSpec

World = tuple[Dataset, Forecasts]
MODELS = ["lightgbm", "xgboost", "logistic"]
BOLD = {"min_agreement": 0.5, "confidence_threshold": 0.34, "neutral_threshold": 0.0}


def request_for(trust: str = "fixed_share", **ensemble: Any) -> BacktestRequest:
    plain = Settings.model_validate({"training": {"folds": 2}})
    made = BacktestRequest.checked(settings=plain, trust=trust)
    # A linear baseline votes too: three that differ are soon at odds.
    settings = Settings.model_validate({"training": {"folds": 2}, "ensemble": {"trust": trust, **ensemble}})
    return replace(made, models=tuple(MODELS), baselines=(), settings=settings)


@pytest.fixture(scope="module")
def world() -> World:
    panel = simulate(symbols=["AAA", "BBB"], bars=1500, seed=5, signal_ic=0.3).series
    dataset = build_dataset(panel, "core14", LabelSpec(horizon=1, k=0.15))
    return dataset, forecast(request_for(), dataset)


def kept(
    world: World, path: Path, gates: str, trust: str = "fixed_share", rule: Any = None, **ensemble: Any
) -> tuple[list[Consensus], StoredConsensuses]:
    dataset, forecasts = world
    said: list[Consensus] = []
    keeper = ConsensusKeeper(dataset, forecasts)
    pool(request_for(trust, **ensemble), dataset, forecasts, gates, silent, said.append, rule, keeper)
    keeper.write(path)
    return said, StoredConsensuses(path)


@pytest.mark.parametrize(
    ("gates", "trust", "ensemble"),
    [
        ("edge", "fixed_share", {}),
        ("seed", "agreement", {"allocations": {"lightgbm": 0.5, "xgboost": 0.3, "logistic": 0.2}}),
        ("edge", "ewa_log", {"conformal": 0.3, "per_regime": True}),
        ("seed", "uniform", {"meta": False, "min_confidence": {"xgboost": 0.45, "lightgbm": 0.4}}),
        ("seed", "fixed_share", {"allocations": {"lightgbm": 1.0, "xgboost": 0.0, "logistic": 0.2}}),
        ("edge", "uniform", {"min_confidence": dict.fromkeys(MODELS, 0.4)}),
    ],
)
def test_what_is_read_back_is_what_was_said_and_can_be_reached_again(
    world: World, tmp_path: Path, gates: str, trust: str, ensemble: dict[str, Any]
) -> None:
    dataset, forecasts = world
    said, stored = kept(world, tmp_path / "consensus.parquet", gates, trust, **ensemble)
    assert len(said) > 1000
    names = sorted(MODELS)
    for place, (one, found) in enumerate(zip(said, stored, strict=True)):
        assert found.consensus == one
        assert list(found.consensus.gates) == list(one.gates)
        row = forecasts.rows[place]
        assert {p.model: p for p in found.predictions} == {
            name: Prediction(
                model=name,
                symbol=one.symbol,
                ts_event=one.ts_event,
                horizon_ns=one.horizon_ns,
                label_id=one.label_id,
                probabilities=tuple(forecasts.probabilities[name][place].tolist()),
                expected_return=float(forecasts.expected_return[name][place]),
            )
            for name in names
        }
        assert found.skilled == {name: forecasts.skilled[name][place] for name in names}
        assert found.volatility == dataset.volatility[row]
        assert (found.outcome is None) == (dataset.y[row] < 0)
        if found.outcome is not None:
            assert found.outcome.direction == dataset.y[row]
            assert found.outcome.realised_return == dataset.realised_return[row]
            assert found.outcome.ts_matured == dataset.ts_matured[row]
        if place % 5 == 0:
            assert found.reached_again(found.predictions) == one


def test_hindsight_had_learned_and_trust_had_moved_where_that_was_tested(
    world: World, tmp_path: Path
) -> None:
    """The control of the test above: without lessons and trust it would prove little."""
    _, stored = kept(world, tmp_path / "c.parquet", "edge", "fixed_share", conformal=0.3)
    *_, last = stored
    assert last.lessons.recalibration is not None
    assert any(last.lessons.recalibration)
    assert last.limit is not None
    assert last.lessons.model is not None
    assert len({round(t, 6) for t in last.trust.values()}) > 1
    forgetful = replace(last, lessons=replace_lessons(last))
    assert forgetful.reached_again(last.predictions) != last.consensus
    with pytest.raises(ArtefactRefused, match="must follow from what is stored"):
        forgetful.explained()


def replace_lessons(stored: StoredConsensus) -> Any:
    return stored.lessons._replace(recalibration=(None, None, None), model=None)


def by_hand(found: StoredConsensus, pivot: Pivot) -> Consensus:
    """Reach the consensus again with the one vote changed, without the code that explains."""
    others = [p for p in found.predictions if p.model != pivot.model]
    (voter,) = (p for p in found.predictions if p.model == pivot.model)
    if pivot.to is None:
        shy = {**found.models, pivot.model: ModelSetting(min_confidence=1.0)}
        return found.reached_again([*others, voter], shy)
    p = list(voter.probabilities)
    p[pivot.to], p[voter.direction] = p[voter.direction], p[pivot.to]
    changed = replace(
        voter,
        probabilities=(p[0], p[1], p[2]),
        expected_return=abs(voter.expected_return) * (pivot.to - Direction.FLAT),
    )
    return found.reached_again([*others, changed])


@pytest.mark.parametrize("rule", [None, SmartVote(min_consensus=1, boosts=False)])
def test_where_one_vote_is_said_to_turn_it_that_vote_turns_it(
    world: World, tmp_path: Path, rule: SmartVote | None
) -> None:
    _, stored = kept(world, tmp_path / "c.parquet", "edge", conformal=0.4, rule=rule)
    turned, moved = 0, set()
    for found in list(stored)[-600::3]:
        explained = found.explained()
        for pivot in explained.pivots:
            changed = by_hand(found, pivot)
            assert (changed.direction, action(changed), changed.reason) == (
                pivot.direction,
                pivot.action,
                pivot.reason,
            )
            before = found.consensus.direction, action(found.consensus)
            assert (changed.direction, action(changed)) != before
            turned += 1
            moved.add(pivot.action)
        known = {(p.model, p.to) for p in explained.pivots}
        for voice in explained.voices:
            for to in (*Direction, None):
                if to is not voice.direction and (voice.model, to) not in known and voice.weight is not None:
                    same = by_hand(
                        found,
                        Pivot(model=voice.model, to=to, direction=Direction.FLAT, action="", reason=""),
                    )
                    assert (same.direction, action(same)) == (
                        found.consensus.direction,
                        action(found.consensus),
                    )
    assert turned > 50
    assert "HOLD" in moved


def test_a_consensus_is_found_at_its_time_and_between_two_bars_the_earlier_one(
    world: World, tmp_path: Path
) -> None:
    said, stored = kept(world, tmp_path / "c.parquet", "seed")
    first, second = [c for c in said if c.symbol == "BBB"][:2]
    for ts, expected in (
        (first.ts_event, first),
        (second.ts_event - 1, first),
        (second.ts_event, second),
        (2**62, [c for c in said if c.symbol == "BBB"][-1]),
    ):
        found = stored.at("BBB", ts)
        assert found is not None
        assert found.consensus == expected
    assert stored.at("BBB", first.ts_event - 1) is None
    assert stored.spans["BBB"][0] == first.ts_event
    with pytest.raises(UnknownName, match="did you mean 'BBB'"):
        stored.at("BBBB", first.ts_event)


def test_keeping_changes_nothing_of_what_is_pooled(world: World) -> None:
    dataset, forecasts = world
    plain = pool(request_for(), dataset, forecasts, "edge", silent)
    keeping = pool(
        request_for(), dataset, forecasts, "edge", silent, keeper=ConsensusKeeper(dataset, forecasts)
    )
    assert np.array_equal(plain.probabilities, keeping.probabilities)
    assert np.array_equal(plain.actionable, keeping.actionable)
    assert plain.weights == keeping.weights


def test_a_file_that_is_cut_or_of_another_format_is_refused_in_one_line(world: World, tmp_path: Path) -> None:
    path = place_of(tmp_path, "000001-00000000")
    _, stored = kept(world, path, "seed")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtefactRefused, match="must be a whole file"):
        StoredConsensuses(path)
    path.write_bytes(whole)
    frame = pl.read_parquet(path)
    for column in ("terms", "lightgbm:weight"):
        text = pl.col("terms").str.replace("consilium.consensus/1", "consilium.consensus/2", literal=True)
        other = frame.with_columns(text) if column == "terms" else frame.drop(column)
        other.write_parquet(path)
        with pytest.raises(ArtefactRefused, match=r"must be consilium\.consensus/1"):
            stored.at("AAA", 2**62)
    frame.with_columns(pl.col("confidence") * 0.5).write_parquet(path)
    found = stored.at("AAA", 2**62)
    assert found is not None
    with pytest.raises(ArtefactRefused, match="must follow"):
        found.explained()


def test_a_keeper_that_saw_no_pool_writes_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"give it to pool\(\) first"):
        ConsensusKeeper(*world).write(tmp_path / "c.parquet")
    assert list(tmp_path.iterdir()) == []
