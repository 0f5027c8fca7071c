"""The replay exchange over real sockets, and the collector that listens to it while things go wrong."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field, replace

import aiohttp
import numpy as np
import pytest

from book_exchange import KnownExchange, known_exchange, recording
from consilium.domain.errors import UnknownName
from consilium.market.book.keeper import BookKeeper, Top
from consilium.market.book.messages import Level, TradeMessage
from consilium.market.book.rebuild import rebuild
from consilium.market.collector.binance import Binance
from consilium.market.collector.collector import Collector
from consilium.market.collector.port import Gap
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.faults import Faults
from consilium.market.replay.simulated import simulated_recording
from consilium.market.replay.tape import Tape
from consilium.market.simulator import simulate_book

LEVELS = 5


@dataclass
class Kept:
    """Every book and trade that was handed over."""

    books: dict[str, list[tuple[int, int, int, Top]]] = field(default_factory=dict)
    trades: list[TradeMessage] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def take_book(self, keeper: BookKeeper) -> None:
        row = (keeper.last, keeper.session, keeper.ts_event, keeper.top(LEVELS))
        self.books.setdefault(keeper.symbol, []).append(row)

    def take_trade(self, trade: TradeMessage) -> None:
        self.trades.append(trade)

    def take_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


def assert_true(kept: Kept, symbol: str, exchange: KnownExchange) -> None:
    for last, _, _, top in kept.books[symbol]:
        assert (top.bids, top.asks) == exchange.top(last, LEVELS)
    rows = kept.books[symbol]
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(rows))


async def collect(
    exchange: ReplayExchange, symbols: list[str], kept: Kept, *, settle_s: float = 0.3
) -> Collector:
    async with Binance(
        exchange.market, rest_url=exchange.rest_url, stream_url=exchange.stream_url, timeout_s=5.0
    ) as venue:
        collector = Collector(
            venue,
            symbols,
            kept,
            now=time.time_ns,
            levels=LEVELS,
            first_pause_s=0.01,
            longest_pause_s=0.05,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(collector.run(stop))
        finished = asyncio.create_task(exchange.finished.wait())
        await asyncio.wait({running, finished}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        assert finished.done()
        await asyncio.sleep(settle_s)
        stop.set()
        await running
    return collector


@pytest.mark.parametrize(("market", "linked"), [("spot", False), ("usdm", True)])
def test_a_quiet_line_gives_every_book_and_every_trade(market: str, linked: bool) -> None:
    known = known_exchange(5, diffs=200, linked=linked)
    kept = Kept()

    async def scene() -> Collector:
        async with ReplayExchange([Tape("BTCUSDT", recording(known))], market=market, speed=40.0) as exchange:
            return await collect(exchange, ["BTCUSDT"], kept)

    collector = asyncio.run(scene())
    assert_true(kept, "BTCUSDT", known)
    assert kept.books["BTCUSDT"][-1][0] == known.diffs[-1].last
    assert len({trade.trade_id for trade in kept.trades}) == len(known.diffs)
    assert collector.keepers["BTCUSDT"].session == 0
    assert collector.gaps == []
    assert collector.audits["BTCUSDT"].wrong == 0
    assert collector.audits["BTCUSDT"].compared > 100


@pytest.mark.parametrize(("market", "linked"), [("spot", False), ("usdm", True)])
def test_no_fault_of_the_line_gives_a_wrong_book(market: str, linked: bool) -> None:
    known = known_exchange(6, diffs=1_200, linked=linked)
    kept = Kept()
    faults = Faults(
        drop=0.01, duplicate=0.02, delay=0.002, delay_s=0.02, reorder=0.01, corrupt=0.01,
        disconnect=0.002, stale_snapshot=0.3, refuse_request=0.0,
    )  # fmt: skip

    async def scene() -> tuple[Collector, dict[str, int]]:
        async with ReplayExchange(
            [Tape("BTCUSDT", recording(known))], market=market, speed=60.0, faults=faults, seed=3
        ) as exchange:
            collector = await collect(exchange, ["BTCUSDT"], kept)
            return collector, dict(exchange.fault_counts)

    collector, happened = asyncio.run(scene())
    assert_true(kept, "BTCUSDT", known)
    counts = collector.keepers["BTCUSDT"].counts
    for fault in ("drop", "duplicate", "delay", "reorder", "corrupt", "disconnect"):
        assert happened[fault] > 0, fault
    assert counts["gap"] + counts["disconnected"] > 0
    assert counts["synchronised"] > 1
    assert collector.counts["corrupt"] + collector.counts["bad_level"] > 0
    # a connection that is cut while it opens is not one to the collector
    lost = collector.counts["disconnects"] + collector.counts["connections_refused"]
    assert 1 <= lost <= happened["disconnect"]
    assert len(kept.books["BTCUSDT"]) > 300
    assert_told(kept.gaps, collector)


def assert_told(told: list[Gap], collector: Collector) -> None:
    """Each gap was handed over when it opened and when it closed, and none reaches into another."""
    opened, closed = [gap for gap in told if gap.ts_end is None], [gap for gap in told if gap.ts_end]
    assert closed == [gap for gap in collector.gaps if gap.ts_end is not None]
    assert len(closed) <= len(opened) <= len(closed) + 1
    assert opened[: len(closed)] == [replace(gap, ts_end=None, ts_event_end=None) for gap in closed]
    assert sum(collector.gap_causes.values()) == len(opened) > 0
    for gap in closed:
        assert gap.ts_end is not None
        assert gap.ts_event_end is not None
        # Only the gap before the first book of a run has no beginning.
        assert gap.ts_begin is not None
        assert gap.ts_event_begin is not None
        assert gap.ts_begin < gap.ts_end
        assert gap.ts_event_begin <= gap.ts_event_end
    assert all(
        a.ts_end <= b.ts_begin for a, b in itertools.pairwise(closed) if a.ts_end and b.ts_begin is not None
    )


def test_a_symbol_that_does_not_exist_is_refused() -> None:
    async def scene() -> None:
        async with ReplayExchange([Tape("BTCUSDT", recording(known_exchange(1)))]) as exchange:
            await collect(exchange, ["BTCUSDT", "NOSUCH"], Kept())

    with pytest.raises(UnknownName, match="NOSUCH"):
        asyncio.run(scene())


def test_one_tape_stands_for_many_symbols() -> None:
    known = known_exchange(8, diffs=60)
    kept = Kept()
    names = [f"S{i:02d}USDT" for i in range(20)]

    async def scene() -> None:
        tape = Tape("BTCUSDT", recording(known))
        async with ReplayExchange(dict.fromkeys(names, tape), speed=5.0) as exchange:
            await collect(exchange, names, kept)

    asyncio.run(scene())
    for name in names:
        assert_true(kept, name, known)
        assert kept.books[name][-1][0] == known.diffs[-1].last


def test_snapshots_and_streams_answer_as_the_exchange_does() -> None:
    known = known_exchange(9, diffs=30)

    async def scene() -> None:
        tape = Tape("BTCUSDT", recording(known))
        async with ReplayExchange([tape], speed=0.0) as exchange, aiohttp.ClientSession() as session:
            url = exchange.rest_url
            async with session.get(f"{url}/api/v3/depth?symbol=NOSUCH&limit=100") as answer:
                assert (answer.status, (await answer.json())["code"]) == (400, -1121)
            async with session.get(f"{url}/api/v3/depth?symbol=BTCUSDT&limit=7") as answer:
                assert answer.status == 400
            async with session.ws_connect(f"{exchange.stream_url}/ws/btcusdt@depth@100ms") as socket:
                for diff in known.diffs:
                    data = await socket.receive_json(timeout=5)
                    assert (data["U"], data["u"]) == (diff.first, diff.last)
            await exchange.finished.wait()
            async with session.get(f"{url}/api/v3/depth?symbol=BTCUSDT&limit=5") as answer:
                body = await answer.json()
            bids, asks = known.top(known.diffs[-1].last, 5)
            assert body["lastUpdateId"] == known.diffs[-1].last
            assert [_level(level, 1) for level in body["bids"]] == bids
            assert [_level(level, -1) for level in body["asks"]] == asks
            async with session.post(f"{url}/replay/faults", json={"refuse_request": 1.0}) as answer:
                assert answer.status == 200
            async with session.get(f"{url}/api/v3/depth?symbol=BTCUSDT") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            async with session.post(f"{url}/replay/faults", json={"drop": 2}) as answer:
                assert answer.status == 400
            async with session.get(f"{url}/replay/status") as answer:
                assert (await answer.json())["finished"] is True

    asyncio.run(scene())


def _level(texts: list[str], sign: int) -> Level:
    price, size = texts
    return sign * round(float(price) * 1e8), round(float(size) * 1e8)


def test_a_simulated_book_comes_back_from_the_wire_as_it_was_simulated() -> None:
    simulated = simulate_book(symbol="SIM00USDT", snapshots=120, seed=4).book
    lines = simulated_recording("SIM00USDT", snapshots=120, seed=4)
    told = []

    class Rows(Kept):
        def take_book(self, keeper: BookKeeper) -> None:
            told.append((keeper.ts_event, keeper.top(20)))

    async def scene() -> Collector:
        async with ReplayExchange([Tape("SIM00USDT", lines)], speed=20.0) as exchange:
            return await collect(exchange, ["SIM00USDT"], Rows())

    collector = asyncio.run(scene())
    assert collector.gaps == []
    assert collector.audits["SIM00USDT"].wrong == 0
    assert len(told) > 100
    for ts, top in told:
        row = int(np.searchsorted(simulated.ts_event, ts))
        for side, price, size in (
            (top.bids, simulated.bid_price, simulated.bid_size),
            (top.asks, simulated.ask_price, simulated.ask_size),
        ):
            np.testing.assert_allclose([abs(key) / 1e8 for key, _ in side], price[row], rtol=1e-12)
            np.testing.assert_allclose([size / 1e8 for _, size in side], size[row], rtol=1e-12)


@pytest.mark.parametrize("linked", [False, True])
def test_a_simulated_recording_obeys_the_sequence_rules(linked: bool) -> None:
    rebuilt = rebuild(simulated_recording("SIM00USDT", snapshots=80, seed=2, linked=linked), "SIM00USDT")
    assert len(rebuilt.books) == 79
    assert rebuilt.counts["gap"] == rebuilt.shallow == rebuilt.audit.wrong == 0
    assert rebuilt.audit.compared == 79
    assert len(rebuilt.trades) == len(simulate_book(snapshots=80, seed=2).trades)


def test_messages_dated_now_say_how_late_they_come() -> None:
    known = known_exchange(11, diffs=40)
    lags = []

    class Lags(Kept):
        def take_book(self, keeper: BookKeeper) -> None:
            lags.append((keeper.ts_local - keeper.ts_event) / 1e6)
            super().take_book(keeper)

    async def scene() -> None:
        tape = Tape("BTCUSDT", recording(known))
        async with ReplayExchange([tape], speed=10.0, now=time.time_ns) as exchange:
            await collect(exchange, ["BTCUSDT"], Lags())

    asyncio.run(scene())
    assert len(lags) > 20
    assert min(lags) >= -1.0
    assert max(lags) < 3_000.0
