"""Downloads through the real client from a real server on this machine; processes are really killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from consilium.domain.errors import DataProblem, OutputProblem, UnknownName, UsageError
from consilium.domain.time import HOUR_NS
from consilium.market.candles import CandleSeries
from consilium.market.download import Download, Progress, download
from consilium.market.plan import PRESETS, Preset
from consilium.market.simulator import START_TS
from consilium.market.sources import load_candles
from fake_exchange import HOUR_MS, MS_NS, FakeExchange, Listing, listings

if TYPE_CHECKING:
    from consilium.market.exchange import Retry

pytest.importorskip("ccxt")

HOURS = 24 * 120
NOW_MS = START_TS // MS_NS + HOURS * HOUR_MS
BASES = ["BTC", "ETH", "SOL", "XRP", "ADA", "DOGE"]


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    with FakeExchange(pairs=listings(BASES, HOURS), now_ms=NOW_MS) as server:
        yield server


class _Naps(list[float]):
    """Remember the pauses instead of sleeping them."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def _fetch(exchange: FakeExchange, folder: Path, **wish: object) -> Download:
    options: dict[str, object] = {"symbols": ["BTCUSDT", "ETHUSDT"], "bars": 500, "sleep": _Naps()}
    return download(folder, base_url=exchange.url, pace_ms=0, **{**options, **wish})  # type: ignore[arg-type]


def _assert_is(series: CandleSeries, pair: Listing, first: int, last: int) -> None:
    truth = pair.bars[first:last]
    assert_array_equal(series.ts_open, truth[:, 0].astype(np.int64) * MS_NS)
    for j, name in enumerate(("open", "high", "low", "close", "volume")):
        assert_array_equal(getattr(series, name), truth[:, j + 1])


def test_every_bar_arrives_as_it_was_and_only_finished_ones(exchange: FakeExchange, tmp_path: Path) -> None:
    exchange.now_ms -= HOUR_MS // 2
    told: list[Progress] = []
    result = _fetch(exchange, tmp_path, bars=2500, progress=told.append)
    loaded = load_candles(tmp_path, drop_last=False)
    assert result.bars == 5000
    assert result.findings == ()
    for pair in exchange.pairs[:2]:
        _assert_is(loaded.series[pair.symbol], pair, HOURS - 1 - 2500, HOURS - 1)
    assert [(p.done, p.total) for p in told][-1] == (5000, 5000)
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert len(exchange.asked("1h")) == 6


def test_a_second_run_asks_for_no_candle_again(exchange: FakeExchange, tmp_path: Path) -> None:
    _fetch(exchange, tmp_path)
    before = len(exchange.seen)
    again = _fetch(exchange, tmp_path)
    assert len(exchange.seen) == before
    assert (again.bars, again.requests) == (1000, 0)


def test_a_later_end_extends_what_is_there(exchange: FakeExchange, tmp_path: Path) -> None:
    end = NOW_MS * MS_NS
    _fetch(exchange, tmp_path, end_ts=end - 300 * HOUR_NS)
    result = _fetch(exchange, tmp_path, end_ts=end + 99 * HOUR_NS)
    assert result.bars == 2 * 800
    _assert_is(
        load_candles(tmp_path, drop_last=False).series["BTCUSDT"], exchange.pairs[0], HOURS - 800, HOURS
    )
    assert int(exchange.asked("1h")[-1]["startTime"]) == NOW_MS - 300 * HOUR_MS


@pytest.mark.promise("002", "training data of 15 symbols x 500 candles")
@pytest.mark.promise("002", "enhanced training data of 100 symbols x 90 days")
def test_the_presets_fetch_what_they_promise(tmp_path: Path) -> None:
    bases = [f"C{i:02d}" for i in range(18)]
    with FakeExchange(pairs=listings(bases, HOURS), now_ms=NOW_MS) as exchange:
        small = download(tmp_path / "small", preset="small", base_url=exchange.url, pace_ms=0)
        full = download(tmp_path / "full", preset="full", base_url=exchange.url, pace_ms=0)
    assert (len(small.plan.pairs), small.bars) == (15, 15 * 500)
    assert (len(full.plan.pairs), full.bars) == (18, 18 * 90 * 24), "all that there are"
    assert PRESETS["full"] == Preset(symbols=100, days=90)


