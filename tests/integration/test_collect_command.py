"""`consilium collect` in a process of its own, over real sockets, while things go wrong."""

import itertools
import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from book_exchange import KnownExchange, known_exchange, recording
from collect_scenes import (
    ROOMY,
    assert_equals_the_tape,
    assert_gaps_name_what_is_missing,
    book_gaps,
    collector,
    serving,
    status_of,
    until,
)
from command_line import consilium, fails_in_one_line, started
from consilium.market.book.sources import load_book, load_trades
from consilium.market.book.streams import Recorded
from consilium.market.book.trades import TradeSeries
from consilium.market.collector.gap_log import read_gaps
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.faults import Faults
from consilium.market.replay.tape import Tape
from consilium.market.simulator import simulate_book
from small_disk import ballast, small_disk

LEVELS = 10
ALL_FAULTS = Faults(
    drop=0.004, duplicate=0.01, delay=0.002, delay_s=0.02, reorder=0.004, corrupt=0.004, disconnect=0.0004,
    stale_snapshot=0.2, refuse_request=0.05,
)  # fmt: skip


@pytest.mark.promise(
    "004", "what was collected over a faulty line equals the exchange's book, gaps are named"
)
@pytest.mark.parametrize(
    ("market", "linked"), [("spot", False), pytest.param("usdm", True, marks=pytest.mark.long)]
)
def test_what_was_written_over_a_faulty_line_is_the_books_of_the_tape(
    tmp_path: Path, market: str, linked: bool
) -> None:
    known = {
        name: known_exchange(seed, diffs=900, linked=linked)
        for seed, name in ((6, "AAAUSDT"), (7, "BBBUSDT"))
    }
    tapes = {name: Tape("BTCUSDT", recording(exchange)) for name, exchange in known.items()}
    folder = tmp_path / "books"
    with (
        serving(lambda: ReplayExchange(tapes, market=market, speed=15.0, faults=ALL_FAULTS, seed=3)) as scene,
        collector(
            *("--symbols", ",".join(known), "--market", market, "--levels", str(LEVELS)),
            *scene.urls, *ROOMY, "--json", str(tmp_path / "end.json"),
            folder=folder,
        ) as process,
    ):  # fmt: skip
        scene.wait_played()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        happened = scene.exchange.fault_counts
    assert process.returncode == 0, err
    for fault in ("drop", "duplicate", "delay", "reorder", "corrupt", "disconnect"):
        assert happened[fault] > 0, fault
    ended = json.loads((tmp_path / "end.json").read_text())
    written, missing = 0, 0
    for name, exchange in known.items():
        series = load_book(folder, symbol=name)
        assert_equals_the_tape(series, exchange, LEVELS)
        gaps = book_gaps(folder, name)
        missing += assert_gaps_name_what_is_missing(series, exchange, gaps)
        assert len(gaps) == ended["symbols"][name]["gaps"] > 0
        assert len(series) > 150
        written += len(series)
        assert_trades_add_up(load_trades(folder, symbol=name), exchange, read_gaps(folder), name)
    assert missing > 0
    assert written == ended["books"]
    assert ended["buffered_rows"] == sum(ended["dropped"].values()) == 0
    # a connection that is cut while it opens is not one to the collector
    assert ended["connections"] + ended["connections_refused"] == happened["connections"]
    assert 1 <= ended["disconnects"] <= happened["disconnect"]
    assert sum(ended["messages_refused"].values()) > 0
    logged = [gap for gap in read_gaps(folder) if gap["kind"] == "books"]
    assert len(logged) == sum(ended["gaps"]["by_cause"].values())
    assert f"{ended['books']:,} books" in out


def assert_trades_add_up(
    trades: TradeSeries, known: KnownExchange, logged: list[dict[str, Any]], symbol: str
) -> None:
    """Each number from the first trade to the last was written once or is logged as missing."""
    number_at = {diff.ts_event: i + 1 for i, diff in enumerate(known.diffs)}
    written = [number_at[ts] for ts in trades.ts_event.tolist()]
    missing = [
        number
        for gap in logged
        if gap["kind"] == "trades" and gap["symbol"] == symbol
        for number in range(gap["first_id"], gap["last_id"] + 1)
    ]
    assert len(missing) > 0
    assert len(written) > 250
    assert sorted(written + missing) == list(range(min(written), max(written) + 1))


