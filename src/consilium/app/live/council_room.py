"""The council's room: what each step and each event tells it, and what its policy does to the other rooms.

It reads no clock and writes nothing; a replay that gives it the same steps and events leaves it as it was.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from consilium.app.live.account import Accounts
from consilium.app.live.close_reports import CloseReports
from consilium.app.live.hearing import SYSTEM_SOURCE, Hearing
from consilium.app.live.terms import Terms
from consilium.app.live.weighing import Configured, weigh
from consilium.app.settings import Settings
from consilium.council.service import CouncilService
from consilium.domain import (
    Candle,
    ConsiliumError,
    Event,
    HealthReported,
    Policy,
    PoolChanged,
)

__all__ = ["SYSTEM_SOURCE", "CouncilRoom", "followed"]


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
    without
        Rows of the council's table that do not count, where they are measured.
    """

    def __init__(
        self,
        settings: Settings,
        terms: Terms,
        accounts: Accounts,
        ensemble: Callable[[], Configured],
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.wall_clock = not terms.feed or terms.feed.startswith("exchange:")
        self._accounts = accounts
        self._ensemble = ensemble
        self._reports = CloseReports(accounts, terms.interval_ns)
        self._hearing = Hearing(settings, lambda: terms, without) if settings.council.enabled else None
        if self._hearing is not None:
            accounts.trading.set_policy(self._hearing.policy)

    @property
    def service(self) -> CouncilService | None:
        """The council; None where there is none."""
        return None if self._hearing is None else self._hearing.service

    @property
    def sequence(self) -> int:
        """Of the newest report of our own."""
        return 0 if self._hearing is None else self._hearing.sequence

    @property
    def health(self) -> HealthReported | None:
        """Our own, as it was told last."""
        return None if self._hearing is None else self._hearing.health

    # what it hears

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Count what was traded before the first step."""
        self._reports.warm_up(candles)

    def pool(self, change: PoolChanged) -> None:
        """Know how old the models are."""
        self._reports.pool(change)

    def close(self, ts: int, fresh: Sequence[Candle], traded: Sequence[Any]) -> list[Any]:
        """Tell of one close; return decisions, and what the policy did to orders.

        Parameters
        ----------
        ts, fresh, traded
            See `CloseReports.close`.
        """
        hearing = self._hearing
        if hearing is None:
            return []
        split, told = self._reports.close(ts, fresh, traded)
        said = self._carried_out(lambda: hearing.close(told))
        return [*([] if split is None else [split]), *said]

    def hear(self, messages: Sequence[Any]) -> list[Any]:
        """Let the council conclude from messages of one instant; carry out what it rules."""
        hearing = self._hearing
        return [] if hearing is None else self._carried_out(lambda: hearing.hear(messages))

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
        return None if self._hearing is None else self._hearing.report(event, ts)

    # what it does

    def _carried_out(self, rule: Callable[[], list[Any]]) -> list[Any]:
        service = self.service
        assert service is not None  # noqa: S101 - callers have looked
        before = service.policy
        said = rule()
        policy = service.policy
        if policy != before:
            said += self._accounts.trading.handle(policy)
            if dict(policy.weights) != dict(before.weights):
                said += weigh(self._ensemble(), before, policy, service.holds.values())
        return said

    def followed(self) -> frozenset[str] | None:
        """Return the symbols that are worth a forecast: the universe and what is held; None for all."""
        return None if self.service is None else followed(self.service.policy, self._accounts)

    def advice(self) -> dict[str, Any] | None:
        """Return the learned forecast and its scores; None where it is off."""
        return None if self._hearing is None else self._hearing.advice()

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        heard = {"council": None} if self._hearing is None else self._hearing.state()
        return {**self._reports.state(), **heard}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        if self._hearing is not None:
            self._hearing.restore(state)
        elif state["council"] is not None:
            raise ConsiliumError(
                "a snapshot must be of a service with the same council", "another", "replay from zero"
            )
        self._reports.restore(state)


def followed(policy: Policy, accounts: Accounts) -> frozenset[str] | None:
    """Return the symbols that are worth a forecast under a policy; None for all."""
    if policy.symbols is None:
        return None
    return frozenset(policy.symbols) | accounts.trading.engaged
