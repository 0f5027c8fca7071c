"""Accounts whose orders are filled by walking recorded books, and the same signals filled on candles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consilium.app.bootstrap import make_costs
from consilium.app.settings import Settings
from consilium.domain import DataProblem, Instrument, OrderKind, Policy, to_iso
from consilium.domain.time import MS_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.recordings import Recordings, plain_symbol
from consilium.trading.backtest import BacktestResult, run_backtest
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.run import RecordedMarket, run_on_books
from consilium.trading.book.service import EntryOrders
from consilium.trading.book.terms import known_at, recorded_step, require_one_market
from consilium.trading.signals import SignalSeries
from consilium.trading.tape import Tape

PERPETUAL = ("_usdm", "_coinm")
"""Ends of the names of venues that trade perpetuals."""


MOST_UNCOVERED = 0.05
"""Share of signals that may lie outside the time of the books."""


def terms_of(settings: Settings, book: BookSeries, trades: TradeSeries, start_ts: int | None) -> Instrument:
    """Return the terms of a recorded market: fees of the settings, and steps that were known at the start.

    Parameters
    ----------
    settings
        Fees, smallest value, maintenance, and steps if they are set.
    book, trades
        Of one symbol.
    start_ts
        The first close that counts; a step that is not set is that of what was recorded until then.
    """
    costs, terms = settings.costs, settings.book
    perpetual = book.venue.endswith(PERPETUAL)
    prices, sizes = known_at(book, trades, start_ts)
    return Instrument(
        symbol=book.symbol,
        venue=book.venue,
        market="perp" if perpetual else "spot",
        tick_size=recorded_step(prices, "prices") if terms.tick_size is None else terms.tick_size,
        lot_size=recorded_step(sizes, "sizes") if terms.lot_size is None else terms.lot_size,
        min_notional=terms.min_notional,
        maker_fee=costs.maker_fee,
        taker_fee=costs.taker_fee,
        maintenance=terms.maintenance if perpetual else 0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookFills:
    """The recorded markets of a run, and how its orders meet them.

    Parameters
    ----------
    markets, instruments
        Books, trades and terms by symbol.
    settings
        Costs, sizes, latency, queue.
    policy, horizon
        Of the run; the horizon in bars.
    """

    markets: Mapping[str, RecordedMarket]
    instruments: Mapping[str, Instrument]
    settings: Settings
    policy: Policy
    horizon: int

    @classmethod
    def of(
        cls,
        markets: Mapping[str, RecordedMarket],
        settings: Settings,
        policy: Policy,
        horizon: int,
        start_ts: int | None = None,
    ) -> "BookFills":
        """Make the terms of every market.

        Parameters
        ----------
        markets, settings, policy, horizon
            As the class keeps them.
        start_ts
            The first close that counts: terms know nothing later, but for a symbol's first book.

        Raises
        ------
        InvalidValue
            Contracts that are paid in a coin.
        DataProblem
            Prices or sizes too large to take a step from.
        """
        instruments = {s: terms_of(settings, m.book, m.trades, start_ts) for s, m in sorted(markets.items())}
        for symbol, market in markets.items():
            require_one_market(market.book, market.trades, instruments[symbol])
        return cls(
            markets=markets, instruments=instruments, settings=settings, policy=policy, horizon=horizon
        )

    def starting(self, start_ts: int) -> "BookFills":
        """Return the same with the terms that were known at the first close that counts."""
        return self.of(self.markets, self.settings, self.policy, self.horizon, start_ts)

    @property
    def execution(self) -> BookExecution:
        """Latency, queue, triggers and leverage of the settings."""
        book = self.settings.book
        return BookExecution(
            latency_ns=round(book.latency_ms * MS_NS),
            max_age_ns=max(round(book.max_age_ms * MS_NS), 1),
            queue_ahead=book.queue,
            trigger=book.trigger,
            leverage=book.leverage,
        )

    @property
    def entries(self) -> EntryOrders:
        """Kind and patience of entries, and whether DOWN may open."""
        book = self.settings.book
        patience = max(round(book.patience_ms * MS_NS), 1)
        return EntryOrders(kind=OrderKind(book.entry), patience_ns=patience, shorts=book.shorts)

    def account(
        self,
        tapes: Mapping[str, Tape],
        signals: Sequence[SignalSeries],
        *,
        limits: bool,
        costs: float = 1.0,
        delay: int = 0,
        size: float = 1.0,
        start_ts: int | None = None,
    ) -> BacktestResult:
        """Run the paper account through the books.

        Parameters
        ----------
        tapes
            Bars by symbol.
        signals
            Directions and whether to act on them.
        limits
            False lifts the risk limits.
        costs
            Factor on fees, and on what taking costs against the mid, >= 1.
        delay
            Bars by which every signal comes later.
        size
            Factor on the money at the start and on the largest value of a position.
        start_ts
            The first close that counts.
        """
        interval_ns = next(iter(tapes.values())).interval_ns
        return run_on_books(
            self.markets,
            tapes,
            signals,
            policy=self._policy(size),
            horizon=self.horizon,
            execution=self.execution.scaled(costs),
            entries=self.entries,
            limits=limits,
            instruments=self.instruments,
            initial_cash=self.settings.paper.equity * size,
            notional=self._notional(size),
            participation=self.settings.costs.participation,
            start_ts=start_ts,
            delay_ns=delay * interval_ns,
        )

    def on_candles(
        self,
        tapes: Mapping[str, Tape],
        signals: Sequence[SignalSeries],
        *,
        limits: bool,
        costs: float = 1.0,
        start_ts: int | None = None,
    ) -> BacktestResult | None:
        """Run the same signals on candles; None with shorts, which candles do not fill."""
        if self.entries.shorts:
            return None
        return run_backtest(
            tapes,
            [at_closes(series, tapes[series.symbol]) for series in signals],
            policy=self.policy,
            horizon=self.horizon,
            costs=make_costs(self.settings).scaled(costs),
            limits=limits,
            instruments={symbol: replace(of, market="spot") for symbol, of in self.instruments.items()},
            initial_cash=self.settings.paper.equity,
            notional=self._notional(1.0),
            start_ts=start_ts,
        )

    def _policy(self, size: float) -> Policy:
        return replace(self.policy, max_position_usd=self.policy.max_position_usd * size)

    def _notional(self, size: float) -> float | None:
        notional = self.settings.book.notional
        return None if notional is None else notional * size


def at_closes(series: SignalSeries, tape: Tape) -> SignalSeries:
    """Move each signal to the first close at or after it; of several in one bar the last counts.

    Signals after the last close are left out.
    """
    closes = np.asarray(tape.ts_open, dtype=np.int64) + tape.interval_ns
    at = np.searchsorted(closes, series.ts_event)
    inside = at < len(closes)
    at = at[inside]
    last = np.flatnonzero(np.append(np.diff(at) > 0, True)) if len(at) else at
    return SignalSeries(
        symbol=series.symbol,
        ts_event=closes[at[last]],
        direction=series.direction[inside][last],
        actionable=series.actionable[inside][last],
    )


def markets_of(recordings: Recordings, symbols: Iterable[str]) -> dict[str, RecordedMarket]:
    """Read books and trades of symbols.

    Raises
    ------
    DataProblem
        Nothing is recorded of a symbol, or no trade of the time of its books; books or trades that cannot be.
    """
    known = {plain_symbol(name): name for name in recordings.symbols}
    markets = {}
    for symbol in symbols:
        name = known.get(plain_symbol(symbol))
        if name is None:
            raise DataProblem(
                "every symbol needs recorded books",
                f"none of {symbol}, but of {', '.join(known)}",
                "give its books, or name the symbols that have some with --symbols",
            )
        book = replace(recordings.book(name), symbol=symbol)
        trades = replace(recordings.trades(name), symbol=symbol)
        markets[symbol] = market = RecordedMarket(book=book, trades=trades)
        first, last = market.span
        if not ((trades.ts_event >= first) & (trades.ts_event <= last)).any():
            raise DataProblem(
                f"resting orders of {symbol} need trades of the time of its books",
                f"books from {to_iso(first)} to {to_iso(last)}, no trade in it",
                "give the trades that were recorded with them",
            )
    return markets


def covered(
    signals: Sequence[SignalSeries], markets: Mapping[str, RecordedMarket], start_ts: int | None = None
) -> tuple[list[SignalSeries], int]:
    """Leave out the few signals that no book covers; return the others and how many those were.

    Raises
    ------
    DataProblem
        More than a twentieth of the signals has no book.
    """
    kept, gone, total = [], 0, 0
    for series in signals:
        first, last = markets[series.symbol].span
        counts = series.ts_event >= start_ts if start_ts is not None else np.ones(len(series.ts_event), bool)
        inside = (series.ts_event >= first) & (series.ts_event <= last)
        gone += int((counts & ~inside).sum())
        total += int(counts.sum())
        kept.append(
            SignalSeries(
                symbol=series.symbol,
                ts_event=series.ts_event[inside],
                direction=series.direction[inside],
                actionable=series.actionable[inside],
            )
        )
    if gone > MOST_UNCOVERED * total:
        spans = [market.span for market in markets.values()]
        told = f"{to_iso(min(first for first, _ in spans))} to {to_iso(max(last for _, last in spans))}"
        raise DataProblem(
            "the books must cover the time of the signals",
            f"books from {told}, {gone:,} of {total:,} signals outside",
            "build the bars from the recorded trades with --bar, or give books of that time",
        )
    return kept, gone
