"""Steps and candles as they are kept: full disks, kills, faults half way, replays that differ."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from consilium.app.live.assembly import assemble
from consilium.app.live.candle_log import CandleLog
from consilium.app.live.feeds import Step
from consilium.app.live.pipeline import Pipeline
from consilium.app.settings import Live
from consilium.domain import DataProblem
from consilium.market.simulator import simulate
from live_cases import settings_of, store_models
from live_system_cases import OddFeed, consensuses, ended, system_of, until


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
