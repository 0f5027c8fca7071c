"""A living system in this process: candles as they should not be, models that change, commands, faults."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from consilium.app.live.assembly import assemble
from consilium.app.live.candle_log import CandleLog
from consilium.app.live.feeds import PanelFeed, Step
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Live, Training
from consilium.bus.journal.alone import Held
from consilium.bus.journal.store import SqlJournal
from consilium.domain import (
    Candle,
    ConsiliumError,
    DataProblem,
    Direction,
    Outcome,
    OutcomeUnknown,
    OutputProblem,
    Prediction,
    RuleChanged,
    UnknownName,
    UsageError,
)
from consilium.domain.time import HOUR_NS
from consilium.market.simulator import simulate
from live_cases import TREES, settings_of, store_models

BARS = 520
STEPS = BARS // 2


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


def until(good: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class OddFeed(PanelFeed):
    """Plays a panel with the steps changed by a test."""

    def __init__(self, change: Callable[[int, Step], list[Step]], bars: int = BARS, symbols: int = 3) -> None:
        super().__init__("odd", simulate(symbols=symbols, bars=bars, seed=5).series, speed=0.0)
        self._change = change

    def steps(self, after: int, stop: Flag, held: Mapping[str, int] | None = None) -> Iterator[Step]:
        for number, step in enumerate(super().steps(after, stop, held)):
            yield from self._change(number, step)


def system_of(folder: Path, feed: PanelFeed | None = None, **changes: object) -> LiveSystem:
    made = assemble(settings_of(folder, live=Live(), **changes))
    if feed is not None:
        made.feed = feed
    return made


def ended(system: LiveSystem) -> None:
    until(lambda: system.feed.problem() == "the feed has ended" or "feed" in system.troubles)
    assert system.troubles == {}


def consensuses(system: LiveSystem, symbol: str | None = None) -> list[dict[str, object]]:
    return system.consensus_history(symbol, 0, 100_000)


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


def test_coverage_after_a_restart_is_that_of_the_loaded_models_though_no_step_follows(
    tmp_path: Path, stored: Path
) -> None:
    (tmp_path / "models").symlink_to(stored)
    for _ in range(2):
        with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
            ended(system)
            assert system.health()["coverage"] == system.market_status()["coverage"] == "full"


def test_a_promotion_takes_effect_while_it_serves(tmp_path: Path) -> None:
    registry = store_models(tmp_path / "models")
    paced = OddFeed(lambda _, step: [step])
    paced.speed = 60.0
    with system_of(tmp_path, paced) as system:
        until(lambda: system.pipeline.ts > 0)
        first = dict(system.pipeline.change.models)
        store_models(tmp_path / "models", ("lightgbm",), rounds=5)
        registry.promote("lightgbm", 2, ts=2, reason="by hand")
        until(lambda: system.pipeline.change.models != first)
        now = dict(system.pipeline.change.models)
        assert now["xgboost"] == first["xgboost"]
        assert (first["lightgbm"][:2], now["lightgbm"][:2]) == ("1:", "2:")
        told = system.journal.read(0, 10, topics=["model.pool_changed"])
        assert [row.event.payload["models"] for row in told] == [first, now]  # type: ignore[index]
        system.feed.speed = 0.0  # type: ignore[attr-defined]
        ended(system)
        before = system.state_hash()
    with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before


def test_a_pool_that_comes_back_within_a_bar_is_what_a_restart_finds(
    tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").symlink_to(stored)
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        both = system._members
        (one, *_) = both.models
        fewer = replace(both, models={one: both.models[one]})
        for members in (fewer, both, fewer, both):
            system._run(lambda taken=members: system._serve(taken))  # type: ignore[misc]
        rows = system.journal.read(topics=["model.pool_changed"])
        told = [row.event.payload["models"] for row in rows]  # type: ignore[index]
        assert [len(models) for models in told] == [2, 1, 2, 1, 2]
        before = system.state_hash()
        system.journal.save_snapshot("pipeline", system.journal.head().offset, {"version": 0})
        monkeypatch.setattr(system, "_last_words", lambda: None)  # as after a kill: no snapshot
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before
        assert len(system.journal.read(topics=["model.pool_changed"])) == len(told)


def test_a_model_damaged_while_it_serves_goes_on_and_is_missing_after_a_restart(tmp_path: Path) -> None:
    store_models(tmp_path / "models")
    paced = OddFeed(lambda _, step: [step])
    paced.speed = 100.0
    with system_of(tmp_path, paced) as system:
        until(lambda: system.pipeline.ts > 0)
        (graph,) = (tmp_path / "models" / "lightgbm").rglob("graph.fp32.onnx")
        graph.write_bytes(graph.read_bytes()[:-50])
        state = tmp_path / "models" / "lightgbm" / "registry.json"
        state.write_text(state.read_text() + " ")  # somebody writes there: it is looked at again
        time.sleep(1.5)
        assert system.health()["coverage"] == "full"
    with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
        ended(system)
        assert "lightgbm: " in system.ready()["models"]
        assert set(system.pipeline.change.models) == {"xgboost"}
        # One of two speaks: none by the rule of the seed, and still it is the model and not the fallback.
        assert system.health()["coverage"] == "none"
        assert {p["model"] for p in system.predictions(None, 0, 100_000)[-3:]} == {"xgboost"}


def test_a_command_is_journaled_once_it_is_applied_and_survives(tmp_path: Path) -> None:
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        head = system.journal.head().offset
        with pytest.raises(UnknownName):
            system.submit(RuleChanged(rule="loudest", by="ann", ts_event=1), by="ann")
        assert system.journal.head().offset == head
        event = system.submit(RuleChanged(rule="majority", by="ann", ts_event=2), by="ann", trace_id="t1")
        assert (event.topic, event.trace_id) == ("ensemble.rule_changed", "t1")
        found = system.journal.find(event.event_id)
        assert found is not None
        before = system.state_hash()
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.engine.status()["strategy"] == "majority"
        assert system.state_hash() == before


def test_the_account_is_shown_as_it_stood_when_a_step_was_done(tmp_path: Path) -> None:
    shown: list[object] = []
    bars = simulate(symbols=1, bars=4, seed=5).series
    with system_of(tmp_path, PanelFeed("odd", bars, speed=0.0)) as system:
        until(lambda: "engine" not in system.troubles)
        ended(system)
        before = system.trading_status()
        accounts: Any = system.pipeline.accounts
        step = accounts.step

        def moved(*given: Any) -> Any:
            said = step(*given)
            accounts.trading.portfolio.consecutive_losses += 3
            shown.append(system.trading_status())
            return said

        accounts.step = moved
        (symbol,) = bars
        last = bars[symbol].candle(3)
        ts = last.ts_close + HOUR_NS
        system.take((replace(last, ts_open=last.ts_close, ts_close=ts),))
        assert shown == [before]
        after = system.trading_status()
    assert after["consecutive_losses"] == before["consecutive_losses"] + 3
    assert after["ts_event"] == ts


def test_a_command_is_refused_where_its_turn_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consilium.app.live.system.COMMAND_WAIT_S", 0.1)
    gate = Flag()
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        head, before = system.journal.head().offset, system.engine.status()["strategy"]
        system._thread.submit(gate.wait, 30.0)
        try:
            with pytest.raises(ConsiliumError, match="the engine must be ready for commands"):
                system.submit(RuleChanged(rule="majority", by="ann", ts_event=2), by="ann")
        finally:
            gate.set()
        system.state_hash()  # after all that waited
        assert system.journal.head().offset == head
        assert system.engine.status()["strategy"] == before


def _lose_answer(patch: pytest.MonkeyPatch, *, blind: bool) -> None:
    """Let the next commit be carried out and its answer be lost; blind: nothing can be read then either."""
    real, find = Connection.commit, SqlJournal.find

    def commit(self: Connection) -> None:
        real(self)
        patch.setattr(Connection, "commit", real)
        raise OperationalError("COMMIT", None, Exception("server closed the connection unexpectedly"))

    def unread(self: SqlJournal, event_id: str) -> None:
        patch.setattr(SqlJournal, "find", find)
        raise DataProblem("the journal must be read", "no connection", "start the database")

    patch.setattr(Connection, "commit", commit)
    if blind:
        patch.setattr(SqlJournal, "find", unread)


@pytest.mark.parametrize("blind", [False, True])
def test_a_command_whose_commit_was_not_answered_is_live_as_it_is_in_the_journal(
    blind: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = RuleChanged(rule="trust_weighted", by="ann", ts_event=7)
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        _lose_answer(monkeypatch, blind=blind)
        if blind:
            with pytest.raises(OutcomeUnknown, match="no answer from it"):
                system.submit(command, by="ann")
        else:
            system.submit(command, by="ann")
        assert system.engine.status()["strategy"] == "trust_weighted"
        until(lambda: not system._pending)
        told = [row.event.topic for row in system.journal.read(0, 10)]
        assert told.count("ensemble.rule_changed") == 1
    with system_of(tmp_path) as again:
        until(lambda: "engine" not in again.troubles)
        assert again.engine.status()["strategy"] == "trust_weighted"


def test_another_feed_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with assemble(settings_of(tmp_path, live=Live(feed="simulate:symbols=1,bars=40", speed=0.0))) as system:
        ended(system)
    other = assemble(settings_of(tmp_path, live=Live(feed="simulate:symbols=2,bars=40", speed=0.0)))
    with pytest.raises(UsageError, match="this data folder follows simulate:symbols=1,bars=40"):
        other.start()
    other.stop()


def test_candles_that_are_gone_are_missed_and_nothing_is_invented(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, live=Live(feed="simulate:symbols=1,bars=240,seed=2", speed=0.0))
    with assemble(settings) as system:
        ended(system)
    for path in (tmp_path / "live" / "candles").glob("*.csv"):
        text = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in text if not line.endswith(",0\n"))[: len(text[0])] + "")
    system = assemble(settings)
    system.journal.save_snapshot("pipeline", system.journal.head().offset, {"version": 0})
    with system:
        until(lambda: system.troubles.get("engine", "").startswith("cannot recover"))
        assert "restore the data folder" in system.ready()["engine"]


def test_kept_candles_cut_by_a_kill_are_taken_again(tmp_path: Path) -> None:
    (series,) = simulate(symbols=1, bars=30, seed=1).series.values()
    log = CandleLog(tmp_path)
    log.begin({"feed": "x"}, [series.candle(0)])
    for t in range(1, 30):
        log.keep(int(series.ts_close[t]), [series.candle(t)])
    log.close()
    newest = max(tmp_path.glob("*.csv"))
    newest.write_bytes(newest.read_bytes()[:-20])
    again = CandleLog(tmp_path)
    assert again.last == int(series.ts_close[28])
    assert [candles[0] for _, candles in again.steps()] == [series.candle(t) for t in range(1, 29)]
    assert again.warm_up() == [series.candle(0)]
    again.forget_after(int(series.ts_close[25]))
    assert again.last == int(series.ts_close[25])
    again.keep(int(series.ts_close[26]), [series.candle(26)])
    assert [step for step, _ in again.steps(int(series.ts_close[24]))] == series.ts_close[25:27].tolist()
    again.close()
    newest.write_bytes(newest.read_bytes().replace(b",SIM", b",SIM,", 1).replace(b"SIM00,", b"SIM00,,", 1))
    with pytest.raises(DataProblem, match="kept candles must be whole"):
        CandleLog(tmp_path)


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


@pytest.mark.parametrize("first", [False, True])
def test_a_step_that_a_full_disk_cut_is_kept_whole_once_there_is_room(tmp_path: Path, first: bool) -> None:
    # the limit of a file's size stays with the process, so it must be another one
    script = """
