"""What the council hears, close by close and between two of them; it reads no clock and writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from consilium.app.council.forecasting import Adviser
from consilium.app.council.making import make_council
from consilium.app.council.translate import report_of
from consilium.app.live.close_reports import CloseTold
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.council.identity import command_id_of
from consilium.domain import (
    ConsiliumError,
    CouncilCommanded,
    DataProblem,
    Decision,
    Event,
    HealthReported,
    Policy,
)

SYSTEM_SOURCE = "system"
PLACING = frozenset(("mode", "risk", "profile", "universe", "allocation"))
"""What an operator may ask for that lasts for a time."""


class Hearing:
    """Tells a council what happens; the same steps and events leave it as it was.

    Parameters
    ----------
    settings
        Of the process; ``council.enabled`` must be true.
    terms
        Returns what is followed; None where that is not known yet.
    without
        Rows of the table that do not count, where they are measured.
    """

    def __init__(
        self,
        settings: Settings,
        terms: Callable[[], Terms | None],
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.service = make_council(settings, without)
        self.sequence = 0
        """Of the newest report of our own."""
        self.health: HealthReported | None = None
        """Our own, as it was told last."""
        self._terms_of = terms
        self._known: Terms | None = None
        self._advises = settings.council.advice
        self._adviser: Adviser | None = None
        self._early: list[CouncilCommanded] = []
        self._begun = False

    @property
    def terms(self) -> Terms | None:
        """What is followed, once it is known."""
        if self._known is None:
            self._known = self._terms_of()
        return self._known

    @property
    def wall_clock(self) -> bool:
        """Whether the council's clock is the machine's: the feed is a venue's, or there is none.

        Raises
        ------
        DataProblem
            What is followed is not known yet.
        """
        terms = self.terms
        if terms is None:
            raise DataProblem("the market worker must have begun", "nothing is followed", "start it")
        return not terms.feed or terms.feed.startswith("exchange:")

    @property
    def policy(self) -> Policy:
        """What is in force."""
        return self.service.policy

    def close(self, told: CloseTold) -> list[Any]:
        """Let it hear of one close; return what it rules."""
        self.sequence += 1
        ts, self._begun = told.ts_event, True
        reports: list[Any] = self._dated(ts)
        if told.volumes is not None:
            reports.append(told.volumes)
        reports += [replace(model, sequence=self.sequence) for model in told.models]
        if self.health is not None and not self.wall_clock:
            # a market's time goes faster than anybody looks; on the machine's clock what is told grows old
            self.health = replace(self.health, sequence=self.sequence, ts_event=ts)
            reports.append(self.health)
        reports.append(replace(told.account, sequence=self.sequence))
        adviser = self._advising()
        if adviser is not None:
            reports.append(
                adviser.forecaster.update(
                    ts,
                    nav=told.nav,
                    drawdown=told.drawdown,
                    exposure=told.account.exposure or 0.0,
                    market=told.market,
                )
            )
        return self.hear(reports)

    def hear(self, messages: Sequence[Any]) -> list[Any]:
        """Let it conclude from messages of one instant."""
        for message in messages:
            if isinstance(message, HealthReported) and message.source == SYSTEM_SOURCE:
                self.health = message
                self.sequence = max(self.sequence, message.sequence)
                if self._is_early and len(messages) == 1:
                    return []  # a market's time has not begun: it is told with the first close
        said: list[Any] = list(self.service.handle_all(messages))
        if self._is_early:
            self._early += _in_force_at_once(messages, said)
        return said

    @property
    def _is_early(self) -> bool:
        """Whether a market's time has not begun: what is asked for then has no date."""
        return not self._begun and not self.wall_clock

    def _dated(self, ts: int) -> list[CouncilCommanded]:
        """Return what was asked for before the first close, dated with it: its time begins there."""
        standing = {hold.decision_id for hold in self.service.holds.values()}
        early, self._early = self._early, []
        return [
            replace(command, command_id=command_id_of("dated", command.command_id), ts_event=ts)
            for command in early
            if command_id_of("decision", command.command_id) in standing
        ]

    def report(self, event: Event, ts: int, received_at: int | None = None) -> Any:
        """Return what an outside event tells the council; None where it tells it nothing.

        Parameters
        ----------
        event
            Of a stream ``outside:NAME``.
        ts
            The newest close.
        received_at
            When it was heard, where the clock of who wrote it down may be another; None for his word.
        """
        now = event.ts_recorded if self.wall_clock else max(ts, 0)
        if received_at is not None:
            now = min(now, received_at)
        return report_of(event, now, wall_clock=self.wall_clock)

    def advice(self) -> dict[str, Any] | None:
        """Return the learned forecast and its scores; None where it is off."""
        adviser = self._advising()
        return None if adviser is None else adviser.shown()

    def _advising(self) -> Adviser | None:
        terms = self.terms
        if self._adviser is None and self._advises and terms is not None and terms.interval_ns > 0:
            self._adviser = Adviser(terms.interval_ns)
        return self._adviser

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "council": self.service.state(),
            "health": None if self.health is None else plain_health(self.health),
            "sequence": self.sequence,
            "begun": self._begun,
            "early": [asdict(command) for command in self._early],
            "adviser": None if self._adviser is None else self._adviser.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned.

        Raises
        ------
        ConsiliumError
            It is of another version, or of a service without a council.
        """
        if state["council"] is None:
            raise ConsiliumError(
                "a snapshot must be of a service with the same council", "another", "replay from zero"
            )
        self.service.restore(state["council"])
        self.health = None if state["health"] is None else HealthReported(**state["health"])
        self.sequence, self._begun = int(state["sequence"]), bool(state["begun"])
        self._early = [CouncilCommanded(**command) for command in state["early"]]
        self._adviser = None
        adviser = self._advising()
        if adviser is not None and state["adviser"] is not None:
            adviser.restore(state["adviser"])


def _in_force_at_once(messages: Sequence[Any], said: Sequence[Any]) -> list[CouncilCommanded]:
    """Return the commands that placed a hold without another person."""
    ruled = any(isinstance(answer, Decision) and answer.officer == "operator" for answer in said)
    asked = [message for message in messages if isinstance(message, CouncilCommanded)]
    return [command for command in asked if command.action in PLACING] if ruled else []


def plain_health(health: HealthReported) -> dict[str, Any]:
    """Return a report of health as JSON values."""
    names = ("source", "sequence", "ts_event", "system_status", "ess_state", "detail", "received_at")
    return {name: getattr(health, name) for name in names} | {"faults": dict(health.faults)}
