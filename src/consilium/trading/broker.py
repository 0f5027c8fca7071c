"""The paper broker: takes orders as an exchange would and fills them from bars."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from consilium.trading.execution import CostModel, floor_quantity, impact, round_price, taker_price
from consilium.trading.kept import Kept
from consilium.trading.lane import Lane, Working
from consilium.trading.portfolio import CASH_DIGITS, left_over
from consilium.trading.tape import Tape

FINAL_KEPT = 10_000
"""Finished orders that are remembered: a service lives for months."""

TIMES_IN_FORCE = ("GTC", "IOC", "DAY")
_ACCEPTED, _REJECTED = OrderStatus.ACCEPTED, OrderStatus.REJECTED
_CANCELLED, _EXPIRED = OrderStatus.CANCELLED, OrderStatus.EXPIRED
_MARKET, _LIMIT, _STOP = OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP

Happening = OrderEvent | Fill


class PaperBroker(Kept):
    """A spot exchange made of bars; the port ``Broker`` and two calls a bar, ``at_open`` and ``within``.

    Inside a bar: what the open reaches first (gapped stops, market orders, limits), then stops, then limits.
    A stop that gaps fills at the open less costs, a resting limit that gaps at the better open. A
    limit needs a trade *through* its price: at a touch others stood before us. Fills of one symbol in one bar
    share ``participation`` of its volume; what is left of a market order, a stop or an IOC is cancelled,
    what is left of a resting limit keeps waiting.

    Parameters
    ----------
    initial_cash
        Quote units, > 0.
    costs
        Spread, impact and participation.

    Examples
    --------
    >>> from consilium.domain import Candle, Instrument, Order
    >>> broker, tape = PaperBroker(1_000.0), Tape("BTCUSDT", 60)
    >>> broker.attach(Instrument(symbol="BTCUSDT"), tape)
    >>> bar = dict(symbol="BTCUSDT", interval_ns=60, open=100.0, high=101.0, low=99.0, close=100.0,
    ...            volume=1e6)
    >>> tape.push(Candle(ts_open=0, ts_close=60, **bar))
    >>> broker.submit(Order(order_id="1", symbol="BTCUSDT", side="BUY", quantity=2.0, ts_event=60))[0].status
    <OrderStatus.ACCEPTED: 'accepted'>
    >>> tape.push(Candle(ts_open=60, ts_close=120, **bar))
    >>> fill, = broker.at_open("BTCUSDT")
    >>> round(fill.price, 8), round(fill.fee, 8)
    (100.01, 0.20002)
    """

    kept = ("cash",)

    def __init__(self, initial_cash: float, costs: CostModel | None = None) -> None:
        require_positive("initial_cash", initial_cash)
        self.costs = CostModel() if costs is None else costs
        self.cash = round(initial_cash, CASH_DIGITS)
        self._lanes: dict[str, Lane] = {}
        self._open: dict[str, Working] = {}
        self._final: dict[str, str] = {}
        self._promises: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Return cash, orders and positions as JSON values."""
        # Pairs, not objects: sums and loops go by the order in which orders came.
        return super().state() | {
            "lanes": [[symbol, lane.state()] for symbol, lane in self._lanes.items()],
            "open": list(self._open),
            "promises": [list(pair) for pair in self._promises.items()],
            "final": [list(pair) for pair in self._final.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned; the same symbols must be attached."""
        super().restore(state)
        for symbol, saved in state["lanes"]:
            self._lanes[symbol].restore(saved)
        waiting = {w.order.order_id: w for lane in self._lanes.values() for w in lane.orders}
        self._open = {order_id: waiting[order_id] for order_id in state["open"]}
        self._promises = dict(state["promises"])
        self._final = dict(state["final"])

    def attach(self, instrument: Instrument, tape: Tape) -> None:
        """List a symbol with its terms and the bars that fill its orders."""
        if instrument.market != "spot":
            raise InvalidValue(
                "the paper broker trades market spot",
                f"{instrument.market} of {instrument.symbol}",
                "use a spot instrument; perpetuals need funding and liquidation",
            )
        self._lanes[instrument.symbol] = Lane(instrument, tape)

    def lane(self, symbol: str) -> Lane:
        """Return what is kept of one symbol."""
        return self._lanes[symbol]

    def credit(self, amount: float) -> None:
        """Add cash to the account (negative: take it)."""
        self.cash = round(self.cash + amount, CASH_DIGITS)

    def open_orders(self) -> Mapping[str, Order]:
        """Return the orders that still wait, by id."""
        return {order_id: working.order for order_id, working in self._open.items()}

    def is_open(self, order_id: str) -> bool:
        """Whether an order still waits."""
        return order_id in self._open

    def positions(self) -> Mapping[str, Position]:
        """Return what is held, by symbol."""
        return {
            symbol: Position(symbol=symbol, quantity=lane.quantity, entry_price=lane.entry)
            for symbol, lane in sorted(self._lanes.items())
            if lane.quantity > 0.0
        }

    def submit(self, order: Order) -> Sequence[Happening]:
        """Take an order: accepted or rejected at once, filled at the next bar's open at the earliest."""
        if order.order_id in self._open or order.order_id in self._final:
            return [self._say(order, _REJECTED, "duplicate_order_id", order.ts_event)]
        lane = self._lanes.get(order.symbol)
        if lane is None:
            return [self._end(order, _REJECTED, "unknown_symbol", order.ts_event)]
        instrument = lane.instrument
        quantity = floor_quantity(order.quantity, instrument.lot_size)
        price = order.limit_price if order.kind is _LIMIT else order.stop_price
        working = Working(order, quantity, 0.0)
        if price is not None and order.kind is not _MARKET:
            # rounded away from the market, so that rounding never makes an order easier to fill
            up = (order.kind is _STOP) == (working.sign > 0)
            working.price = round_price(price, instrument.tick_size, up=up)
        reason = self._objection(lane, working)
        if reason:
            return [self._end(order, _REJECTED, reason, order.ts_event)]
        self._open[order.order_id] = working
        lane.orders.append(working)
        lane.refresh()
        return [self._say(order, _ACCEPTED, "", order.ts_event)]

    def _objection(self, lane: Lane, working: Working) -> str:
        order, tape = working.order, lane.tape
        if order.kind is _STOP and order.limit_price is not None:
            return "unsupported_stop_limit"
        if order.tif not in TIMES_IN_FORCE:
            return "unsupported_tif"
        if tape.i < 0:
            return "no_price"
        if working.remaining <= 0.0:
            return "below_lot"
        if order.reduce_only:
            # the smallest order value does not bind here: every position can be closed
            return "" if working.sign < 0 and lane.quantity > 0.0 else "nothing_to_reduce"
        price = working.price if order.kind is not _MARKET else tape.close[tape.i]
        if working.remaining * price < lane.instrument.min_notional:
            return "below_min_notional"
        if working.sign < 0:
            return "" if working.remaining <= lane.quantity else "spot_is_long_or_flat"
        fee = lane.instrument.taker_fee * self.costs.fee_scale
        needed = working.remaining * price * (1.0 + self.costs.half_spread) * (1.0 + fee)
        if needed > self.cash - self.promised:
            return "insufficient_cash"
        self._promises[order.order_id] = needed
        return ""

    @property
    def promised(self) -> float:
        """Cash that open buy orders will need, in quote units."""
        return sum(self._promises.values())

    def cancel(self, order_id: str, ts_event: int) -> Sequence[OrderEvent]:
        """Withdraw an order; an unknown or finished one gives a rejection with a reason."""
        working = self._open.get(order_id)
        if working is None:
            known = self._final.get(order_id)
            reason = f"cancel_of_{known}_order" if known else "cancel_of_unknown_order"
            return [OrderEvent(order_id=order_id, status=_REJECTED, reason=reason, ts_event=ts_event)]
        lane = self._lanes[working.order.symbol]
        events: list[Happening] = []
        self._drop(lane, working, _CANCELLED, "cancelled_by_owner", ts_event, events)
        lane.refresh()
        return [event for event in events if isinstance(event, OrderEvent)]

    def at_open(self, symbol: str) -> list[Happening]:
        """Meet the open of the tape's newest bar: expiries, gapped stops, market orders, limits."""
        lane = self._lanes[symbol]
        tape = lane.tape
        i = tape.i
        ts, price = tape.ts_open[i], tape.open[i]
        lane.capacity = self.costs.participation * tape.volume[i]
        events: list[Happening] = []
        for working in sorted(lane.orders, key=_rank) if len(lane.orders) > 1 else list(lane.orders):
            kind = working.order.kind
            if ts >= working.expires:
                self._drop(lane, working, _EXPIRED, "day_over", ts, events)
            elif kind is _MARKET or (kind is _STOP and working.sign * (price - working.price) >= 0.0):
                self._fill(lane, working, price, False, ts, events)
            elif kind is _LIMIT and working.sign * (working.price - price) >= 0.0:
                self._fill_gapped_limit(lane, working, price, ts, events)
            if working.order.tif == "IOC" and working.order.order_id in self._open:
                self._drop(lane, working, _CANCELLED, "immediate_or_cancel", ts, events)
        for working in lane.orders:
            working.rested = True
        lane.refresh()
        return events

    def _fill_gapped_limit(
        self, lane: Lane, working: Working, price: float, ts: int, events: list[Happening]
    ) -> None:
        if working.rested:
            # a touch is not enough for one that rests: it must be through
            if price != working.price:
                self._fill(lane, working, price, True, ts, events)
        else:
            self._fill(lane, working, price, False, ts, events)

    def within(self, symbol: str) -> list[Happening]:
        """Meet the course of the tape's newest bar after its open: stops first, then limits."""
        lane = self._lanes[symbol]
        tape = lane.tape
        i = tape.i
        ts, price, low, high = tape.ts_open[i], tape.open[i], tape.low[i], tape.high[i]
        events: list[Happening] = []
        for working in sorted(lane.orders, key=_rank) if len(lane.orders) > 1 else list(lane.orders):
            kind, level = working.order.kind, working.price
            if kind is _STOP:
                if low <= level if working.sign < 0 else high >= level:
                    worse = min(price, level) if working.sign < 0 else max(price, level)
                    self._fill(lane, working, worse, False, ts, events)
            elif kind is _LIMIT and (low < level if working.sign > 0 else high > level):
                self._fill(lane, working, level, True, ts, events)
        for working in lane.orders:
            working.rested = True
        lane.refresh()
        return events

    def _fill(
        self, lane: Lane, working: Working, base: float, maker: bool, ts: int, events: list[Happening]
    ) -> None:
        order, instrument = working.order, lane.instrument
        wanted = working.remaining if working.sign > 0 else min(working.remaining, lane.quantity)
        short = "" if wanted == working.remaining else "nothing_to_reduce"
        quantity = floor_quantity(min(wanted, lane.capacity), instrument.lot_size)
        if quantity < wanted:
            short = "participation"
        if quantity <= 0.0:
            self._fall_short(lane, working, short or "nothing_to_reduce", ts, events)
            return
        price = base if maker else self._taken(lane, working, base, quantity)
        rate = (instrument.maker_fee if maker else instrument.taker_fee) * self.costs.fee_scale
        if working.sign > 0 and quantity * price * (1.0 + rate) > self.cash:
            short = "insufficient_cash"
            quantity = floor_quantity(self.cash / (price * (1.0 + rate)) * (1.0 - 1e-12), instrument.lot_size)
            if quantity <= 0.0 or quantity * price < max(instrument.min_notional, 10.0**-CASH_DIGITS):
                self._drop(lane, working, _CANCELLED, short, ts, events)
                return
        fee = round(quantity * price * rate, CASH_DIGITS)
        events.append(
            Fill(
                order_id=order.order_id,
                price=price,
                quantity=quantity,
                fee=fee,
                liquidity=Liquidity.MAKER if maker else Liquidity.TAKER,
                ts_event=ts,
            )
        )
        self._book(lane, working, price, quantity, fee)
        if quantity >= working.remaining:
            self._drop(lane, working, None, "", ts, events)
        else:
            if working.sign > 0:
                self._promises[order.order_id] *= (working.remaining - quantity) / working.remaining
            working.remaining -= quantity
            self._fall_short(lane, working, short, ts, events)

    def _taken(self, lane: Lane, working: Working, base: float, quantity: float) -> float:
        tape, costs = lane.tape, self.costs
        slippage = costs.half_spread
        volume_day = tape.daily_volume(tape.i)
        if volume_day > 0.0:
            sigma_day = tape.daily_volatility(tape.i)
            slippage += impact(quantity, sigma_day, volume_day, costs.impact_coefficient)
        price = taker_price(working.sign, base, slippage, lane.instrument.tick_size)
        if working.order.kind is _LIMIT:
            price = min(price, working.price) if working.sign > 0 else max(price, working.price)
        return price

    def _book(self, lane: Lane, working: Working, price: float, quantity: float, fee: float) -> None:
        value = price * quantity
        self.cash = round(self.cash - working.sign * value - fee, CASH_DIGITS)
        lane.capacity -= quantity
        if working.sign > 0:
            lane.entry = (lane.quantity * lane.entry + value) / (lane.quantity + quantity)
            lane.quantity += quantity
        else:
            lane.quantity = left_over(lane.quantity, quantity)

    def _fall_short(
        self, lane: Lane, working: Working, reason: str, ts: int, events: list[Happening]
    ) -> None:
        rests = working.order.kind is _LIMIT and working.order.tif != "IOC" and reason == "participation"
        if not rests:
            self._drop(lane, working, _CANCELLED, reason, ts, events)

    def _drop(
        self,
        lane: Lane,
        working: Working,
        status: OrderStatus | None,
        reason: str,
        ts: int,
        events: list[Happening],
    ) -> None:
        order = working.order
        del self._open[order.order_id]
        self._promises.pop(order.order_id, None)
        lane.orders.remove(working)
        if status is None:
            self._finish(order, "filled")
        else:
            events.append(self._end(order, status, reason, ts))

    def _end(self, order: Order, status: OrderStatus, reason: str, ts: int) -> OrderEvent:
        self._finish(order, status.value)
        return self._say(order, status, reason, ts)

    def _finish(self, order: Order, status: str) -> None:
        self._final[order.order_id] = status
        if len(self._final) > FINAL_KEPT:
            del self._final[next(iter(self._final))]

    @staticmethod
    def _say(order: Order, status: OrderStatus, reason: str, ts: int) -> OrderEvent:
        return OrderEvent(order_id=order.order_id, status=status, reason=reason, ts_event=ts)


def _rank(working: Working) -> int:
    kind = working.order.kind
    return 0 if kind is _STOP else 1 if kind is _MARKET else 2