import resource, signal, sys
from pathlib import Path
from consilium.app.live.candle_log import CandleLog
from consilium.domain import Candle, OutputProblem
HOUR = 3_600_000_000_000
def step(k):
    return [Candle(symbol=f"S{i:03d}", venue="v", interval_ns=HOUR, ts_open=(k - 1) * HOUR, ts_close=k * HOUR,
                   open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0) for i in range(200)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = CandleLog(Path(sys.argv[1]))
log.begin({"feed": "x"}, [])
first = int(sys.argv[2])
if not first:
    log.keep(10 * HOUR, step(10))
free = resource.getrlimit(resource.RLIMIT_FSIZE)
size = sum(path.stat().st_size for path in log.folder.glob("*.csv"))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3_000, free[1]))
for _ in range(2):
    try:
        log.keep(11 * HOUR, step(11))
    except OutputProblem:
        print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, free)
log.keep(11 * HOUR, step(11))
log.keep(12 * HOUR, step(12))
for again in (log, CandleLog(log.folder)):
    for ts, candles in again.steps():
        print(ts // HOUR, candles == step(ts // HOUR))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(int(first))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    kept = [f"{hour} True" for hour in (range(11, 13) if first else range(10, 13))]
    assert done.stdout.splitlines() == ["full", "full", *kept, *kept], done.stderr[-1000:]


def test_a_restart_reads_the_newest_candles_and_not_all_that_were_ever_kept(tmp_path: Path) -> None:
    panel = simulate(symbols=2, bars=200, seed=1).series
    log = CandleLog(tmp_path)
    closes = next(iter(panel.values())).ts_close.tolist()
    log.begin({"feed": "x"}, [series.candle(t) for t in range(100) for series in panel.values()])
    for t in range(100, 200, 5):
        log.keep(closes[t], [series.candle(k) for k in range(t, t + 5) for series in panel.values()])
    log.close()
    every = list(log.newest(tuple(panel), 1_000, closes[-1]))
    assert every == [series.candle(t) for t in range(200) for series in panel.values()]
    assert log.newest(tuple(panel), 10, 0)[-20:] == every[180:200]
    oldest = min(tmp_path.glob("*.csv"))
    oldest.write_bytes(oldest.read_bytes().replace(b",SIM", b",SIM,", 1).replace(b"SIM00,", b"SIM00,,", 1))
    with pytest.raises(DataProblem, match="kept candles must be whole"):
        log.newest(tuple(panel), 1_000, closes[-1])
    found = log.newest(tuple(panel), 50, closes[150])
    ended = every.index(panel[every[0].symbol].candle(155))
    assert len(found) < 250
    assert found == every[ended - len(found) : ended]
    assert [log.newest((symbol,), 50, closes[150])[-2:] for symbol in panel] == [found[-2:]] * 2


def test_a_step_that_fails_half_way_is_done_again_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(_: int, step: Step) -> list[Step]:
        return [step]

    with system_of(tmp_path / "plain", OddFeed(plain, bars=80)) as system:
        ended(system)
        expected = [c["event_id"] for c in consensuses(system)]
        whole = system.state_hash()

    step, conclude, calls, replaying = Pipeline.step, Pipeline.conclude, [0], [False]

    def replayed(self: Pipeline, ts: int, candles: Step, speak: Any = None) -> list[Any]:
        replaying[0] = True
        try:
            return step(self, ts, candles, speak)
        finally:
            replaying[0] = False

    def failing(self: Pipeline, ts: int, observed: Any) -> list[Any]:
        messages = conclude(self, ts, observed)
        calls[0] += not replaying[0]
        if not replaying[0] and calls[0] in (1, 11):
            raise RuntimeError("a fault of one step")
        return messages

    monkeypatch.setattr(Pipeline, "step", replayed)
    monkeypatch.setattr(Pipeline, "conclude", failing)
    with system_of(tmp_path / "failing", OddFeed(plain, bars=80)) as system:
        until(lambda: system.feed.problem() == "the feed has ended" and not system.troubles)
        assert calls[0] == 40 + 2
        assert [c["event_id"] for c in consensuses(system)] == expected
        assert system.state_hash() == whole
        monkeypatch.setattr(system, "_last_words", lambda: None)  # as after a kill: no snapshot
    with system_of(tmp_path / "failing", OddFeed(plain, bars=80)) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == whole


def test_candles_kept_for_a_step_that_was_not_done_are_passed_over(tmp_path: Path) -> None:
    feed = OddFeed(lambda _, step: [step], bars=40)
    with system_of(tmp_path, feed) as system:
        ended(system)
    (path,) = list((tmp_path / "live" / "candles").glob("*.csv"))[-1:]
    *lines, last = path.read_text().splitlines(keepends=True)
    at = int(last.rsplit(",", 1)[1])
    first = next(n for n, line in enumerate(lines) if line.endswith(f",{at}\n"))
    lines.insert(first, lines[first].replace(f",{at}\n", f",{at - 5}\n"))
    path.write_text("".join((*lines, last)))
    system = system_of(tmp_path, feed)
    system.journal.save_snapshot("pipeline", system.journal.head().offset, {"version": 0})
    with system:
        until(lambda: not system.troubles.get("engine", "").startswith(("starting", "replaying")))
        assert "engine" not in system.troubles


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


def test_steps_that_are_replayed_otherwise_than_they_are_journaled_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_models(tmp_path / "models")
    feed = Live(feed="simulate:symbols=2,bars=540,seed=5", speed=0.0)
    with assemble(settings_of(tmp_path, live=feed)) as system:
        ended(system)
        assert system.differing == 0
    others = settings_of(tmp_path, live=feed, ensemble={"gates": "seed", "rule": "unanimous"})
    system = assemble(others)
    monkeypatch.setattr(system.journal, "load_snapshot", lambda _: None)
    with system:
        until(lambda: "engine" not in system.troubles)
        told = system.ready()["engine"]
        assert told.startswith(f"warn: {system.differing} replayed steps came out otherwise")
        assert 0 < system.differing <= 270
