"""The backtest: a panel of candles and dated signals, through the service that also trades on paper."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import (
    DataProblem,
    Fill,
    Instrument,
    InvalidValue,
    Order,
    OrderEvent,
    OrderStatus,
    Policy,
    Position,
)
from consilium.market.candles import CandleSeries
from consilium.trading.execution import CostModel
from consilium.trading.holdings import Trade
from consilium.trading.paper import paper_account
from consilium.trading.patience import Stranding
from consilium.trading.service import TradingService
from consilium.trading.signals import Signals, SignalSeries, as_series, codes_on
from consilium.trading.tape import Tape

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """What a backtest did and what it was worth; money in quote units.

    Parameters
    ----------
    ts, equity
        Every close and the equity at it, positions at the close, shape (n,).
    orders, order_events, fills
        In the order in which they happened.
    trades
        Round trips that ended. Open positions are in ``positions``: valued in equity, never sold.
    halts
        Times at which the drawdown limit stopped entries for the rest of their UTC day.
    rejections
        Refusals of the gate, rejections of the broker, and entries withdrawn because their next bar did not
        come (``no_next_bar``) or a halt began (``halted``), counted by reason.
    stranded
        Positions whose symbol stopped to have bars, with the time at which that was written down and that of
        the bar with which they came back, if they did. They stay at their last close.
    fees, traded_value
        Of all fills, both sides.
    bars
        Bars that were run through.
    """

    ts: NDArray[np.int64]
    equity: NDArray[np.float64]
    initial_cash: float
    orders: tuple[Order, ...]
    order_events: tuple[OrderEvent, ...]
    fills: tuple[Fill, ...]
    trades: tuple[Trade, ...]
    positions: Mapping[str, Position]
    halts: tuple[int, ...]
    rejections: Mapping[str, int]
    stranded: tuple[Stranding, ...]
    fees: float
    traded_value: float
    bars: int

    @property
    def turnover(self) -> float:
        """Traded value / mean equity, over the whole run."""
        return self.traded_value / float(self.equity.mean())

    @property
    def net_return(self) -> float:
        """Last equity / initial cash - 1."""
        return float(self.equity[-1]) / self.initial_cash - 1.0


def prepare(panel: Mapping[str, CandleSeries]) -> dict[str, Tape]:
    """Lay out a panel once, for several backtests over it.

    Parameters
    ----------
    panel
        Candles by symbol; starts and ends may differ, gaps are allowed.

    Raises
    ------
    DataProblem
        No bar at all, or a key that is not the symbol of its series.
    """
    for symbol, series in panel.items():
        if symbol != series.symbol:
            raise DataProblem(f"the key {symbol} must be its series' symbol", series.symbol, "rename the key")
    if not any(len(series) for series in panel.values()):
        raise DataProblem("a panel needs at least one bar", "none", "load candles of at least one symbol")
    return {symbol: Tape.of_series(panel[symbol]) for symbol in sorted(panel) if len(panel[symbol])}


@dataclass(frozen=True, slots=True, eq=False)
class _Agenda:
    """Every bar in the order of its close, then its symbol; ``bounds`` cut it into instants."""

    ts: list[int]
    bounds: list[int]
    ranks: list[int]
    index: list[int]
    codes: list[int]


def _agenda(
    tapes: Mapping[str, Tape], signals: Mapping[str, SignalSeries], delay: int, start_ts: int | None
) -> _Agenda:
    closes, ranks, index, codes = [], [], [], []
    for rank, (symbol, tape) in enumerate(tapes.items()):
        ts_close = np.asarray(tape.ts_open, dtype=np.int64) + tape.interval_ns
        closes.append(ts_close)
        codes.append(codes_on(signals.get(symbol), ts_close, delay, start_ts))
        ranks.append(np.full(len(ts_close), rank))
        index.append(np.arange(len(ts_close)))
    ts = np.concatenate(closes)
    rank_of = np.concatenate(ranks)
    order = np.lexsort((rank_of, ts))
    if start_ts is not None:
        order = order[ts[order] >= start_ts]
    if not len(order):
        raise DataProblem("a backtest needs bars from start_ts on", f"start_ts={start_ts}", "start earlier")
    instants, first = np.unique(ts[order], return_index=True)
    return _Agenda(
        ts=instants.tolist(),
        bounds=[*first.tolist(), len(order)],
        ranks=rank_of[order].tolist(),
        index=np.concatenate(index)[order].tolist(),
        codes=np.concatenate(codes)[order].tolist(),
    )


def run_backtest(
    panel: Mapping[str, CandleSeries] | Mapping[str, Tape],
    signals: Signals,
    *,
    policy: Policy,
    horizon: int,
    costs: CostModel | None = None,
    limits: bool = True,
    instruments: Mapping[str, Instrument] | None = None,
    initial_cash: float = 10_000.0,
    notional: float | None = None,
    start_ts: int | None = None,
    delay: int = 0,
    progress: Progress | None = None,
) -> BacktestResult:
    """Trade a panel on signals, bar by bar, and return what came of it.

    At each close: the bars that close then (open, course and mark, symbols by name), the account's value,
    signals of that close (symbols by name), then exits that are due. Orders meet the next bar of their
    symbol; an entry whose next bar does not come when it should is withdrawn. A signal that is not at a close
    of its symbol is left out. At the end open orders are cancelled
    and positions stay, valued at their last close.

    Parameters
    ----------
    panel
        Candles by symbol, or what ``prepare`` made of them.
    signals
        Signal series, or consensuses.
    policy
        Limits and capabilities, the same throughout.
    horizon
        Bars that a position lasts, >= 1.
    costs
        Default ``CostModel()``.
    limits
        False lifts the risk limits; volume, cash and capabilities stay.
    instruments
        Terms by symbol; default fees .001 and no rounding.
    initial_cash
        Quote units, > 0.
    notional
        Fixed value of a position in quote units; None sizes by risk.
    start_ts
        The first close that counts; earlier bars only warm up the true range and the volumes.
    delay
        Bars by which every signal comes later, >= 0.
    progress
        Called with instants done and instants in all, a hundred times or less.

    Raises
    ------
    DataProblem
        No bars, or signals that contradict each other.
    UnknownName
        A signal for a symbol that is not in the panel.

    Examples
    --------
    >>> import numpy as np
    >>> from consilium.domain import HOUR_NS, Policy
    >>> price = 100 + np.arange(40.0)
    >>> bars = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(40) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price * 1e4)
    >>> up = SignalSeries(symbol="BTCUSDT", ts_event=bars.ts_close[19:20], direction=np.array([2]),
    ...     actionable=np.array([True]))
    >>> result = run_backtest({"BTCUSDT": bars}, [up], policy=Policy(), horizon=5)
    >>> len(result.fills), round(result.trades[0].net_pnl, 2)
    (2, 236.49)
    """
    if delay < 0:
        raise InvalidValue("delay must be >= 0", delay, "give bars by which signals come later")
    tapes = _tapes(panel)
    agenda = _agenda(tapes, as_series(signals, tapes), delay, start_ts)
    costs = CostModel() if costs is None else costs
    service = paper_account(
        initial_cash,
        policy=policy,
        horizon=horizon,
        costs=costs,
        limits=limits,
        notional=notional,
        instruments=instruments,
        keep_trades=True,
    )
    equity = _run(service, tapes, agenda, progress)
    return _result(service, agenda, equity, initial_cash)


def _tapes(panel: Mapping[str, CandleSeries] | Mapping[str, Tape]) -> dict[str, Tape]:
    series = {symbol: item for symbol, item in panel.items() if isinstance(item, CandleSeries)}
    if series or not panel:
        return prepare(series)
    return {symbol: item.rewound() for symbol, item in sorted(panel.items()) if isinstance(item, Tape)}


def _run(
    service: TradingService, tapes: Mapping[str, Tape], agenda: _Agenda, progress: Progress | None
) -> list[float]:
    desks = [service.open_desk(tape) for tape in tapes.values()]
    ranks, index, codes = agenda.ranks, agenda.index, agenda.codes
    bar, settle, signal, leave = service.bar, service.settle, service.signal, service.leave
    equity: list[float] = []
    total = len(agenda.ts)
    step = max(1, total // 100)
    stop = agenda.bounds[0]
    for k, ts in enumerate(agenda.ts):
        start, stop = stop, agenda.bounds[k + 1]
        signalled = []
        for j in range(start, stop):
            desk = desks[ranks[j]]
            desk.tape.i = index[j]
            if desk.holding is not None or desk.lane.orders:
                bar(desk)
            if codes[j]:
                signalled.append(j)
        equity.append(settle(ts))
        for j in signalled:
            signal(desks[ranks[j]], codes[j] - 1, ts)
        leave(ts)
        if progress is not None and (k + 1) % step == 0:
            progress(k + 1, total)
    service.close_down(agenda.ts[-1])
    return equity


def _result(
    service: TradingService,
    agenda: _Agenda,
    equity: list[float],
    initial_cash: float,
) -> BacktestResult:
    events = tuple(m for m in service.out if isinstance(m, OrderEvent))
    rejections = Counter(service.gate.refusals)
    rejections.update(e.reason for e in events if e.status is OrderStatus.REJECTED)
    portfolio = service.portfolio
    return BacktestResult(
        ts=np.array(agenda.ts, dtype=np.int64),
        equity=np.array(equity, dtype=np.float64),
        initial_cash=initial_cash,
        orders=tuple(m for m in service.out if isinstance(m, Order)),
        order_events=events,
        fills=tuple(m for m in service.out if isinstance(m, Fill)),
        trades=tuple(service.trades),
        positions=portfolio.positions(),
        halts=tuple(service.gate.halts),
        rejections=dict(sorted(rejections.items())),
        stranded=tuple(service.strandings.records),
        fees=portfolio.fees,
        traded_value=portfolio.traded_value,
        bars=len(agenda.index),
    )
