"""A desk: all that the trading service knows of one symbol, and the orders it writes for it."""

from consilium.domain import Order, OrderKind, Side
from consilium.trading.causes import CONSENSUS, PROTECT, cause_id
from consilium.trading.holdings import Holding
from consilium.trading.lane import Lane
from consilium.trading.strategy import Stance
from consilium.trading.tape import Tape


class Desk:
    """Bars, orders, stance and position of one symbol."""

    __slots__ = ("holding", "lane", "stance", "symbol", "tape")

    def __init__(self, symbol: str, tape: Tape, lane: Lane) -> None:
        self.symbol = symbol
        self.tape = tape
        self.lane = lane
        self.stance = Stance()
        self.holding: Holding | None = None

    def entry(self, order_id: str, quantity: float, ts: int) -> Order:
        """Write the order that opens."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.lane.instrument.venue,
            side=Side.BUY,
            quantity=quantity,
            ts_event=ts,
            cause_id=cause_id(CONSENSUS, self.symbol, ts),
        )

    def exit(self, order_id: str, quantity: float, ts: int, why: str) -> Order:
        """Write the order that closes what is held; it may only reduce."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.lane.instrument.venue,
            side=Side.SELL,
            quantity=quantity,
            reduce_only=True,
            ts_event=ts,
            cause_id=cause_id(why, self.symbol, ts),
        )

    def stop(self, order_id: str, holding: Holding, ts: int) -> Order:
        """Write the protective stop of all that is held; it may only reduce."""
        return Order(
            order_id=order_id,
            symbol=self.symbol,
            venue=self.lane.instrument.venue,
            side=Side.SELL,
            kind=OrderKind.STOP,
            quantity=holding.quantity,
            stop_price=holding.stop,
            reduce_only=True,
            ts_event=ts,
            cause_id=cause_id(PROTECT, self.symbol, ts),
        )
