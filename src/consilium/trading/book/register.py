"""The register: which orders the recorded exchange knows, how each ended, and what is still to be said."""

from dataclasses import dataclass

from consilium.domain import Fill, Order, OrderEvent, OrderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """Funding of a perpetual: ``amount`` in quote units, > 0 where we paid."""

    symbol: str
    ts_event: int
    amount: float


BookHappening = OrderEvent | Fill | FundingPaid


class Register:
    """Orders by id: those on their way or open, and how the others ended; and the happenings of an instant.

    Examples
    --------
    >>> register = Register()
    >>> register.enter(Order(order_id="1", symbol="BTCUSDT", side="BUY", quantity=1.0, ts_event=0))
    >>> register.drop("1", OrderStatus.CANCELLED, "cancelled_by_owner", 5)
    >>> register.is_open("1"), register.final["1"], [event.reason for event in register.emptied()]
    (False, 'cancelled', ['cancelled_by_owner'])
    """

    def __init__(self) -> None:
        self.sent: dict[str, Order] = {}
        self.final: dict[str, str] = {}
        self.out: list[BookHappening] = []

    def enter(self, order: Order) -> None:
        """Note an order that is on its way."""
        self.sent[order.order_id] = order

    def is_open(self, order_id: str) -> bool:
        """Whether an order waits or is on its way."""
        return order_id in self.sent

    def known(self, order_id: str) -> bool:
        """Whether an id was ever used."""
        return order_id in self.sent or order_id in self.final

    def accept(self, order_id: str, ts: int) -> None:
        """Say that an order was taken."""
        self.out.append(said(order_id, OrderStatus.ACCEPTED, "", ts))

    def drop(self, order_id: str, status: OrderStatus, reason: str, ts: int) -> None:
        """End an order without a trade, and say so."""
        self.end(order_id, status.value)
        self.out.append(said(order_id, status, reason, ts))

    def end(self, order_id: str, how: str) -> None:
        """Note how an order ended."""
        self.final[order_id] = how
        self.sent.pop(order_id, None)

    def no_cancel(self, order_id: str, ts: int) -> OrderEvent:
        """Refuse to withdraw an order that is not open."""
        how = self.final.get(order_id)
        reason = f"cancel_of_{how}_order" if how else "cancel_of_unknown_order"
        return said(order_id, OrderStatus.REJECTED, reason, ts)

    def emptied(self) -> list[BookHappening]:
        """Return what there is to say, once."""
        out, self.out = self.out, []
        return out


def said(order_id: str, status: OrderStatus, reason: str, ts: int) -> OrderEvent:
    """Say what became of an order."""
    return OrderEvent(order_id=order_id, status=status, reason=reason, ts_event=ts)
