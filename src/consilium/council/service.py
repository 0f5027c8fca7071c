"""The council's service: hears reports, time and operators; tells decisions and the policy in force.

What it does next follows from its state and the message alone. Time comes with the messages; one that changes
nothing is forgotten, so a replay without it ends in the same state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from consilium.council.advice import Advice
from consilium.council.approvals import Approval
from consilium.council.briefing import unknown_parts
from consilium.council.chamber import Answer, Chamber
from consilium.council.commands import Operators
from consilium.council.explaining import explain
from consilium.council.facts import Facts
from consilium.council.identity import CODE_HASH
from consilium.council.missing import RULE as S1
from consilium.council.missing import begin, paused
from consilium.council.policy import BASE_POLICY
from consilium.council.role import Role
from consilium.council.roles import ROLES, make_role
from consilium.council.rules import CouncilRules
from consilium.council.sitting import Stamp, unresolved
from consilium.council.standing import Standing
from consilium.domain import (
    AccountReported,
    Briefing,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    HealthReported,
    Hold,
    InvalidValue,
    ModelReported,
    Policy,
    PolicyChanged,
    ReportRefused,
    TimePassed,
    VolumesReported,
)
from consilium.domain.digest import digest

Report = AccountReported | HealthReported | ModelReported | VolumesReported
Heard = Report | TimePassed | CouncilCommanded | Advice
STATE_VERSION = 3


class CouncilService:
    """Six officers, one policy.

    Parameters
    ----------
    rules
        What the desk chose.
    base
        The limits without any hold.
    roles
        Officers by name; None for those of the table.
    config_hash
        Of the settings, for every decision.
    started_at
        When the council begins to sit; UTC nanoseconds, 0 for the time of the first message.

    Examples
    --------
    >>> from consilium.domain import AccountReported, HealthReported
    >>> council = CouncilService(roles={})
    >>> said = council.handle(AccountReported(source="account:paper", sequence=1, ts_event=10**9,
    ...                                       equity=1e4, exposure=0.0, positions=0))
    >>> council.policy.mode, council.status()["unknown"]
    ('PAUSED', ['health'])
    >>> said = council.handle(HealthReported(source="system:own", sequence=1, ts_event=10**9,
    ...                                      system_status="HEALTHY"))
    >>> council.policy.mode, council.policy.profile, said[0].rule
    ('LIVE', 'MICRO', 'S1')
    """

    def __init__(
        self,
        *,
        rules: CouncilRules | None = None,
        base: Policy = BASE_POLICY,
        roles: Mapping[str, Role] | None = None,
        config_hash: str = "",
        started_at: int = 0,
    ) -> None:
        self.rules = CouncilRules() if rules is None else rules
        if base.symbols is None and self.rules.universe:
            base = replace(base, symbols=self.rules.universe)
        self._config_hash = config_hash
        members = {name: make_role(name) for name in ROLES} if roles is None else dict(roles)
        self._standing = Standing(base)
        self._facts = Facts(self.rules)
        self._operators = Operators(self.rules, self._standing, self._facts)
        self._chamber = Chamber(self.rules, members, self._standing, self._facts, self._operators)
        self._begun = False
        self._now = self._chamber.started_at = started_at
        self._changed = False
        if self.rules.start_profile != base.profile:
            self._standing.place(_start_hold(self.rules.start_profile, started_at), "")
        if S1 not in self.rules.disabled_rules:
            self._standing.place(paused("nothing is known yet", started_at), "")

    @property
    def changed(self) -> bool:
        """Whether the last message changed anything that is remembered."""
        return self._changed

    @property
    def policy(self) -> Policy:
        """What is in force now."""
        return self._standing.policy

    @property
    def holds(self) -> Mapping[str, Hold]:
        """Holds in force, by id."""
        return MappingProxyType(self._standing.holds)

    @property
    def approvals(self) -> Mapping[str, Approval]:
        """Loosenings that wait for a second person, by id."""
        return MappingProxyType(self._operators.approvals)

    @property
    def roles(self) -> dict[str, bool]:
        """Whether each officer is heard."""
        return {name: name not in self._operators.disabled for name in self._chamber.members}

    def is_silent(self, source: str, now: int) -> bool:
        """Whether a source has said nothing for 300 s, or five of its own intervals: that is worth a call.

        One that says no interval has that of the desk's own account.
        """
        return now - self._facts.last_heard(source) >= self._facts.silent_after(source)

    @property
    def sources(self) -> dict[str, int]:
        """When each source last spoke; UTC nanoseconds."""
        return self._facts.sources()

    @property
    def briefing(self) -> Briefing:
        """The newest briefing; of an empty desk before any message."""
        return self._chamber.newest or self._chamber.brief(self._now)

    def handle(self, message: Heard, cause_id: str = "") -> list[Answer]:
        """Take one message and evaluate it at once.

        Parameters
        ----------
        message
            A report, the time, or what an operator asks.
        cause_id
            Names the message in the decisions; empty for a name made of it.

        Returns
        -------
        list
            Decisions, conflicts, refusals, and last the policy if it changed.
        """
        return self.handle_all((message,), cause_id)

    def handle_all(self, messages: Sequence[Heard], cause_id: str = "") -> list[Answer]:
        """Take messages of one instant; as `handle` for one.

        Reports and time are judged once, together, after each command among them was carried out.
        """
        standing, before = self._standing, self._standing.policy
        standing.changed = self._changed = False
        heard, answers = self._hear(messages)
        if not heard:
            return answers
        at = max(self._now, *(_time_of(message) for message in heard))
        self._chamber.started_at = self._chamber.started_at or at
        cause = cause_id or _cause_of(heard[-1])
        stamp = Stamp(cause_id=cause, config_hash=self._config_hash, standing=standing)
        placed: list[str] = []
        answers += self._evaluate(heard, at, stamp, placed)
        conflicts = unresolved(answers)
        standing.counts["conflicts"] += len(conflicts)
        answers += conflicts
        if standing.policy != before:
            ids = [answer.decision_id for answer in answers if isinstance(answer, Decision)]
            named = tuple(dict.fromkeys([*ids, *placed])) or self._sharing()
            answers.append(PolicyChanged(policy=standing.policy, decisions=named, ts_event=at))
        if standing.changed:
            self._changed, self._now = True, at
        return answers

    def _hear(self, messages: Sequence[Heard]) -> tuple[list[Heard], list[Answer]]:
        """Take the reports that are not refused into the facts; return what was heard, and the refusals."""
        heard: list[Heard] = []
        refused: list[Answer] = []
        for message in messages:
            refusal = self._refusal(message)
            if refusal:
                refused.append(_refused(message, refusal, self._now))
                continue
            heard.append(message)
            if isinstance(message, Report):
                self._facts.hear(message)
                self._standing.changed = True
        return heard, refused

    def _evaluate(self, heard: Sequence[Heard], at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Let officers sit: before and after a command, after reports and time, before advice."""
        answers: list[Answer] = []
        self._standing.know(self._facts.model_names())
        if not self._begun:
            answers += begin(self._standing, self._chamber.brief(at), stamp)
            self._begun = self._standing.changed = True
        for message in heard:
            if isinstance(message, CouncilCommanded):
                answers += self._chamber.command(message, at, stamp, placed)
        answers += self._chamber.sit(at, stamp, placed)
        for message in heard:
            if isinstance(message, Advice):
                answers += self._chamber.advise(message, at, stamp, placed)
        return answers

    def _sharing(self) -> tuple[str, ...]:
        """Name the allocations in force: a model that is new takes its part of what they leave."""
        holds = self._standing.holds
        shares = [holds[name].decision_id for name in sorted(holds) if holds[name].key.startswith("alloc")]
        return tuple(dict.fromkeys(shares))

    def check(self, command: CouncilCommanded) -> None:
        """Refuse a command where `handle` would.

        Raises
        ------
        ConsiliumError
            What is wrong with it, and the cure; as of `Operators.check`.
        """
        self._operators.check(command, max(self._now, command.ts_event))

    def refusal(self, report: Report) -> str:
        """Say why `handle` would refuse a report; empty if it would not."""
        return self._facts.refusal(report)

    def _refusal(self, message: Heard) -> str:
        """Say why a message changes nothing; empty if it may."""
        if isinstance(message, TimePassed | Advice):
            return "the clock went back" if message.ts_event < self._now else ""
        if isinstance(message, CouncilCommanded):
            try:
                self.check(message)
            except ConsiliumError as error:
                return str(error)
            return ""
        return self._facts.refusal(message)

    @property
    def now(self) -> int:
        """Its time: that of the newest message that changed it."""
        return self._now

    def status(self) -> dict[str, Any]:
        """Return who is heard, what was counted and what is in force, as JSON values."""
        standing = self._standing
        return {
            "roles": self.roles,
            "total_decisions": standing.counts["decisions"],
            "last_update": self._now,
            "counts": dict(standing.counts),
            "mode": standing.policy.mode,
            "profile": standing.policy.profile,
            "system": self.briefing.system,
            "ess": self.briefing.ess,
            "unknown": list(unknown_parts(self.briefing)),
            "holds": len(standing.holds),
            "approvals": len(self._operators.approvals),
            "reviews": {what: list(who) for what, who in self._operators.reviews.persons().items()},
            "failing": dict(self._chamber.failing),
            "code_hash": CODE_HASH,
            "config_hash": self._config_hash,
        }

    def explain(self, decision_id: str) -> dict[str, Any]:
        """Tell why one of the newest decisions was made, what it holds and what would release it.

        Raises
        ------
        UnknownName
            No such decision among the newest; older ones are in the journal.
        """
        return explain(self._standing, decision_id)

    def state(self) -> dict[str, Any]:
        """Return all that the council remembers, as JSON values; settings are not part of it."""
        return {
            "version": STATE_VERSION,
            "now": self._now,
            "begun": self._begun,
            "facts": self._facts.state(),
            "standing": self._standing.state(),
            "operators": self._operators.state(),
            "chamber": self._chamber.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, in a council of the same settings.

        Raises
        ------
        InvalidValue
            A state of another version.
        """
        if state.get("version") != STATE_VERSION:
            raise InvalidValue(
                f"a council's state must be of version {STATE_VERSION}",
                repr(state.get("version")),
                "replay the journal",
            )
        self._now, self._begun = int(state["now"]), bool(state["begun"])
        self._facts.restore(state["facts"])
        self._standing.restore(state["standing"])
        self._standing.know(self._facts.model_names())
        self._operators.restore(state["operators"])
        self._chamber.restore(state["chamber"])
        self._changed = False

    def state_hash(self) -> str:
        """Return the hash of all that is remembered: equal journals lead to equal hashes."""
        return digest(self.state())


def _start_hold(profile: str, ts: int) -> Hold:
    """Return the hold that a fresh desk begins with; the CEO's own rules, or two persons, loosen it."""
    return Hold(owner="ceo", rule="P0", key="profile", value=profile, reason="a fresh start", ts_event=ts)


def _time_of(message: Heard) -> int:
    """Return the council's time that a message brings."""
    return getattr(message, "received_at", 0) or message.ts_event


def _cause_of(message: Heard) -> str:
    """Name a message where the journal did not."""
    if isinstance(message, CouncilCommanded):
        return message.command_id
    if isinstance(message, AccountReported | HealthReported | ModelReported):
        return f"{message.source}#{message.sequence}"
    if isinstance(message, Advice):
        return f"{message.source}#{message.ts_event}"
    return f"{'volumes' if isinstance(message, VolumesReported) else 'time'}#{message.ts_event}"


def _refused(message: Heard, reason: str, now: int) -> ReportRefused:
    """Return the refusal of a message, dated with the council's time."""
    if isinstance(message, CouncilCommanded):
        return ReportRefused(
            what=f"command {message.action}", source=message.person, reason=reason, ts_event=now
        )
    source = getattr(message, "source", "clock")
    return ReportRefused(what=type(message).__name__, source=source, reason=reason, ts_event=now)
