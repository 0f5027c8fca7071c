"""The portfolio: cash, what is held, what it is worth, and the books that must agree."""

from collections import deque
from collections.abc import Mapping
from dataclasses import astuple, fields
from statistics import fmean, stdev
from typing import Any

from consilium.domain import DAY_NS, ConsiliumError, Fill, PortfolioSnapshot, Position
from consilium.domain.checks import require_at_least, require_positive
from consilium.trading.days import day_of_close, day_of_open
from consilium.trading.holdings import Holding, Trade
from consilium.trading.kept import Kept

CASH_DIGITS = 8
PEAK_DAYS = 30
DUST = 1e-12
"""Share of what was held before a sale that counts as nothing left after it."""

YEAR_DAYS = 365
_TRADES_KEPT = 50
_TRADE_AGE_NS = 90 * DAY_NS
_FEWEST_TRADES = 20


def left_over(held: float, sold: float) -> float:
    """Return what a sale leaves, 0 if it is dust: one rule for broker and books, or they would disagree.

    Examples
    --------
    >>> left_over(1.0, 0.75), left_over(1.0, 1.0 - 1e-13)
    (0.25, 0.0)
    """
    left = held - sold
    return left if left > DUST * held else 0.0


class ConservationBroken(ConsiliumError):
    """Cash and positions at mark no longer equal deposits, gains and fees."""


