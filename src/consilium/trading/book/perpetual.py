"""What only perpetuals have: funding at set times, and liquidation."""

from bisect import bisect_right
from collections.abc import Sequence

from consilium.domain import HOUR_NS, Funding, Instrument, InvalidValue, Order, Side

FUNDING_NS = 8 * HOUR_NS
LIQUIDATION = "liquidation"


class FundingClock:
    """When funding is paid and at which rate: as recorded, else a fixed rate every 8 h of the UTC day.

    Parameters
    ----------
    recorded
        Oldest first; empty for the fixed rate.
    rate
        What longs pay where nothing is recorded, a fraction of the value.

    Examples
    --------
    >>> clock = FundingClock((), 0.0001)
    >>> clock.after(0) == 8 * HOUR_NS, clock.at(8 * HOUR_NS)
    (True, (0.0001, None))
    """

    def __init__(self, recorded: Sequence[Funding], rate: float) -> None:
        self._recorded = list(recorded)
        self._times = [funding.ts_event for funding in recorded]
        if self._times != sorted(set(self._times)):
            raise InvalidValue("funding must be in ascending order of time", "it is not", "sort it")
        self._rate = rate

    def after(self, ts: int) -> float:
        """Return the first time later than ``ts`` at which funding is paid; infinite if there is none."""
        if not self._times:
            return (ts // FUNDING_NS + 1) * FUNDING_NS
        at = bisect_right(self._times, ts)
        return self._times[at] if at < len(self._times) else float("inf")

    def at(self, ts: int) -> tuple[float, float | None]:
        """Return rate and mark at such a time; no mark where none was recorded."""
        if not self._times:
            return self._rate, None
        funding = self._recorded[bisect_right(self._times, ts) - 1]
        return funding.rate, funding.mark


def liquidation_price(quantity: float, entry: float, margin: float, rate: float, amount: float) -> float:
    """Return the mark at which a position is liquidated, isolated.

    Long ``(q Pe - M - c) / (q (1 - m))``, short ``(q Pe + M + c) / (q (1 + m))``.

    Parameters
    ----------
    quantity
        q with its sign, not 0, in base units.
    entry, margin
        Pe and M, in quote units.
    rate, amount
        m, the maintenance rate, a fraction, and c, the amount of its tier, in quote units.

    Examples
    --------
    >>> round(liquidation_price(1.0, 100.0, 10.0, 0.005, 0.0), 4)
    90.4523
    >>> round(liquidation_price(-1.0, 100.0, 10.0, 0.005, 0.0), 4)
    109.4527
    """
    size = abs(quantity)
    if quantity > 0.0:
        return (size * entry - margin - amount) / (size * (1.0 - rate))
    return (size * entry + margin + amount) / (size * (1.0 + rate))


def liquidation_order(instrument: Instrument, quantity: float, number: int, ts: int) -> Order:
    """Write the order with which the exchange takes a position away."""
    return Order(
        order_id=f"{LIQUIDATION}-{instrument.symbol}-{number}",
        symbol=instrument.symbol,
        venue=instrument.venue,
        side=Side.SELL if quantity > 0.0 else Side.BUY,
        quantity=abs(quantity),
        reduce_only=True,
        ts_event=ts,
        cause_id=f"{LIQUIDATION}:{instrument.symbol}:{ts}",
    )
