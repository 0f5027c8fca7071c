"""A backtest on a recorded book: dated signals, orders that arrive late, fills that were there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from consilium.domain import (
    Fill,
    Instrument,
    Order,
    OrderEvent,
    OrderKind,
    Policy,
    Side,
)
from consilium.domain.checks import require_at_least, require_fraction, require_positive
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.backtest import BacktestResult
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.outcome import entry_kind, require_equal_cash, result_of
from consilium.trading.book.register import BookHappening, FundingPaid
from consilium.trading.causes import CONSENSUS, cause_id
from consilium.trading.execution import floor_quantity
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import Entry, RiskGate
from consilium.trading.signals import Signals, as_series, codes_on
from consilium.trading.strategy import Intent, Strategy

if TYPE_CHECKING:
    from consilium.trading.holdings import Trade


def run_book_backtest(
    book: BookSeries,
    trades: TradeSeries,
    signals: Signals,
    *,
    policy: Policy,
    horizon: int,
    notional: float = 1_000.0,
    entry: OrderKind | str = OrderKind.MARKET,
    patience_ns: int = 2_000_000_000,
    stop: float = 0.01,
    execution: BookExecution | None = None,
    instrument: Instrument | None = None,
    limits: bool = True,
    initial_cash: float = 10_000.0,
) -> BacktestResult:
    """Trade one recorded market on signals, snapshot by snapshot, and return what came of it.

    Long or flat: an actionable UP opens, an actionable DOWN closes or withdraws, and after ``horizon``
    snapshots (an UP starts them again) or at ``stop`` below the entry the position is sold at market, as
    often as it takes: what the recorded depth does not hold waits for the next snapshot. An entry is a
    market order or a limit order at the best bid, withdrawn when it has waited ``patience_ns``. All orders
    arrive ``execution.latency_ns`` after the snapshot that led to them. Positions are valued at the mid; at
    the end open orders are cancelled and positions stay.

    Parameters
    ----------
    book, trades
        Of one symbol.
    signals
        Signal series or consensuses at times of snapshots; others are left out.
    policy
        Limits and capabilities. The gate sees every order; an entry's risk is its stop distance.
    horizon
        Snapshots that a position lasts, >= 1; those of one time count once.
    notional
        Value of a position in quote units, > 0.
    entry
        ``market`` or ``limit``.
    patience_ns
        How long an entry at a limit waits, >= 0.
    stop
        Share of the entry price that the mid may fall before the position is sold, in (0, 1].
    execution
        Latency, bound of age, place in the queue, scale of fees.
    instrument
        Terms; default fees .001 and no rounding.
    limits
        False lifts the risk limits; capabilities and cash stay.
    initial_cash
        Quote units, > 0.

    Returns
    -------
    What `run_backtest` returns; ``bars`` counts snapshots, and ``rejections`` also holds the trades that
    passed resting orders while the book was stale (``trade_on_stale_book``).

    Raises
    ------
    InvalidValue
        A number outside its bound, or an entry of another kind.
    UnknownName
        A signal for another symbol.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> from consilium.trading.signals import SignalSeries
    >>> market = simulate_book(snapshots=300, seed=2)
    >>> up = SignalSeries(symbol="SIM00", ts_event=market.book.ts_event[50:51], direction=np.array([2]),
    ...     actionable=np.array([True]))
    >>> result = run_book_backtest(market.book, market.trades, [up], policy=Policy(), horizon=100)
    >>> len(result.trades), sum(fill.quantity for fill in result.fills) > 0
    (1, True)
    """
    kind = entry_kind(entry)
    terms = Instrument(symbol=book.symbol, venue=book.venue) if instrument is None else instrument
    broker = BookBroker(initial_cash, execution)
    broker.attach(terms, book, trades)
    run = _Run(
        broker,
        terms,
        RiskGate(policy, limits=limits),
        Strategy(horizon=horizon, notional=notional),
        kind=kind,
        patience_ns=patience_ns,
        stop=stop,
    )
    last = np.flatnonzero(np.append(np.diff(book.ts_event) > 0, True))
    ts = book.ts_event[last]
    series = as_series(signals, [book.symbol]).get(book.symbol)
    touches = zip(
        ts.tolist(),
        codes_on(series, ts).tolist(),
        book.bid_price[last, 0].tolist(),
        book.ask_price[last, 0].tolist(),
        strict=True,
    )
    equity = [run.step(*touch) for touch in touches]
    run.absorb(run.broker.close_down(int(ts[-1])))
    return run.result(ts.tolist(), equity, initial_cash)


class _Run:
    """One market under way: what is held, which orders wait, and since when."""

    def __init__(
        self,
        broker: BookBroker,
        instrument: Instrument,
        gate: RiskGate,
        strategy: Strategy,
        *,
        kind: OrderKind,
        patience_ns: int,
        stop: float,
    ) -> None:
        require_at_least("patience_ns", patience_ns, 0.0)
        require_fraction("stop", stop)
        require_positive("stop", stop)
        self.broker = broker
        self.gate = gate
        self.strategy = strategy
        self.portfolio = Portfolio(broker.cash, broker.account.leverage)
        self._instrument = instrument
        self._symbol = instrument.symbol
        self._kind, self._patience, self._stop = kind, patience_ns, stop
        self._orders: list[Order] = []
        self._events: list[OrderEvent] = []
        self._fills: list[Fill] = []
        self._trades: list[Trade] = []
        self._sent: dict[str, Order] = {}
        self._entry: Order | None = None
        self._withdrawn = False
        self._exit_id = ""
        self._why = ""
        self._count = 0
        self._deadline = 0

    def step(self, ts: int, code: int, bid: float, ask: float) -> float:
        """Live up to a snapshot, value the account at it, act on it; return the equity after that."""
        self._count += 1
        self.absorb(self.broker.advance(ts))
        mid = (bid + ask) / 2.0
        seen = mid == mid
        self._value(mid, ts)
        self.gate.observe(self.portfolio, ts)
        if code and seen:
            self._heed(code - 1, ts, bid, ask)
        waiting = self._entry if self._kind is OrderKind.LIMIT else None
        if waiting is not None and (self.gate.halted or ts - waiting.ts_event >= self._patience):
            self._withdraw(ts)
        if self._symbol in self.portfolio.holdings:
            self._guard(mid, ts)
        # without latency an order is filled at the very snapshot that led to it
        said = self.broker.advance(ts)
        if said:
            self.absorb(said)
            self._value(mid, ts)
        return self.portfolio.equity

    def _value(self, mid: float, ts: int) -> None:
        holding = self.portfolio.holdings.get(self._symbol)
        if holding is not None and mid == mid:
            holding.mark = mid
        self.portfolio.settle(ts)

    def absorb(self, happenings: list[BookHappening]) -> None:
        """Book what the exchange said."""
        for happening in happenings:
            if isinstance(happening, Fill):
                self._book(happening)
            elif isinstance(happening, FundingPaid):
                self.portfolio.pay(happening.symbol, happening.amount, happening.ts_event)
            else:
                self._events.append(happening)
        require_equal_cash(self.portfolio, self.broker)
        if self._entry is not None and not self.broker.is_open(self._entry.order_id):
            self._entry = None
        if self._exit_id and not self.broker.is_open(self._exit_id):
            self._exit_id = ""

    def _book(self, fill: Fill) -> None:
        self._fills.append(fill)
        portfolio = self.portfolio
        side = (self.broker.forced.get(fill.order_id) or self._sent[fill.order_id]).side
        ended = portfolio.apply(self._symbol, side.sign, fill)
        if ended is not None:
            self._trades.append(ended)
            self._why = ""
        elif side is Side.BUY:
            holding = portfolio.holdings[self._symbol]
            holding.stop = holding.entry * (1.0 - self._stop)

    def _heed(self, direction: int, ts: int, bid: float, ask: float) -> None:
        long = self._symbol in self.portfolio.holdings
        intent = self.strategy.decide(direction, long=long, entering=self._entry is not None)
        if intent is Intent.ENTER:
            self._enter(ts, bid, ask)
        elif intent is Intent.EXTEND:
            self._deadline = self._count + self.strategy.horizon
            self._why = ""
        elif intent is Intent.EXIT:
            self._withdraw(ts)
            self._why = "opposite"

    def _enter(self, ts: int, bid: float, ask: float) -> None:
        gate, notional = self.gate, self.strategy.notional
        if notional is None or not gate.admits(self.portfolio, waiting=0, symbol=self._symbol):
            return
        limit = bid if self._kind is OrderKind.LIMIT else None
        price = bid if limit is not None else ask
        quantity = floor_quantity(notional / price, self._instrument.lot_size)
        if quantity <= 0.0:
            gate.refuse("no_size")
            return
        order = Order(
            order_id=f"o{len(self._orders) + 1}",
            symbol=self._symbol,
            venue=self._instrument.venue,
            side=Side.BUY,
            kind=self._kind,
            quantity=quantity,
            limit_price=limit,
            ts_event=ts,
            cause_id=cause_id(CONSENSUS, self._symbol, ts),
        )
        distance = self._stop * price
        risk = Entry(quantity=quantity, price=price, distance=distance, stop_distance=distance)
        if gate.check(order, self.portfolio, risk, (0.0, 0.0)):
            self._send(order)
            self._entry, self._withdrawn = order, False
            self._deadline = self._count + self.strategy.horizon
            self._why = ""

    def _guard(self, mid: float, ts: int) -> None:
        """Send the exit that is due: an opposite signal, the horizon, or the stop."""
        holding = self.portfolio.holdings[self._symbol]
        if holding.stop is not None and mid <= holding.stop:
            self._why = "stop"
        elif self._count >= self._deadline and not self._why:
            self._why = "horizon"
        if not self._why or self._exit_id:
            return
        self._withdraw(ts)
        order = Order(
            order_id=f"o{len(self._orders) + 1}",
            symbol=self._symbol,
            venue=self._instrument.venue,
            side=Side.SELL,
            quantity=holding.quantity,
            reduce_only=True,
            ts_event=ts,
            cause_id=cause_id(self._why, self._symbol, ts),
        )
        if self.gate.check(order, self.portfolio, None, (0.0, 0.0)):
            self._send(order)
            self._exit_id = order.order_id

    def _withdraw(self, ts: int) -> None:
        if self._entry is not None and not self._withdrawn:
            self._withdrawn = True
            self._events.extend(self.broker.cancel(self._entry.order_id, ts))

    def _send(self, order: Order) -> None:
        self._orders.append(order)
        self._sent[order.order_id] = order
        self.absorb(list(self.broker.submit(order)))

    def result(self, ts: Sequence[int], equity: Sequence[float], initial_cash: float) -> BacktestResult:
        """Return what came of it."""
        return result_of(
            self.broker,
            self.gate,
            self.portfolio,
            ts=ts,
            equity=equity,
            initial_cash=initial_cash,
            orders=self._orders,
            events=self._events,
            fills=self._fills,
            trades=self._trades,
            bars=len(ts),
        )
