"""Many variants of signals over the same bars: returns by variant, for tests that need thousands of them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DAY_NS, DataProblem, Direction, Instrument, InvalidValue, Policy, UnknownName
from consilium.domain.checks import require_positive
from consilium.trading.books import CUSHION
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import CASH_DIGITS
from consilium.trading.signals import Signals, as_series, codes_on
from consilium.trading.strategy import Strategy
from consilium.trading.twin.account import Floats, Terms, make_terms
from consilium.trading.twin.backtest import first_bar, refuse_coupled, refuse_short
from consilium.trading.twin.columns import BarTable, Panel, lay_out, too_late
from consilium.trading.twin.compiled import Loops, loops_for
from consilium.trading.twin.loops import TOTALS

Codes = NDArray[np.int8]
Ints = NDArray[np.int64]
Variants = Sequence[Signals] | Mapping[str, Codes]

_FEES, _TRADED, _TRADES, _WINS, _FILLS, _SHORT = range(len(TOTALS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwinSearch:
    """What K variants would have earned; T is the number of UTC days from the first close to the last.

    Parameters
    ----------
    net_return
        After costs, positions still open at their last close, shape (K,).
    daily
        Daily returns, flat days in, shape (T, K): ready for probability of overfitting, permutation tests
        and superior predictive ability.
    day
        UTC midnight at which each day starts, nanoseconds, shape (T,).
    trades, wins, fills
        Round trips that ended, those with a profit after fees, and fills, shape (K,).
    fees, traded_value
        Quote units, shape (K,).
    """

    net_return: Floats
    daily: Floats
    day: Ints
    trades: Ints
    wins: Ints
    fills: Ints
    fees: Floats
    traded_value: Floats


def codes_of(panel: Panel, variants: Sequence[Signals]) -> dict[str, Codes]:
    """Lay out the signals of K variants as one matrix a symbol.

    Parameters
    ----------
    panel
        As in ``twin_search``; a symbol of n bars.
    variants
        The signals of each variant.

    Returns
    -------
    dict
        By symbol, shape (K, n): 3 at the close of a bar with an actionable UP, 1 with a DOWN, else 0.
    """
    tables = lay_out(panel)
    codes = {symbol: np.zeros((len(variants), len(table.bars)), np.int8) for symbol, table in tables.items()}
    for k, signals in enumerate(variants):
        for symbol, series in as_series(signals, tables).items():
            codes[symbol][k] = codes_on(series, tables[symbol].ts_close)
    return codes


def twin_search(
    panel: Panel,
    variants: Variants,
    *,
    horizon: int | Sequence[int],
    costs: CostModel | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    notional: float = 1_000.0,
    policy: Policy | None = None,
    initial_cash: float = 10_000.0,
    start_ts: int | None = None,
    delay: int = 0,
    threads: int = 1,
    compiled: bool = True,
) -> TwinSearch:
    """Trade each variant of signals over the same bars and return what each earned, day by day.

    Without a policy each variant is a unit book: ``run_unit_book``'s returns, profit over ``notional x
    symbols``, added up. With one it is the account of one symbol, sized by risk inside the limits:
    ``run_backtest``'s returns, profit over equity.

    Parameters
    ----------
    panel
        Candles by symbol, or what ``prepare`` or ``lay_out`` made of them; lay out once for several searches.
    variants
        The signals of each variant, or ``codes_of`` them: int8, shape (K, n) by symbol. Symbols without
        codes are held in cash.
    horizon
        Bars that a position lasts, >= 1; one for all variants or one for each.
    costs, instruments, start_ts, delay
        As in ``run_backtest``.
    notional
        Value of a position of a unit book, in quote units.
    policy, initial_cash
        Of the account; None means unit books.
    threads
        Variants are shared out to so many; compiled code only gains by it.
    compiled
        False runs the same code in plain Python, without numba.

    Raises
    ------
    InvalidValue
        No variant, codes of the wrong shape or kind, or a policy with several symbols.
    UnknownName
        Signals for a symbol that is not in the panel.
    DataProblem
        No bars.
    UsageError
        numba is not installed.

    Examples
    --------
    >>> from consilium.domain import HOUR_NS
    >>> from consilium.market.candles import CandleSeries
    >>> price = 100 + np.arange(40.0)
    >>> bars = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(40) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price * 1e4)
    >>> codes = np.zeros((2, 40), np.int8)
    >>> codes[1, 19] = 3
    >>> found = twin_search({"BTCUSDT": bars}, {"BTCUSDT": codes}, horizon=5, compiled=False)
    >>> found.net_return.round(4).tolist(), found.daily.shape, found.trades.tolist()
    ([0.0, 0.0397], (2, 2), [0, 1])
    """
    _refuse_bad(notional=notional, initial_cash=initial_cash, delay=delay, threads=threads)
    limits = policy is not None
    tables = lay_out(panel)
    refuse_coupled(tables, limits=limits, notional=None if limits else notional)
    given = variants if isinstance(variants, Mapping) else codes_of(tables, variants)
    codes = {
        symbol: _late(matrix, delay, first_bar(tables[symbol], start_ts))
        for symbol, matrix in _checked(tables, given).items()
    }
    horizons = _horizons(horizon, len(next(iter(codes.values()))))
    strategy = Strategy(horizon=int(horizons.min()), notional=None if limits else notional)
    cash = round(initial_cash if limits else CUSHION * notional, CASH_DIGITS)
    sums = _Sums(tables, start_ts, len(horizons))
    loops = loops_for(compiled=compiled)
    for symbol, matrix in codes.items():
        instrument = (instruments or {}).get(symbol) or Instrument(symbol=symbol)
        terms = make_terms(instrument, costs or CostModel(), policy or Policy(), strategy, limits=limits)
        sums.add(loops, tables[symbol], matrix, horizons, terms, cash, threads)
    if len(tables) > 1:
        refuse_short(sums.short)
    return sums.result(cash if limits else None, notional * len(panel))


def _refuse_bad(*, notional: float, initial_cash: float, delay: int, threads: int) -> None:
    require_positive("notional", notional)
    require_positive("initial_cash", initial_cash)
    if delay < 0:
        raise InvalidValue("delay must be >= 0", delay, "give bars by which signals come later")
    if threads < 1:
        raise InvalidValue("threads must be >= 1", threads, "use 1 thread, or as many as there are cores")


def _checked(tables: Mapping[str, BarTable], given: Mapping[str, Codes]) -> dict[str, Codes]:
    codes: dict[str, Codes] = {}
    for symbol, matrix in given.items():
        if symbol not in tables:
            raise UnknownName("symbol", symbol, tables)
        values = np.asarray(matrix)
        k = len(next(iter(codes.values()))) if codes else values.shape[0] if values.ndim else 0
        shape = (max(k, 1), len(tables[symbol].bars))
        if values.shape != shape:
            raise InvalidValue(
                f"codes of {symbol} must have shape (variants, bars) = {shape}",
                values.shape,
                "give one row a variant and one code a bar",
            )
        strange = values[~np.isin(values, [0, *(int(d) + 1 for d in Direction)])]
        if strange.size:
            raise InvalidValue(
                f"codes of {symbol} must be 0, or direction + 1: 1, 2 or 3", strange[0], "use codes_of"
            )
        codes[symbol] = np.ascontiguousarray(values, dtype=np.int8)
    if not codes:
        raise InvalidValue("a search needs codes of at least one symbol", "none", "give signals to search")
    return codes


def _late(codes: Codes, delay: int, first: int) -> Codes:
    """Return codes ``delay`` bars later; those of bars before the first stay out."""
    if not delay:
        return codes
    late = np.zeros_like(codes)
    late[:, first + delay :] = codes[:, first:-delay]
    return late


def _horizons(horizon: int | Sequence[int], variants: int) -> Ints:
    given = np.asarray(horizon)
    if given.ndim == 0:
        given = np.full(variants, given)
    if given.shape != (variants,) or given.dtype.kind != "i":
        raise InvalidValue(
            f"horizon must be a whole number or one for each of {variants} variants",
            f"{given.dtype} of shape {given.shape}",
            "give bars",
        )
    return given.astype(np.int64)


class _Sums:
    """Profits by variant and day, and totals by variant, added up over symbols."""

    def __init__(self, tables: Mapping[str, BarTable], start_ts: int | None, variants: int) -> None:
        self._tables = tables
        self._first = {symbol: first_bar(table, start_ts) for symbol, table in tables.items()}
        started = {s: table for s, table in tables.items() if self._first[s] < len(table.bars)}
        if not started:
            raise DataProblem("a search needs bars from start_ts on", f"start_ts={start_ts}", "start earlier")
        self._day = min(int(table.days[self._first[s]]) for s, table in started.items())
        last = max(int(table.days[-1]) for table in started.values())
        self._profits = np.zeros((variants, last - self._day + 1))
        self._totals = np.zeros((variants, len(TOTALS)))
        self.short: list[str] = []

    def add(
        self,
        loops: Loops,
        table: BarTable,
        codes: Codes,
        horizons: Ints,
        terms: Terms,
        cash: float,
        threads: int,
    ) -> None:
        """Trade one symbol in every variant."""
        first = self._first[table.symbol]
        if first == len(table.bars):
            return
        day = table.days[first:]
        bounds = first + np.append(np.flatnonzero(np.diff(day, prepend=day[0] - 1)), len(day))
        slots = day[bounds[:-1] - first] - self._day
        bars = table.bars if terms.notional > 0.0 else table.sized
        late = too_late(table, self._tables)
        short = self._totals[:, _SHORT].sum()

        def trade(rows: slice) -> None:
            mine = codes[rows], horizons[rows], terms, cash, self._profits[rows], self._totals[rows]
            loops.run_many(bars, table.days, late, bounds, slots, *mine)

        cuts = np.linspace(0, len(codes), min(threads, len(codes)) + 1).astype(int)
        parts = [slice(a, b) for a, b in pairwise(cuts.tolist())]
        if len(parts) == 1:
            trade(parts[0])
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(trade, parts))
        if self._totals[:, _SHORT].sum() > short:
            self.short.append(table.symbol)

    def result(self, cash: float | None, capital: float) -> TwinSearch:
        """Turn profits into returns: over equity where ``cash`` is given, else over a fixed capital."""
        daily = self._profits / capital
        net = daily.sum(axis=1)
        if cash is not None:
            equity = cash + np.cumsum(self._profits, axis=1)
            before = np.column_stack([np.full(len(equity), cash), equity[:, :-1]])
            daily, net = self._profits / before, equity[:, -1] / cash - 1.0
        counts = self._totals.astype(np.int64)
        return TwinSearch(
            net_return=net,
            daily=np.ascontiguousarray(daily.T),
            day=(self._day + np.arange(daily.shape[1])) * DAY_NS,
            trades=counts[:, _TRADES],
            wins=counts[:, _WINS],
            fills=counts[:, _FILLS],
            fees=self._totals[:, _FEES],
            traded_value=self._totals[:, _TRADED],
        )
