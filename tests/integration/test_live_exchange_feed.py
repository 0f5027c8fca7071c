"""The feed of an exchange, against a server that speaks Binance's interface: polled, away, and back."""

import threading
import time
from collections.abc import Iterator
from threading import Event as Flag
from typing import TYPE_CHECKING

import pytest

from consilium.app.live.exchange_feed import ExchangeFeed
from consilium.app.live.feeds import WARM_UP_BARS
from consilium.domain import Candle, UnknownName, UsageError
from consilium.domain.time import HOUR_NS
from consilium.market.exchange import ExchangeClient
from consilium.market.simulator import START_TS
from fake_exchange import MS_NS, FakeExchange, listings

if TYPE_CHECKING:
    from consilium.app.live.feeds import Step

HOURS = 1_400
FIRST = START_TS + 1_300 * HOUR_NS


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    with FakeExchange(pairs=listings(["AAA", "BBB"], HOURS), now_ms=FIRST // MS_NS) as server:
        yield server


def feed_of(exchange: FakeExchange, grace_s: float = 0.3) -> ExchangeFeed:
    return ExchangeFeed(
        "binance", ["BBBUSDT", "AAAUSDT"], "1h",
        clock=lambda: 2**62, base_url=exchange.url, grace_s=grace_s,
    )  # fmt: skip


class Following:
    """Takes the steps of a feed on a thread."""

    def __init__(self, feed: ExchangeFeed, after: int) -> None:
        self.steps: list[Step] = []
        self.stop = Flag()
        self._thread = threading.Thread(target=self._run, args=(feed, after))
        self._thread.start()

    def _run(self, feed: ExchangeFeed, after: int) -> None:
        for step in feed.steps(after, self.stop):
            self.steps.append(step)

    def wait(self, count: int) -> None:
        end = time.monotonic() + 30.0
        while len(self.steps) < count:
            assert time.monotonic() < end, self.steps
            time.sleep(0.01)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive()


def test_history_is_the_newest_finished_candles_of_each_symbol(exchange: FakeExchange) -> None:
    exchange.now_ms += 60_000  # a bar is under way
    history = feed_of(exchange).history()
    assert len(history) == 2 * WARM_UP_BARS
    assert {c.symbol for c in history[:2]} == {"AAAUSDT", "BBBUSDT"}
    assert history[0].ts_close == FIRST - (WARM_UP_BARS - 1) * HOUR_NS
    assert history[-1].ts_close == FIRST


def test_candles_come_as_bars_close_and_what_an_outage_missed_comes_after_it(exchange: FakeExchange) -> None:
    following = Following(feed_of(exchange), FIRST)
    try:
        exchange.now_ms += 3_600_000
        following.wait(1)
        exchange.faults.extend(["drop", "500"])
        exchange.now_ms += 3 * 3_600_000
        following.wait(4)
        closes = [step[0].ts_close for step in following.steps]
        assert closes == [FIRST + k * HOUR_NS for k in (1, 2, 3, 4)]
        assert {tuple(c.symbol for c in step) for step in following.steps} == {("AAAUSDT", "BBBUSDT")}
        bars = exchange.pairs[0].bars
        assert [step[0].close for step in following.steps] == bars[1_300:1_304, 4].tolist()
    finally:
        following.end()


@pytest.mark.promise("001", "the feed's work is limited to the universe and what is held")
def test_a_symbol_that_nobody_looks_at_is_not_asked_for_and_comes_back_whole(exchange: FakeExchange) -> None:
    feed = feed_of(exchange)
    feed.narrow({"AAAUSDT"})
    following = Following(feed, FIRST)
    try:
        exchange.now_ms += 3_600_000
        following.wait(1)
        exchange.now_ms += 3_600_000
        following.wait(2)
        assert {candle.symbol for step in following.steps for candle in step} == {"AAAUSDT"}
        feed.narrow(None)
        exchange.now_ms += 3_600_000
        following.wait(5)
        others = [c.ts_close for step in following.steps for c in step if c.symbol == "BBBUSDT"]
        assert others == [FIRST + k * HOUR_NS for k in (1, 2, 3)]
    finally:
        following.end()


def test_a_symbol_that_is_slow_is_waited_for_and_then_left_behind(exchange: FakeExchange) -> None:
    slow = exchange.pairs[1]
    bars, slow.bars = slow.bars, slow.bars[:1_300]
    following = Following(feed_of(exchange), FIRST)
    try:
        exchange.now_ms += 3_600_000
        following.wait(1)
        assert [c.symbol for c in following.steps[0]] == ["AAAUSDT"]
        slow.bars = bars
        exchange.now_ms += 3_600_000
        following.wait(3)
        # Its late candle comes first, alone, then both of the next close.
        assert [[c.symbol for c in step] for step in following.steps[1:]] == [
            ["BBBUSDT"], ["AAAUSDT", "BBBUSDT"],
        ]  # fmt: skip
    finally:
        following.end()


def test_a_symbol_that_lags_loses_no_bar_where_its_feed_is_taken_up_again(exchange: FakeExchange) -> None:
    exchange.now_ms += 2 * 3_600_000
    stop, last = Flag(), FIRST + HOUR_NS
    held = {"AAAUSDT": last, "BBBUSDT": FIRST}
    steps = feed_of(exchange).steps(last, stop, held)
    found = [(candle.symbol, candle.ts_close) for step in (next(steps), next(steps)) for candle in step]
    stop.set()
    assert found == [
        ("BBBUSDT", last), ("AAAUSDT", last + HOUR_NS), ("BBBUSDT", last + HOUR_NS),
    ]  # fmt: skip


def test_only_a_symbol_that_is_slow_is_asked_for_again(
    exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetched = ExchangeFeed._fetched

    def counted(
        feed: ExchangeFeed, client: ExchangeClient, symbol: str, since: int, until: int
    ) -> list[Candle]:
        asked.append(symbol)
        return fetched(feed, client, symbol, since, until)

    monkeypatch.setattr(ExchangeFeed, "_fetched", counted)
    slow = exchange.pairs[1]
    slow.bars = slow.bars[:1_300]
    exchange.now_ms += 3_600_000
    (candle,) = next(feed_of(exchange, grace_s=1.0).steps(FIRST, Flag()))
    assert candle.symbol == "AAAUSDT"
    assert asked.count("AAAUSDT") == 1
    assert asked.count("BBBUSDT") > 1


def test_what_cannot_be_is_told_at_once(exchange: FakeExchange) -> None:
    with pytest.raises(UsageError, match="needs symbols"):
        ExchangeFeed("binance", [], "1h", clock=time.time_ns)
    with pytest.raises(UnknownName):
        ExchangeFeed("nowhere", ["AAAUSDT"], "1h", clock=time.time_ns)
    with pytest.raises(UnknownName, match="symbol"):
        ExchangeFeed("binance", ["CCCUSDT"], "1h", clock=time.time_ns, base_url=exchange.url).history()