def test_the_universe_is_ranked_by_the_week_before_the_period(tmp_path: Path) -> None:
    pairs = {pair.base: pair for pair in listings([*BASES, "USDC", "BTCUP"], HOURS)}
    begin = HOURS - 500
    week = slice(begin - 8 * 24, begin)
    for rank, base in enumerate(["USDC", "BTCUP", "DOGE", "ADA", "XRP", "SOL", "ETH", "BTC"]):
        pairs[base].bars[week, 5] = 10.0**9 / 4.0**rank / pairs[base].bars[week, 4]
    # What happens inside the period must not matter: BTC becomes the largest, DOGE dies, NEW is listed.
    pairs["BTC"].bars[begin:, 5] *= 10.0**9
    pairs["DOGE"].bars = pairs["DOGE"].bars[: begin + 100]
    pairs["DOGE"].status = "BREAK"
    late = listings(["NEW"], HOURS, seed=9)[0]
    late.bars = late.bars[begin:]
    late.bars[:, 5] *= 10.0**9
    with FakeExchange(pairs=[*pairs.values(), late], now_ms=NOW_MS) as exchange:
        result = download(tmp_path, preset="small", base_url=exchange.url, pace_ms=0)
        latest = max(int(asked["endTime"]) for asked in exchange.asked("1d"))
    assert list(result.plan.pairs)[:3] == ["DOGEUSDT", "ADAUSDT", "XRPUSDT"]
    assert set(result.plan.pairs) == {f"{base}USDT" for base in BASES}
    assert latest < result.plan.start_ts // MS_NS
    delisted = [finding for finding in result.findings if finding.symbol == "DOGEUSDT"]
    assert [finding.kind for finding in delisted] == ["extent"]
    assert len(load_candles(tmp_path, ["DOGEUSDT"], drop_last=False).series["DOGEUSDT"]) == 100


def test_gaps_and_late_listings_are_reported(exchange: FakeExchange, tmp_path: Path) -> None:
    exchange.pairs[0].bars = np.delete(exchange.pairs[0].bars, slice(HOURS - 300, HOURS - 290), axis=0)
    exchange.pairs[1].bars = exchange.pairs[1].bars[-200:]
    exchange.pairs[2].bars = exchange.pairs[2].bars[:5]
    result = _fetch(exchange, tmp_path, symbols=["BTC/USDT", "ETHUSDT", "SOLUSDT"])
    found = {(f.symbol, f.kind): f for f in result.findings}
    assert set(found) == {("BTCUSDT", "gaps"), ("ETHUSDT", "extent"), ("SOLUSDT", "extent")}
    assert (found["BTCUSDT", "gaps"].count, found["BTCUSDT", "gaps"].row) == (10, 201)
    assert "no bars" in found["SOLUSDT", "extent"].detail


@pytest.mark.parametrize("fault", ["429", "418", "500", "503", "drop"])
def test_a_fault_is_waited_out_and_nothing_is_lost(
    exchange: FakeExchange, tmp_path: Path, fault: str
) -> None:
    exchange.faults.extend([fault, "", "", fault, fault, ""])
    naps = _Naps()
    told: list[Retry] = []
    result = _fetch(exchange, tmp_path, bars=2000, sleep=naps, retry=told.append)
    assert result.bars == 4000
    assert [again.pause_s for again in told] == naps
    assert [again.tried for again in told] == [1, 1, 2]
    assert result.retries == 3
    assert all("\n" not in str(again) and again.said in str(again) for again in told)
    if fault in {"429", "418"}:
        assert naps == [3.0, 3.0, 3.0]
    else:
        assert naps == [1.0, 1.0, 2.0]
    for pair in exchange.pairs[:2]:
        _assert_is(load_candles(tmp_path, drop_last=False).series[pair.symbol], pair, HOURS - 2000, HOURS)