class Portfolio(Kept):
    """Cash and positions of one account, and the law that they are conserved.

    ``cash + sum q mark = deposits + realised gains - fees + sum q (mark - entry)`` after every event. Cash is
    rounded to 1e-8 after each event. A short position has q < 0: cash counts it as sold and paid for.
    ``nav = (equity - locked - reserve) / units`` starts at 1: deposits and transfers change units, so they
    are neither profit nor loss. Drawdown is from the 30-day peak of nav.

    Parameters
    ----------
    initial_cash
        Quote units, > 0.
    leverage
        Of perpetuals, >= 1: initial margin is entry value over this. None: all value at mark is margin.

    Examples
    --------
    >>> from consilium.domain import Fill
    >>> book = Portfolio(1_000.0)
    >>> book.apply("BTCUSDT", +1, Fill(order_id="1", price=100.0, quantity=2.0, fee=0.2, ts_event=0))
    >>> book.mark("BTCUSDT", 110.0)
    >>> book.settle(60 * 10**9)
    1019.8
    """

    kept = (
        "cash", "locked", "reserve", "equity", "fees", "traded_value", "consecutive_losses", "winning_days",
        "losing_days", "nav", "peak", "drawdown", "_units", "_deposits", "_realised", "_events", "_day",
        "_day_nav", "_day_high", "_day_worst", "_past_high", "_pnl_day", "_pnl_today", "_last_loss_ts",
    )  # fmt: skip

    def __init__(self, initial_cash: float, leverage: float | None = None) -> None:
        require_positive("initial_cash", initial_cash)
        if leverage is not None:
            require_at_least("leverage", leverage, 1.0)
        self._leverage = leverage
        self.cash = round(initial_cash, CASH_DIGITS)
        self.locked = 0.0
        self.reserve = 0.0
        self.holdings: dict[str, Holding] = {}
        self.trades: deque[Trade] = deque(maxlen=_TRADES_KEPT)
        self.equity = self.cash
        self.fees = 0.0
        self.traded_value = 0.0
        self.consecutive_losses = 0
        self.winning_days = 0
        self.losing_days = 0
        self.nav = 1.0
        self.peak = 1.0
        self.drawdown = 0.0
        self._units = self.cash
        self._deposits = self.cash
        self._realised = 0.0
        self._events = 0
        self._day: int | None = None
        self._day_nav = 1.0
        self._day_high = 1.0
        self._day_worst = 0.0
        self._past: deque[tuple[int, float, float]] = deque()
        self._past_high = 0.0
        self._returns: deque[float] = deque(maxlen=PEAK_DAYS)
        self._pnl_day = -1
        self._pnl_today = 0.0
        self._last_loss_ts = -1

    def apply(self, symbol: str, sign: int, fill: Fill) -> Trade | None:
        """Book a fill (sign +1 bought, -1 sold) and return the round trip that it ended, if it did.

        A fill may not carry a position through zero: its exits only reduce.
        """
        value = fill.price * fill.quantity
        self.cash = round(self.cash - sign * value - fill.fee, CASH_DIGITS)
        self.fees += fill.fee
        self.traded_value += value
        self._realise(-fill.fee, fill.ts_event)
        ended = None
        holding = self.holdings.get(symbol)
        if holding is None or sign * holding.quantity > 0.0:
            self._entered(symbol, sign, fill, value)
        else:
            ended = self._left(holding, sign, fill, value)
        self._events += 1
        self._check()
        return ended

    def _realise(self, amount: float, ts: int) -> None:
        """Count a profit or loss on the UTC day that a time belongs to."""
        day = day_of_open(ts)
        if day != self._pnl_day:
            self._pnl_day, self._pnl_today = day, 0.0
        self._pnl_today += amount

    def _entered(self, symbol: str, sign: int, fill: Fill, value: float) -> None:
        holding = self.holdings.get(symbol)
        if holding is None:
            holding = self.holdings[symbol] = Holding(symbol, fill.ts_event)
        held = abs(holding.quantity)
        total = held + fill.quantity
        holding.entry = (held * holding.entry + value) / total
        holding.quantity = sign * total
        holding.mark = fill.price
        holding.entered += sign * fill.quantity
        holding.entered_value += value
        holding.fees += fill.fee

    def _left(self, holding: Holding, sign: int, fill: Fill, value: float) -> Trade | None:
        gain = -sign * (value - holding.entry * fill.quantity)
        self._realised += gain
        self._realise(gain, fill.ts_event)
        left = left_over(abs(holding.quantity), fill.quantity)
        holding.mark = fill.price
        holding.left_value += value
        holding.fees += fill.fee
        if left > 0.0:
            holding.quantity = -sign * left
            return None
        del self.holdings[holding.symbol]
        trade = holding.trade(fill.ts_event)
        self.trades.append(trade)
        self._count(trade)
        return trade

    def pay(self, symbol: str, amount: float, ts: int) -> None:
        """Book funding, which counts as a fee: ``amount`` in quote units, > 0 where we paid."""
        self._realise(-amount, ts)
        self.cash = round(self.cash - amount, CASH_DIGITS)
        self.fees += amount
        if symbol in self.holdings:
            self.holdings[symbol].fees += amount
        self._events += 1
        self._check()

    def _count(self, trade: Trade) -> None:
        if trade.net_pnl > 0:
            self.consecutive_losses = 0
            self._last_loss_ts = -1
        elif trade.net_pnl < 0 and trade.ts_exit != self._last_loss_ts:
            # losses that close together are one event of the market, not many
            self.consecutive_losses += 1
            self._last_loss_ts = trade.ts_exit

    def mark(self, symbol: str, price: float) -> None:
        """Value a held symbol at a price; equity follows at the next ``settle``."""
        self.holdings[symbol].mark = price

    def _check(self) -> None:
        held = gains = 0.0
        for holding in self.holdings.values():
            held += holding.quantity * holding.mark
            gains += holding.quantity * (holding.mark - holding.entry)
        equity = self.cash + held
        expected = self._deposits + self._realised - self.fees + gains
        tolerance = 1e-8 * (self._events + 1) + 1e-12 * (self.traded_value + equity)
        if not abs(equity - expected) <= tolerance:
            raise ConservationBroken(
                "cash + positions at mark must equal deposits + gains - fees",
                f"{equity:.8f} against {expected:.8f}",
                "stop trading and reconcile the fills with the venue",
            )
        self.equity = equity

    def settle(self, ts: int) -> float:
        """Close an instant: check the books, move peak and drawdown, and return equity."""
        if self.holdings:
            self._check()
        else:
            self.equity = self.cash
        day = day_of_close(ts)
        if day != self._day:
            self._turn_day(day)
        nav = self.nav = (self.equity - self.locked - self.reserve) / self._units
        if nav > self._day_high:
            self._day_high = nav
            self.peak = max(self._past_high, nav)
        self.drawdown = 1.0 - nav / self.peak
        self._day_worst = max(self._day_worst, self.drawdown)
        return self.equity

    def _turn_day(self, day: int) -> None:
        if self._day is not None:
            change = self.nav / self._day_nav - 1.0
            self._returns.append(change)
            self._returns.extend([0.0] * min(day - self._day - 1, PEAK_DAYS))
            if change > 0:
                self.winning_days, self.losing_days = self.winning_days + 1, 0
            elif change < 0:
                self.winning_days, self.losing_days = 0, self.losing_days + 1
            self._past.append((self._day, self._day_high, self._day_worst))
        self._day = day
        while self._past and self._past[0][0] <= day - PEAK_DAYS:
            self._past.popleft()
        self._past_high = max((high for _, high, _ in self._past), default=0.0)
        self._day_nav = self._day_high = self.nav
        self._day_worst = 0.0
        self.peak = max(self._past_high, self._day_high)

    def rebase(self) -> None:
        """Forget earlier peaks: drawdown starts again from here."""
        self._past.clear()
        self._past_high = self._day_worst = self.drawdown = 0.0
        self._day_high = self.peak = self.nav

    def deposit(self, amount: float) -> None:
        """Add cash (withdraw with a negative amount); changes units, not nav."""
        require_at_least("cash after the transfer", self.cash + amount, self.locked + self.reserve)
        self.cash = round(self.cash + amount, CASH_DIGITS)
        self._deposits += amount
        self._units += amount / self.nav
        self._check()

    def put_aside(self, *, locked: float = 0.0, reserve: float = 0.0) -> None:
        """Move cash out of what may be traded (negative amounts move it back); changes units, not nav."""
        require_at_least("locked", self.locked + locked, 0.0)
        require_at_least("reserve", self.reserve + reserve, 0.0)
        require_at_least("free cash", self.free_cash - locked - reserve, 0.0)
        self.locked += locked
        self.reserve += reserve
        self._units -= (locked + reserve) / self.nav

    @property
    def realised(self) -> float:
        """Gains of all that was sold, less all fees and funding, in quote units."""
        return self._realised - self.fees

    @property
    def days(self) -> int:
        """Days that are over, at most 30."""
        return len(self._returns)

    @property
    def free_cash(self) -> float:
        """Cash that is neither locked nor in reserve."""
        return self.cash - self.locked - self.reserve

    @property
    def capital(self) -> float:
        """E0: equity that may be traded, ``equity - locked - reserve``."""
        return self.equity - self.locked - self.reserve

    @property
    def gross(self) -> float:
        """Value of all positions at mark, in quote units."""
        return sum(abs(holding.quantity) * holding.mark for holding in self.holdings.values())

    @property
    def margin(self) -> float:
        """Initial margin of all positions, in quote units."""
        return sum(self._margin_of(holding) for holding in self.holdings.values())

    def margin_for(self, value: float) -> float:
        """Return the initial margin of a position of a value; both in quote units."""
        return value if self._leverage is None else value / self._leverage

    def _margin_of(self, holding: Holding) -> float:
        price = holding.mark if self._leverage is None else holding.entry
        return self.margin_for(abs(holding.quantity) * price)

    @property
    def active(self) -> int:
        """Positions that can be traded: all but the stranded ones."""
        return sum(not holding.stranded for holding in self.holdings.values())

    def positions(self) -> dict[str, Position]:
        """Return what is held, by symbol."""
        return {
            symbol: Position(
                symbol=symbol,
                quantity=holding.quantity,
                entry_price=holding.entry,
                margin=self._margin_of(holding),
                stop=holding.stop,
            )
            for symbol, holding in sorted(self.holdings.items())
        }

    def snapshot(self, ts: int) -> PortfolioSnapshot:
        """Return what the account is worth, for the council and for people."""
        exposure = self.margin / self.equity if self.equity > 0 else 0.0
        leverage = self.gross / self.equity if self.equity > 0 else 0.0
        same_day = self._pnl_day == day_of_close(ts)
        recent = [t.net_pnl > 0 for t in self.trades if t.ts_exit > ts - _TRADE_AGE_NS]
        return PortfolioSnapshot(
            ts_event=ts,
            equity=self.equity,
            nav=self.nav,
            cash=self.cash,
            locked=self.locked,
            reserve=self.reserve,
            positions=self.positions(),
            drawdown=self.drawdown,
            max_drawdown=max([self._day_worst, *(worst for _, _, worst in self._past)]),
            exposure=exposure,
            leverage=leverage,
            realized_pnl_today=self._pnl_today if same_day else 0.0,
            win_rate=fmean(recent) if len(recent) >= _FEWEST_TRADES else None,
            sharpe=self._sharpe(),
            winning_days=self.winning_days,
            losing_days=self.losing_days,
            consecutive_losses=self.consecutive_losses,
        )

    def _sharpe(self) -> float | None:
        if len(self._returns) < PEAK_DAYS:
            return None
        spread = stdev(self._returns)
        return float(fmean(self._returns) / spread * YEAR_DAYS**0.5) if spread > 0 else None

    def state(self) -> dict[str, Any]:
        """Return the books as JSON values."""
        # Holdings in their order: sums over them are taken in it, to the last bit.
        return super().state() | {
            "holdings": [holding.state() for holding in self.holdings.values()],
            "trades": [astuple(trade) for trade in self.trades],
            "past": [list(day) for day in self._past],
            "returns": list(self._returns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up books that ``state`` returned."""
        super().restore(state)
        self.holdings.clear()
        for saved in state["holdings"]:
            holding = self.holdings[saved["symbol"]] = Holding(saved["symbol"], saved["ts_entry"])
            holding.restore(saved)
        names = [field.name for field in fields(Trade)]
        self.trades.clear()
        self.trades.extend(Trade(**dict(zip(names, trade, strict=True))) for trade in state["trades"])
        self._past.clear()
        self._past.extend((int(day), high, worst) for day, high, worst in state["past"])
        self._returns.clear()
        self._returns.extend(state["returns"])
