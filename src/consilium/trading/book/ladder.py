"""Fills from a recorded book: walking its levels, and waiting in the queue of one."""

from collections.abc import Iterable, Iterator
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DAY_NS, Order, OrderKind, Side
from consilium.trading.days import day_of_open
from consilium.trading.execution import floor_quantity, round_price

SAME_PRICE = 1e-9
"""Relative distance below which two prices are the same level."""

Level = tuple[float, float]


class BookOrder:
    """An order at the recorded exchange: what is left of it and, once it rests, what stands before it.

    ``ahead`` is the size of others at its level that must go first; infinite while the level is out of sight.
    A stop has no limit until it is set off, unless it has a ``limit_price``. Prices are rounded away from the
    market, so that rounding never makes an order easier to fill.
    """

    __slots__ = ("ahead", "expires", "limit", "order", "remaining", "set_off", "sign", "stop")

    def __init__(self, order: Order, lot_size: float = 0.0, tick_size: float = 0.0) -> None:
        self.order = order
        self.remaining = floor_quantity(order.quantity, lot_size)
        self.sign = 1 if order.side is Side.BUY else -1
        self.limit = inf * self.sign
        if order.limit_price is not None and order.kind is not OrderKind.MARKET:
            self.limit = round_price(order.limit_price, tick_size, up=self.sign < 0)
        self.stop = 0.0
        if order.stop_price is not None and order.kind is OrderKind.STOP:
            self.stop = round_price(order.stop_price, tick_size, up=self.sign > 0)
        self.set_off = False
        self.ahead = inf
        self.expires = (day_of_open(order.ts_event) + 1) * DAY_NS if order.tif == "DAY" else None

    @property
    def limited(self) -> bool:
        """Whether it names a price that no fill of it may be worse than."""
        return abs(self.limit) != inf

    @property
    def worst(self) -> float:
        """The price at which it may have to be paid: its limit, or else its stop; infinite without either."""
        return self.limit if self.limited or not self.stop else self.stop

    def reached_by(self, price: float) -> bool:
        """Whether a price is at its stop or beyond."""
        return self.sign * (price - self.stop) >= -SAME_PRICE * price

    def crosses(self, price: float) -> bool:
        """Whether a trade at a price is at or better than the limit."""
        return self.sign * (self.limit - price) >= -SAME_PRICE * price

    def is_through(self, price: float) -> bool:
        """Whether a price lies strictly beyond the limit: whoever traded there passed this order."""
        return self.sign * (self.limit - price) > SAME_PRICE * price