def test_an_exchange_that_stays_silent_is_said_with_the_cure(exchange: FakeExchange, tmp_path: Path) -> None:
    exchange.faults.extend(["500"] * 50)
    with pytest.raises(DataProblem, match="goes on after the last stored bar"):
        _fetch(exchange, tmp_path, attempts=3)
    assert len(exchange.seen) == 3
    exchange.faults.clear()
    assert _fetch(exchange, tmp_path).bars == 1000


def test_a_long_ban_is_not_sat_out(exchange: FakeExchange, tmp_path: Path) -> None:
    exchange.retry_after = "86400"
    exchange.faults.append("418")
    naps = _Naps()
    with pytest.raises(DataProblem, match="must answer"):
        _fetch(exchange, tmp_path, sleep=naps)
    assert naps == []


def test_an_answer_that_does_not_come_in_time_is_a_fault(exchange: FakeExchange, tmp_path: Path) -> None:
    exchange.delay_s = 1.0
    with pytest.raises(DataProblem, match="RequestTimeout"):
        _fetch(exchange, tmp_path, timeout_s=0.2, attempts=1)


def test_wrong_wishes_are_refused_by_name(exchange: FakeExchange, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'BTCUSDT'"):
        _fetch(exchange, tmp_path / "a", symbols=["BTCUSD"])
    with pytest.raises(UnknownName, match="interval must be one of"):
        _fetch(exchange, tmp_path / "b", interval="7h")
    with pytest.raises(UnknownName, match="did you mean 'small'"):
        _fetch(exchange, tmp_path / "c", preset="smal")
    with pytest.raises(UnknownName, match="did you mean 'binance'"):
        download(tmp_path / "d", exchange="binanse", base_url=exchange.url)
    _fetch(exchange, tmp_path / "e")
    with pytest.raises(UsageError, match="a folder must hold one download"):
        _fetch(exchange, tmp_path / "e", bars=600)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="choose another folder"):
        _fetch(exchange, tmp_path / "file")


PROGRAM = """
import sys
from consilium.market.download import download
download(sys.argv[1], symbols=sys.argv[3].split(","), bars=2500, base_url=sys.argv[2], pace_ms=0)
"""


@pytest.mark.parametrize(("kills", "most"), [(3, 4), pytest.param(12, 2, marks=pytest.mark.long)])
def test_a_killed_download_leaves_whole_files_and_goes_on(
    exchange: FakeExchange, tmp_path: Path, kills: int, most: int
) -> None:
    rng = np.random.default_rng(20240101 + kills)
    symbols = [pair.symbol for pair in exchange.pairs]
    exchange.delay_s = 0.01
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), exchange.url, ",".join(symbols)]
    for _ in range(kills):
        _kill_after(
            exchange, command, pages=int(rng.integers(1, most + 1)), delay=float(rng.uniform(0, 0.03))
        )
        for file in tmp_path.glob("*.parquet"):
            stored = pl.read_parquet(file)["close"].to_numpy()
            pair = next(pair for pair in exchange.pairs if file.name.startswith(pair.symbol))
            assert_array_equal(stored, pair.bars[HOURS - 2500 :, 4][: len(stored)])
    subprocess.run(command, check=True, timeout=60)
    series = load_candles(tmp_path, drop_last=False).series
    for pair in exchange.pairs:
        _assert_is(series[pair.symbol], pair, HOURS - 2500, HOURS)
    assert len(exchange.asked("1h")) <= 3 * len(symbols) + kills
    assert list(tmp_path.glob(".*.part")) == []


def _kill_after(exchange: FakeExchange, command: list[str], *, pages: int, delay: float) -> None:
    before = len(exchange.asked("1h"))
    with subprocess.Popen(command) as process:
        until = time.monotonic() + 60
        while len(exchange.asked("1h")) < before + pages and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
