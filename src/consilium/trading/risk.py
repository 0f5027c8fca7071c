"""The risk gate: what every order must pass, and how large an entry may be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from consilium.domain import Order, OrderKind, Policy
from consilium.domain.checks import require_fraction
from consilium.trading.causes import FLATTEN, OPERATOR, REDUCE, UNPROTECTED, cause_of
from consilium.trading.days import day_of_close
from consilium.trading.holdings import Holding
from consilium.trading.kept import Kept, policy_state, read_policy
from consilium.trading.portfolio import Portfolio
from consilium.trading.tape import Tape

SLACK = 1.0 + 1e-9
"""A limit is broken beyond this multiple of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as the gate sees it: size in base units, price, base and actual distance of its stop."""

    quantity: float
    price: float
    distance: float
    stop_distance: float


class RiskGate(Kept):
    """Keeps entries inside the policy; it refuses and never forces anything.

    Parameters
    ----------
    policy
        Limits and capabilities in force; may be replaced at any time.
    limits
        False lifts every limit and the drawdown halt. Capabilities and what the market itself imposes
        (volume, cash) stay, and so does the size by risk.
    band
        No-trade band: an entry that the limits leave room for less than this share of is refused, and an
        open position is never re-adjusted (its target may drift inside the band without bound).
    participation
        Share of the median bar volume that one entry may be.

    Examples
    --------
    >>> gate = RiskGate(Policy(max_positions=0))
    >>> gate.admits(Portfolio(1_000.0), waiting=0)
    False
    >>> dict(gate.refusals)
    {'max_positions': 1}
    """

    kept = ("_halt_day",)

    def __init__(
        self, policy: Policy, *, limits: bool = True, band: float = 0.1, participation: float = 0.01
    ) -> None:
        require_fraction("band", band)
        self.policy = policy
        self.limits = limits
        self.band = band
        self.participation = participation
        self.refusals: Counter[str] = Counter()
        self.halts: list[int] = []
        self._halt_day: int | None = None

    def state(self) -> dict[str, Any]:
        """Return policy, refusals and halts as JSON values."""
        return super().state() | {
            "policy": policy_state(self.policy),
            "refusals": dict(self.refusals),
            "halts": list(self.halts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        super().restore(state)
        self.policy = read_policy(state["policy"])
        self.refusals = Counter(state["refusals"])
        self.halts = list(state["halts"])

    def observe(self, portfolio: Portfolio, ts: int) -> None:
        """Look at the drawdown after an instant: halt entries beyond the limit, or end a halt.

        A halt lasts for the rest of its UTC day; at the first close of a later one the peak is rebased.
        """
        day = day_of_close(ts)
        if self._halt_day is not None and day > self._halt_day:
            self._halt_day = None
            portfolio.rebase()
        if self.limits and self._halt_day is None and portfolio.drawdown > self.policy.max_drawdown:
            self.halts.append(ts)
            self._halt_day = day

    @property
    def halted(self) -> bool:
        """Whether the drawdown limit holds entries back now."""
        return self._halt_day is not None

    def follows(self, symbol: str) -> bool:
        """Whether a symbol is in the universe of entries."""
        return self.policy.symbols is None or symbol in self.policy.symbols

    def refuse(self, reason: str) -> bool:
        """Count a refusal; always False."""
        self.refusals[reason] += 1
        return False

    def admits(self, portfolio: Portfolio, *, waiting: int, symbol: str = "") -> bool:
        """Whether an entry may be made now; ``waiting`` entries are on their way."""
        policy = self.policy
        if not policy.entry:
            return self.refuse("entry_not_allowed")
        if symbol and not self.follows(symbol):
            return self.refuse("not_in_universe")
        if not self.limits:
            return True
        if self.halted:
            return self.refuse("max_drawdown")
        if portfolio.active + waiting >= policy.max_positions:
            return self.refuse("max_positions")
        return True

    def size(
        self,
        portfolio: Portfolio,
        tape: Tape,
        price: float,
        distance: float,
        waiting: tuple[float, float],
    ) -> float:
        """Return the quantity of an entry, 0 if refused.

        ``q = min(risk E0 / d, L_max E0 / P, max_position / P, 1 % of the median bar volume)``, then cut to
        the room that exposure and open risk leave.

        Parameters
        ----------
        portfolio
            E0 is its ``capital``.
        tape
            Bars of the symbol.
        price, distance
            P, and d, the distance of the base stop, in quote units.
        waiting
            Value and risk at the stop of entries on their way.
        """
        policy, capital = self.policy, portfolio.capital
        target = min(
            policy.max_risk_per_trade * capital / distance, self.participation * tape.median_volume()
        )
        if not self.limits:
            return target if target > 0.0 else float(self.refuse("no_size"))
        target = min(target, policy.max_leverage * capital / price, policy.max_position_usd / price)
        if not target > 0.0:
            return float(self.refuse("no_size"))
        room, reason = self._room(portfolio, price, distance * policy.stop_multiplier, waiting)
        if room < self.band * target:
            return float(self.refuse(reason))
        return min(target, room)

    def _room(
        self, portfolio: Portfolio, price: float, distance: float, waiting: tuple[float, float]
    ) -> tuple[float, str]:
        policy, equity = self.policy, portfolio.equity
        gross = portfolio.gross + waiting[0]
        risk = open_risk(portfolio) + waiting[1]
        room = policy.max_exposure * equity - portfolio.margin - portfolio.margin_for(waiting[0])
        at_risk = (policy.max_daily_risk * equity - risk) / distance if distance > 0.0 else inf
        return min(
            (room / portfolio.margin_for(price), "max_exposure"),
            ((policy.max_leverage * equity - gross) / price, "max_leverage"),
            (at_risk, "max_daily_risk"),
        )

    def check(
        self, order: Order, portfolio: Portfolio, entry: Entry | None, waiting: tuple[float, float]
    ) -> bool:
        """Whether an order may be sent; every order is asked about, a refusal is counted by its reason.

        Parameters
        ----------
        order
            The order as it would be sent.
        entry
            What an order that opens or adds does; None only for a reduce-only order.
        waiting
            Value and risk at the stop of entries on their way, without this one.
        """
        policy = self.policy
        if order.reduce_only:
            allowed, reason = _reducing(order, policy)
            return allowed or self.refuse(reason)
        if entry is None:
            return self.refuse("entry_without_stop")
        if not policy.entry:
            return self.refuse("entry_not_allowed")
        if not self.follows(order.symbol):
            return self.refuse("not_in_universe")
        if not self.limits:
            return True
        broken = self._broken(portfolio, entry, waiting)
        return self.refuse(broken) if broken else True

    def objection(
        self, portfolio: Portfolio, entry: Entry, waiting: tuple[float, float], opening: int | None
    ) -> str:
        """Return which limit an entry on its way breaks by now; nothing if it still fits.

        Parameters
        ----------
        entry
            As it was sent.
        waiting
            Value and risk at the stop of the older entries on their way.
        opening
            How many of those open a position; None if this one only adds to its own.
        """
        if not self.limits:
            return ""
        if portfolio.drawdown > self.policy.max_drawdown:
            return "max_drawdown"
        if opening is not None and portfolio.active + opening >= self.policy.max_positions:
            return "max_positions"
        return self._broken(portfolio, entry, waiting)

    def _broken(self, portfolio: Portfolio, entry: Entry, waiting: tuple[float, float]) -> str:
        policy, equity = self.policy, portfolio.equity
        value = entry.quantity * entry.price
        gross = portfolio.gross + waiting[0] + value
        margin = portfolio.margin + portfolio.margin_for(waiting[0] + value)
        risk = open_risk(portfolio) + waiting[1] + entry.quantity * entry.stop_distance
        if self.halted:
            return "max_drawdown"
        if value > policy.max_position_usd * SLACK:
            return "max_position_usd"
        if entry.quantity * entry.distance > policy.max_risk_per_trade * portfolio.capital * SLACK:
            return "max_risk_per_trade"
        if gross > policy.max_leverage * equity * SLACK:
            return "max_leverage"
        if margin > policy.max_exposure * equity * SLACK:
            return "max_exposure"
        return "max_daily_risk" if risk > policy.max_daily_risk * equity * SLACK else ""


_LIMITS = (
    "max_risk_per_trade",
    "max_daily_risk",
    "max_positions",
    "max_leverage",
    "max_position_usd",
    "max_drawdown",
    "max_exposure",
)


def tightened(before: Policy, after: Policy) -> bool:
    """Whether any limit of another policy allows less.

    Examples
    --------
    >>> tightened(Policy(), Policy(max_positions=1)), tightened(Policy(), Policy(max_positions=8))
    (True, False)
    """
    return any(getattr(after, name) < getattr(before, name) for name in _LIMITS)


def _reducing(order: Order, policy: Policy) -> tuple[bool, str]:
    """Return whether a reduce-only order may be sent, and what it is refused for if not."""
    cause = cause_of(order)
    if cause == OPERATOR:
        return policy.operator_reduces, "operator_reduce_not_allowed"
    if order.kind is OrderKind.STOP or cause == UNPROTECTED:
        return policy.protective_stop, "protective_stop_not_allowed"
    if cause == FLATTEN:
        return policy.flatten or policy.strategy_exit, "flatten_not_in_force"
    if cause == REDUCE:
        return policy.reduce or policy.strategy_exit, "reduce_not_in_force"
    return policy.strategy_exit, "strategy_exit_not_allowed"


def open_risk(portfolio: Portfolio) -> float:
    """Return what all positions lose if every stop is hit, ``sum (entry - stop) q``, in quote units.

    A position without a stop risks its whole entry value; a stop above the entry risks nothing. A stranded
    one is left out: no stop works without bars, and it must not hold all other symbols back.
    """
    return sum(at_stake(holding) for holding in portfolio.holdings.values() if not holding.stranded)


def at_stake(holding: Holding) -> float:
    """Return what a position loses if its stop is hit, in quote units."""
    if holding.stop is None:
        return holding.entry * abs(holding.quantity)
    return max((holding.entry - holding.stop) * holding.quantity, 0.0)
