"""A lane: what the paper broker keeps of one symbol."""

from collections.abc import Mapping
from math import inf
from typing import Any

from consilium.domain import DAY_NS, Instrument, Order, OrderKind, Side
from consilium.trading.days import day_of_open
from consilium.trading.kept import Kept, order_state, read_order
from consilium.trading.tape import Tape


class Working(Kept):
    """An order that waits: what is left of it, whether it has rested, when it ends."""

    __slots__ = ("expires", "order", "price", "remaining", "rested", "sign")
    kept = ("remaining", "price", "rested")

    def __init__(self, order: Order, quantity: float, price: float) -> None:
        self.order = order
        self.remaining = quantity
        self.price = price
        self.sign = 1 if order.side is Side.BUY else -1
        self.rested = False
        self.expires = (day_of_open(order.ts_event) + 1) * DAY_NS if order.tif == "DAY" else inf


class Lane(Kept):
    """Orders, position and bars of one symbol, with the prices at which anything can happen.

    ``urgent`` says that an order wants the next open; below ``below`` or above ``above`` a waiting order may
    fill; from ``expires`` on one is over. While a bar stays clear of all four, it need not be looked at.
    """

    __slots__ = (
        "above",
        "below",
        "capacity",
        "entry",
        "expires",
        "instrument",
        "orders",
        "quantity",
        "tape",
        "urgent",
    )
    kept = ("quantity", "entry", "capacity")

    def __init__(self, instrument: Instrument, tape: Tape) -> None:
        self.instrument = instrument
        self.tape = tape
        self.orders: list[Working] = []
        self.quantity = 0.0
        self.entry = 0.0
        self.capacity = 0.0
        self.refresh()

    def state(self) -> dict[str, Any]:
        """Return orders and position as JSON values; the tape is kept elsewhere."""
        orders = [working.state() | {"order": order_state(working.order)} for working in self.orders]
        return super().state() | {"orders": orders}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        super().restore(state)
        self.orders.clear()
        for saved in state["orders"]:
            working = Working(read_order(saved["order"]), 0.0, 0.0)
            working.restore(saved)
            self.orders.append(working)
        self.refresh()

    def refresh(self) -> None:
        """Find again at which prices the orders wait."""
        self.urgent = False
        self.below, self.above, self.expires = -inf, inf, inf
        for working in self.orders:
            kind = working.order.kind
            fresh_limit = kind is OrderKind.LIMIT and not working.rested
            if kind is OrderKind.MARKET or working.order.tif == "IOC" or fresh_limit:
                self.urgent = True
            if kind is not OrderKind.MARKET:
                # a sell stop and a buy limit wait below the market, a buy stop and a sell limit above it
                if (kind is OrderKind.STOP) == (working.sign < 0):
                    self.below = max(self.below, working.price)
                else:
                    self.above = min(self.above, working.price)
            self.expires = min(self.expires, working.expires)

    def stirred(self) -> bool:
        """Whether the tape's newest bar can change anything here."""
        tape = self.tape
        i = tape.i
        return (
            self.urgent
            or tape.low[i] <= self.below
            or tape.high[i] >= self.above
            or tape.ts_open[i] >= self.expires
        )
