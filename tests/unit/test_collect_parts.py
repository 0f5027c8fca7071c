"""The parts of a collection one by one: lock, metrics, sizes, the watch over what is handed on."""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import test_utils, web

from book_exchange import known_exchange
from collect_scenes import until
from command_line import consilium, fails_in_one_line
from consilium.app.collecting.disk import FolderSize, folder_bytes, free_bytes
from consilium.app.collecting.lock import folder_lock, lock_holder
from consilium.app.collecting.memory import return_memory, used_memory
from consilium.app.collecting.metrics import METRICS, PREFIX, metrics_text
from consilium.app.collecting.request import CollectRequest
from consilium.app.collecting.screen import live_line, screen, status_lines, summary_lines
from consilium.app.collecting.watch import Watch
from consilium.domain import OutputProblem
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.collector.binance import Binance
from consilium.market.collector.port import Gap, TryLater
from consilium.market.collector.ring import RING

STATUS = {
    "venue": "binance_spot", "state": "collecting", "ts": 1_700_000_000_000_000_000, "up_s": 61.0,
    "books": 30, "trades": 4, "messages": 99, "writing": True, "problem": "", "last_failure": "",
    "trouble": "status 404",
    "lag": {"p50_s": 0.012, "p99_s": 0.05, "sum_s": 0.5, "count": 30},
    "gaps": {"open": 1, "by_cause": {"gap": 2, "disconnected": 1}},
    "connections": 2, "connections_refused": 0, "disconnects": 1, "restarts": 0, "requests": 3,
    "requests_refused": 1, "messages_refused": {"corrupt": 5, "bad_level": 0, "foreign": 0},
    "files": 2, "bytes": {"books": 5_000, "trades": 100}, "buffered_rows": 7,
    "dropped": {"books": 0, "trades": 0}, "write_failures": 0,
    "disk": {"bytes_a_day": 7.2e6, "folder_bytes": 6_000, "folder_limit_bytes": 50, "free_bytes": 9},
    "memory": {"bytes": 1_000_000, "limit_bytes": 2_000_000},
    "symbols": {
        "BTCUSDT": {"readable": True, "cause": "", "messages": 90, "books": 29, "trades": 4, "gaps": 1,
                    "messages_a_second": 30.0, "books_a_second": 9.5, "trades_a_second": 1.0},
        'E"TH\\': {"readable": False, "cause": "gap", "messages": 9, "books": 1, "trades": 0, "gaps": 2,
                   "messages_a_second": 3.0, "books_a_second": 0.5, "trades_a_second": 0.0},
    },
}  # fmt: skip
SAMPLE = re.compile(
    r"(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z]+=\"(?:[^\"\\\n]|\\[\\n\"])*\",?)+)\} (?P<value>[-+0-9.e]+)"
)


def test_every_metric_is_told_with_its_help_and_type_before_its_samples() -> None:
    named, samples = {}, Counter[str]()
    helped = ""
    for line in metrics_text(STATUS).splitlines():
        if line.startswith("# HELP "):
            helped = line.split()[2]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == helped
            named[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name = re.sub("_(sum|count)$", "", found["name"]) if "lag" in found["name"] else found["name"]
            assert name in named, line
            float(found["value"])
            samples[name] += 1
    assert named == {PREFIX + name: kind for name, (kind, _) in METRICS.items()}
    assert set(samples) == set(named)
    assert samples[PREFIX + "lag_seconds"] == 4
    assert samples[PREFIX + "books_total"] == 2


def test_the_page_of_the_room_lists_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "book.md").read_text()
    assert [name for name in METRICS if f"`{name}`" not in page] == []


def test_a_label_is_escaped_and_an_unknown_figure_left_out() -> None:
    text = metrics_text(STATUS | {"disk": STATUS["disk"] | {"bytes_a_day": None}})  # type: ignore[operator]
    assert 'symbol="E\\"TH\\\\"' in text
    assert "disk_bytes_a_day" not in text


