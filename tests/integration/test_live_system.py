"""A living system in this process: its start, candles as they should not be, what it shares with no other."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from consilium.app.live.assembly import assemble
from consilium.app.live.feeds import Step
from consilium.app.settings import Live, Training
from consilium.bus.journal.alone import Held
from consilium.domain import Candle, Direction, Outcome, OutputProblem, Prediction, UsageError
from consilium.domain.time import HOUR_NS
from live_cases import TREES, settings_of, store_models
from live_system_cases import BARS, STEPS, OddFeed, consensuses, ended, system_of, until


@pytest.fixture(scope="module")
def stored(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "models"
    shutil.copytree(models, folder)
    return folder


@pytest.mark.promise("004", "ready with no model, no feed and no Redis; it degrades and says so")
def test_it_is_ready_with_no_model_no_feed_and_no_redis(tmp_path: Path) -> None:
    with assemble(settings_of(tmp_path, live=Live())) as system:
        until(lambda: "engine" not in system.troubles)
        ready = system.ready()
        assert {part: why for part, why in ready.items() if why and not why.startswith("warn: ")} == {}
        assert ready["feed"] == "warn: no feed is set"
        assert ready["models"].startswith("warn: no model is loaded: coverage none")
        assert system.health()["status"] == "degraded"
        assert (tmp_path / "journal.sqlite").exists()


def test_without_models_the_fallback_speaks_under_coverage_none(tmp_path: Path) -> None:
    with system_of(tmp_path, OddFeed(lambda _, step: [step], bars=BARS)) as system:
        ended(system)
        found = consensuses(system)
        assert len(found) == 3 * STEPS
        assert {consensus["level"] for consensus in found} <= {"none", "none_volatility_hold"}
        assert {said["model"] for said in system.predictions(None, 0, 10_000)} == {"fallback"}
        assert system.health()["coverage"] == "none"


def test_repeated_foreign_and_other_candles_change_nothing(tmp_path: Path) -> None:
    def odd(number: int, step: Step) -> list[Step]:
        if number % 7 == 3:
            foreign = replace(step[0], symbol="FOREIGN")
            longer = replace(step[1], interval_ns=2 * HOUR_NS)
            return [(step[0], *step, foreign, longer), step]
        return [step]

    with system_of(tmp_path / "plain", OddFeed(lambda _, step: [step], bars=BARS)) as system:
        ended(system)
        expected = [c["event_id"] for c in consensuses(system)]
    with system_of(tmp_path / "odd", OddFeed(odd, bars=BARS)) as system:
        ended(system)
        assert [c["event_id"] for c in consensuses(system)] == expected
        left_out = system.market_status()["left_out"]
        assert left_out["unknown_symbol"] == left_out["other_length"] == len(range(3, STEPS, 7))
        assert left_out["repeated"] >= len(range(3, STEPS, 7))


def test_a_late_candle_fills_the_history_and_is_not_forecast(tmp_path: Path) -> None:
    held: list[Candle] = []

    def late(number: int, step: Step) -> list[Step]:
        if number == 20:
            held.append(step[0])
            return [step[1:]]
        if number == 21:
            return [(held[0],), step]  # it comes alone, after its own step was done
        return [step]

    with system_of(tmp_path, OddFeed(late, bars=BARS)) as system:
        ended(system)
        spoken = {c["ts_event"] for c in consensuses(system, held[0].symbol)}
        assert held[0].ts_close not in spoken
        assert held[0].ts_close + HOUR_NS in spoken
        assert len(spoken) == STEPS - 1
        assert system.market_status()["left_out"] == {"late": 1}
        shown = [candle["ts_close"] for candle in system.candles(held[0].symbol, BARS)]
        assert held[0].ts_close in shown
        before = system.state_hash()
    with system_of(tmp_path, OddFeed(late, bars=BARS)) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before


def test_a_gap_in_one_symbol_leaves_the_others_alone(tmp_path: Path, stored: Path) -> None:
    (tmp_path / "models").symlink_to(stored)

    def gap(number: int, step: Step) -> list[Step]:
        return [step[1:]] if 20 <= number < 40 else [step]

    feed = OddFeed(gap)
    with system_of(tmp_path, feed) as system:
        ended(system)
        counts = {symbol: len(consensuses(system, symbol)) for symbol in feed.symbols}
        assert sorted(counts.values()) == [STEPS - 20, STEPS, STEPS]
        assert system.health()["coverage"] == "full"


def test_another_feed_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with assemble(settings_of(tmp_path, live=Live(feed="simulate:symbols=1,bars=40", speed=0.0))) as system:
        ended(system)
    other = assemble(settings_of(tmp_path, live=Live(feed="simulate:symbols=2,bars=40", speed=0.0)))
    with pytest.raises(UsageError, match="this data folder follows simulate:symbols=1,bars=40"):
        other.start()
    other.stop()


def test_a_second_service_on_a_data_folder_or_a_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path / 'journal.sqlite'}"
    with system_of(tmp_path / "a", database_url=journal):
        with pytest.raises(
            OutputProblem, match=f"one service at a time; got .*held by process {os.getpid()}"
        ):
            system_of(tmp_path / "a")
        with pytest.raises(OutputProblem, match="a journal takes one process for the market at a time"):
            system_of(tmp_path / "b", database_url=journal)
        system_of(tmp_path / "c").stop()
    with system_of(tmp_path / "a", database_url=journal) as system:
        until(lambda: "engine" not in system.troubles)


def test_a_name_in_a_postgres_journal_is_held_by_one(fresh_postgres: str) -> None:
    held = Held().journal(fresh_postgres, ["market", "trading"])
    Held().journal(fresh_postgres, ["ensemble"], patience_s=0.0).close()
    with pytest.raises(OutputProblem, match="one process for the trading at a time"):
        Held().journal(fresh_postgres, ["ensemble", "trading"], patience_s=0.1)
    held.close()
    Held().journal(fresh_postgres, ["ensemble", "trading"], patience_s=1.0).close()


@pytest.mark.parametrize("models", [(), TREES], ids=["nothing", "two-trees"])
def test_the_service_starts_without_torch_and_the_libraries_of_training(
    models: tuple[str, ...], tmp_path: Path
) -> None:
    if models:
        store_models(tmp_path / "models", models)
    script = """
