"""Causes: what an order's ``cause_id`` says of who wants it, and the one rule by which it is read.

``cause_id`` is ``<cause>:<the rest>``; the cause is what stands before the first colon, and nothing else of
it is ever read. The service writes ``consensus`` (entries), ``horizon``, ``opposite`` and ``stop`` (exits),
and ``protect`` (the resting stop), and where the council asks for it ``flatten``, ``reduce`` and
``unprotected`` (a position that no stop can be placed for), each followed by the symbol and the time. A
person's order has ``operator`` and the command's id, as in ``operator:42``. The cause chooses which
capability a reduce-only order needs; it never loosens anything for an order that opens or adds.
"""

from consilium.domain import Order

CONSENSUS = "consensus"
PROTECT = "protect"
OPERATOR = "operator"
FLATTEN = "flatten"
REDUCE = "reduce"
UNPROTECTED = "unprotected"


def cause_id(cause: str, symbol: str, ts: int) -> str:
    """Write the cause of an order of the service.

    Examples
    --------
    >>> cause_id("horizon", "BTCUSDT", 60)
    'horizon:BTCUSDT:60'
    """
    return f"{cause}:{symbol}:{ts}"


def cause_of(order: Order) -> str:
    """Return what stands before the first colon.

    Examples
    --------
    >>> cause_of(Order(order_id="1", symbol="X", side="SELL", quantity=1.0, ts_event=0, cause_id="stop:X:7"))
    'stop'
    """
    return order.cause_id.partition(":")[0]


def by_operator(order: Order) -> bool:
    """Whether a person wants an order: its cause is exactly ``operator``.

    Examples
    --------
    >>> from dataclasses import replace
    >>> order = Order(order_id="1", symbol="X", side="SELL", quantity=1.0, ts_event=0, cause_id="operator:42")
    >>> by_operator(order), by_operator(replace(order, cause_id="operators:42"))
    (True, False)
    """
    return cause_of(order) == OPERATOR
