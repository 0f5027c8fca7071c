"""The account on recorded books: when to open and close, answered order by order as the exchange speaks."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from consilium.domain import Fill, Order, OrderEvent, OrderKind, OrderStatus
from consilium.domain.checks import require_at_least
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.desk import BookDesk
from consilium.trading.book.outcome import entry_kind, require_equal_cash
from consilium.trading.book.register import BookHappening, FundingPaid
from consilium.trading.execution import floor_quantity
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import Entry, RiskGate
from consilium.trading.strategy import BASE_STOP_ATR, Intent, Strategy

if TYPE_CHECKING:
    from consilium.trading.holdings import Trade

NO_PATIENCE, HALTED = "patience_over", "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOrders:
    """How positions are opened.

    Parameters
    ----------
    kind
        ``market``, or ``limit`` at the best price of our side.
    patience_ns
        How long an entry waits at its limit before it is withdrawn, > 0; default 2 s.
    shorts
        Whether DOWN opens a short position where the market is a perpetual; False is long or flat.
    """

    kind: OrderKind = OrderKind.MARKET
    patience_ns: int = 2_000_000_000
    shorts: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", entry_kind(self.kind))
        require_at_least("patience_ns", self.patience_ns, 1)


class BookTrading:
    """Trades one account on recorded books by the strategy, the gate and the sizes of the trading service.

    An entry is sized at its signal by risk (the mid for a price, 2 ATR of the bars for the stop) or by a
    fixed value. From its first fill on a protective stop waits at the exchange for exactly what is held. A
    signal against the position, or its horizon, sells it at market, again at the next book as long as the
    recorded depth holds too little.

    Parameters
    ----------
    broker
        The recorded exchange; every symbol is attached.
    gate
        What every order must pass.
    strategy
        Horizon in bars, and the value of a position or None for sizes by risk.
    entries
        Kind and patience of entries.
    """

    def __init__(
        self, broker: BookBroker, gate: RiskGate, strategy: Strategy, entries: EntryOrders | None = None
    ) -> None:
        self.broker = broker
        self.gate = gate
        self.strategy = strategy
        self.entries = EntryOrders() if entries is None else entries
        self.portfolio = Portfolio(broker.cash, broker.account.leverage)
        self.orders: list[Order] = []
        self.events: list[OrderEvent] = []
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.funding = 0.0
        self.desks: dict[str, BookDesk] = {}
        self._by_id: dict[str, Order] = {}
        self._filled: defaultdict[str, float] = defaultdict(float)
        self._wakes: list[int] = []

    # time

    def run_to(self, ts: int) -> None:
        """Let the exchange run up to a time and answer whatever it says; what is due at that time waits."""
        while True:
            until = min(self._wakes[0], ts) if self._wakes else ts
            said = self.broker.advance(until, pause=True)
            if said:
                self._hear(said)
            elif self._wakes and self._wakes[0] < ts:
                self._tend_all(heappop(self._wakes))
            else:
                return

    def settle(self, ts: int) -> float:
        """Value the account at the mids of a time, let the gate see it, and return equity."""
        for symbol, holding in self.portfolio.holdings.items():
            mid = self.desks[symbol].mid(ts)
            if mid == mid:
                holding.mark = mid
        equity = self.portfolio.settle(ts)
        self.gate.observe(self.portfolio, ts)
        if self.gate.halted:
            for desk in self.desks.values():
                self._withdraw(desk.entry, desk, HALTED, ts)
        return equity

    def close_down(self, ts: int) -> None:
        """Cancel every open order; positions stay as they are."""
        self._hear(self.broker.close_down(ts), tend=False)

    # signals

    def signal(self, desk: BookDesk, direction: int, ts: int) -> None:
        """Act on an actionable direction at a time."""
        mirrored = desk.side < 0 or (self._may_short(desk) and desk.side == 0 and direction == 0)
        sign = -1 if mirrored else 1
        intent = self.strategy.decide(
            2 - direction if mirrored else direction,
            long=desk.symbol in self.portfolio.holdings,
            entering=desk.entry is not None,
        )
        if intent is Intent.ENTER:
            self._enter(desk, sign, ts)
        elif intent is Intent.EXTEND:
            self._stay(desk, ts)
        elif intent is Intent.EXIT:
            self._withdraw(desk.entry, desk, "opposite", ts)
            # what fills while the withdrawal is on its way is sold as well
            desk.leaving, desk.why = True, "opposite"

    def _stay(self, desk: BookDesk, ts: int) -> None:
        """Begin the horizon of a position, or begin it again."""
        desk.deadline = ts + self.strategy.horizon * desk.tape.interval_ns
        desk.leaving, desk.why = False, "horizon"
        heappush(self._wakes, int(desk.deadline))

    def _may_short(self, desk: BookDesk) -> bool:
        return self.entries.shorts and desk.instrument.market == "perp"

    def leave(self, ts: int) -> None:
        """Send what is due at the end of an instant: exits, withdrawals."""
        while self._wakes and self._wakes[0] <= ts:
            heappop(self._wakes)
        self._tend_all(ts)
        self.run_to(ts)

    def _tend_all(self, ts: int) -> None:
        for desk in self.desks.values():
            self._tend(desk, ts)

    def _enter(self, desk: BookDesk, sign: int, ts: int) -> None:
        gate, tape = self.gate, desk.tape
        bid, ask = desk.market.view.touch(ts)
        price = (bid + ask) / 2.0
        waiting = [d.entry for d in self.desks.values() if d.entry is not None]
        if not gate.admits(self.portfolio, waiting=len(waiting), symbol=desk.symbol):
            return
        if price != price:
            gate.refuse("no_price")
            return
        distance = BASE_STOP_ATR * tape.atr[tape.i] if tape.i >= 0 else 0.0
        if not 0.0 < distance < price:
            gate.refuse("no_stop_distance")
            return
        quantity = floor_quantity(self._quantity(desk, price, distance), desk.instrument.lot_size)
        if quantity <= 0.0:
            return
        limit = None
        if self.entries.kind is OrderKind.LIMIT:
            limit = bid if sign > 0 else ask
        order = desk.entry_order(self._next_id(), sign, quantity, ts, limit)
        risk = Entry(
            quantity=quantity,
            price=price,
            distance=distance,
            stop_distance=distance * gate.policy.stop_multiplier,
        )
        if self._send(order, risk):
            desk.entry, desk.side, desk.distance = order, sign, distance
            self._stay(desk, ts)
            if limit is not None:
                heappush(self._wakes, ts + self.entries.patience_ns)

    def _waiting(self) -> tuple[float, float]:
        """Return value and risk at the stop of what entries on their way have yet to fill."""
        value = risk = 0.0
        for desk in self.desks.values():
            if desk.entry is not None:
                left = max(desk.entry.quantity - self._filled[desk.entry.order_id], 0.0)
                value += left * desk.mid(desk.entry.ts_event)
                risk += left * desk.distance * self.gate.policy.stop_multiplier
        return value, risk

    def _quantity(self, desk: BookDesk, price: float, distance: float) -> float:
        notional = self.strategy.notional
        if notional is not None:
            quantity = notional / price
        else:
            quantity = self.gate.size(self.portfolio, desk.tape, price, distance, self._waiting())
        if quantity <= 0.0:
            return 0.0
        account, execution = self.broker.account, self.broker.execution
        unit = price * account.unit_cost(desk.instrument, execution.dearest(desk.instrument))
        bound = sum(d.entry.quantity * unit for d in self.desks.values() if d.entry is not None)
        # a hair below the cash, because the walk ends above the mid
        affordable = max(account.free - bound, 0.0) / unit * (1.0 - 1e-3)
        if affordable < self.gate.band * quantity:
            return float(self.gate.refuse(account.short_of))
        if min(quantity, affordable) < desk.instrument.lot_size:
            return float(self.gate.refuse("below_lot"))
        return min(quantity, affordable)

    # orders

    def _next_id(self) -> str:
        return f"o{len(self._by_id) + 1}"

    def _send(self, order: Order, entry: Entry | None) -> bool:
        """Ask the gate, then send; whether it is on its way."""
        if not self.gate.check(order, self.portfolio, entry, self._waiting()):
            return False
        self.orders.append(order)
        self._by_id[order.order_id] = order
        self.broker.submit(order)
        return True

    def _withdraw(self, order: Order | None, desk: BookDesk, reason: str, ts: int) -> None:
        if order is not None and order.order_id not in desk.withdrawn:
            desk.withdrawn[order.order_id] = reason
            self.events.extend(self.broker.cancel(order.order_id, ts))

    def _hear(self, said: Iterable[BookHappening], *, tend: bool = True) -> None:
        stirred: dict[str, BookDesk] = {}
        for happening in said:
            if isinstance(happening, FundingPaid):
                self.funding += happening.amount
                self.portfolio.pay(happening.symbol, happening.amount, happening.ts_event)
                continue
            order = self._by_id.get(happening.order_id) or self._forced(happening.order_id)
            desk = stirred[order.symbol] = self.desks[order.symbol]
            if isinstance(happening, Fill):
                self._book(desk, order, happening)
            else:
                self.events.append(self._ours(desk, happening))
                if happening.status is not OrderStatus.ACCEPTED:
                    self._fell_short(desk, order, happening)
        require_equal_cash(self.portfolio, self.broker)
        for desk in stirred.values() if tend else ():
            self._tend(desk, self.broker.now)

    def _forced(self, order_id: str) -> Order:
        order = self._by_id[order_id] = self.broker.forced[order_id]
        self.orders.append(order)
        return order

    @staticmethod
    def _ours(desk: BookDesk, event: OrderEvent) -> OrderEvent:
        """Say why we withdrew an order: the exchange only knows that we did."""
        reason = desk.withdrawn.get(event.order_id)
        ours = event.status is OrderStatus.CANCELLED and event.reason == "cancelled_by_owner"
        return replace(event, reason=reason) if reason and ours else event

    def _fell_short(self, desk: BookDesk, order: Order, event: OrderEvent) -> None:
        """Let an exit that fell short be sent again with the next book; a stop that cannot be is given up."""
        holding = self.portfolio.holdings.get(desk.symbol)
        if order == desk.stop and event.status is OrderStatus.REJECTED and holding is not None:
            holding.stop = None
        if order == desk.exit:
            after = desk.market.view.after(event.ts_event)
            # less than a lot can never be sold
            desk.retry = inf if after is None or event.reason == "below_lot" else after
            if after is not None:
                heappush(self._wakes, after)

    def _book(self, desk: BookDesk, order: Order, fill: Fill) -> None:
        self.fills.append(fill)
        self._filled[order.order_id] += fill.quantity
        ended = self.portfolio.apply(desk.symbol, order.side.sign, fill)
        holding = self.portfolio.holdings.get(desk.symbol)
        if ended is not None:
            self.trades.append(ended)
        elif order == desk.entry and holding is not None:
            holding.stop = desk.stop_price(holding.entry, self.gate.policy.stop_multiplier)
        elif order == desk.stop:
            desk.leaving, desk.why = True, "stop"

    def _tend(self, desk: BookDesk, ts: int) -> None:
        """Forget finished orders, keep one stop for all that is held, and send the exit that is due."""
        is_open = self.broker.is_open
        for name in ("entry", "exit", "stop"):
            order = getattr(desk, name)
            if order is not None and not is_open(order.order_id):
                setattr(desk, name, None)
        entry, holding = desk.entry, self.portfolio.holdings.get(desk.symbol)
        if entry is not None and self._impatient(entry, ts):
            self._withdraw(entry, desk, NO_PATIENCE, ts)
        if holding is None:
            self._withdraw(desk.stop, desk, "position_closed", ts)
            if entry is None and desk.side:
                desk.clear()
            return
        if ts >= desk.deadline:
            desk.leaving = True
        if desk.leaving:
            self._withdraw(entry, desk, desk.why, ts)
        self._protect(desk, holding.quantity, ts)
        if desk.leaving and desk.exit is None and ts >= desk.retry:
            order = desk.exit_order(self._next_id(), holding, ts)
            if self._send(order, None):
                desk.exit = order

    def _impatient(self, entry: Order, ts: int) -> bool:
        """Whether an entry has waited at its limit for as long as it may."""
        return entry.kind is OrderKind.LIMIT and ts >= entry.ts_event + self.entries.patience_ns

    def _protect(self, desk: BookDesk, quantity: float, ts: int) -> None:
        holding = self.portfolio.holdings[desk.symbol]
        if desk.stop is not None:
            if desk.stop.quantity == abs(quantity) and desk.stop.stop_price == holding.stop:
                return
            self._withdraw(desk.stop, desk, "replaced", ts)
        if holding.stop is None or desk.leaving:
            return
        order = desk.stop_order(self._next_id(), holding, ts)
        if self._send(order, None):
            desk.stop = order