@pytest.mark.promise("004", "a request to end leaves everything that came on the disk")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_writes_what_waits_and_a_second_collector_is_refused_until_then(
    tmp_path: Path, number: signal.Signals
) -> None:
    known = known_exchange(12, diffs=4_000)
    folder = tmp_path / "books"
    with (
        serving(lambda: ReplayExchange([Tape("BTCUSDT", recording(known))], speed=10.0)) as scene,
        collector("--symbols", "BTCUSDT", "--levels", "10", *scene.urls, *ROOMY, folder=folder) as process,
    ):
        until(lambda: status_of(folder).get("books", 0) > 60)
        assert consilium("collect-status", "--folder", str(folder), cwd=tmp_path).returncode == 0
        second = consilium(
            "collect", "--symbols", "BTCUSDT", "--folder", str(folder), *scene.urls, cwd=tmp_path
        )
        assert f"process {process.pid} collects" in fails_in_one_line(second, 1)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    ended = status_of(folder)
    series = load_book(folder)
    assert ended["state"] == "ended"
    assert len(series) == ended["books"] > 60
    assert ended["buffered_rows"] == 0
    assert_equals_the_tape(series, known, 10)
    assert "Collected BTCUSDT of binance_spot" in out
    done = consilium("collect-status", "--folder", str(folder), cwd=tmp_path)
    assert done.returncode == 1
    assert "does not run" in done.stdout


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    known = known_exchange(12, diffs=4_000)
    folder = tmp_path / "books"
    with (
        serving(lambda: ReplayExchange([Tape("BTCUSDT", recording(known))], speed=10.0)) as scene,
        collector("--symbols", "BTCUSDT", *scene.urls, *ROOMY, folder=folder) as process,
    ):
        until(lambda: status_of(folder).get("books", 0) > 20)
        # stopped meanwhile, so that it hears the second one before it has ended because of the first
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "error: ended at once" in err


@pytest.mark.promise("004", "a killed collector leaves whole files; the next run goes on after them")
def test_a_kill_leaves_whole_files_and_the_next_run_goes_on(tmp_path: Path) -> None:
    _killed_over_and_over(tmp_path, kills=1)


@pytest.mark.long
def test_many_kills_leave_whole_files_and_the_next_run_goes_on(tmp_path: Path) -> None:
    _killed_over_and_over(tmp_path, kills=50 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8)


def _killed_over_and_over(tmp_path: Path, kills: int) -> None:
    part = 1_500
    known = known_exchange(21, diffs=part * (kills + 1))
    folder = tmp_path / "books"
    rng = np.random.default_rng(5)
    for i in range(kills + 1):
        tape = Tape("BTCUSDT", _part(known, i * part, part))
        with (
            serving(partial(ReplayExchange, [tape], speed=100.0)) as scene,
            collector(
                "--symbols", "BTCUSDT", "--levels", "10", *scene.urls, *ROOMY, folder=folder
            ) as process,
        ):
            until(partial(_has_written, folder, process.pid), 60.0)
            time.sleep(float(rng.uniform(0.0, 0.5)))
            if i < kills:
                process.kill()
                process.communicate()
            else:
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
        load_book(folder)
    series = load_book(folder)
    assert_equals_the_tape(series, known, 10)
    gaps = book_gaps(folder, "BTCUSDT")
    assert [gap["cause"] for gap in gaps] == ["restart"] * kills
    assert assert_gaps_name_what_is_missing(series, known, gaps) > 0
    assert sorted(set(series.session.tolist())) == list(range(kills + 1))
    assert list(folder.rglob("*.part")) == []


def _has_written(folder: Path, pid: int) -> bool:
    status = status_of(folder)
    return status.get("pid") == pid and status["files"] > 0


def _part(known: KnownExchange, first: int, diffs: int) -> list[Recorded]:
    """A stretch of the recording that begins with a snapshot of its own; three lines tell of a diff."""
    at = 3 * (first + 1)
    return recording(known, start=first)[at : at + 3 * diffs]


def test_a_symbol_that_does_not_exist_is_refused_in_one_line(tmp_path: Path) -> None:
    with serving(lambda: ReplayExchange([Tape("BTCUSDT", recording(known_exchange(1)))])) as scene:
        done = consilium(
            "collect",
            "--symbols",
            "BTCUSDT,BTCUSDX",
            "--folder",
            str(tmp_path / "b"),
            *scene.urls,
            cwd=tmp_path,
        )
    line = fails_in_one_line(done, 2)
    assert "BTCUSDX" in line
    assert "did you mean 'BTCUSDT'?" in line


@pytest.mark.parametrize("command", [("collect", "--symbols", "BTCUSDT"), ("replay", "--simulated")])
def test_without_the_extra_it_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ModuleNotFoundError('No module', name='aiohttp')\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = consilium(*command, cwd=tmp_path, PYTHONPATH=paths)
    assert "pip install 'consilium[exchange]'" in fails_in_one_line(done, 2)


