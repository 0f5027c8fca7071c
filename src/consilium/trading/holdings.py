"""What is held, and what a round trip was."""

from dataclasses import dataclass

from consilium.trading.kept import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A round trip, from flat to flat.

    Parameters
    ----------
    quantity
        All that the entries traded, in base units; a short's is < 0.
    entry_price, exit_price
        Mean prices, weighted by quantity.
    fees, net_pnl
        In quote units; the profit is after fees. Funding that was paid counts as a fee.
    """

    symbol: str
    ts_entry: int
    ts_exit: int
    quantity: float
    entry_price: float
    exit_price: float
    fees: float
    net_pnl: float


class Holding(Kept):
    """A position while it is open, short where ``quantity`` < 0; money in quote units, else base units.

    ``entered`` is all that the entries traded, with its sign; ``entered_value`` and ``left_value`` what the
    entries and the exits were worth, >= 0.
    """

    __slots__ = (
        "entered",
        "entered_value",
        "entry",
        "fees",
        "left_value",
        "mark",
        "quantity",
        "stop",
        "stranded",
        "symbol",
        "ts_entry",
    )
    kept = __slots__

    def __init__(self, symbol: str, ts_entry: int) -> None:
        self.symbol = symbol
        self.ts_entry = ts_entry
        self.quantity = 0.0
        self.entry = 0.0
        self.mark = 0.0
        self.stop: float | None = None
        self.stranded = False
        self.entered = 0.0
        self.entered_value = 0.0
        self.left_value = 0.0
        self.fees = 0.0

    def trade(self, ts_exit: int) -> Trade:
        """Return the finished round trip."""
        return Trade(
            symbol=self.symbol,
            ts_entry=self.ts_entry,
            ts_exit=ts_exit,
            quantity=self.entered,
            entry_price=self.entered_value / abs(self.entered),
            exit_price=self.left_value / abs(self.entered),
            fees=self.fees,
            net_pnl=(self.left_value - self.entered_value) * (1 if self.entered > 0.0 else -1) - self.fees,
        )