def test_the_screen_says_what_the_status_holds() -> None:
    assert live_line(STATUS) == (
        "0:01:01 1/2 books readable | 10.0 books/s 1.0 trades/s | lag 12 ms (p99 50 ms) | 3 gaps (1 open) | "
        "5.1 KB written (7.2 MB a day) | 7 rows wait | memory 1.0 MB"
    )
    assert live_line(STATUS | {"writing": False}).endswith("NOT WRITING")
    lines = "\n".join(summary_lines(STATUS, "books"))
    assert "3 gaps (disconnected 1, gap 2); 2 connections, 1 lost, 0 restarts" in lines
    assert "refused: 0 connections, 1 requests; last trouble: status 404" in lines
    assert "messages that could not be used (corrupt 5)" in lines
    told = "\n".join(status_lines(STATUS | {"problem": "no room"}, holder=None, age_s=75.0))
    assert "does not run; its status is 0:01:15 old" in told
    assert "not written: no room" in told
    assert "not readable: gap; 1 books" in told


@pytest.mark.parametrize("quiet", [False, True])
def test_a_closed_screen_ends_nothing(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = os.fdopen(os.dup(1), "w")  # Rich would point the standard output elsewhere
    err = os.fdopen(writing, "w", buffering=1)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    try:
        with screen(quiet=quiet) as (show, tell):
            for _ in range(2):
                tell("beginning again")
                show(STATUS)
    finally:
        out.close()
        with suppress(BrokenPipeError):
            err.close()


def test_many_symbols_are_told_only_where_something_is_wrong() -> None:
    well = dict(STATUS["symbols"]["BTCUSDT"])  # type: ignore[index]
    ill = well | {"readable": False, "cause": "gap"}
    many = {f"S{i:03d}": ill if i % 4 == 0 else well for i in range(100)}
    lines = status_lines(STATUS | {"symbols": many}, holder="7", age_s=1.0)
    assert sum("not readable: gap" in line for line in lines) == 20
    assert lines[-1].strip() == "and 5 more that are not readable"


def test_a_lock_is_held_by_one_and_goes_with_its_process(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) is None
    code = (
        "import sys, pathlib, consilium.app.collecting.lock as l\n"
        "with l.folder_lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert lock_holder(tmp_path) == str(process.pid)
        with pytest.raises(OutputProblem, match=f"process {process.pid} collects"), folder_lock(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    until(lambda: lock_holder(tmp_path) is None, 5)
    with folder_lock(tmp_path):
        assert lock_holder(tmp_path) == str(os.getpid())


def test_the_size_of_a_folder_is_looked_at_seldom_and_reckoned_in_between(tmp_path: Path) -> None:
    now = [0.0]
    size = FolderSize(tmp_path, lambda: now[0])
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a").write_bytes(b"x" * 700)
    (tmp_path / "b").write_bytes(b"x" * 50)
    assert size.due()
    size.look()
    assert size.used == folder_bytes(tmp_path) == 750
    size.wrote(200)
    assert size.used == 950
    assert not size.due()
    now[0] = 3.0
    assert size.due(for_room=True)
    assert not size.due()
    (tmp_path / "b").unlink()
    size.look()
    assert size.used == 700
    now[0] = 40.0
    assert size.due()
    assert free_bytes(tmp_path) > 0


def test_the_ring_is_as_long_as_memory_allows(tmp_path: Path) -> None:
    def ring(symbols: int, memory: int) -> int:
        return CollectRequest(
            symbols=tuple(map(str, range(symbols))), levels=20, interval="100ms", market="spot",
            folder=tmp_path, seconds=None, rest_url="", stream_url="", max_disk=1, max_memory=memory,
            min_free=1,
        ).ring  # fmt: skip

    assert ring(2, 10**9) == RING
    assert 6_000 < ring(100, 10**9) < RING
    assert ring(100, 10**9) * 100 * (20 * 32 + 40) <= 5 * 10**8


def test_memory_is_measured_and_grows_with_what_is_held() -> None:
    return_memory()
    before = used_memory()
    held = bytearray(os.urandom(1)) * 50_000_000
    assert used_memory() - before > 40_000_000
    del held
    return_memory()
    assert used_memory() - before < 40_000_000


class Kept:
    """Takes everything, and books only in the order of their times, as the recorder does."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problem: OutputProblem | None = None
        self.buffered = 0
        self.taken: list[int] = []
        self.gaps: list[Gap] = []
        self.kept_before: int | None = None

    def newest(self, symbol: str) -> int | None:
        assert symbol
        return self.kept_before

    def take_book(self, keeper: BookKeeper) -> None:
        self.taken.append(keeper.ts_event)

    def take_trade(self, trade: TradeMessage) -> None:
        self.taken.append(trade.trade_id)

    def take_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def fed(keeper: BookKeeper, watch: Watch, diffs: range, shift: int = 0) -> None:
    exchange = known_exchange(4, diffs=30)
    if not keeper.live:
        keeper.take_snapshot(exchange.snapshot(exchange.diffs[diffs[0]].previous, 1_000))
    for i in diffs:
        diff = exchange.diffs[i]
        assert keeper.take_diff(diff._replace(ts_event=diff.ts_event + shift, ts_local=diff.ts_local + shift))
        watch.take_book(keeper)


def test_rows_held_back_are_dropped_counted_and_named() -> None:
    kept, keeper = Kept(), BookKeeper("BTCUSDT", levels=5)
    watch = Watch(kept, ["BTCUSDT"])
    fed(keeper, watch, range(10))
    watch.hold_back("full")
    fed(keeper, watch, range(10, 16))
    watch.take_trade(TradeMessage("BTCUSDT", 1, 1, 1, 1, 1, True))
    assert watch.problem == "full"
    watch.hold_back("")
    fed(keeper, watch, range(16, 20))
    assert len(kept.taken) == watch.books["BTCUSDT"] == 14
    assert watch.held_back == {"books": 6, "trades": 1}
    opened, closed = kept.gaps
    assert opened.ts_end is None
    assert closed.cause == "disk_bound"
    assert (closed.ts_event_begin, closed.ts_event_end) == (kept.taken[9], kept.taken[10])
    assert watch.causes == {"disk_bound": 1}
    assert watch.lag_s(0.5) == [0.001]
    watch.hold_back("full")
    fed(keeper, watch, range(20, 22))
    watch.end()
    assert kept.gaps[-1] == kept.gaps[-2]
    assert kept.gaps[-1].ts_end is None


def test_books_dated_back_are_a_gap_until_the_clock_has_caught_up() -> None:
    kept, keeper = Kept(), BookKeeper("BTCUSDT", levels=5)
    watch = Watch(kept, ["BTCUSDT"])
    fed(keeper, watch, range(5), shift=300_000_000)
    keeper.distrust()
    fed(keeper, watch, range(5, 12))
    assert [(gap.cause, gap.ts_end is None) for gap in kept.gaps] == [
        ("dated_back", True),
        ("dated_back", False),
    ]
    assert watch.gaps["BTCUSDT"] == 1


def test_books_dated_back_before_a_former_run_are_a_gap_too() -> None:
    kept, keeper = Kept(), BookKeeper("BTCUSDT", levels=5)
    kept.kept_before = known_exchange(4, diffs=30).diffs[5].ts_event
    watch = Watch(kept, ["BTCUSDT"])
    fed(keeper, watch, range(12))
    opened, closed = kept.gaps
    assert opened.cause == "dated_back"
    assert (opened.ts_begin, opened.ts_event_begin) == (None, kept.kept_before)
    assert closed.ts_event_end == kept.kept_before
    assert watch.causes == {"dated_back": 1}


@pytest.mark.parametrize("text", ['{"format": 1}', '{"format": 1, "ts": "x"}', '{"format": 1, "ts": 5}'])
def test_a_status_that_is_not_whole_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    done = consilium("collect-status", "--folder", str(tmp_path), cwd=tmp_path)
    assert "must be whole" in fails_in_one_line(done, 1)


def test_an_answer_that_is_no_json_is_asked_for_again() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>maintenance</html>")

    async def scene() -> None:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", answer)
        async with (
            test_utils.TestServer(app) as server,
            Binance(rest_url=str(server.make_url("/"))[:-1]) as venue,
        ):
            with pytest.raises(TryLater, match="cannot be read"):
                await venue.check(["BTCUSDT"])

    asyncio.run(scene())
