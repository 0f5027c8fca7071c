"""The council's room: what each step and each event tells it, and what its policy does to the other rooms.

It reads no clock and writes nothing; a replay that gives it the same steps and events leaves it as it was.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from consilium.app.council.forecasting import Adviser
from consilium.app.council.making import make_council
from consilium.app.council.translate import report_of
from consilium.app.live.account import Accounts
from consilium.app.live.terms import Terms
from consilium.app.live.turnover import Turnover
from consilium.app.live.weighing import Configured, weigh
from consilium.app.settings import Settings
from consilium.council.identity import command_id_of
from consilium.domain import (
    DAY_NS,
    AccountReported,
    Candle,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    Event,
    HealthReported,
    ModelReported,
    Policy,
    PoolChanged,
    VolumesReported,
)
from consilium.trading.days import day_of_close

ACCOUNT_SOURCE, SYSTEM_SOURCE, SHADOW_SOURCE = "account:paper", "system", "shadow"
FEWEST_DAYS = 5
"""Days with a close, before runs of winning or losing ones are told."""


PLACING = frozenset(("mode", "risk", "profile", "universe", "allocation"))
"""What an operator may ask for that lasts for a time."""


class CouncilRoom:
    """Tells the council what happens, and carries out what it rules.

    Parameters
    ----------
    settings
        Of the process; with ``council.enabled`` False it does nothing.
    terms
        What is followed.
    accounts
        The paper account and the shadow books.
    ensemble
        Gets the weights of models as its allocations.
    """

    def __init__(
        self,
        settings: Settings,
        terms: Terms,
        accounts: Accounts,
        ensemble: Callable[[], Configured],
    ) -> None:
        self.service = make_council(settings) if settings.council.enabled else None
        self.wall_clock = not terms.feed or terms.feed.startswith("exchange:")
        self.sequence = 0
        """Of the newest report of our own."""
        self._terms = terms
        self._accounts = accounts
        self._ensemble = ensemble
        self._turnover = Turnover()
        self.health: HealthReported | None = None
        """Our own, as it was told last."""
        self._learned_until: dict[str, int] = {}
        self._day: int | None = None
        self._early: list[CouncilCommanded] = []
        self._adviser: Adviser | None = None
        if self.service is not None:
            accounts.trading.set_policy(self.service.policy)
            if settings.council.advice and terms.interval_ns > 0:
                self._adviser = Adviser(terms.interval_ns)

    # what it hears

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Count what was traded before the first step."""
        candles = list(candles)
        for candle in candles:
            self._turnover.add(candle)
        if self._adviser is not None:
            self._adviser.warm_up(candles)

    def pool(self, change: PoolChanged) -> None:
        """Know how old the models are."""
        self._learned_until = dict(change.learned_until)

    def close(self, ts: int, fresh: Sequence[Candle], traded: Sequence[Any]) -> list[Any]:
        """Tell of one close; return decisions, and what the policy did to orders.

        Parameters
        ----------
        ts
            The close.
        fresh
            Candles that close there.
        traded
            What the accounts concluded.
        """
        for candle in fresh:
            self._turnover.add(candle)
        if self.service is None:
            return []
        self.sequence += 1
        out: list[Any] = []
        reports: list[Any] = self._dated(ts)
        day = day_of_close(ts)
        if day != self._day:
            split = None if self._day is None else self._accounts.trading.split_profit(ts)
            if split is not None:
                out.append(split)
            reports.append(VolumesReported(ts_event=ts, volumes=self._turnover.volumes()))
        new_day, self._day = day != self._day, day
        reports += self._of_models(ts, traded, everyone=new_day)
        if self.health is not None:
            self.health = replace(self.health, sequence=self.sequence, ts_event=ts)
            reports.append(self.health)
        account = self._of_account(ts)
        reports.append(account)
        if self._adviser is not None:
            books = self._accounts.trading.portfolio
            reports.append(
                self._adviser.close(
                    ts, fresh, nav=books.nav, drawdown=books.drawdown, exposure=account.exposure or 0.0
                )
            )
        return [*out, *self.hear(reports)]

    def hear(self, messages: Sequence[Any]) -> list[Any]:
        """Let the council conclude from messages of one instant; carry out what it rules."""
        if self.service is None:
            return []
        before = self.service.policy
        for message in messages:
            if isinstance(message, HealthReported) and message.source == SYSTEM_SOURCE:
                self.health = message
                self.sequence = max(self.sequence, message.sequence)
                if self._is_early and len(messages) == 1:
                    return []  # a market's time has not begun: it is told with the first close
        said: list[Any] = self.service.handle_all(messages)
        if self._is_early:
            self._early += _in_force_at_once(messages, said)
        if self.service.policy != before:
            said += self._put_in_force(before, self.service.policy)
        return said

    @property
    def _is_early(self) -> bool:
        """Whether a market's time has not begun: what is asked for then has no date."""
        return self._day is None and not self.wall_clock

    def _dated(self, ts: int) -> list[CouncilCommanded]:
        """Return what was asked for before the first close, dated with it: its time begins there."""
        assert self.service is not None  # noqa: S101 - the caller has looked
        standing = {hold.decision_id for hold in self.service.holds.values()}
        early, self._early = self._early, []
        return [
            replace(command, command_id=command_id_of("dated", command.command_id), ts_event=ts)
            for command in early
            if command_id_of("decision", command.command_id) in standing
        ]

    def take(self, event: Event, message: Any, ts: int) -> list[Any]:
        """Take an event of the journal that is not part of a step.

        Parameters
        ----------
        event, message
            A command, the passing of time, our own health, or what an outside system says.
        ts
            The newest close.
        """
        if isinstance(message, dict) and event.stream == SYSTEM_SOURCE:
            message = HealthReported(**message)
        elif event.stream.startswith("outside:"):
            message = self.report(event, ts)
        return [] if message is None else self.hear([message])

    def report(self, event: Event, ts: int) -> Any:
        """Return what an outside event tells the council."""
        now = event.ts_recorded if self.wall_clock else max(ts, 0)
        return report_of(event, now, wall_clock=self.wall_clock)

    def _of_account(self, ts: int) -> AccountReported:
        trading = self._accounts.trading
        told = trading.portfolio.snapshot(ts)
        enough = trading.portfolio.days >= FEWEST_DAYS
        return AccountReported(
            source=ACCOUNT_SOURCE,
            sequence=self.sequence,
            ts_event=ts,
            interval_ns=self._terms.interval_ns,
            equity=max(told.equity, 0.0),
            nav=told.nav if told.nav > 0.0 else None,
            realized_pnl_today=told.realized_pnl_today,
            exposure=told.exposure,
            leverage=told.leverage,
            margin_ratio=trading.margin_ratio,
            positions=len(told.positions),
            unprotected=trading.unprotected,
            win_rate=told.win_rate,
            sharpe=told.sharpe,
            consecutive_losses=told.consecutive_losses,
            winning_days=told.winning_days if enough else None,
            losing_days=told.losing_days if enough else None,
            locked=told.locked,
            reserve=told.reserve,
            profit=trading.unsplit,
        )

    def _of_models(self, ts: int, traded: Sequence[Any], *, everyone: bool) -> list[ModelReported]:
        books = self._accounts.books
        changed = {m["model_name"] for m in traded if isinstance(m, Mapping)}
        return [self._of_model(name, ts) for name in sorted(books) if everyone or name in changed]

    def _of_model(self, name: str, ts: int) -> ModelReported:
        book, learned = self._accounts.books[name], self._learned_until.get(name)
        figures = book.figures()
        return ModelReported(
            source=SHADOW_SOURCE,
            sequence=self.sequence,
            ts_event=ts,
            model=name,
            sharpe=figures["sharpe_ratio"],
            win_rate=figures["win_rate"],
            days=book.days,
            trades=figures["trades"],
            staleness_days=None if learned is None else max(ts - learned, 0) / DAY_NS,
        )

    # what it does

    def _put_in_force(self, before: Policy, policy: Policy) -> list[Any]:
        said: list[Any] = list(self._accounts.trading.handle(policy))
        if dict(policy.weights) != dict(before.weights):
            assert self.service is not None  # noqa: S101 - its policy is put in force
            said += weigh(self._ensemble(), before, policy, self.service.holds.values())
        return said

    def followed(self) -> frozenset[str] | None:
        """Return the symbols that are worth a forecast: the universe and what is held; None for all."""
        if self.service is None or self.service.policy.symbols is None:
            return None
        return frozenset(self.service.policy.symbols) | self._accounts.trading.engaged

    def advice(self) -> dict[str, Any] | None:
        """Return the learned forecast and its scores; None where it is off."""
        return None if self._adviser is None else self._adviser.shown()

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "council": None if self.service is None else self.service.state(),
            "turnover": self._turnover.state(),
            "health": None if self.health is None else plain_health(self.health),
            "learned_until": dict(self._learned_until),
            "day": self._day,
            "sequence": self.sequence,
            "early": [asdict(command) for command in self._early],
            "adviser": None if self._adviser is None else self._adviser.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        if (state["council"] is None) != (self.service is None):
            raise ConsiliumError(
                "a snapshot must be of a service with the same council", "another", "replay from zero"
            )
        if self.service is not None:
            self.service.restore(state["council"])
        self._turnover.restore(state["turnover"])
        self.health = None if state["health"] is None else HealthReported(**state["health"])
        self._learned_until = {name: int(ts) for name, ts in state["learned_until"].items()}
        self._day, self.sequence = state["day"], int(state["sequence"])
        self._early = [CouncilCommanded(**command) for command in state.get("early", ())]
        if self._adviser is not None and state.get("adviser") is not None:
            self._adviser.restore(state["adviser"])


def _in_force_at_once(messages: Sequence[Any], said: Sequence[Any]) -> list[CouncilCommanded]:
    """Return the commands that placed a hold without another person."""
    ruled = any(isinstance(answer, Decision) and answer.officer == "operator" for answer in said)
    asked = [message for message in messages if isinstance(message, CouncilCommanded)]
    return [command for command in asked if command.action in PLACING] if ruled else []


def plain_health(health: HealthReported) -> dict[str, Any]:
    """Return a report of health as JSON values."""
    names = ("source", "sequence", "ts_event", "system_status", "ess_state", "detail", "received_at")
    return {name: getattr(health, name) for name in names} | {"faults": dict(health.faults)}
