"""The book broker: an exchange made of recorded books and trades, which know nothing of our orders."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from consilium.domain import (
    Fill,
    Instrument,
    InvalidValue,
    Liquidity,
    Order,
    OrderEvent,
    OrderKind,
    OrderStatus,
    Position,
)
from consilium.domain.checks import require_positive
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.book_execution import BookExecution, BookOrder, Ladder, queue_through, walk
from consilium.trading.broker import Happening
from consilium.trading.execution import floor_quantity, round_price
from consilium.trading.portfolio import CASH_DIGITS, left_over

TIMES_IN_FORCE = ("GTC", "IOC")
_ACCEPTED, _REJECTED, _CANCELLED = OrderStatus.ACCEPTED, OrderStatus.REJECTED, OrderStatus.CANCELLED


class BookBroker:
    """A spot exchange that replays one market; the port ``Broker`` and ``advance``, which lets time pass.

    An order reaches the exchange ``latency_ns`` after its time and meets the newest book at or before that.
    What crosses takes, level by level. What rests waits behind its share of the level, and is filled at its
    price by a trade through it, by a trade at it once those ahead are gone, or by a book that crosses it, up
    to the size recorded there. Those ahead are never more than the level shows; orders that leave the level
    are taken to stand behind us. At one time trades come before the book, the book before orders that
    arrive. After a gap (a new session) resting orders go to the back of their level. Nothing fills while the
    book is older than ``max_age_ns``: an order that arrives is rejected with ``stale_book``, and a trade that
    passes resting orders is counted in ``passed_over``.

    Parameters
    ----------
    initial_cash
        Quote units, > 0.
    book, trades
        Of one symbol, linear (sizes in base units).
    execution
        Latency, bound of age, place in the queue.
    instrument
        Terms; spot.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> market = simulate_book(snapshots=100, seed=1)
    >>> broker = BookBroker(1_000.0, market.book, market.trades)
    >>> start = int(market.book.ts_event[0])
    >>> broker.submit(Order(order_id="1", symbol="SIM00", side="BUY", quantity=2.0, ts_event=start))
    []
    >>> [type(happening).__name__ for happening in broker.advance(start + 10**8)]
    ['OrderEvent', 'Fill']
    """

    def __init__(
        self,
        initial_cash: float,
        book: BookSeries,
        trades: TradeSeries,
        execution: BookExecution | None = None,
        instrument: Instrument | None = None,
    ) -> None:
        require_positive("initial_cash", initial_cash)
        self.instrument = Instrument(symbol=book.symbol) if instrument is None else instrument
        _require_one_market(book, trades, self.instrument)
        self.execution = BookExecution() if execution is None else execution
        self.cash = round(initial_cash, CASH_DIGITS)
        self.quantity = 0.0
        self.entry = 0.0
        self.passed_over: Counter[str] = Counter()
        self._book = book
        self._book_ts = book.ts_event.tolist()
        self._session = book.session.tolist()
        self._trades = trades
        self._trade_ts = trades.ts_event.tolist()
        self._row = -1
        self._now = 0
        self._next_trade = 0
        self._way: deque[tuple[int, Order | str]] = deque()
        self._sides = {1: Ladder(), -1: Ladder()}
        self._shown = -1
        self._open: dict[str, BookOrder] = {}
        self._sent: dict[str, Order] = {}
        self._final: dict[str, str] = {}
        self._out: list[Happening] = []

    # the port

    def submit(self, order: Order) -> Sequence[Happening]:
        """Send an order; what becomes of it is said by ``advance``. Times must not go back."""
        if order.order_id in self._sent or order.order_id in self._final:
            return [self._say(order.order_id, _REJECTED, "duplicate_order_id", order.ts_event)]
        if order.symbol != self._book.symbol:
            return [self._end(order.order_id, _REJECTED, "unknown_symbol", order.ts_event)]
        self._sent[order.order_id] = order
        self._put_on_way(order.ts_event, order)
        return []

    def cancel(self, order_id: str, ts_event: int) -> Sequence[OrderEvent]:
        """Send a withdrawal, as slow as an order; one of an unknown or finished order is rejected at once."""
        if order_id not in self._sent:
            known = self._final.get(order_id)
            reason = f"cancel_of_{known}_order" if known else "cancel_of_unknown_order"
            return [self._say(order_id, _REJECTED, reason, ts_event)]
        self._put_on_way(ts_event, order_id)
        return []

    def open_orders(self) -> Mapping[str, Order]:
        """Return the orders that wait or are on their way, by id."""
        return dict(self._sent)

    def is_open(self, order_id: str) -> bool:
        """Whether an order waits or is on its way."""
        return order_id in self._sent

    def positions(self) -> Mapping[str, Position]:
        """Return what is held, by symbol."""
        if self.quantity <= 0.0:
            return {}
        symbol = self._book.symbol
        return {symbol: Position(symbol=symbol, quantity=self.quantity, entry_price=self.entry)}

    def close_down(self, ts: int) -> list[Happening]:
        """Cancel whatever is open, at once: the record is over."""
        for order_id in list(self._sent):
            self._drop(order_id, _CANCELLED, "end_of_book", ts)
        self._way.clear()
        return self._emptied()

    # time

    def advance(self, until: int) -> list[Happening]:
        """Let the recorded market run up to and including a time; return what became of our orders."""
        while True:
            trade = self._trade_ts[self._next_trade] if self._watched() else until + 1
            book = self._book_ts[self._row + 1] if self._row + 1 < len(self._book_ts) else until + 1
            way = self._way[0][0] if self._way else until + 1
            now = min(trade, book, way)
            if now > until:
                break
            if now == trade:
                self._on_trade(self._next_trade)
                self._next_trade += 1
            elif now == book:
                self._on_books(min(way, trade, until))
            else:
                self._arrive(self._way.popleft()[1], now)
        self._now = max(self._now, until)
        return self._emptied()

    def _watched(self) -> bool:
        """Whether trades matter now; those that pass while nothing rests are skipped."""
        return bool(self._open) and self._next_trade < len(self._trade_ts)

    def _on_books(self, until: int) -> None:
        """Move to the next book or, where nothing rests, to the newest that is due."""
        if self._open:
            self._row += 1
            self._on_snapshot()
        else:
            self._row = int(np.searchsorted(self._book.ts_event, until, side="right")) - 1

    def _put_on_way(self, ts: int, what: Order | str) -> None:
        arrival = ts + self.execution.latency_ns
        if arrival < (self._way[-1][0] if self._way else self._now):
            raise InvalidValue("orders must be sent in the order of time", ts, "send the earlier one first")
        self._way.append((arrival, what))

    # what arrives

    def _arrive(self, what: Order | str, ts: int) -> None:
        if isinstance(what, str):
            if what in self._sent:
                self._drop(what, _CANCELLED, "cancelled_by_owner", ts)
            else:
                reason = f"cancel_of_{self._final[what]}_order"
                self._out.append(self._say(what, _REJECTED, reason, ts))
            return
        quantity = floor_quantity(what.quantity, self.instrument.lot_size)
        working = BookOrder(what, quantity, 0.0)
        if what.kind is OrderKind.LIMIT and what.limit_price is not None:
            # rounded away from the market, so that rounding never makes an order easier to fill
            working.limit = round_price(what.limit_price, self.instrument.tick_size, up=working.sign < 0)
        reason = self._objection(working, ts)
        if reason:
            self._drop(what.order_id, _REJECTED, reason, ts)
            return
        self._out.append(self._say(what.order_id, _ACCEPTED, "", ts))
        self._take(working, ts)

    def _objection(self, working: BookOrder, ts: int) -> str:
        order = working.order
        if order.kind is OrderKind.STOP:
            return "unsupported_kind"
        if order.tif not in TIMES_IN_FORCE:
            return "unsupported_tif"
        if self._stale(ts):
            return "stale_book"
        self._show()
        touch = next(self._sides[-working.sign].levels(), None)
        if touch is None:
            return "no_price"
        if working.remaining <= 0.0:
            return "below_lot"
        if working.sign < 0:
            free = self.quantity - self._offered
            if order.reduce_only:
                working.remaining = min(working.remaining, free)
                return "" if working.remaining > 0.0 else "nothing_to_reduce"
            if working.remaining > free:
                return "spot_is_long_or_flat"
        elif order.reduce_only:
            return "nothing_to_reduce"
        price = working.limit if order.kind is OrderKind.LIMIT else touch[0]
        if working.remaining * price < self.instrument.min_notional:
            return "below_min_notional"
        short = working.sign > 0 and working.remaining * price * (1.0 + self._dearest) > self.free_cash
        return "insufficient_cash" if short else ""

    def _stale(self, ts: int) -> bool:
        return self._row < 0 or ts - self._book_ts[self._row] > self.execution.max_age_ns

    @property
    def _dearest(self) -> float:
        fee = self.execution.fee_rate
        return max(fee(self.instrument, maker=True), fee(self.instrument, maker=False), 0.0)

    @property
    def free_cash(self) -> float:
        """Cash that no resting buy order will need, in quote units."""
        promised = sum(o.remaining * o.limit for o in self._open.values() if o.sign > 0)
        return self.cash - promised * (1.0 + self._dearest)

    @property
    def _offered(self) -> float:
        return sum(o.remaining for o in self._open.values() if o.sign < 0)

    def _take(self, working: BookOrder, ts: int) -> None:
        order, side = working.order, self._sides[-working.sign]
        rate = self.execution.fee_rate(self.instrument, maker=False)
        taken = walk(side.levels(), working, self.instrument.lot_size, self.free_cash, rate)
        for price, quantity in taken:
            side.take(price, quantity)
            self._fill(working, price, quantity, ts, maker=False)
        if working.remaining <= 0.0:
            self._forget(order.order_id, "filled")
        elif order.kind is OrderKind.MARKET:
            lot = self.instrument.lot_size
            more = any(floor_quantity(size, lot) > 0.0 for _, size in side.levels())
            self._drop(
                order.order_id, _CANCELLED, "insufficient_cash" if more else "beyond_recorded_depth", ts
            )
        elif order.tif == "IOC":
            self._drop(order.order_id, _CANCELLED, "immediate_or_cancel", ts)
        else:
            self._rest(working, ts)

    def _rest(self, working: BookOrder, ts: int) -> None:
        size = self._sides[working.sign].size_at(working.limit, working.sign)
        share = self.execution.queue_ahead
        if size is not None or share == 0.0:
            working.ahead = share * (size or 0.0)
        if not self._open:
            self._next_trade = int(np.searchsorted(self._trades.ts_event, ts, side="right"))
        self._open[working.order.order_id] = working

    # what the record shows

    def _resting(self, sign: int) -> list[BookOrder]:
        """Return resting orders of a side: better prices first, then earlier arrivals."""
        orders = [o for o in self._open.values() if o.sign == sign]
        return sorted(orders, key=lambda o: -sign * o.limit) if len(orders) > 1 else orders

    def _on_trade(self, k: int) -> None:
        ts = self._trade_ts[k]
        price, size = float(self._trades.price[k]), float(self._trades.size[k])
        resting = self._resting(-1 if self._trades.taker_buy[k] else 1)
        if not resting or not resting[0].crosses(price):
            return
        if self._stale(ts):
            self.passed_over["stale_book"] += 1
            return
        for working, quantity in queue_through(resting, price, size):
            self._make(working, quantity, ts)

    def _on_snapshot(self) -> None:
        self._show()
        ts = self._book_ts[self._row]
        gap = self._row > 0 and self._session[self._row] != self._session[self._row - 1]
        for working in chain(self._resting(1), self._resting(-1)):
            size = self._sides[working.sign].size_at(working.limit, working.sign)
            if gap:
                working.ahead = np.inf if size is None else size
            elif size is not None:
                working.ahead = min(working.ahead, size)
            other = self._sides[-working.sign]
            for price, left in list(other.levels()):
                if working.remaining <= 0.0 or not working.crosses(price):
                    break
                quantity = self._make(working, left, ts)
                if quantity > 0.0:
                    other.take(price, quantity)

    def _show(self) -> None:
        """Lay out the levels of the newest book."""
        row, book = self._row, self._book
        if row == self._shown:
            return
        self._shown = row
        for sign, price, size in ((1, book.bid_price, book.bid_size), (-1, book.ask_price, book.ask_size)):
            self._sides[sign].show(zip(price[row].tolist(), size[row].tolist(), strict=True))

    # the account

    def _make(self, working: BookOrder, offered: float, ts: int) -> float:
        """Fill a resting order at its price with what is offered; return how much."""
        quantity = floor_quantity(min(working.remaining, offered), self.instrument.lot_size)
        if quantity > 0.0:
            self._fill(working, working.limit, quantity, ts, maker=True)
            if working.remaining <= 0.0:
                self._forget(working.order.order_id, "filled")
        return quantity

    def _fill(self, working: BookOrder, price: float, quantity: float, ts: int, *, maker: bool) -> None:
        rate = self.execution.fee_rate(self.instrument, maker=maker)
        value = price * quantity
        fee = round(value * rate, CASH_DIGITS)
        self.cash = round(self.cash - working.sign * value - fee, CASH_DIGITS)
        if working.sign > 0:
            self.entry = (self.quantity * self.entry + value) / (self.quantity + quantity)
            self.quantity += quantity
        else:
            self.quantity = left_over(self.quantity, quantity)
        working.remaining = left_over(working.remaining, quantity)
        self._out.append(
            Fill(
                order_id=working.order.order_id,
                price=price,
                quantity=quantity,
                fee=fee,
                liquidity=Liquidity.MAKER if maker else Liquidity.TAKER,
                ts_event=ts,
            )
        )

    def _drop(self, order_id: str, status: OrderStatus, reason: str, ts: int) -> None:
        self._forget(order_id, status.value)
        self._out.append(self._say(order_id, status, reason, ts))

    def _forget(self, order_id: str, final: str) -> None:
        self._final[order_id] = final
        self._sent.pop(order_id, None)
        self._open.pop(order_id, None)

    def _end(self, order_id: str, status: OrderStatus, reason: str, ts: int) -> OrderEvent:
        self._final[order_id] = status.value
        return self._say(order_id, status, reason, ts)

    @staticmethod
    def _say(order_id: str, status: OrderStatus, reason: str, ts: int) -> OrderEvent:
        return OrderEvent(order_id=order_id, status=status, reason=reason, ts_event=ts)

    def _emptied(self) -> list[Happening]:
        out, self._out = self._out, []
        return out


def _require_one_market(book: BookSeries, trades: TradeSeries, instrument: Instrument) -> None:
    if len({book.symbol, trades.symbol, instrument.symbol}) > 1:
        raise InvalidValue(
            "book, trades and instrument must be of one symbol",
            f"{book.symbol}, {trades.symbol}, {instrument.symbol}",
            "give those of one market",
        )
    if instrument.market != "spot":
        raise InvalidValue(
            "the book broker trades market spot",
            f"{instrument.market} of {instrument.symbol}",
            "use a spot instrument; perpetuals need funding and liquidation",
        )
    if not len(book):
        raise InvalidValue("a book broker needs at least one book", 0, "load a recording")
