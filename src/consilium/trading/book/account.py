"""The account at the recorded exchange: cash, positions of either side, margin, and what orders may bind."""

from math import nan

from consilium.domain import Fill, Instrument, InvalidValue, Position
from consilium.domain.checks import require_positive
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.ladder import BookOrder
from consilium.trading.book.perpetual import liquidation_price
from consilium.trading.execution import floor_quantity
from consilium.trading.margin import maintenance
from consilium.trading.portfolio import CASH_DIGITS, left_over


class Held:
    """A position at the exchange: base units (short < 0), mean entry price, last mark."""

    __slots__ = ("entry", "instrument", "mark", "quantity")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.quantity = 0.0
        self.entry = 0.0
        self.mark = 0.0


class BookAccount:
    """Cash and positions of one account, spot or perpetual.

    ``cash`` counts every position as paid in full: equity is ``cash + sum q mark`` for both sides, and cash
    after a short sale is more. Spot is long or flat, and a buy binds its value. A perpetual may be short; an
    order that opens binds its value over the leverage, and a position the same at its mark.

    Parameters
    ----------
    initial_cash
        Quote units, > 0.
    execution
        Fees and leverage.

    Examples
    --------
    >>> account = BookAccount(1_000.0, BookExecution(leverage=10.0))
    >>> account.list(Instrument(symbol="BTCUSDT", market="perp", maintenance=0.005))
    >>> fill = Fill(order_id="1", price=100.0, quantity=20.0, fee=0.0, ts_event=0)
    >>> account.apply("BTCUSDT", -1, fill)
    >>> account.cash, account.equity, account.free, round(account.liquidation_price("BTCUSDT"), 3)
    (3000.0, 1000.0, 800.0, 109.453)
    """

    def __init__(self, initial_cash: float, execution: BookExecution) -> None:
        require_positive("initial_cash", initial_cash)
        self.cash = round(initial_cash, CASH_DIGITS)
        self.execution = execution
        self.held: dict[str, Held] = {}
        self.promised: dict[str, float] = {}
        self.perp = False

    def list(self, instrument: Instrument) -> None:
        """Take a symbol into the account; all are spot, or all are perpetuals."""
        perp = instrument.market == "perp"
        if self.held and perp != self.perp:
            raise InvalidValue(
                "one account holds spot or perpetuals", f"{instrument.symbol} is of the other kind", "use two"
            )
        self.perp = perp
        self.held[instrument.symbol] = Held(instrument)

    @property
    def leverage(self) -> float | None:
        """Value over initial margin of perpetuals; None on spot, where positions are paid in full."""
        return self.execution.leverage if self.perp else None

    @property
    def equity(self) -> float:
        """Cash and positions at their marks."""
        return self.cash + sum(h.quantity * h.mark for h in self.held.values())

    @property
    def free(self) -> float:
        """Cash (margin, for perpetuals) that neither positions nor open orders bind."""
        promised = sum(self.promised.values())
        if not self.perp:
            return self.cash - promised
        gross = sum(abs(h.quantity) * h.mark for h in self.held.values())
        return self.equity - gross / self.execution.leverage - promised

    def unit_cost(self, instrument: Instrument, fee: float) -> float:
        """Return what a unit of value binds when an order opens: all of it or the margin, and the fee."""
        return (1.0 / self.execution.leverage if instrument.market == "perp" else 1.0) + fee

    def reducible(self, symbol: str, sign: int, offered: float) -> float:
        """Return the quantity that an order of a side may take off the position beside ``offered``."""
        return max(-sign * self.held[symbol].quantity - offered, 0.0)

    def can_open(self, symbol: str, sign: int) -> bool:
        """Whether an order of a side may open or add: on spot only a buy may."""
        return sign > 0 or self.held[symbol].instrument.market == "perp"

    def apply(self, symbol: str, sign: int, fill: Fill) -> None:
        """Book a fill: cash, and the position by its mean entry price."""
        held = self.held[symbol]
        value = fill.price * fill.quantity
        self.cash = round(self.cash - sign * value - fill.fee, CASH_DIGITS)
        before = sign * held.quantity
        if before >= 0.0:
            held.entry = (before * held.entry + value) / (before + fill.quantity)
            held.quantity += sign * fill.quantity
        elif fill.quantity <= -before * (1.0 + 1e-12):
            held.quantity = -sign * left_over(-before, fill.quantity)
        else:
            held.entry = fill.price
            held.quantity += sign * fill.quantity
        held.mark = held.mark or fill.price

    def pay(self, amount: float) -> None:
        """Take funding from the cash (negative: receive it)."""
        self.cash = round(self.cash - amount, CASH_DIGITS)

    def margin(self, symbol: str) -> float:
        """Return the initial margin: entry value over leverage; on spot all the value at mark."""
        held = self.held[symbol]
        if held.instrument.market != "perp":
            return abs(held.quantity) * held.mark
        return abs(held.quantity) * held.entry / self.execution.leverage

    def liquidation_price(self, symbol: str) -> float:
        """Return the mark at which a position is liquidated; NaN where there is none."""
        held = self.held[symbol]
        if held.instrument.market != "perp" or held.quantity == 0.0:
            return nan
        rate, amount = maintenance(held.instrument, abs(held.quantity) * held.entry)
        return liquidation_price(held.quantity, held.entry, self.margin(symbol), rate, amount)

    def objection(self, working: BookOrder, price: float, offered: float) -> str:
        """Say why an order asks for more than position and cash allow; a reduce-only order is cut to them.

        Parameters
        ----------
        working
            The order, cut to whole lots.
        price
            At which it may have to be paid, in quote units.
        offered
            Quantity of the position that other orders of its side offer.
        """
        symbol, sign = working.order.symbol, working.sign
        instrument = self.held[symbol].instrument
        free = self.reducible(symbol, sign, offered)
        if working.order.reduce_only:
            # the smallest order value does not bind here: every position can be closed
            working.remaining = floor_quantity(min(working.remaining, free), instrument.lot_size)
            return "" if working.remaining > 0.0 else "nothing_to_reduce"
        opens = max(working.remaining - free, 0.0)
        if opens > 0.0 and not self.can_open(symbol, sign):
            return "spot_is_long_or_flat"
        if working.remaining * price < instrument.min_notional:
            return "below_min_notional"
        if opens * price * self.unit_cost(instrument, self.execution.dearest(instrument)) > self.free:
            return self.short_of
        return ""

    @property
    def short_of(self) -> str:
        """What an order lacks that this account cannot pay."""
        return "insufficient_margin" if self.perp else "insufficient_cash"

    def promise(self, working: BookOrder) -> None:
        """Note what an open order may yet bind."""
        symbol = working.order.symbol
        if self.can_open(symbol, working.sign) and not working.order.reduce_only:
            instrument = self.held[symbol].instrument
            unit = self.unit_cost(instrument, self.execution.dearest(instrument))
            self.promised[working.order.order_id] = working.remaining * working.worst * unit

    def release(self, order_id: str) -> None:
        """Forget what an order might have bound."""
        self.promised.pop(order_id, None)

    def positions(self) -> dict[str, Position]:
        """Return what is held, by symbol."""
        return {
            symbol: Position(
                symbol=symbol, quantity=held.quantity, entry_price=held.entry, margin=self.margin(symbol)
            )
            for symbol, held in sorted(self.held.items())
            if held.quantity != 0.0
        }