import json, sys, time
from pathlib import Path
from consilium.app.settings import Settings
from consilium.app.check.run import check_settings
from consilium.app.live.assembly import assemble
from consilium.app.api.frame import make_api
check_settings(Settings(data_dir=Path(sys.argv[1])))
with assemble(Settings(data_dir=Path(sys.argv[1]))) as system:
    while "engine" in system.troubles:
        time.sleep(0.01)
    print(json.dumps([name for name in ("torch", "sklearn", "scipy", "pandas", "polars",
                                 "xgboost", "lightgbm", "ccxt", "plotly")
                      if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == []


def test_trust_is_learned_where_many_symbols_wait_long_for_their_outcomes(tmp_path: Path) -> None:
    symbols, horizon = 100, 48
    made = assemble(
        settings_of(
            tmp_path,
            live=Live(feed=f"simulate:symbols={symbols},bars=4,seed=5"),
            training=Training(horizon=horizon),
        )
    )
    engine, span = made.engine, horizon * HOUR_NS
    for bar in range(1, horizon + 4):
        ts = bar * HOUR_NS
        for symbol in made.feed.symbols:
            if bar > horizon:
                engine.handle(_rise(symbol, ts - span, span))
            engine.handle(_said("xgboost", symbol, ts, span, (0.1, 0.1, 0.8)))
            engine.handle(_said("nhits", symbol, ts, span, (0.8, 0.1, 0.1)))
        engine.flush(ts)
    made.stop()
    factors = engine.pure.service.trust(span, "l").factors()
    assert dict(engine.ignored) == {}
    assert factors["xgboost"] > factors["nhits"]


def _rise(symbol: str, ts: int, span: int) -> Outcome:
    return Outcome(
        symbol=symbol, ts_event=ts, horizon_ns=span, label_id="l", ts_matured=ts + span,
        direction=Direction.UP, realised_return=0.01,
    )  # fmt: skip


def _said(
    model: str, symbol: str, ts: int, span: int, probabilities: tuple[float, float, float]
) -> Prediction:
    return Prediction(
        model=model, symbol=symbol, ts_event=ts, horizon_ns=span, label_id="l", probabilities=probabilities
    )