@pytest.mark.promise("004", "recorded simulated books are the simulated books")
def test_the_demo_needs_no_recording(tmp_path: Path) -> None:
    replay = started(
        "replay", "--simulated", "--length", "8s", "--speed", "4", "--dates", "recorded", cwd=tmp_path
    )
    try:
        assert replay.stdout is not None
        told = list(itertools.islice(replay.stdout, 4))
        assert told[3].startswith(
            "consilium collect --market spot --symbols SIM00USDT --rest-url http://127.0.0.1:"
        )
        done = consilium(*told[3].split()[1:], "--for", "4s", "--quiet", *ROOMY, cwd=tmp_path)
        out, err = replay.communicate(timeout=20)
    finally:
        if replay.poll() is None:
            replay.kill()
            replay.communicate()
    assert done.returncode == 0, done.stderr
    assert replay.returncode == 0, err
    assert "faults: none" in out
    series = load_book(tmp_path / "runs" / "books")
    simulated = simulate_book(symbol="SIM00USDT", snapshots=81, seed=7)
    rows = np.searchsorted(simulated.book.ts_event, series.ts_event)
    assert len(rows) > 60
    for name in ("ts_event", "bid_price", "bid_size", "ask_price", "ask_size"):
        np.testing.assert_allclose(getattr(series, name), getattr(simulated.book, name)[rows], rtol=1e-12)
    trades = load_trades(tmp_path / "runs" / "books")
    assert set(trades.ts_event.tolist()) <= {
        ts // 1_000_000 * 1_000_000 for ts in simulated.trades.ts_event.tolist()
    }


@pytest.mark.promise("004", "a full disk is said, nothing is half-written, and collecting goes on with room")
def test_a_full_disk_is_said_and_collecting_goes_on_when_there_is_room(tmp_path: Path) -> None:
    known = known_exchange(31, diffs=3_000)
    with small_disk(tmp_path / "disk", kibibytes=2_048) as disk:
        filler = ballast(disk, leave=40_960)  # room for the status, not for books
        folder = disk / "books"
        with (
            serving(lambda: ReplayExchange([Tape("BTCUSDT", recording(known))], speed=50.0)) as scene,
            collector(
                "--symbols", "BTCUSDT", "--levels", "10", *scene.urls, "--min-free", "64KB", folder=folder
            ) as process,
        ):
            until(lambda: status_of(folder).get("write_failures", 0) > 0)
            assert not status_of(folder)["writing"]
            assert (
                'consilium_collect_writing{venue="binance_spot"} 0.0' in (folder / "metrics.prom").read_text()
            )
            filler.unlink()
            until(lambda: status_of(folder).get("files", 0) > 0)
            scene.wait_played()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert "writing rows: the disk of" in err
        assert "writing rows: well again" in err
        series, ended = load_book(folder), status_of(folder)
        assert ended["writing"]
        assert len(series) == ended["books"] > 2_500
        assert ended["dropped"] == {"books": 0, "trades": 0}
        assert_equals_the_tape(series, known, 10)
        assert assert_gaps_name_what_is_missing(series, known, book_gaps(folder, "BTCUSDT")) == 0
        assert list(folder.rglob("*.part")) == []


@pytest.mark.long
def test_a_full_folder_holds_rows_back_and_names_the_gap(tmp_path: Path) -> None:
    known = known_exchange(32, diffs=3_000)
    # The collector looks at the folder when it begins, and then every 30 s.
    folder = tmp_path / "books"
    folder.mkdir()
    other = folder / "other"
    other.write_bytes(b"x" * 99_000)
    with (
        serving(lambda: ReplayExchange([Tape("BTCUSDT", recording(known))], speed=60.0)) as scene,
        collector(
            "--symbols",
            "BTCUSDT",
            "--levels",
            "10",
            *scene.urls,
            *ROOMY,
            "--max-disk",
            "100KB",
            folder=folder,
        ) as process,
    ):
        until(lambda: status_of(folder).get("dropped", {}).get("books", 0) > 100)
        assert "raise --max-disk" in status_of(folder)["problem"]
        other.unlink()
        until(lambda: status_of(folder)["writing"])
        scene.wait_played()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "writing rows: the folder must stay below 100.0 KB" in err
    series, ended = load_book(folder), status_of(folder)
    assert len(series) == ended["books"]
    gaps = book_gaps(folder, "BTCUSDT")
    assert ended["gaps"]["by_cause"] == {"disk_bound": len(gaps)}
    assert assert_gaps_name_what_is_missing(series, known, gaps) == ended["dropped"]["books"] > 100
    assert_equals_the_tape(series, known, 10)
