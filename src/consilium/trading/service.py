"""The trading service: consensus and candles in; orders, fills and snapshots out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from consilium.domain import (
    Candle,
    Consensus,
    Fill,
    Instrument,
    InvalidValue,
    Order,
    OrderStatus,
    Policy,
    Side,
)
from consilium.trading.broker import Happening, PaperBroker
from consilium.trading.desk import Desk
from consilium.trading.messages import Message
from consilium.trading.patience import Strandings, Waiting
from consilium.trading.policy_in_force import PolicyInForce
from consilium.trading.portfolio import ConservationBroken, Portfolio
from consilium.trading.risk import Entry, RiskGate
from consilium.trading.strategy import BASE_STOP_ATR, Intent, Strategy
from consilium.trading.tape import Tape

if TYPE_CHECKING:
    from consilium.trading.holdings import Trade


class TradingService(PolicyInForce):
    """Trades one account: a pure function over its state, the same in backtest, paper and live.

    An instant is a close: its candles come first, then its consensuses; ``finish`` ends it. ``handle`` does
    so by itself when a later message arrives; a live front door calls ``finish`` when an instant's messages
    are in, so that exits at the horizon do not wait for the next bar.

    Parameters
    ----------
    broker
        Where orders go.
    portfolio
        The account's books; must start with the broker's cash.
    gate
        What every order must pass.
    strategy
        When to open and close.
    instruments
        Terms by symbol; a symbol without an entry gets the default terms of ``Instrument``.
    bars_per_day
        By symbol, for markets with trading hours; a symbol without an entry trades round the clock.
    keep_trades
        Collect every round trip in ``trades``; a live service leaves it off.

    Examples
    --------
    >>> service = TradingService(PaperBroker(1e4), Portfolio(1e4), RiskGate(Policy()), Strategy(horizon=4))
    >>> candle = Candle(symbol="BTCUSDT", interval_ns=60, ts_open=0, ts_close=60,
    ...                 open=10.0, high=11.0, low=9.0, close=10.0, volume=5.0)
    >>> [list(service.handle(candle)), [type(m).__name__ for m in service.finish()]]
    [[], ['PortfolioSnapshot']]
    """

    def __init__(
        self,
        broker: PaperBroker,
        portfolio: Portfolio,
        gate: RiskGate,
        strategy: Strategy,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        bars_per_day: Mapping[str, float] | None = None,
        keep_trades: bool = False,
    ) -> None:
        if broker.cash != portfolio.cash:
            raise InvalidValue(
                f"the portfolio must start with the broker's cash {broker.cash}",
                portfolio.cash,
                "give both the same initial cash",
            )
        self.broker = broker
        self.portfolio = portfolio
        self.gate = gate
        self.strategy = strategy
        self.trades: list[Trade] = []
        self.refused_messages: Counter[str] = Counter()
        self.out: list[Message] = []
        self.strandings = Strandings()
        self._instruments = dict(instruments or {})
        self._bars_per_day = dict(bars_per_day or {})
        self._keep_trades = keep_trades
        self._desks: dict[str, Desk] = {}
        self._sent: dict[str, Order] = {}
        self._waiting = Waiting()
        self._due: set[str] = set()
        self._last_id = self._shadowed = 0
        self._split_high = 0.0
        self._now = -1
        self._open = False
        self._settled = True

    # messages

    def handle(self, message: Candle | Consensus | Policy) -> Iterable[Message]:
        """Take a finished candle, a consensus or a new policy; return what came of it.

        A message older than the instant at hand, a second candle of one close, and a consensus that is not
        at the newest close of its symbol change nothing; ``refused_messages`` counts them.
        """
        if isinstance(message, Policy):
            self.set_policy(message)
            return self._emptied()
        is_candle = isinstance(message, Candle)
        ts = message.ts_close if isinstance(message, Candle) else message.ts_event
        if ts < self._now:
            self.refused_messages["stale_candle" if is_candle else "stale_consensus"] += 1
            return ()
        if ts > self._now:
            self._end_instant()
            self._now = ts
        self._open = True
        if isinstance(message, Candle):
            self._on_candle(message)
        else:
            self._on_consensus(message)
        return self._emptied()

    def _on_candle(self, candle: Candle) -> None:
        desk = self._desks.get(candle.symbol)
        if desk is None:
            bars = self._bars_per_day.get(candle.symbol)
            desk = self.open_desk(Tape(candle.symbol, candle.interval_ns, bars))
        if desk.tape.ts_close >= candle.ts_close:
            self.refused_messages["stale_candle"] += 1
            return
        desk.tape.push(candle)
        self._settled = False
        if desk.lane.orders or desk.holding is not None:
            self.bar(desk)

    def _on_consensus(self, consensus: Consensus) -> None:
        desk = self._desks.get(consensus.symbol)
        if desk is None or desk.tape.ts_close != consensus.ts_event:
            self.refused_messages["no_bar_at_consensus"] += 1
            return
        if not self._settled:
            self.settle(self._now)
        if consensus.actionable:
            self.signal(desk, consensus.direction, consensus.ts_event)

    def _end_instant(self) -> None:
        if not self._open:
            return
        if not self._settled:
            self.settle(self._now)
        self.leave(self._now)
        self._carry_out(self._now)
        self.out.append(self.portfolio.snapshot(self._now))
        self._open = False

    def finish(self) -> Iterable[Message]:
        """Say that the messages of this instant are in: settle, send exits that are due, give a snapshot."""
        self._end_instant()
        return self._emptied()

    def deposit(self, amount: float) -> None:
        """Add cash to the account (negative: take it); changes units, not nav."""
        self.portfolio.deposit(amount)
        self.broker.credit(amount)

    def _emptied(self) -> list[Message]:
        out, self.out = self.out, []
        return out

    # the steps of an instant, which a backtest calls itself

    def open_desk(self, tape: Tape) -> Desk:
        """Start to follow a symbol."""
        instrument = self._instruments.get(tape.symbol) or Instrument(symbol=tape.symbol)
        self.broker.attach(instrument, tape)
        desk = self._desks[tape.symbol] = Desk(tape.symbol, tape, self.broker.lane(tape.symbol))
        return desk

    def bar(self, desk: Desk) -> None:
        """Let orders and position of a symbol live through the tape's newest bar."""
        holding, tape = desk.holding, desk.tape
        if holding is not None and holding.stranded:
            self.strandings.resume(holding, tape.ts_close)
        elif desk.stance.entry_id:
            objection = self._waiting.objection(desk.symbol, tape.ts_open[tape.i])
            if objection:
                self._give_up(desk, objection, tape.ts_open[tape.i])
        if desk.lane.stirred():
            self._absorb(desk, self.broker.at_open(desk.symbol))
            self._absorb(desk, self.broker.within(desk.symbol))
        holding = desk.holding
        if holding is not None:
            holding.mark = tape.close[tape.i]
            if desk.stance.leaving or tape.count >= desk.stance.deadline:
                self._due.add(desk.symbol)

    def settle(self, ts: int) -> float:
        """Value the account after the candles of an instant and return equity."""
        self._settled = True
        equity = self.portfolio.settle(ts)
        self.gate.observe(self.portfolio, ts)
        if self._waiting:
            if self.gate.halted:
                self._waiting.halt(ts)
            for symbol, reason in self._waiting.overdue(ts):
                self._give_up(self._desks[symbol], reason, ts)
        for symbol, holding in self.portfolio.holdings.items():
            tape = self._desks[symbol].tape
            if tape.ts_open[tape.i] + tape.interval_ns != ts:
                self.strandings.look(holding, tape, ts)
        return equity

    def signal(self, desk: Desk, direction: int, ts: int) -> None:
        """Act on an actionable direction at the close of the tape's newest bar."""
        stance = desk.stance
        intent = self.strategy.decide(
            direction, long=desk.holding is not None, entering=stance.entry_id != ""
        )
        if intent is Intent.ENTER:
            self._enter(desk, ts)
        elif intent is Intent.EXTEND:
            stance.deadline = desk.tape.count + self.strategy.horizon
            stance.leaving, stance.why = False, "horizon"
        elif intent is Intent.EXIT:
            if stance.entry_id:
                self._absorb(desk, self.broker.cancel(stance.entry_id, ts))
            stance.leaving, stance.why = desk.holding is not None, "opposite"
            self._due.add(desk.symbol)

    def leave(self, ts: int) -> None:
        """Send the exits that are due at the end of an instant."""
        for symbol in sorted(self._due):
            desk = self._desks[symbol]
            stance, holding = desk.stance, desk.holding
            if holding is None or stance.exit_id:
                continue
            if stance.leaving or desk.tape.count >= stance.deadline:
                order = desk.exit(self._next_id(), holding.quantity, ts, stance.why)
                stance.leaving = True
                stance.exit_id = self._send(desk, order, None)
        self._due.clear()

    def close_down(self, ts: int) -> None:
        """Withdraw every open order; positions stay as they are."""
        for order_id in self.broker.open_orders():
            self.out.extend(self.broker.cancel(order_id, ts))

    # orders

    def _enter(self, desk: Desk, ts: int) -> None:
        if self._shadows:
            self._shadow(desk, ts)
            return
        drafted = self._draft(desk, ts, f"o{self._last_id + 1}")
        if drafted is None:
            return
        stance, (draft, entry) = desk.stance, drafted
        self._last_id += 1
        stance.distance = entry.distance
        stance.deadline = desk.tape.count + self.strategy.horizon
        stance.entry_id = self._send(desk, draft, entry)
        if stance.entry_id:
            self._waiting.add(
                desk.tape, value=entry.quantity * entry.price, risk=entry.quantity * entry.stop_distance
            )

    def _draft(self, desk: Desk, ts: int, order_id: str) -> tuple[Order, Entry] | None:
        """Write the order that opens, and what the gate wants to know of it; None if there is none."""
        tape, gate = desk.tape, self.gate
        if not gate.admits(self.portfolio, waiting=len(self._waiting), symbol=desk.symbol):
            return None
        price = tape.close[tape.i]
        distance = BASE_STOP_ATR * tape.atr[tape.i]
        if not 0.0 < distance < price:
            gate.refuse("no_stop_distance")
            return None
        quantity = self._quantity(desk, price, distance, self._waiting.total)
        if quantity <= 0.0:
            return None
        entry = Entry(
            quantity=quantity,
            price=price,
            distance=distance,
            stop_distance=distance * gate.policy.stop_multiplier,
        )
        return desk.entry(order_id, quantity, ts), entry

    def _quantity(self, desk: Desk, price: float, distance: float, waiting: tuple[float, float]) -> float:
        notional = self.strategy.notional
        if notional is not None:
            quantity = notional / price
        else:
            quantity = self.gate.size(self.portfolio, desk.tape, price, distance, waiting)
        if quantity <= 0.0:
            return 0.0
        costs, instrument = self.broker.costs, desk.lane.instrument
        unit = price * (1.0 + costs.half_spread) * (1.0 + instrument.taker_fee * costs.fee_scale)
        affordable = max(self.portfolio.free_cash - self.broker.promised, 0.0) / unit * (1.0 - 1e-9)
        if affordable < self.gate.band * quantity:
            return float(self.gate.refuse("insufficient_cash"))
        return min(quantity, affordable)

    def _next_id(self) -> str:
        self._last_id += 1
        return f"o{self._last_id}"

    def _send(self, desk: Desk, order: Order, entry: Entry | None) -> str:
        """Ask the gate, then the broker; return the id of the order if it now waits, else nothing."""
        if not self.gate.check(order, self.portfolio, entry, self._waiting.total):
            return ""
        self.out.append(order)
        self._sent[order.order_id] = order
        self._absorb(desk, self.broker.submit(order), tend=False)
        if self.broker.is_open(order.order_id):
            return order.order_id
        del self._sent[order.order_id]
        return ""

    def _absorb(self, desk: Desk, events: Iterable[Happening], *, tend: bool = True) -> None:
        last = -1
        for event in events:
            self.out.append(event)
            last = event.ts_event
            if isinstance(event, Fill):
                self._filled(desk, event)
        if last >= 0 and tend:
            self._tend(desk, last)

    def _filled(self, desk: Desk, fill: Fill) -> None:
        stance, portfolio = desk.stance, self.portfolio
        order = self._sent[fill.order_id]
        ended = portfolio.apply(desk.symbol, order.side.sign, fill)
        desk.holding = holding = portfolio.holdings.get(desk.symbol)
        if portfolio.cash != self.broker.cash:
            raise ConservationBroken(
                f"the portfolio's cash must equal the broker's {self.broker.cash}",
                portfolio.cash,
                "stop trading and reconcile the fills with the venue",
            )
        if ended is not None and self._keep_trades:
            self.trades.append(ended)
        if fill.order_id == stance.stop_id:
            stance.leaving, stance.why = True, "stop"
        elif order.side is Side.BUY and holding is not None:
            multiplier = self.gate.policy.stop_multiplier
            holding.stop = self.strategy.stop_price(holding.entry, stance.distance, multiplier)

    def _tend(self, desk: Desk, ts: int) -> None:
        """Forget finished orders; keep exactly one stop, for all that is held and at its price."""
        stance, is_open = desk.stance, self.broker.is_open
        if stance.entry_id and not is_open(stance.entry_id):
            self._sent.pop(stance.entry_id, None)
            self._waiting.drop(desk.symbol)
            stance.entry_id = ""
        if stance.exit_id and not is_open(stance.exit_id):
            self._sent.pop(stance.exit_id, None)
            stance.exit_id = ""
        if stance.stop_id and not is_open(stance.stop_id):
            self._sent.pop(stance.stop_id, None)
            stance.stop_id = ""
        holding = desk.holding
        if holding is None:
            for order_id in (stance.stop_id, stance.exit_id):
                if order_id:
                    self._withdraw(order_id, ts)
            stance.stop_id = stance.exit_id = ""
            if not stance.entry_id:
                stance.clear()
            return
        if stance.stop_id:
            stop = self._sent[stance.stop_id]
            if stop.quantity == holding.quantity and stop.stop_price == holding.stop:
                return
            self._withdraw(stance.stop_id, ts)
        stance.stop_id = self._send(desk, desk.stop(self._next_id(), holding, ts), None)

    def _give_up(self, desk: Desk, reason: str, ts: int) -> None:
        """Withdraw an entry that may not fill any more, and count why."""
        self.gate.refuse(reason)
        events = self.broker.cancel(desk.stance.entry_id, ts)
        # a venue only knows that we wanted it; the reason is ours to say
        said = [replace(e, reason=reason) if e.status is OrderStatus.CANCELLED else e for e in events]
        self._absorb(desk, said)

    def _withdraw(self, order_id: str, ts: int) -> None:
        self.out.extend(self.broker.cancel(order_id, ts))
        self._sent.pop(order_id, None)
