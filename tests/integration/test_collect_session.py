"""A whole collection in this process, where memory, failures and clocks can be set."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from book_exchange import KnownExchange, known_exchange, recording
from collect_scenes import assert_equals_the_tape, assert_gaps_name_what_is_missing, book_gaps
from consilium.app.collecting.request import CollectRequest
from consilium.app.collecting.run import Session
from consilium.app.collecting.supervisor import Supervisor
from consilium.domain import UnknownName
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.book.sources import load_book
from consilium.market.book.streams import Recorded
from consilium.market.collector.binance import Binance
from consilium.market.collector.recording import Recorder
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.faults import Faults
from consilium.market.replay.tape import Tape

LEVELS = 10


def request_for(folder: Path, exchange: ReplayExchange, **changes: Any) -> CollectRequest:
    request = CollectRequest(
        symbols=("BTCUSDT",), levels=LEVELS, interval="100ms", market="spot", folder=folder, seconds=None,
        rest_url=exchange.rest_url, stream_url=exchange.stream_url, max_disk=10**9,
        max_memory=10**12, min_free=1,
    )  # fmt: skip
    return replace(request, **changes)


def collected(
    folder: Path,
    known: KnownExchange,
    *,
    make: type[Recorder] = Recorder,
    show: Callable[[Any], None] = lambda _: None,
    memory: Callable[[], int] | None = None,
    speed: float = 40.0,
    tell: Callable[[str], None] = lambda _: None,
    lines: list[Recorded] | None = None,
    **changes: Any,
) -> tuple[Session, list[str]]:
    """Collect a whole tape; return the session and what it told."""
    told: list[str] = []

    def hear(line: str) -> None:
        told.append(line)
        tell(line)

    async def scene() -> Session:
        tape = Tape("BTCUSDT", lines or recording(known))
        async with ReplayExchange([tape], speed=speed) as exchange:
            request = request_for(folder, exchange, **changes)
            async with Binance(
                "spot", rest_url=exchange.rest_url, stream_url=exchange.stream_url, timeout_s=5.0
            ) as venue:
                recorder = make(folder, venue=venue.name, levels=LEVELS, min_free_bytes=1, now=time.time_ns)
                session = Session(
                    request, venue, recorder, show=show, tell=hear, tick_s=0.05,
                    **({} if memory is None else {"memory": memory}),
                )  # fmt: skip
                session.supervisor = Supervisor(session.collector, hear, first_pause_s=0.05)
                session.reporter._supervisor = session.supervisor
                stop = asyncio.Event()
                running = asyncio.create_task(session.run(stop))
                played = asyncio.create_task(exchange.finished.wait())
                await asyncio.wait({running, played}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0.3)
                stop.set()
                await running
        return session

    return asyncio.run(scene()), told


class Failing(Recorder):
    """Fails as nobody foresaw, at some books."""

    seen = 0

    def take_book(self, keeper: BookKeeper) -> None:
        self.seen += 1
        if self.seen in (50, 51, 100):
            raise RuntimeError(f"broken\nat {self.seen}")
        super().take_book(keeper)


@pytest.mark.promise("004", "a failure that nobody foresaw is begun again after, with a gap")
def test_an_unexpected_failure_is_told_and_begun_again_after(tmp_path: Path) -> None:
    known = known_exchange(5, diffs=400)
    session, told = collected(tmp_path / "b", known, make=Failing, speed=15.0)
    status = session.last
    assert session.supervisor.restarts == status["restarts"] == 3
    assert [
        line for line in told if line.startswith("beginning again in 0.05 s after RuntimeError: broken at 50")
    ]
    assert status["last_failure"] == "RuntimeError: broken at 100"
    series = load_book(tmp_path / "b")
    gaps = book_gaps(tmp_path / "b", "BTCUSDT")
    assert len(gaps) == sum(status["gaps"]["by_cause"].values()) > 0
    assert {gap["cause"] for gap in gaps} == {"disconnected"}
    assert len(series) == status["books"] > 130
    assert_equals_the_tape(series, known, LEVELS)
    assert assert_gaps_name_what_is_missing(series, known, gaps) > 0


def test_nobody_has_to_listen(tmp_path: Path) -> None:
    def closed(_: Any) -> None:
        raise BrokenPipeError

    known = known_exchange(5, diffs=400)
    session, told = collected(tmp_path / "c", known, make=Failing, speed=15.0, show=closed, tell=closed)
    assert session.last["restarts"] == 3
    assert all(line.startswith("beginning again") for line in told)
    assert len(load_book(tmp_path / "c")) == session.last["books"] > 130


class FailingAtTheEnd(Recorder):
    """Cannot write one of its symbols, as nobody foresaw."""

    def close(self) -> None:
        self.take_trade(TradeMessage("AAA", 1, 1, 1, 2**63, 1, True))
        super().close()


def test_an_end_that_fails_unforeseen_writes_all_it_can_and_is_told_in_one_line(tmp_path: Path) -> None:
    session, _ = collected(tmp_path / "b", known_exchange(5, diffs=200), make=FailingAtTheEnd)
    assert str(session.error).startswith("all that waits must be written at the end; got OverflowError")
    assert session.last["state"] == "ended"
    assert len(load_book(tmp_path / "b")) == session.last["books"] > 150


def test_what_fails_before_the_first_connection_is_raised(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="NOSUCH"):
        collected(tmp_path / "b", known_exchange(5), symbols=("NOSUCH",))


def test_looking_after_a_collection_may_fail_without_ending_it(tmp_path: Path) -> None:
    def show(_: Any) -> None:
        raise RuntimeError("no such colour")

    known = known_exchange(5, diffs=200)
    session, told = collected(tmp_path / "b", known, show=show)
    assert told == ["looking after the collection: RuntimeError: no such colour"]
    assert len(load_book(tmp_path / "b")) == session.last["books"] > 150


@pytest.mark.promise("004", "memory that is passed is given back, and if that is not enough it ends cleanly")
def test_memory_that_is_passed_for_good_ends_the_collection_cleanly(tmp_path: Path) -> None:
    known = known_exchange(5, diffs=2_000)
    used = iter([500] * 10 + [2_000] * 1_000)
    session, told = collected(tmp_path / "b", known, memory=lambda: next(used), max_memory=1_000)
    assert str(session.error).startswith("memory must stay below 1.0 KB; got 2.0 KB after all was written")
    assert told == ["memory passed 1.0 KB: wrote what waited and let go of caches"]
    series = load_book(tmp_path / "b")
    assert 0 < len(series) == session.last["books"] < 1_000
    assert session.last["buffered_rows"] == 0
    assert_equals_the_tape(series, known, LEVELS)


def test_memory_that_comes_back_lets_the_collection_go_on(tmp_path: Path) -> None:
    known = known_exchange(5, diffs=400)
    used = iter([500] * 3 + [2_000] + [500] * 2 + [2_000] + [500] * 10_000)
    session, told = collected(tmp_path / "b", known, memory=lambda: next(used), max_memory=1_000)
    assert session.error is None
    assert told == ["memory passed 1.0 KB: wrote what waited and let go of caches"] * 2
    assert session.last["files"] >= 4
    assert session.last["gaps"]["by_cause"] == {}
    assert len(load_book(tmp_path / "b")) == session.last["books"] > 350


def test_the_time_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    begun = time.monotonic()
    session, _ = collected(tmp_path / "b", known_exchange(5, diffs=4_000), seconds=0.8, speed=20.0)
    assert 0.7 < time.monotonic() - begun < 15.0
    assert 0 < session.last["books"] < 1_000
    assert session.last["state"] == "ended"


def test_an_exchange_that_answers_nothing_is_waited_for_and_an_end_is_heard_meanwhile(tmp_path: Path) -> None:
    told: list[str] = []

    async def scene() -> Session:
        tape = Tape("BTCUSDT", recording(known_exchange(1)))
        async with ReplayExchange([tape]) as exchange:
            request = request_for(tmp_path / "b", exchange, rest_url="http://127.0.0.1:9")
        async with Binance("spot", rest_url=request.rest_url, stream_url=request.stream_url) as venue:
            recorder = Recorder(request.folder, venue=venue.name, levels=LEVELS, now=time.time_ns)
            session = Session(request, venue, recorder, show=lambda _: None, tell=told.append, tick_s=0.05)
            stop = asyncio.Event()
            running = asyncio.create_task(session.run(stop))
            await asyncio.sleep(1.8)  # by now it waits for two seconds
            stop.set()
            await asyncio.wait_for(running, 1.0)
        return session

    session = asyncio.run(scene())
    assert session.last["requests_refused"] >= 1
    assert told[0].startswith("reaching the exchange: ClientConnectorError")


def test_a_symbol_that_is_gone_does_not_end_the_others(tmp_path: Path) -> None:
    known = known_exchange(8, diffs=300)

    async def scene() -> Session:
        tape = Tape("BTCUSDT", recording(known))
        async with ReplayExchange(
            {"BTCUSDT": tape, "OLDUSDT": tape}, speed=30.0, faults=Faults(drop=0.02), seed=1
        ) as exchange:
            request = request_for(tmp_path / "b", exchange, symbols=("BTCUSDT", "OLDUSDT"))
            async with Binance("spot", rest_url=exchange.rest_url, stream_url=exchange.stream_url) as venue:
                recorder = Recorder(
                    request.folder, venue=venue.name, levels=LEVELS, min_free_bytes=1, now=time.time_ns
                )
                session = Session(
                    request, venue, recorder, show=lambda _: None, tell=lambda _: None, tick_s=0.1
                )
                stop = asyncio.Event()
                running = asyncio.create_task(session.run(stop))
                while session.collector.counts["books"] < 40:
                    await asyncio.sleep(0.02)
                exchange.tapes.pop("OLDUSDT")  # snapshots of it are refused from now on
                await exchange.finished.wait()
                stop.set()
                await running
                return session

    session = asyncio.run(scene())
    assert session.collector.counts["symbols_gone"] >= 1
    assert session.last["restarts"] == 0
    assert session.last["symbols"]["BTCUSDT"]["books"] > session.last["symbols"]["OLDUSDT"]["books"]


def test_a_clock_that_jumps_is_a_gap_and_nothing_is_lost_in_silence(tmp_path: Path) -> None:
    known = known_exchange(9, diffs=400)
    folder = tmp_path / "books"
    session, _ = collected(folder, known, lines=_with_jumps(recording(known)))
    ended = session.last
    assert ended["book_events"]["clock_jump"] >= 1
    assert ended["gaps"]["by_cause"]["clock_jump"] >= 1
    series = load_book(folder)
    assert len(series) == ended["books"]
    handed_over = sum(told["books"] for told in ended["symbols"].values())
    assert len(series) + ended["recorder"]["old_books"] == handed_over
    # The clock never caught up with the hour that it was ahead: the rest of the tape is one open gap.
    *_, last = book_gaps(folder, "BTCUSDT")
    assert (last["cause"], last["ts_end"]) == ("dated_back", None)
    assert last["ts_event_begin"] == series.ts_event[-1]
    assert ended["recorder"]["old_books"] > 50


def _with_jumps(lines: list[Recorded]) -> list[Recorded]:
    """The exchange's clock is an hour ahead for a while."""
    first, last = lines[len(lines) // 3].ts_local, lines[len(lines) // 2].ts_local

    def ahead(found: re.Match[bytes]) -> bytes:
        return b'"%s":%d' % (found[1], int(found[2]) + 3_600_000)

    return [
        line._replace(payload=re.sub(rb'"([ET])":(\d+)', ahead, line.payload))
        if first <= line.ts_local < last
        else line
        for line in lines
    ]
