"""A backtest on recorded books: bars and signals as on candles, orders filled by what the books show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, Direction, Funding, Instrument, Policy, to_iso
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import BacktestResult, prepare
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.desk import BookDesk
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.outcome import result_of
from consilium.trading.book.service import BookTrading, EntryOrders
from consilium.trading.risk import RiskGate
from consilium.trading.signals import Signals, SignalSeries, as_series
from consilium.trading.strategy import Strategy
from consilium.trading.tape import Tape

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedMarket:
    """What was recorded of one symbol.

    Parameters
    ----------
    book, trades
        Of one symbol.
    funding
        Of a perpetual, oldest first; empty for the execution's rate every 8 h.
    """

    book: BookSeries
    trades: TradeSeries
    funding: tuple[Funding, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Time of the first and of the last book."""
        return int(self.book.ts_event[0]), int(self.book.ts_event[-1])


def run_on_books(
    markets: Mapping[str, RecordedMarket],
    panel: Mapping[str, CandleSeries] | Mapping[str, Tape],
    signals: Signals,
    *,
    policy: Policy,
    horizon: int,
    execution: BookExecution | None = None,
    entries: EntryOrders | None = None,
    limits: bool = True,
    instruments: Mapping[str, Instrument] | None = None,
    initial_cash: float = 10_000.0,
    notional: float | None = None,
    participation: float = 0.01,
    start_ts: int | None = None,
    delay_ns: int = 0,
    progress: Progress | None = None,
) -> BacktestResult:
    """Trade signals as `run_backtest` does, with every order walked through the recorded books.

    Bars give the average true range, the volumes and the instants at which the account is valued; signals may
    come at any time. Sizes, limits, horizon and protective stops are those of a backtest on candles. All
    orders arrive ``execution.latency_ns`` after the time at which they were decided.

    Parameters
    ----------
    markets
        Books and trades by symbol.
    panel
        Bars of the same symbols.
    signals
        Signal series, or consensuses.
    policy, horizon, limits, initial_cash, notional, start_ts
        As in `run_backtest`.
    execution
        Latency, queue, triggers, scale of fees.
    entries
        Market or limit orders, and how long these wait; whether DOWN may open.
    instruments
        Terms by symbol; default fees .001 and no rounding.
    participation
        Share of the median bar volume that one entry may be.
    delay_ns
        Time by which every signal comes later, >= 0. Those before ``start_ts`` stay out, however late they
        come, and those that then come after the last book.
    progress
        Called with instants done and instants in all, a hundred times or less.

    Raises
    ------
    DataProblem
        A symbol without books, or an actionable signal outside the time of its books.
    UnknownName
        A signal for a symbol that is not in the panel.

    Examples
    --------
    >>> from consilium.market.book.bars import bars_from_trades
    >>> from consilium.market.simulator import simulate_book
    >>> made = simulate_book(symbol="SIM00", snapshots=600, seed=3)
    >>> bars = bars_from_trades(made.trades, 10**9)
    >>> up = SignalSeries(symbol="SIM00", ts_event=bars.ts_close[20:21], direction=np.array([2]),
    ...     actionable=np.array([True]))
    >>> market = RecordedMarket(book=made.book, trades=made.trades)
    >>> result = run_on_books({"SIM00": market}, {"SIM00": bars}, [up], policy=Policy(), horizon=5,
    ...     notional=1_000.0)
    >>> [order.cause_id.split(":")[0] for order in result.orders], len(result.trades)
    (['consensus', 'protect', 'horizon'], 1)
    """
    execution = BookExecution() if execution is None else execution
    tapes = _tapes(panel)
    series = as_series(signals, tapes)
    if start_ts is not None:
        series = {s: _chosen(one, one.ts_event >= start_ts) for s, one in series.items()}
    _require_cover(markets, tapes, series, execution.max_age_ns)
    broker = BookBroker(initial_cash, execution)
    for symbol in tapes:
        market = markets[symbol]
        terms = (instruments or {}).get(symbol) or Instrument(symbol=symbol, venue=market.book.venue)
        broker.attach(terms, market.book, market.trades, market.funding)
    trading = BookTrading(
        broker,
        RiskGate(policy, limits=limits, participation=participation),
        Strategy(horizon=horizon, notional=notional),
        entries,
    )
    for symbol, tape in tapes.items():
        trading.desks[symbol] = BookDesk(tape, broker.market(symbol))
    if delay_ns:
        slack = execution.max_age_ns
        series = {s: _later(one, delay_ns, markets[s].span[1] + slack) for s, one in series.items()}
    agenda = _agenda(tapes, series, start_ts)
    ts, equity = _run(trading, agenda, progress)
    return result_of(
        broker,
        trading.gate,
        trading.portfolio,
        ts=ts,
        equity=equity,
        initial_cash=initial_cash,
        orders=trading.orders,
        events=trading.events,
        fills=trading.fills,
        trades=trading.trades,
        bars=sum(len(instant.bars) for instant in agenda),
    )


