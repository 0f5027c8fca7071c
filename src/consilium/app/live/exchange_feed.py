"""A venue's finished candles, asked for as each bar closes; what an outage missed is fetched afterwards."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import Event
from typing import Self

from consilium.app.live.feeds import WARM_UP_BARS, Step, gathered
from consilium.domain import Candle, ConsiliumError, UnknownName, UsageError
from consilium.domain.time import DAY_NS, MS_NS, SECOND_NS, length_ns
from consilium.market.exchange import PAGE, ExchangeClient

GRACE_S = 5.0
"""How long a bar that a venue has not yet for a symbol is waited for, before the step is done without it."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_AGAIN_S = 0.25
QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC")
"""Currencies of the pairs that a plain symbol is looked for in."""


class ExchangeFeed:
    """Finished candles of one venue through ccxt, by polling.

    Parameters
    ----------
    venue
        As ccxt names it.
    symbols
        Such as ``BTCUSDT``.
    bar
        Length of a candle that the venue offers, such as ``1h``.
    clock
        UTC nanoseconds; bars are waited for by it, and finished by the venue's own time.
    base_url
        Where to send requests instead of to the venue.
    grace_s
        See `GRACE_S`.
    """

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        bar: str,
        *,
        clock: Callable[[], int],
        base_url: str | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        if not symbols:
            raise UsageError("an exchange feed needs symbols", "none", "set live.symbols, such as BTCUSDT")
        self.name = f"exchange:{venue}"
        self.venue = venue
        self.bar = bar
        self.interval_ns = length_ns(bar)
        self.symbols = tuple(sorted(symbols))
        self._clock = clock
        self._base_url = base_url
        self._grace_s = grace_s
        self._problem = ""
        self._pairs: dict[str, str] = {}
        self._wanted: frozenset[str] | None = None
        self._open: ExchangeClient | None = None
        self._client().interval_ns(bar)  # a venue or bar that is not there is told at start

    @classmethod
    def of(cls, text: str, symbols: Sequence[str], bar: str, *, clock: Callable[[], int]) -> Self:
        """Make a feed of ``VENUE`` or ``VENUE@URL``, the latter for a gateway to it."""
        venue, _, base_url = text.partition("@")
        return cls(venue, symbols, bar, clock=clock, base_url=base_url or None)

    def narrow(self, symbols: Collection[str] | None) -> None:
        """Ask for these symbols only from now on, None for all; one that comes back brings what it missed."""
        self._wanted = None if symbols is None else frozenset(symbols)

    def bars_per_day(self) -> Mapping[str, float]:
        """Return the bars of a day that has no closing hours, by symbol."""
        return dict.fromkeys(self.symbols, DAY_NS / self.interval_ns)

    def history(self) -> Sequence[Candle]:
        """Return the newest 1,128 finished candles of each symbol.

        Raises
        ------
        DataProblem
            The venue does not answer.
        """
        client = self._client()
        end = self._finished(client)
        since = end - WARM_UP_BARS * self.interval_ns
        candles = [c for symbol in self.symbols for c in self._fetched(client, symbol, since, end)]
        return sorted(candles, key=lambda c: (c.ts_close, c.symbol))

    def steps(self, after: int, stop: Event, held: Mapping[str, int] | None = None) -> Iterator[Step]:
        """Yield the candles of each close later than ``after``, and go on until stopped.

        What a symbol lacks before that comes with the next close, up to 1,128 bars of it.
        """
        last, pause, oldest = after, FIRST_PAUSE_S, after - WARM_UP_BARS * self.interval_ns
        had = held or {}
        held = {symbol: max(had.get(symbol, after), oldest) for symbol in self.symbols}
        while not stop.is_set():
            due = (last // self.interval_ns + 1) * self.interval_ns
            if stop.wait(max(due - self._clock(), 0) / SECOND_NS):
                return
            try:
                found = self._since(last, held, stop)
            except ConsiliumError as error:
                self._close()
                self._problem = f"{self.venue} is away, asking again: {' '.join(str(error).split())}"
                if stop.wait(pause):
                    return
                pause = min(2.0 * pause, LONGEST_PAUSE_S)
                continue
            self._problem, pause = "", FIRST_PAUSE_S
            for step in gathered(found):
                held |= {candle.symbol: candle.ts_close for candle in step}
                last = max(last, step[0].ts_close)
                yield step
            if not found and stop.wait(min(self._grace_s, FIRST_PAUSE_S)):
                return

    def candles(self) -> Iterator[Candle]:
        """Yield finished candles without end."""
        for step in self.steps(self._clock(), Event()):
            yield from step

    def problem(self) -> str:
        """Return why the venue gives nothing now."""
        return self._problem

    def _client(self) -> ExchangeClient:
        """Return the client that is there, or a fresh one: it knows the venue's markets, which are long."""
        if self._open is None:
            self._open = ExchangeClient(self.venue, base_url=self._base_url, attempts=1)
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None

    def _finished(self, client: ExchangeClient) -> int:
        return client.now() // self.interval_ns * self.interval_ns

    def _since(self, last: int, held: Mapping[str, int], stop: Event) -> list[Candle]:
        """Return what closed after the last step; wait a while for symbols that the venue has not yet."""
        client, begun = self._client(), time.monotonic()
        end = self._finished(client)
        found: dict[str, list[Candle]] = {}
        wanted = self._wanted
        missing = tuple(s for s in self.symbols if wanted is None or s in wanted)
        while end > last:
            found |= {symbol: self._fetched(client, symbol, held[symbol], end) for symbol in missing}
            missing = tuple(s for s in missing if not found[s] or found[s][-1].ts_close < end)
            waited = time.monotonic() - begun > self._grace_s
            if not missing or waited or stop.wait(_AGAIN_S):
                return sorted(
                    (candle for candles in found.values() for candle in candles),
                    key=lambda c: (c.ts_close, c.symbol),
                )
        return []

    def _fetched(self, client: ExchangeClient, symbol: str, since: int, until: int) -> list[Candle]:
        """Return the bars that open in [since, until), page by page."""
        candles: list[Candle] = []
        while since < until:
            page = client.candles(self._pair(client, symbol), self.bar, since, until)
            for ts_ms, o, h, l, c, v in page.tolist():
                ts_open = int(ts_ms) * MS_NS
                candles.append(
                    Candle(
                        symbol=symbol, venue=self.venue, interval_ns=self.interval_ns, ts_open=ts_open,
                        ts_close=ts_open + self.interval_ns, open=o, high=h, low=l, close=c, volume=v,
                    )
                )  # fmt: skip
            if len(page) < PAGE:
                break
            since = candles[-1].ts_close
        return [candle for candle in candles if candle.ts_close <= until]

    def _pair(self, client: ExchangeClient, symbol: str) -> str:
        if not self._pairs:
            self._pairs = {}
            for quote in QUOTES:
                self._pairs |= client.spot_pairs(quote)
        plain = symbol.replace("/", "")
        if plain not in self._pairs:
            raise UnknownName("symbol", symbol, self._pairs)
        return self._pairs[plain]
