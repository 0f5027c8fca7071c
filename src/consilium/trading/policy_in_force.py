"""The policy in force: what a change of it does to orders and positions, at once and at each close."""

from collections.abc import Iterable
from dataclasses import replace
from math import floor

from consilium.domain import Instrument, Mode, Order, OrderShadowed, Policy, ProfitSplit
from consilium.trading.broker import Happening
from consilium.trading.causes import FLATTEN, REDUCE, UNPROTECTED
from consilium.trading.desk import Desk
from consilium.trading.execution import floor_quantity
from consilium.trading.margin import margin_ratio
from consilium.trading.messages import Message
from consilium.trading.portfolio import CASH_DIGITS, left_over
from consilium.trading.reductions import reductions
from consilium.trading.risk import Entry, tightened
from consilium.trading.service_state import ServiceState
from consilium.trading.strategy import BASE_STOP_ATR, Strategy

_CENTS = 10**CASH_DIGITS


class PolicyInForce(ServiceState):
    """Carries a policy out: cancels what adds risk, keeps stops, reduces, flattens, sets profit aside."""

    strategy: Strategy
    out: list[Message]
    _instruments: dict[str, Instrument]

    def set_policy(self, policy: Policy) -> None:
        """Put a policy in force, at once.

        Orders that add risk and are not allowed any more are cancelled; those that reduce stay. A tighter
        stop multiplier moves live stops up, never down. Limits below what is held force nothing, unless
        the policy says ``reduce`` or ``flatten``; an entry on its way is not held yet, and is cancelled where
        it no longer fits.
        """
        tighter, self.gate.policy = tightened(self.gate.policy, policy), policy
        ts = max(self._now, 0)
        for desk in self._desks.values():
            if desk.stance.entry_id and not (policy.entry and self.gate.follows(desk.symbol)):
                reason = "not_in_universe" if policy.entry else policy.mode.lower()
                self._give_up(desk, reason, ts)
            if desk.holding is not None and desk.stance.distance > 0.0:
                moved = self.strategy.stop_price(
                    desk.holding.entry, desk.stance.distance, policy.stop_multiplier
                )
                desk.holding.stop = max(desk.holding.stop or 0.0, moved)
                self._tend(desk, ts)
        if tighter:
            self._refit(ts)
        self._carry_out(ts)

    def _refit(self, ts: int) -> None:
        """Ask the gate again for each entry on its way, the oldest first."""
        kept, value, risk = 0, 0.0, 0.0
        for symbol in self._waiting.symbols:
            desk = self._desks[symbol]
            worth = self._waiting.value(symbol)
            quantity = self._sent[desk.stance.entry_id].quantity
            entry = Entry(
                quantity=quantity,
                price=worth / quantity,
                distance=desk.stance.distance,
                stop_distance=desk.stance.distance * self.gate.policy.stop_multiplier,
            )
            opens = desk.holding is None
            reason = self.gate.objection(self.portfolio, entry, (value, risk), kept if opens else None)
            if reason:
                self._give_up(desk, reason, ts)
            else:
                kept += opens
                value, risk = value + worth, risk + quantity * entry.stop_distance

    def _carry_out(self, ts: int) -> None:
        """Do what the policy wants done with what is held."""
        policy = self.gate.policy
        if policy.flatten:
            for symbol in sorted(self.portfolio.holdings):
                self._sell(self._desks[symbol], None, FLATTEN, ts)
        elif policy.reduce:
            gone = {symbol for symbol, desk in self._desks.items() if desk.stance.exit_id}
            for symbol, quantity in reductions(self.portfolio, policy, gone=gone).items():
                self._sell(self._desks[symbol], quantity, REDUCE, ts)
        if not policy.entry:
            for symbol in sorted(self.portfolio.holdings):
                self._protect(self._desks[symbol], ts)

    def _sell(self, desk: Desk, quantity: float | None, why: str, ts: int) -> None:
        """Send an order that reduces a position, unless one is on its way; None for all of it."""
        stance, holding = desk.stance, desk.holding
        if holding is None or stance.exit_id:
            return
        if quantity is not None:
            lot = desk.lane.instrument.lot_size
            quantity = floor_quantity(quantity, lot)
            if quantity <= 0.0:
                return
            left = left_over(holding.quantity, quantity)
            if left < lot or left * holding.mark < desk.lane.instrument.min_notional:
                quantity = None
        if quantity is None:
            quantity, stance.leaving, stance.why = holding.quantity, True, why
        stance.exit_id = self._send(desk, desk.exit(self._next_id(), quantity, ts, why), None)

    def _protect(self, desk: Desk, ts: int) -> None:
        """Place a stop that is missing; where none can be, sell."""
        stance, holding = desk.stance, desk.holding
        if holding is None or stance.stop_id:
            return
        tape = desk.tape
        if holding.stop is None and tape.i >= 0:
            distance = stance.distance or BASE_STOP_ATR * tape.atr[tape.i]
            if 0.0 < distance < holding.mark:
                price = min(holding.entry, holding.mark)
                holding.stop = self.strategy.stop_price(price, distance, self.gate.policy.stop_multiplier)
        if holding.stop is not None:
            self._tend(desk, ts)
        if not stance.stop_id:
            self._sell(desk, None, UNPROTECTED, ts)

    # orders that are written down and not sent

    def _shadow(self, desk: Desk, ts: int) -> None:
        """Write down the entry that would be sent if entries were allowed."""
        policy = self.gate.policy
        self.gate.policy = replace(policy, entry=True)
        try:
            drafted = self._draft(desk, ts, f"s{self._shadowed + 1}")
            sent = drafted is not None and self.gate.check(
                drafted[0], self.portfolio, drafted[1], self._waiting.total
            )
        finally:
            self.gate.policy = policy
        if drafted is not None and sent:
            self._shadowed += 1
            self.out.append(OrderShadowed(order=drafted[0], mode=policy.mode, ts_event=ts))

    @property
    def _shadows(self) -> bool:
        return not self.gate.policy.entry and self.gate.policy.mode == Mode.SHADOW

    @property
    def unprotected(self) -> int:
        """Positions without a live stop."""
        held = (desk for desk in self._desks.values() if desk.holding is not None)
        return sum(not desk.stance.stop_id for desk in held)

    @property
    def margin_ratio(self) -> float:
        """Maintenance margin of what is held / equity; 0 on spot, where nothing is borrowed."""
        books = self.portfolio
        return margin_ratio(books.holdings.values(), self._instruments, books.equity)

    @property
    def engaged(self) -> frozenset[str]:
        """Symbols that are held or about to be."""
        busy = (desk for desk in self._desks.values() if desk.holding is not None or desk.stance.entry_id)
        return frozenset(desk.symbol for desk in busy)

    # profit

    @property
    def unsplit(self) -> float:
        """Realised profit above the last high, in quote units, >= 0."""
        return max(self.portfolio.realised - self._split_high, 0.0)

    def split_profit(self, ts: int) -> ProfitSplit | None:
        """Lock a share of the profit above the last high and put another into reserve, as the policy says.

        Amounts are whole multiples of the smallest unit of cash, so that the three parts are all of it.
        Nothing is moved while what is free does not suffice: it is then for the next time.
        """
        policy, portfolio = self.gate.policy, self.portfolio
        profit = floor(self.unsplit * _CENTS)
        locked, reserve = floor(profit * policy.profit_lock), floor(profit * policy.reserve_buffer)
        if profit <= 0 or (locked + reserve) / _CENTS > portfolio.free_cash - self.broker.promised:
            return None
        portfolio.put_aside(locked=locked / _CENTS, reserve=reserve / _CENTS)
        self._split_high = portfolio.realised
        return ProfitSplit(
            profit=profit / _CENTS,
            locked=locked / _CENTS,
            reserve=reserve / _CENTS,
            reinvested=(profit - locked - reserve) / _CENTS,
            high=self._split_high,
            ts_event=ts,
        )

    # what the service does

    def _draft(self, desk: Desk, ts: int, order_id: str) -> tuple[Order, Entry] | None:
        raise NotImplementedError

    def _send(self, desk: Desk, order: Order, entry: Entry | None) -> str:
        raise NotImplementedError

    def _absorb(self, desk: Desk, events: Iterable[Happening], *, tend: bool = True) -> None:
        raise NotImplementedError

    def _tend(self, desk: Desk, ts: int) -> None:
        raise NotImplementedError

    def _give_up(self, desk: Desk, reason: str, ts: int) -> None:
        raise NotImplementedError

    def _next_id(self) -> str:
        raise NotImplementedError