class Ladder:
    """The levels of one side of the recorded book, less what our own orders took of them.

    The record does not know of us: a level that we emptied stands in the next book as before. What we took
    stays gone: of a level that shows s after s', we find ``min(s, left + max(s - s', 0))``, so that only what
    was added comes back. A level that is seen empty is forgotten, one out of sight is not. What others traded
    since the book counts as gone until the next one.

    Parameters
    ----------
    sign
        +1 for bids, -1 for asks.

    Examples
    --------
    >>> asks = Ladder(-1)
    >>> asks.show([(10.0, 2.0), (11.0, 5.0)])
    >>> asks.take(10.0, 1.5)
    >>> asks.show([(10.0, 2.0), (11.0, 5.0)])
    >>> list(asks.levels())
    [(10.0, 0.5), (11.0, 5.0)]
    >>> asks.show([(10.0, 2.25), (11.0, 5.0)])
    >>> asks.trade(11.0, 2.0)
    >>> list(asks.levels())
    [(10.0, 0.0), (11.0, 3.0)]
    >>> asks.show([(10.0, 2.0), (11.0, 5.0)])
    >>> list(asks.levels())
    [(10.0, 0.75), (11.0, 5.0)]
    """

    __slots__ = ("_furthest", "_left", "_levels", "_sign", "_traded")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._levels: list[Level] = []
        # by price: what we left of a level, and its recorded size then
        self._left: dict[float, Level] = {}
        self._traded: dict[float, float] = {}
        self._furthest = inf * sign

    def show(self, levels: Iterable[Level]) -> None:
        """Put the levels of a newer book in place, best first; a level without a price ends them."""
        self._levels = []
        self._traded.clear()
        self._furthest = inf * self._sign
        for price, size in levels:
            if isnan(price):
                break
            self._levels.append((price, size))
        if self._left and self._levels:
            sizes, last = dict(self._levels), self._levels[-1][0]
            for price in [p for p in self._left if self._sign * (p - last) >= 0.0]:
                self._carry(price, [sizes.get(price, 0.0)])

    def pass_by(self, prices: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
        """Let books go by that nobody traded with: they tell what came back of what we took.

        Parameters
        ----------
        prices, sizes
            Shape (books, levels), oldest first; a level without a price is NaN.
        """
        if not self._left or not len(prices):
            return
        last = np.where(np.isnan(prices), inf, self._sign * prices).min(axis=1)
        for price in list(self._left):
            seen = last <= self._sign * price
            if seen.any():
                self._carry(price, np.where(prices[seen] == price, sizes[seen], 0.0).sum(axis=1).tolist())

    def _carry(self, price: float, sizes: Iterable[float]) -> None:
        """Take what we left of a level through its later sizes, until all that it shows is there for us."""
        left, old = self._left[price]
        for size in sizes:
            left = min(size, left + max(size - old, 0.0))
            old = size
            if left >= size:
                del self._left[price]
                return
        self._left[price] = left, old

    def take(self, price: float, quantity: float) -> None:
        """Remember that we took a quantity at a price."""
        size = dict(self._levels)[price]
        left = self._left.get(price, (size, size))[0]
        self._left[price] = (max(left - quantity, 0.0), size)

    def trade(self, price: float, size: float) -> None:
        """Note a trade of others since the book: better levels are gone, and at its price what it took."""
        self._furthest = min(self._furthest, price) if self._sign > 0 else max(self._furthest, price)
        self._traded[price] = self._traded.get(price, 0.0) + size

    def leave(self, price: float) -> None:
        """Note that the other side traded at a price: no level of this side stands there or beyond."""
        self.trade(price, inf)

    def levels(self) -> Iterator[Level]:
        """Yield price and what is left there, best first."""
        for price, size in self._levels:
            if self._sign * (price - self._furthest) > SAME_PRICE * price:
                yield price, 0.0
                continue
            left = self._left.get(price, (size, size))[0]
            yield price, max(left - self._traded.get(price, 0.0), 0.0)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def size_at(self, price: float) -> float | None:
        """Return the recorded size at a price, 0 where the book has none; None below the last level."""
        for level, size in self._levels:
            if abs(level - price) <= SAME_PRICE * price:
                return size
            if self._sign * (price - level) > 0.0:
                return 0.0
        return None


def walk(
    levels: Iterable[Level],
    order: BookOrder,
    *,
    lot_size: float = 0.0,
    unpaid: float = 0.0,
    cash: float = inf,
    unit_cost: float = 1.0,
) -> list[Level]:
    """Return the fills of an order that takes: level by level, none beyond the limit, the book or the cash.

    Parameters
    ----------
    levels
        Price and size of the other side, best first.
    order
        Its remaining quantity and limit.
    lot_size
        Smallest step of quantity.
    unpaid
        Quantity that needs no cash, because it makes a position smaller.
    cash
        Quote units that the rest may bind.
    unit_cost
        What a unit of value binds: 1 and the fee where it is paid in full.

    Examples
    --------
    >>> order = Order(order_id="1", symbol="BTCUSDT", side="BUY", quantity=3.0, ts_event=0)
    >>> walk([(10.0, 2.0), (11.0, 5.0)], BookOrder(order))
    [(10.0, 2.0), (11.0, 1.0)]
    >>> walk([(10.0, 2.0), (11.0, 5.0)], BookOrder(order), cash=25.5)
    [(10.0, 2.0), (11.0, 0.4999999999995)]
    """
    fills = []
    left = order.remaining
    for price, size in levels:
        if left <= 0.0 or not order.crosses(price):
            break
        affordable = unpaid + max(cash, 0.0) / (price * unit_cost) * (1.0 - 1e-12)
        quantity = floor_quantity(min(left, size, affordable), lot_size)
        if quantity > 0.0:
            fills.append((price, quantity))
            left -= quantity
            paid = max(quantity - unpaid, 0.0)
            unpaid = max(unpaid - quantity, 0.0)
            cash -= price * paid * unit_cost
        if affordable < size:
            break
    return fills


def queue_through(resting: Iterable[BookOrder], price: float, size: float) -> list[tuple[BookOrder, float]]:
    """Return what a trade gives to resting orders of the side it hit, and move them up in their queues.

    A trade through an order's price fills it, up to the size of the trade. A trade at its price goes first to
    those who stand before it, then to it, then to those behind.

    Parameters
    ----------
    resting
        Orders of one side, by better price, then by time of arrival.
    price, size
        Of the trade.

    Examples
    --------
    >>> first, second = (BookOrder(Order(order_id=name, symbol="BTCUSDT", side="BUY", kind="limit",
    ...     limit_price=10.0, quantity=2.0, ts_event=0)) for name in "ab")
    >>> first.ahead = second.ahead = 4.0
    >>> [(o.order.order_id, q) for o, q in queue_through([first, second], 10.0, 7.0)]
    [('a', 2.0), ('b', 1.0)]
    """
    filled = []
    left, others = size, 0.0
    for order in resting:
        if not order.crosses(price):
            break
        if order.is_through(price):
            order.ahead = 0.0
        else:
            before = min(max(order.ahead - others, 0.0), left)
            left -= before
            others += before
            order.ahead = max(order.ahead - others, 0.0)
        quantity = min(order.remaining, left)
        if quantity > 0.0:
            left -= quantity
            filled.append((order, quantity))
    return filled
