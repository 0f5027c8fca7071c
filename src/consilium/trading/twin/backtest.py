"""One run of the twin: every fill and the equity at every close."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, Instrument, InvalidValue, Policy
from consilium.domain.checks import require_positive
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import CASH_DIGITS
from consilium.trading.signals import Signals, as_series, codes_on
from consilium.trading.strategy import Strategy
from consilium.trading.twin.account import (
    BAR,
    FEE,
    FEES,
    FILLS,
    HALTS,
    HELD,
    PRICE,
    QUANTITY,
    SHORT,
    SIGN,
    SLOTS,
    TRADED,
    TRADES,
    WINS,
    Floats,
    Terms,
    make_terms,
    open_account,
)
from consilium.trading.twin.columns import BarTable, Panel, lay_out, too_late
from consilium.trading.twin.compiled import Loops, loops_for

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwinFills:
    """Fills as columns, in the order of their bars' closes and then of their symbols; each of shape (m,).

    Parameters
    ----------
    symbol_index
        Place in ``TwinResult.symbols``.
    bar, ts_event
        Index of the bar in its series, and its open.
    sign
        +1 bought, -1 sold.
    """

    symbol_index: Ints
    bar: Ints
    ts_event: Ints
    sign: Ints
    price: Floats
    quantity: Floats
    fee: Floats

    def __len__(self) -> int:
        return len(self.bar)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwinResult:
    """What a backtest would have done and what it would have been worth; money in quote units.

    Orders, order events, refusals and strandings are not kept: run the backtest for those.

    Parameters
    ----------
    ts, equity
        Every close and the equity at it, positions at the close, shape (n,).
    held
        Quantity by symbol at the end.
    trades, wins
        Round trips that ended, and those with a profit after fees.
    halts
        Times that the drawdown limit stopped entries.
    """

    symbols: tuple[str, ...]
    ts: Ints
    equity: Floats
    initial_cash: float
    fills: TwinFills
    held: Mapping[str, float]
    trades: int
    wins: int
    halts: int
    fees: float
    traded_value: float
    bars: int

    @property
    def net_return(self) -> float:
        """Last equity / initial cash - 1."""
        return float(self.equity[-1]) / self.initial_cash - 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Book:
    """One symbol's run: its state at the end, its fills and its equity from bar ``first`` on."""

    table: BarTable
    first: int
    state: Floats
    fills: Floats
    equity: Floats


def twin_backtest(
    panel: Panel,
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
    compiled: bool = True,
) -> TwinResult:
    """Trade a panel on signals and return the fills and the equity that ``run_backtest`` would give.

    One symbol: all that the backtest does under one policy. Several: only ``limits=False`` with a fixed
    ``notional`` and cash that never runs short, because then symbols share nothing but the clock, by which
    entries are withdrawn whose bar does not come.

    Parameters
    ----------
    panel
        Candles by symbol, or what ``prepare`` or ``lay_out`` made of them.
    signals, policy, horizon, costs, limits, instruments, initial_cash, notional, start_ts, delay
        As in ``run_backtest``.
    compiled
        False runs the same code in plain Python, without numba.

    Raises
    ------
    InvalidValue
        Several symbols with limits, with sizes by risk, or short of cash.
    DataProblem
        No bars, or signals that contradict each other.
    UsageError
        numba is not installed.

    Examples
    --------
    >>> from consilium.domain import HOUR_NS
    >>> from consilium.market.candles import CandleSeries
    >>> from consilium.trading import SignalSeries
    >>> price = 100 + np.arange(40.0)
    >>> bars = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(40) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price * 1e4)
    >>> up = SignalSeries(symbol="BTCUSDT", ts_event=bars.ts_close[19:20], direction=np.array([2]),
    ...     actionable=np.array([True]))
    >>> result = twin_backtest({"BTCUSDT": bars}, [up], policy=Policy(), horizon=5, compiled=False)
    >>> len(result.fills), round(float(result.equity[-1]) - 10_000, 2)
    (2, 236.49)
    """
    require_positive("initial_cash", initial_cash)
    if delay < 0:
        raise InvalidValue("delay must be >= 0", delay, "give bars by which signals come later")
    tables = lay_out(panel)
    refuse_coupled(tables, limits=limits, notional=notional)
    strategy = Strategy(horizon=horizon, notional=notional)
    costs = CostModel() if costs is None else costs
    series = as_series(signals, tables)
    loops = loops_for(compiled=compiled)
    share = round(initial_cash / len(tables), CASH_DIGITS)
    books = []
    for symbol, table in tables.items():
        instrument = (instruments or {}).get(symbol) or Instrument(symbol=symbol)
        terms = make_terms(instrument, costs, policy, strategy, limits=limits)
        codes = codes_on(series.get(symbol), table.ts_close, delay, start_ts)
        late = too_late(table, tables)
        books.append(_run(loops, table, late, first_bar(table, start_ts), codes, horizon, terms, share))
    if not any(len(book.equity) for book in books):
        raise DataProblem("a backtest needs bars from start_ts on", f"start_ts={start_ts}", "start earlier")
    if len(books) > 1:
        refuse_short([book.table.symbol for book in books if book.state[SHORT] > 0.0])
    return _gathered(books, round(initial_cash, CASH_DIGITS), share)


