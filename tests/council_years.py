"""A year of a simulated account under the real council: it obeys the policy, and two persons review.

The market is a geometric random walk of a given Sharpe ratio and volatility. The account holds one position
for a day at a time, as large as its profile lets it, with a stop; its books are the real `Portfolio`. Every
hour the council hears account and health; a freeze is reviewed by two persons a few hours after it came.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, sqrt
from typing import Any

import numpy as np

from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import (
    DAY_NS,
    AccountReported,
    ConflictResolved,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    Fill,
    HealthReported,
    Liquidity,
    Policy,
)
from consilium.domain.time import HOUR_NS
from consilium.trading.portfolio import Portfolio

START = 1_704_067_200 * 10**9
SYMBOL = "BTCUSDT"
SHARE = 0.8
"""Share of equity in the market under NORMAL."""

HOLDING_HOURS = 24
REVIEW_HOURS = 4
"""From a freeze to its review."""

AGAIN_HOURS = 24
"""From one review to the next: who has just lifted a freeze that returns sleeps over it."""

PERSONS = ("ann", "ben")
EQUITY = 10_000.0
HOURS_A_YEAR = 8_760


@dataclass(slots=True, kw_only=True)
class Year:
    """What came of one run; times in hours."""

    hours: int = 0
    mode_hours: Counter[str] = field(default_factory=Counter)
    profile_hours: Counter[str] = field(default_factory=Counter)
    out_of_live: list[int] = field(default_factory=list)
    below_normal: list[int] = field(default_factory=list)
    ended_live: bool = False
    ended_normal: bool = False
    fired: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    decisions: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    net_return: float = 0.0
    drawdown: float = 0.0
    trades: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def flips(self) -> dict[str, int]:
        """By rule, how often it fired again within 24 hours of having fired, at most."""
        found = {}
        for rule, hours in self.fired.items():
            found[rule] = max(sum(h < other < h + 24 for other in hours) for h in hours)
        return found


class Account:
    """The account: one position at a time, kept for a day, within the policy."""

    def __init__(self, *, sharpe: float, volatility: float, seed: int) -> None:
        per_hour = volatility / SHARE / sqrt(HOURS_A_YEAR)
        drift = sharpe * volatility / SHARE / HOURS_A_YEAR
        self.returns = np.random.default_rng(seed).normal(drift, per_hour, HOURS_A_YEAR)
        self.stop_at = 2.5 * per_hour * sqrt(24)
        self.books = Portfolio(EQUITY)
        self.price, self.left, self.stop = 100.0, 0, 0.0
        self.trades = 0

    def hour(self, hour: int, policy: Policy) -> None:
        """Let an hour pass: mark, leave what has to be left, enter where that is allowed."""
        ts = START + (hour + 1) * HOUR_NS
        self.price *= exp(self.returns[hour])
        held = self.books.holdings.get(SYMBOL)
        if held is not None:
            held.mark = self.price
            self.left -= 1
            stopped = self.price <= self.stop and policy.protective_stop
            if stopped or policy.flatten or policy.reduce or (self.left <= 0 and policy.strategy_exit):
                self._fill(-1, held.quantity, ts)
                self.trades += 1
        self.books.settle(ts)
        if policy.entry and not self.books.holdings:
            self._enter(policy, ts)
            self.books.settle(ts)

    def _enter(self, policy: Policy, ts: int) -> None:
        equity = self.books.capital
        share = min(SHARE * policy.max_risk_per_trade / 0.02, policy.max_exposure, policy.max_leverage)
        value = min(share * equity, policy.max_position_usd)
        if value > 0.0 and policy.max_positions > 0:
            self._fill(+1, value / self.price, ts)
            self.left = HOLDING_HOURS
            self.stop = self.price * (1.0 - self.stop_at * policy.stop_multiplier)

    def _fill(self, sign: int, quantity: float, ts: int) -> None:
        fill = Fill(
            order_id=str(ts),
            price=self.price,
            quantity=quantity,
            fee=0.0,
            liquidity=Liquidity.TAKER,
            ts_event=ts,
        )
        self.books.apply(SYMBOL, sign, fill)

    def report(self, hour: int) -> AccountReported:
        """Say what the account is worth, in the words of the council."""
        ts = START + (hour + 1) * HOUR_NS
        now = self.books.snapshot(ts)
        return AccountReported(
            source="account:paper",
            sequence=hour,
            ts_event=ts,
            interval_ns=HOUR_NS,
            equity=now.equity,
            nav=now.nav,
            realized_pnl_today=now.realized_pnl_today,
            exposure=now.exposure,
            leverage=now.leverage,
            margin_ratio=0.0,
            positions=len(now.positions),
            unprotected=0,
            win_rate=now.win_rate,
            sharpe=now.sharpe,
            consecutive_losses=now.consecutive_losses,
            winning_days=now.winning_days,
            losing_days=now.losing_days,
            locked=now.locked,
            reserve=now.reserve,
            profit=0.0,
        )


class Operators:
    """Two persons who review what waits for them."""

    def __init__(self) -> None:
        self._reviewed = -AGAIN_HOURS

    def due(self, council: CouncilService, hour: int) -> Iterator[CouncilCommanded]:
        """Yield the reviews of this hour."""
        ts = START + (hour + 1) * HOUR_NS
        rules = {hold.rule: hold.ts_event for hold in council.holds.values()}
        freezes = [since for rule, since in rules.items() if rule.startswith("F")]
        if hour - self._reviewed < AGAIN_HOURS:
            return
        if freezes and ts - min(freezes) >= REVIEW_HOURS * HOUR_NS:
            self._reviewed = hour
            rebased = council.briefing.portfolio.drawdown_rebased
            deep = isinstance(rebased, float) and rebased >= 0.05
            for person in PERSONS:
                yield _review("freeze", person, ts)
                if deep:
                    yield _review("rebase", person, ts)
        elif "R2" in rules and ts - rules["R2"] >= DAY_NS:
            self._reviewed = hour
            yield _review("reduce_only", PERSONS[0], ts)


def _review(what: str, person: str, ts: int) -> CouncilCommanded:
    return CouncilCommanded(
        command_id=f"{what}-{person}-{ts}",
        action="review",
        payload={"what": what, "note": "looked at positions, fills and the market"},
        reason="looked at positions, fills and the market",
        person=person,
        key_id=person,
        authenticated_at=ts,
        ts_event=ts,
    )


def run_year(
    *,
    sharpe: float,
    volatility: float,
    seed: int,
    hours: int = HOURS_A_YEAR,
    rules: CouncilRules | None = None,
) -> Year:
    """Run one year and return what came of it."""
    council = CouncilService(rules=rules or CouncilRules(), base=Policy(), started_at=START)
    account = Account(sharpe=sharpe, volatility=volatility, seed=seed)
    operators, year, watch = Operators(), Year(), _Watch()
    for hour in range(hours):
        account.hour(hour, council.policy)
        ts = START + (hour + 1) * HOUR_NS
        healthy = HealthReported(source="system", sequence=hour, ts_event=ts, system_status="HEALTHY")
        said: list[Any] = council.handle_all([healthy, account.report(hour)])
        for command in operators.due(council, hour):
            try:
                said += council.handle(command)
            except ConsiliumError as error:
                year.refused[str(error)[:80]] += 1
        watch.hour(year, council, hour, said)
        year.drawdown = max(year.drawdown, account.books.drawdown)
    watch.end(year)
    year.net_return = account.books.nav - 1.0
    year.trades = account.trades
    return year


class _Watch:
    """Counts what happens from hour to hour."""

    def __init__(self) -> None:
        self.rules: frozenset[str] = frozenset()
        self.out = self.below = 0

    def hour(self, year: Year, council: CouncilService, hour: int, said: list[Any]) -> None:
        policy = council.policy
        year.hours += 1
        year.mode_hours[policy.mode] += 1
        year.profile_hours[policy.profile] += 1
        rules = frozenset(hold.rule for hold in council.holds.values())
        for rule in rules - self.rules:
            year.fired[rule].append(hour)
        self.rules = rules
        for message in said:
            if isinstance(message, Decision):
                year.decisions[message.kind] += 1
            year.conflicts += isinstance(message, ConflictResolved)
        self.out = self._counted(self.out, policy.mode != "LIVE", year.out_of_live)
        self.below = self._counted(
            self.below, policy.profile not in ("NORMAL", "AGGRESSIVE"), year.below_normal
        )

    def end(self, year: Year) -> None:
        year.ended_live, year.ended_normal = not self.out, not self.below
        for spell, told in ((self.out, year.out_of_live), (self.below, year.below_normal)):
            if spell:
                told.append(spell)

    @staticmethod
    def _counted(spell: int, so: bool, told: list[int]) -> int:
        if so:
            return spell + 1
        if spell:
            told.append(spell)
        return 0
