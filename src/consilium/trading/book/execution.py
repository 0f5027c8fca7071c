"""How orders meet a recorded book: latency, age, place in the queue, triggers, margin."""

from dataclasses import dataclass, replace
from typing import Self

from consilium.domain import Instrument, InvalidValue
from consilium.domain.checks import require_at_least, require_fraction

FRONT, BACK = 0.0, 1.0
TRIGGERS = ("trade", "book")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookExecution:
    """How orders meet a recorded book.

    Parameters
    ----------
    latency_ns
        From the signal to the exchange, for orders and withdrawals alike, >= 0; default 50 ms.
    max_age_ns
        A book older than this fills nothing, > 0; default 1 s.
    queue_ahead
        Share of the level's recorded size that stands before a new resting order: 1 (``BACK``, the default)
        joins behind all of it, 0 (``FRONT``) before.
    fee_scale
        Factor on the instrument's fees, >= 0.
    slippage_scale
        Factor on what taking costs against the mid, >= 1; what is beyond 1 is charged as a fee.
    trigger
        What sets off a stop: a ``trade`` at its price or beyond (the default), or the best price of the
        ``book`` that it would meet.
    leverage
        Of perpetuals: an order that opens needs its value divided by this as margin, >= 1; default 10.
    funding_rate
        Of perpetuals without recorded funding: what longs pay every 8 h, a fraction; default .0001.

    Examples
    --------
    >>> instrument = Instrument(symbol="X", taker_fee=0.0004)
    >>> BookExecution(latency_ns=0).scaled(2.0).fee_rate(instrument, maker=False)
    0.0008
    """

    latency_ns: int = 50_000_000
    max_age_ns: int = 1_000_000_000
    queue_ahead: float = BACK
    fee_scale: float = 1.0
    slippage_scale: float = 1.0
    trigger: str = "trade"
    leverage: float = 10.0
    funding_rate: float = 0.0001

    def __post_init__(self) -> None:
        require_at_least("latency_ns", self.latency_ns, 0.0)
        if self.max_age_ns <= 0:
            raise InvalidValue("max_age_ns must be > 0", self.max_age_ns, "give the age of the oldest book")
        require_fraction("queue_ahead", self.queue_ahead)
        require_at_least("fee_scale", self.fee_scale, 0.0)
        require_at_least("slippage_scale", self.slippage_scale, 1.0)
        if self.trigger not in TRIGGERS:
            raise InvalidValue("trigger must be trade or book", repr(self.trigger), "use one of the two")
        require_at_least("leverage", self.leverage, 1.0)

    def scaled(self, factor: float) -> Self:
        """Return the same with fees and slippage multiplied; prices and depth stay as recorded."""
        return replace(
            self, fee_scale=self.fee_scale * factor, slippage_scale=max(self.slippage_scale * factor, 1.0)
        )

    def fee_rate(self, instrument: Instrument, *, maker: bool) -> float:
        """Return the fee as a fraction of the traded value; a rebate is negative."""
        return (instrument.maker_fee if maker else instrument.taker_fee) * self.fee_scale

    def dearest(self, instrument: Instrument) -> float:
        """Return the fee that an order may cost at most, a fraction >= 0."""
        return max(self.fee_rate(instrument, maker=True), self.fee_rate(instrument, maker=False), 0.0)