def refuse_coupled(tables: Mapping[str, BarTable], *, limits: bool, notional: float | None) -> None:
    """Refuse several symbols that would share limits or equity."""
    if len(tables) > 1 and (limits or notional is None):
        raise InvalidValue(
            "the twin trades several symbols only with limits=False and a fixed notional",
            f"{len(tables)} symbols, limits={limits}, notional={notional}",
            "use run_backtest, or one symbol at a time",
        )


def refuse_short(symbols: list[str]) -> None:
    """Refuse symbols whose share of the cash ran short: in one account another's cash might have paid."""
    if symbols:
        raise InvalidValue(
            "on several symbols no symbol's share of the cash may run short",
            ", ".join(symbols),
            "give more initial_cash, or use run_backtest",
        )


def first_bar(table: BarTable, start_ts: int | None) -> int:
    """Return the index of the first bar whose close counts."""
    return 0 if start_ts is None else int(np.searchsorted(table.ts_close, start_ts))


def _run(
    loops: Loops,
    table: BarTable,
    late: NDArray[np.bool_],
    first: int,
    codes: NDArray[np.int8],
    horizon: int,
    terms: Terms,
    cash: float,
) -> _Book:
    bars = table.bars if terms.notional > 0.0 else table.sized
    state, equity = np.empty(SLOTS), np.empty(len(bars) - first)
    # nearly always enough: an entry and an exit for each signal; if not, the first run has counted them
    rows = 2 * int(np.count_nonzero(codes))
    while True:
        fills = np.empty((rows, 5))
        open_account(state, cash)
        loops.run_one(bars, table.days, late, first, codes, horizon, terms, state, fills, equity)
        filled = int(state[FILLS])
        if filled <= rows:
            return _Book(table, first, state, fills[:filled], equity)
        rows = filled


def _gathered(books: list[_Book], initial_cash: float, share: float) -> TwinResult:
    ts = np.unique(np.concatenate([book.table.ts_close[book.first :] for book in books]))
    if len(books) == 1:
        equity = books[0].equity
    else:
        equity = np.full(len(ts), initial_cash)
        for book in books:
            at = np.searchsorted(book.table.ts_close[book.first :], ts, side="right") - 1
            known = at >= 0
            equity[known] += book.equity[at[known]] - share
    total = np.sum([book.state for book in books], axis=0)
    return TwinResult(
        symbols=tuple(book.table.symbol for book in books),
        ts=ts,
        equity=equity,
        initial_cash=initial_cash,
        fills=_joined(books),
        held={book.table.symbol: float(book.state[HELD]) for book in books if book.state[HELD] > 0.0},
        trades=int(total[TRADES]),
        wins=int(total[WINS]),
        halts=int(total[HALTS]),
        fees=float(total[FEES]),
        traded_value=float(total[TRADED]),
        bars=sum(len(book.equity) for book in books),
    )


def _joined(books: list[_Book]) -> TwinFills:
    index = np.repeat(np.arange(len(books)), [len(book.fills) for book in books])
    rows = np.concatenate([book.fills for book in books])
    bar = rows[:, BAR].astype(np.int64)
    opened = [book.table.ts_open[book.fills[:, BAR].astype(np.int64)] for book in books]
    closed = [o + book.table.interval_ns for o, book in zip(opened, books, strict=True)]
    order = np.lexsort((index, np.concatenate(closed)))
    return TwinFills(
        symbol_index=index[order],
        bar=bar[order],
        ts_event=np.concatenate(opened)[order],
        sign=rows[order, SIGN].astype(np.int64),
        price=rows[order, PRICE],
        quantity=rows[order, QUANTITY],
        fee=rows[order, FEE],
    )