def _tapes(panel: Mapping[str, CandleSeries] | Mapping[str, Tape]) -> dict[str, Tape]:
    series = {symbol: item for symbol, item in panel.items() if isinstance(item, CandleSeries)}
    if series or not panel:
        return prepare(series)
    return {symbol: item.rewound() for symbol, item in sorted(panel.items()) if isinstance(item, Tape)}


def _chosen(series: SignalSeries, rows: NDArray[np.bool_]) -> SignalSeries:
    return SignalSeries(
        symbol=series.symbol,
        ts_event=series.ts_event[rows],
        direction=series.direction[rows],
        actionable=series.actionable[rows],
    )


def _later(series: SignalSeries, delay_ns: int, last: int) -> SignalSeries:
    """Move signals to a later time, up to a last one."""
    moved = replace(series, ts_event=series.ts_event + delay_ns)
    return _chosen(moved, moved.ts_event <= last)


def _require_cover(
    markets: Mapping[str, RecordedMarket],
    tapes: Mapping[str, Tape],
    signals: Mapping[str, SignalSeries],
    slack_ns: int,
) -> None:
    """Refuse to trade where no book was recorded; the last one counts until it is stale."""
    for symbol in tapes:
        if symbol not in markets:
            raise DataProblem(
                "every symbol needs recorded books",
                f"none of {symbol}, books of {', '.join(sorted(markets)) or 'none'}",
                "give its books, or name the symbols that have some",
            )
    for symbol, series in signals.items():
        times = series.ts_event[series.actionable]
        first, last = markets[symbol].span
        outside = times[(times < first) | (times > last + slack_ns)]
        if len(outside):
            raise DataProblem(
                f"the books of {symbol} must cover the time of its signals",
                f"books from {to_iso(first)} to {to_iso(last)}, a signal at {to_iso(int(outside[0]))}",
                "give books of that time, or signals of the books' time",
            )


@dataclass(frozen=True, slots=True)
class _Instant:
    """A time with the bars that close then and the signals that come then, by symbol."""

    ts: int
    bars: list[tuple[str, int]]
    signals: list[tuple[str, int]]


def _agenda(
    tapes: Mapping[str, Tape], signals: Mapping[str, SignalSeries], start_ts: int | None
) -> list[_Instant]:
    instants: dict[int, _Instant] = {}
    for symbol, tape in tapes.items():
        for i, ts_open in enumerate(tape.ts_open):
            ts = ts_open + tape.interval_ns
            instants.setdefault(ts, _Instant(ts, [], [])).bars.append((symbol, i))
    for symbol, series in signals.items():
        moves = series.actionable & (series.direction != Direction.FLAT)
        times, directions = series.ts_event[moves], series.direction[moves]
        for ts, direction in zip(times.tolist(), directions.tolist(), strict=True):
            instants.setdefault(ts, _Instant(ts, [], [])).signals.append((symbol, direction))
    agenda = sorted(
        (instant for ts, instant in instants.items() if start_ts is None or ts >= start_ts),
        key=lambda instant: instant.ts,
    )
    if not any(instant.bars for instant in agenda):
        raise DataProblem("a backtest needs bars from start_ts on", f"start_ts={start_ts}", "start earlier")
    if start_ts is not None:
        for tape in tapes.values():
            tape.i = int(np.searchsorted(tape.ts_open, start_ts - tape.interval_ns)) - 1
    return agenda


def _run(
    trading: BookTrading, agenda: list[_Instant], progress: Progress | None
) -> tuple[list[int], list[float]]:
    times: list[int] = []
    equity: list[float] = []
    step = max(1, len(agenda) // 100)
    for done, instant in enumerate(agenda, 1):
        trading.run_to(instant.ts)
        for symbol, i in instant.bars:
            trading.desks[symbol].tape.i = i
        worth = trading.settle(instant.ts)
        if instant.bars:
            times.append(instant.ts)
            equity.append(worth)
        for symbol, direction in instant.signals:
            trading.signal(trading.desks[symbol], direction, instant.ts)
        trading.leave(instant.ts)
        if progress is not None and done % step == 0:
            progress(done, len(agenda))
    trading.close_down(agenda[-1].ts)
    return times, equity
