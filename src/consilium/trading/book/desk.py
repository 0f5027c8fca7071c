"""A desk at the recorded exchange: what is known of one symbol, and the orders that are written for it."""

from math import inf

from consilium.domain import Instrument, Order, OrderKind, Side
from consilium.trading.book.market import BookMarket
from consilium.trading.causes import CONSENSUS, PROTECT, cause_id
from consilium.trading.holdings import Holding
from consilium.trading.strategy import LOWEST_STOP
from consilium.trading.tape import Tape


class BookDesk:
    """Bars, book, stance and orders of one symbol.

    ``side`` is that of the position, or of the entry on its way: +1, -1, or 0 for neither. ``deadline`` is
    the time at which the position has lasted its horizon; ``retry`` the first at which an exit may be sent
    again; ``withdrawn`` holds the ids that are being withdrawn.
    """

    __slots__ = (
        "deadline",
        "distance",
        "entry",
        "exit",
        "leaving",
        "market",
        "retry",
        "side",
        "stop",
        "tape",
        "why",
        "withdrawn",
    )

    def __init__(self, tape: Tape, market: BookMarket) -> None:
        self.tape = tape
        self.market = market
        self.entry: Order | None = None
        self.exit: Order | None = None
        self.stop: Order | None = None
        self.withdrawn: dict[str, str] = {}
        self.clear()

    def clear(self) -> None:
        """Forget a position that is over."""
        self.side = 0
        self.distance = 0.0
        self.deadline: float = inf
        self.retry: float = 0.0
        self.leaving = False
        self.why = "horizon"

    @property
    def symbol(self) -> str:
        """Name of what is traded."""
        return self.instrument.symbol

    @property
    def instrument(self) -> Instrument:
        """Its terms."""
        return self.market.instrument

    def mid(self, ts: int) -> float:
        """Return the mid of the newest book; NaN where a side is empty."""
        bid, ask = self.market.view.touch(ts)
        return (bid + ask) / 2.0

    def stop_price(self, entry: float, multiplier: float) -> float:
        """Return the protective stop, ``entry - side multiplier distance``, kept above 0."""
        return max(entry - self.side * multiplier * self.distance, entry * LOWEST_STOP)

    def entry_order(self, order_id: str, sign: int, quantity: float, ts: int, limit: float | None) -> Order:
        """Write the order that opens: at market, or at a limit."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.instrument.venue,
            side=_side(sign),
            kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
            quantity=quantity,
            limit_price=limit,
            ts_event=ts,
            cause_id=cause_id(CONSENSUS, self.symbol, ts),
        )

    def exit_order(self, order_id: str, holding: Holding, ts: int) -> Order:
        """Write the order that closes what is held; it may only reduce."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.instrument.venue,
            side=_side(-self.side),
            quantity=abs(holding.quantity),
            reduce_only=True,
            ts_event=ts,
            cause_id=cause_id(self.why, self.symbol, ts),
        )

    def stop_order(self, order_id: str, holding: Holding, ts: int) -> Order:
        """Write the protective stop of all that is held; it may only reduce."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.instrument.venue,
            side=_side(-self.side),
            kind=OrderKind.STOP,
            quantity=abs(holding.quantity),
            stop_price=holding.stop,
            reduce_only=True,
            ts_event=ts,
            cause_id=cause_id(PROTECT, self.symbol, ts),
        )


def _side(sign: int) -> Side:
    return Side.BUY if sign > 0 else Side.SELL
