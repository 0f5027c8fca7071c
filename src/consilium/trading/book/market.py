"""One recorded market in time: what it shows, which orders wait in it, and what happens to them."""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import chain
from math import inf, isnan

import numpy as np

from consilium.domain import (
    Fill,
    Funding,
    Instrument,
    InvalidValue,
    Liquidity,
    Order,
    OrderEvent,
    OrderKind,
    OrderStatus,
)
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.book.account import BookAccount
from consilium.trading.book.ladder import BookOrder, Ladder, queue_through, walk
from consilium.trading.book.perpetual import LIQUIDATION, FundingClock, liquidation_order
from consilium.trading.book.register import FundingPaid, Register
from consilium.trading.book.terms import require_one_market
from consilium.trading.book.view import BookView
from consilium.trading.execution import floor_quantity
from consilium.trading.portfolio import CASH_DIGITS, DUST, left_over

TIMES_IN_FORCE = ("GTC", "IOC", "DAY")
_REJECTED, _CANCELLED, _EXPIRED = OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED
_MARKET, _STOP = OrderKind.MARKET, OrderKind.STOP


class BookMarket:
    """The books and trades of one symbol, replayed against the orders of one account.

    At one time funding comes first, then trades, then the book, then orders that end, then what arrives.

    Parameters
    ----------
    book, trades
        Of one symbol, sizes in base units.
    instrument
        Terms.
    account, register
        Shared by all markets of a broker.
    funding
        Recorded funding of a perpetual, oldest first; empty for the default of the account's execution.
    """

    def __init__(
        self,
        book: BookSeries,
        trades: TradeSeries,
        instrument: Instrument,
        account: BookAccount,
        register: Register,
        funding: Sequence[Funding] = (),
    ) -> None:
        require_one_market(book, trades, instrument)
        account.list(instrument)
        self.instrument = instrument
        self.execution = account.execution
        self.passed_over: Counter[str] = Counter()
        self.view = BookView(book, trades, account.execution.max_age_ns)
        self.trades = trades
        self._account = account
        self._held = account.held[instrument.symbol]
        self._register = register
        self._funding = FundingClock(funding, account.execution.funding_rate)
        self._trade_ts = trades.ts_event.data
        self._now = 0
        self._next_trade = 0
        self._way: deque[tuple[int, Order | str]] = deque()
        self._open: dict[str, BookOrder] = {}
        self._forced = 0
        self.forced: dict[str, Order] = {}

    # time

    def send(self, ts: int, what: Order | str) -> None:
        """Put an order, or the id of one to withdraw, on its way."""
        arrival = ts + self.execution.latency_ns
        if arrival < (self._way[-1][0] if self._way else self._now):
            raise InvalidValue("orders must be sent in the order of time", ts, "send the earlier one first")
        self._way.append((arrival, what))

    @property
    def _at_work(self) -> bool:
        """Whether each trade and book matters now; those that pass while nothing waits are skipped."""
        return bool(self._open) or (self._held.instrument.market == "perp" and self._held.quantity != 0.0)

    @property
    def _next_funding(self) -> float:
        """The next time at which a perpetual pays funding; none after the record."""
        if self._held.instrument.market != "perp":
            return inf
        ts = self._funding.after(self._now)
        return ts if ts <= self.view.last_ts else inf

    def next_time(self) -> float:
        """Return the time of the next thing that matters; infinite if nothing does."""
        times: list[float] = [self._way[0][0] if self._way else inf]
        if self._at_work:
            times += [order.expires for order in self._open.values() if order.expires is not None]
            times.append(self.view.next_ts)
            if self._open and self._next_trade < len(self._trade_ts):
                times.append(self._trade_ts[self._next_trade])
            if self._held.quantity != 0.0:
                times.append(self._next_funding)
        return min(times)

    def step(self, now: int) -> None:
        """Let the next thing happen, which is due at a time."""
        funding, self._now = self._next_funding, now
        if not self._at_work:
            self._arrive(self._way.popleft()[1], now)
        elif self._held.quantity != 0.0 and funding == now:
            self._fund(now)
        elif (
            self._open and self._next_trade < len(self._trade_ts) and self._trade_ts[self._next_trade] == now
        ):
            self._next_trade += 1
            self._on_trade(self._next_trade - 1)
        elif self.view.next_ts == now:
            self.view.row += 1
            self._on_snapshot(now)
        elif ended := [name for name, order in self._open.items() if order.expires == now]:
            self._drop(ended[0], _EXPIRED, "day_over", now)
        else:
            self._arrive(self._way.popleft()[1], now)

    def run_to(self, ts: int) -> None:
        """Note that time has come to ``ts``, and where nothing waits, move on to the newest book."""
        self._now = max(self._now, ts)
        if not self._at_work:
            self.view.row = self.view.row_at(ts)

    def close_down(self, ts: int) -> None:
        """Cancel whatever is open or on its way, at once."""
        for order_id in [*self._open, *(what.order_id for _, what in self._way if isinstance(what, Order))]:
            self._drop(order_id, _CANCELLED, "end_of_book", ts)
        self._way.clear()

    # what arrives

    def _arrive(self, what: Order | str, ts: int) -> None:
        if not self._at_work:
            self.view.row = self.view.row_at(ts)
        if isinstance(what, str):
            if self._register.is_open(what):
                self._drop(what, _CANCELLED, "cancelled_by_owner", ts)
            else:
                self._register.out.append(self._register.no_cancel(what, ts))
            return
        working = BookOrder(what, self.instrument.lot_size, self.instrument.tick_size)
        reason = self._objection(working, ts)
        if reason:
            self._drop(what.order_id, _REJECTED, reason, ts)
            return
        self._register.accept(what.order_id, ts)
        if what.kind is not _STOP:
            self._take(working, ts)
            return
        self._wait(working, ts)
        if not self.view.stale(ts) and self._reached(working):
            self._set_off(working, ts)

    def _objection(self, working: BookOrder, ts: int) -> str:
        order, stop = working.order, working.order.kind is _STOP
        if order.tif not in TIMES_IN_FORCE or (stop and order.tif == "IOC"):
            return "unsupported_tif"
        if working.remaining <= 0.0:
            return "below_lot"
        if self.view.row < 0 or (self.view.stale(ts) and not stop):
            return "stale_book"
        self.view.show(ts)
        self._mark()
        touch = next(self.view.sides[-working.sign].levels(), None)
        if touch is None and not stop:
            return "no_price"
        price = working.worst if abs(working.worst) != inf or touch is None else touch[0]
        return self._account.objection(working, price, 0.0 if stop else self._offered(working.sign))

    def _offered(self, sign: int) -> float:
        waiting = (o for o in self._open.values() if o.sign == sign and (not o.stop or o.set_off))
        return sum(order.remaining for order in waiting)

    def _take(self, working: BookOrder, ts: int, *, last: bool = True) -> None:
        order, side, account = working.order, self.view.sides[-working.sign], self._account
        self.view.show(ts)
        self._account.release(order.order_id)
        unpaid = account.reducible(self.instrument.symbol, working.sign, 0.0)
        fee = self.execution.fee_rate(self.instrument, maker=False)
        fee += max((self._dearer(working.sign, price) for price, _ in side.levels()), default=0.0)
        taken = walk(
            side.levels(),
            working,
            lot_size=self.instrument.lot_size,
            unpaid=unpaid,
            cash=account.free if account.can_open(self.instrument.symbol, working.sign) else 0.0,
            unit_cost=account.unit_cost(self.instrument, fee),
        )
        for price, quantity in taken:
            side.take(price, quantity)
            self._fill(working, price, quantity, ts, maker=False)
        if working.remaining <= 0.0:
            self._forget(order.order_id, "filled")
        elif not working.limited:
            if last:
                self._drop(order.order_id, _CANCELLED, self._why_short(side), ts)
        elif order.tif == "IOC":
            self._drop(order.order_id, _CANCELLED, "immediate_or_cancel", ts)
        else:
            self._rest(working, ts)

    def _dearer(self, sign: int, price: float) -> float:
        """Return what taking at a price costs more where slippage is scaled, as a fraction of the value."""
        extra = self.execution.slippage_scale - 1.0
        away = sign * (price - self.view.mid()) / price if extra else 0.0
        return extra * away if away > 0.0 else 0.0

    def _why_short(self, side: Ladder) -> str:
        more = any(floor_quantity(size, self.instrument.lot_size) > 0.0 for _, size in side.levels())
        if not more:
            return "beyond_recorded_depth"
        return self._account.short_of

    def _rest(self, working: BookOrder, ts: int) -> None:
        size = self.view.sides[working.sign].size_at(working.limit)
        share = self.execution.queue_ahead
        if size is not None or share == 0.0:
            working.ahead = share * (size or 0.0)
        self._wait(working, ts)

    def _wait(self, working: BookOrder, ts: int) -> None:
        if not self._open:
            after = int(np.searchsorted(self.trades.ts_event, ts, side="right"))
            self._next_trade = max(self._next_trade, after)
        self._open[working.order.order_id] = working
        self._account.promise(working)

    # stops

    def _reached(self, working: BookOrder) -> bool:
        """Whether the best price that a stop would meet has come to it."""
        return working.reached_by(self.view.best(-working.sign))

    def _set_off(self, working: BookOrder, ts: int, *, last: bool = True) -> None:
        """Turn a stop into what it is for.

        What a stop does not get between two books (``last`` False) or on a stale one, it gets at the next.
        """
        working.set_off = True
        if self.view.stale(ts):
            return
        order, sign, symbol = working.order, working.sign, self.instrument.symbol
        if order.reduce_only or not self._account.can_open(symbol, sign):
            free = self._account.reducible(symbol, sign, self._offered(sign) - working.remaining)
            working.remaining = floor_quantity(min(working.remaining, free), self.instrument.lot_size)
            if working.remaining <= 0.0:
                self._drop(order.order_id, _CANCELLED, "nothing_to_reduce", ts)
                return
        price, working.stop = working.stop, 0.0
        self._open.pop(order.order_id)
        self._take(working, ts, last=last)
        if not last and not working.limited and working.remaining > 0.0:
            working.stop = price
            self._open[order.order_id] = working

    # what the record shows

    def _resting(self, sign: int) -> list[BookOrder]:
        """Return resting orders of a side: better prices first, then earlier arrivals."""
        orders = [o for o in self._open.values() if o.sign == sign and not o.stop]
        return sorted(orders, key=lambda o: -sign * o.limit) if len(orders) > 1 else orders

    def _on_trade(self, k: int) -> None:
        ts = self._trade_ts[k]
        price, size = float(self.trades.price[k]), float(self.trades.size[k])
        resting = self._resting(-1 if self.trades.taker_buy[k] else 1)
        if resting and resting[0].crosses(price):
            if self.view.stale(ts):
                self.passed_over["stale_book"] += 1
            else:
                for working, quantity in queue_through(resting, price, size):
                    self._make(working, quantity, ts)
        if self.execution.trigger == "trade":
            for working in [o for o in self._open.values() if o.stop and not o.set_off]:
                if working.reached_by(price):
                    self._set_off(working, ts, last=False)

    def _on_snapshot(self, ts: int) -> None:
        self._mark()
        for working in [o for o in self._open.values() if o.stop]:
            if working.set_off or (self.execution.trigger == "book" and self._reached(working)):
                self._set_off(working, ts)
        resting = list(chain(self._resting(1), self._resting(-1)))
        if resting:
            self.view.show(ts)
            for working in resting:
                self._meet(working, self.view.gap, ts)
        if self._account.perp and self._held.quantity != 0.0:
            self._liquidate_if_due(ts)

    def _meet(self, working: BookOrder, gap: bool, ts: int) -> None:
        """Show a newer book to a resting order: its queue, and what crosses it."""
        size = self.view.sides[working.sign].size_at(working.limit)
        if gap:
            working.ahead = inf if size is None else size
        elif size is not None:
            working.ahead = min(working.ahead, size)
        other = self.view.sides[-working.sign]
        for price, left in list(other.levels()):
            if working.remaining <= 0.0 or not working.crosses(price):
                break
            quantity = self._make(working, left, ts)
            if quantity > 0.0:
                other.take(price, quantity)

    def _mark(self) -> None:
        mid = self.view.mid()
        if not isnan(mid):
            self._held.mark = mid

    # what only perpetuals have

    def _fund(self, ts: int) -> None:
        rate, mark = self._funding.at(ts)
        amount = round(self._held.quantity * (self._held.mark if mark is None else mark) * rate, CASH_DIGITS)
        self._account.pay(amount)
        self._register.out.append(FundingPaid(symbol=self.instrument.symbol, ts_event=ts, amount=amount))

    def _liquidate_if_due(self, ts: int) -> None:
        sign = 1 if self._held.quantity > 0.0 else -1
        if sign * (self._held.mark - self._account.liquidation_price(self.instrument.symbol)) > 0.0:
            return
        for order_id in list(self._open):
            self._drop(order_id, _CANCELLED, LIQUIDATION, ts)
        self._forced += 1
        order = liquidation_order(self.instrument, self._held.quantity, self._forced, ts)
        self.forced[order.order_id] = order
        self._register.enter(order)
        self._register.accept(order.order_id, ts)
        self._take(BookOrder(order), ts)

    # the account

    def _make(self, working: BookOrder, offered: float, ts: int) -> float:
        """Fill a resting order at its price with what is offered; return how much."""
        most = min(working.remaining, offered)
        spot_sale = not self._account.can_open(self.instrument.symbol, working.sign)
        if working.order.reduce_only or spot_sale:
            most = min(most, self._account.reducible(self.instrument.symbol, working.sign, 0.0))
        quantity = floor_quantity(most, self.instrument.lot_size)
        if quantity > DUST * working.order.quantity:
            self._fill(working, working.limit, quantity, ts, maker=True)
            if working.remaining <= 0.0:
                self._forget(working.order.order_id, "filled")
            else:
                self._account.promise(working)
            return quantity
        return 0.0

    def _fill(self, working: BookOrder, price: float, quantity: float, ts: int, *, maker: bool) -> None:
        fee = price * quantity * self.execution.fee_rate(self.instrument, maker=maker)
        if not maker and self.execution.slippage_scale > 1.0:
            fee += quantity * price * self._dearer(working.sign, price)
        fill = Fill(
            order_id=working.order.order_id,
            price=price,
            quantity=quantity,
            fee=round(fee, CASH_DIGITS),
            liquidity=Liquidity.MAKER if maker else Liquidity.TAKER,
            ts_event=ts,
        )
        self._account.apply(self.instrument.symbol, working.sign, fill)
        left = left_over(working.remaining, quantity)
        working.remaining = left if left > DUST * working.order.quantity else 0.0
        self._register.out.append(fill)

    def _forget(self, order_id: str, how: str) -> None:
        self._account.release(order_id)
        self._open.pop(order_id, None)
        self._register.end(order_id, how)

    def _drop(self, order_id: str, status: OrderStatus, reason: str, ts: int) -> None:
        self._forget(order_id, status.value)
        self._register.out.append(OrderEvent(order_id=order_id, status=status, reason=reason, ts_event=ts))
