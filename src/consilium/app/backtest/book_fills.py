"""Accounts whose orders are filled by walking recorded books, and the same signals filled on candles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consilium.app.bootstrap import make_costs
from consilium.app.settings import Settings
from consilium.domain import Instrument, Policy, UnknownName
from consilium.market.book.recordings import Recordings
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.backtest import BacktestResult, run_backtest
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.run import RecordedMarket, run_on_books
from consilium.trading.book.service import EntryOrders
from consilium.trading.book.terms import recorded_steps
from consilium.trading.signals import SignalSeries
from consilium.trading.tape import Tape

MS_NS = 1_000_000
PERPETUAL = ("_usdm", "_coinm")
"""Ends of the names of venues that trade perpetuals."""


def terms_of(settings: Settings, book: BookSeries, trades: TradeSeries) -> Instrument:
    """Return the terms of a recorded market: fees of the settings, steps as the record shows them."""
    costs, terms = settings.costs, settings.book
    perpetual = book.venue.endswith(PERPETUAL)
    tick_size, lot_size = recorded_steps(book, trades)
    return Instrument(
        symbol=book.symbol,
        venue=book.venue,
        market="perp" if perpetual else "spot",
        tick_size=tick_size,
        lot_size=lot_size,
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
        cls, markets: Mapping[str, RecordedMarket], settings: Settings, policy: Policy, horizon: int
    ) -> "BookFills":
        """Make the terms of every market; spot and perpetuals do not trade in one account."""
        instruments = {s: terms_of(settings, m.book, m.trades) for s, m in sorted(markets.items())}
        return cls(
            markets=markets, instruments=instruments, settings=settings, policy=policy, horizon=horizon
        )

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
        return EntryOrders(kind=book.entry, patience_ns=patience, shorts=book.shorts)  # type: ignore[arg-type]

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


def markets_of(recordings: Recordings, symbols: Sequence[str]) -> dict[str, RecordedMarket]:
    """Read books and trades of symbols.

    Raises
    ------
    UnknownName
        Nothing is recorded of a symbol.
    DataProblem
        Books or trades that cannot be.
    """
    markets = {}
    for symbol in symbols:
        if symbol not in recordings.symbols:
            raise UnknownName("symbol of the books", symbol, recordings.symbols)
        markets[symbol] = RecordedMarket(book=recordings.book(symbol), trades=recordings.trades(symbol))
    return markets
