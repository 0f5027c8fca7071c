"""The collector: keeps the books of many symbols right over faults, and says where they were not."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consilium.domain.checks import require_positive
from consilium.domain.errors import InvalidValue, UnknownName
from consilium.market.book.audit import TopAudit
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import BestPrices, DepthSnapshot, Diff, Refused, TradeMessage
from consilium.market.collector.port import Gap, Sink, TryLater, Venue

BREATH = 50
REQUESTS_AT_ONCE = 4
GAPS_REMEMBERED = 10_000


@dataclass(slots=True)
class _Kept:
    """The book of one symbol, and what goes on around it."""

    keeper: BookKeeper
    audit: TopAudit
    gap: Gap | None = None
    asking: "asyncio.Task[None] | None" = None
    pause_s: float = 0.0
    read_at: int = 0
    read_event: int = 0
    messages: int = 0


class Collector:
    """Listen to a venue until told to stop; hand every readable book, every trade and every gap to a sink.

    A lost connection is opened again after a pause that doubles up to ``longest_pause_s``, and starts over
    after a message. Snapshots are asked for when a book wants one, at most four requests at a time over all
    symbols, with the same pauses, and none while the venue wants quiet. A book that the exchange's own best
    prices contradict is given up. What fails otherwise (a sink that cannot take more) ends `run`, and `run`
    may be called again: the books begin where a lost connection would have left them. ``trouble`` says what
    last went wrong with the exchange.

    Parameters
    ----------
    venue
        Where to listen.
    symbols
        Which books, at least one, each once.
    sink
        Who takes what comes.
    now
        Returns UTC nanoseconds: the time of arrival.
    levels
        Levels a side that must be certain, >= 1, default 20.
    first_pause_s, longest_pause_s
        Of reconnecting and of asking again, > 0, defaults 0.5 s and 30 s.

    Raises
    ------
    InvalidValue
        No symbol, or one twice; a pause is not > 0.
    """

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        sink: Sink,
        *,
        now: Callable[[], int],
        levels: int = 20,
        first_pause_s: float = 0.5,
        longest_pause_s: float = 30.0,
    ) -> None:
        if not symbols or len(set(symbols)) != len(symbols):
            raise InvalidValue("symbols must be given, each once", list(symbols), "name each book once")
        require_positive("first_pause_s", first_pause_s)
        require_positive("longest_pause_s", longest_pause_s)
        self.venue, self.symbols, self.sink = venue, tuple(symbols), sink
        self.counts: Counter[str] = Counter()
        self.gap_causes: Counter[str] = Counter()
        self.lag_ns = 0
        self._now = now
        self._first, self._longest = first_pause_s, longest_pause_s
        self._kept = {symbol: _Kept(BookKeeper(symbol, levels=levels), TopAudit()) for symbol in symbols}
        self._requests = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._quiet_until = 0.0
        self.trouble = ""
        self._heard = self._known = self._connected = False
        self._closed: deque[Gap] = deque(maxlen=GAPS_REMEMBERED)
        self._failed: asyncio.Future[Any] | None = None

    @property
    def gaps(self) -> list[Gap]:
        """The last 10,000 gaps that closed, and after them those that are open."""
        return [*self._closed, *(kept.gap for kept in self._kept.values() if kept.gap is not None)]

    @property
    def keepers(self) -> dict[str, BookKeeper]:
        """The books, by symbol."""
        return {symbol: kept.keeper for symbol, kept in self._kept.items()}

    @property
    def heard(self) -> dict[str, int]:
        """Messages that came by now, of all streams, by symbol."""
        return {symbol: kept.messages for symbol, kept in self._kept.items()}

    @property
    def audits(self) -> dict[str, TopAudit]:
        """The comparisons with the exchange's best prices, by symbol."""
        return {symbol: kept.audit for symbol, kept in self._kept.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set.

        Raises
        ------
        UnknownName
            The venue does not trade a symbol.
        """
        ending: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        self._failed = asyncio.get_running_loop().create_future()
        listening: asyncio.Future[Any] | None = None
        pause = self._first
        try:
            await self._checked(ending)
            while not stop.is_set():
                self._heard = False
                listening = asyncio.ensure_future(self._listen())
                await asyncio.wait({listening, ending, self._failed}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    return
                if self._failed.done():
                    self._failed.result()
                self._lost(listening)
                pause = self._first if self._heard else min(2 * pause, self._longest)
                await asyncio.wait({ending, self._failed}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._ended(listening, ending)
            if not stop.is_set():
                self._disconnected()

    async def _checked(self, ending: "asyncio.Future[Any]") -> None:
        pause = self._first
        while not (ending.done() or self._known):
            try:
                await self.venue.check(self.symbols)
            except TryLater as later:
                self._refused(later)
                await asyncio.wait({ending}, timeout=later.pause_s or pause)
                pause = min(2 * pause, self._longest)
            else:
                self._known = True

    async def _ended(self, *tasks: "asyncio.Future[Any] | None") -> None:
        asking = [kept.asking for kept in self._kept.values()]
        for kept in self._kept.values():
            kept.asking = None
        for task in (*tasks, *asking, self._failed):
            if task is not None:
                await _cancelled(task)

    async def _listen(self) -> None:
        async with self.venue.listen(self.symbols) as messages:
            self.counts["connections"] += 1
            self._connected = True
            async for payload in messages:
                self._heard = True
                self._take(payload)
                if self.counts["messages"] % BREATH == 0:
                    await asyncio.sleep(0)

    def _lost(self, listening: "asyncio.Future[None]") -> None:
        error = listening.exception()
        if error is not None and not isinstance(error, ConnectionError):
            raise error
        self.trouble = str(error or "the exchange closed the connection")
        self.counts["disconnects" if self._connected else "connections_refused"] += 1
        self._connected = False
        self._disconnected()

    def _disconnected(self) -> None:
        for kept in self._kept.values():
            kept.keeper.disconnect()
            kept.audit.begin_again()
            self._open_gap(kept)

    def _take(self, payload: bytes) -> None:
        self.counts["messages"] += 1
        now = self._now()
        message = self.venue.read(payload, now)
        if isinstance(message, Refused):
            self.counts[message.name] += 1
        elif message is not None:
            kept = self._kept.get(message.symbol)
            if kept is None:
                self.counts["foreign"] += 1
            else:
                kept.messages += 1
                self._take_in(kept, message, now)

    def _take_in(self, kept: _Kept, message: Diff | BestPrices | TradeMessage, now: int) -> None:
        if isinstance(message, Diff):
            self.lag_ns = now - message.ts_event
            self._changed(kept, kept.keeper.take_diff(message))
        elif isinstance(message, TradeMessage):
            self.sink.take_trade(message)
        elif not kept.audit.saw_best(message):
            self._contradicted(kept)

    def _changed(self, kept: _Kept, changed: bool) -> None:
        keeper = kept.keeper
        if changed:
            self._close_gap(kept)
            self.sink.take_book(keeper)
            self.counts["books"] += 1
            kept.read_at, kept.read_event = keeper.ts_local, keeper.ts_event
            top = keeper.top(1)
            if not kept.audit.saw_book(keeper.last, top.bids[0], top.asks[0]):
                self._contradicted(kept)
        else:
            self._open_gap(kept)
        if keeper.wants_snapshot and kept.asking is None:
            kept.asking = asyncio.ensure_future(self._ask(kept))
            kept.asking.add_done_callback(self._asked)

    def _open_gap(self, kept: _Kept) -> None:
        keeper = kept.keeper
        if keeper.live or kept.gap is not None or not kept.read_at:
            return
        kept.gap = Gap(
            symbol=keeper.symbol,
            cause=keeper.cause,
            ts_begin=kept.read_at,
            ts_event_begin=kept.read_event,
        )
        self.gap_causes[keeper.cause] += 1
        self.sink.take_gap(kept.gap)

    def _close_gap(self, kept: _Kept) -> None:
        if kept.gap is not None:
            keeper = kept.keeper
            gap = replace(kept.gap, ts_end=keeper.ts_local, ts_event_end=keeper.ts_event)
            kept.gap = None
            self._closed.append(gap)
            self.sink.take_gap(gap)

    def _contradicted(self, kept: _Kept) -> None:
        self.counts["contradicted"] += 1
        kept.keeper.distrust()
        kept.audit.begin_again()
        self._changed(kept, changed=False)

    async def _ask(self, kept: _Kept) -> None:
        while True:
            pause = kept.pause_s
            try:
                await asyncio.sleep(pause)
                async with self._requests:
                    found = await self._request(kept.keeper.symbol)
            except TryLater as later:
                self._refused(later)
                kept.pause_s = min(max(2 * pause, self._first), self._longest)
            except UnknownName:
                # It was traded when the collector began: the others go on, and it may come back.
                self.counts["symbols_gone"] += 1
                kept.pause_s = self._longest
            else:
                kept.asking = None
                self._snapshot_came(kept, found)
                return

    def _asked(self, task: "asyncio.Task[None]") -> None:
        """Let a failure end `run` instead of being lost with its task."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    def _refused(self, later: TryLater) -> None:
        self.counts["requests_refused"] += 1
        self.trouble = str(later)

    async def _request(self, symbol: str) -> DepthSnapshot | Refused:
        """Ask once; where the venue wanted a pause, nobody asks while it lasts."""
        time = asyncio.get_running_loop().time
        while (wait := self._quiet_until - time()) > 0:
            await asyncio.sleep(wait)
        self.counts["requests"] += 1
        try:
            return await self.venue.snapshot(symbol, self._now())
        except TryLater as later:
            self._quiet_until = max(self._quiet_until, time() + later.pause_s)
            raise

    def _snapshot_came(self, kept: _Kept, found: DepthSnapshot | Refused) -> None:
        if isinstance(found, Refused):
            self.counts[found.name] += 1
        else:
            changed = kept.keeper.take_snapshot(found)
            if not kept.keeper.wants_snapshot:
                kept.pause_s = 0.0
                self._changed(kept, changed)
                return
        kept.pause_s = min(max(2 * kept.pause_s, self._first), self._longest)
        self._changed(kept, changed=False)


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # a failure that the end has overtaken is not told twice
