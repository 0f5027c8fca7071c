"""The council's service: hears reports, time and operators; tells decisions and the policy in force.

What it does next follows from its state and the message alone. Time comes with the messages; one that changes
nothing is forgotten, so a replay without it ends in the same state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from consilium.council.approvals import Approval
from consilium.council.briefing import (
    account_figures,
    ess_level,
    faults_of,
    model_figures,
    snapshot_id_of,
    system_health,
    unknown_parts,
)
from consilium.council.commands import REDUCE_ONLY_HOLD, Operators
from consilium.council.expiry import tell_expired
from consilium.council.explaining import explain
from consilium.council.facts import Facts
from consilium.council.holds import is_freeze
from consilium.council.identity import CODE_HASH
from consilium.council.missing import RULE as S1
from consilium.council.missing import begin, guard, paused, tell
from consilium.council.policy import BASE_POLICY
from consilium.council.role import Proposal, Role
from consilium.council.roles import ROLES, make_role
from consilium.council.rules import CouncilRules
from consilium.council.sitting import Sitting, Stamp, unresolved
from consilium.council.standing import Standing
from consilium.domain import (
    AccountReported,
    Briefing,
    ConflictResolved,
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
from consilium.domain.digest import digest, plain
from consilium.domain.governance import PRIORITIES
from consilium.domain.time import DAY_NS, MINUTE_NS, SECOND_NS

Heard = AccountReported | HealthReported | ModelReported | VolumesReported | TimePassed | CouncilCommanded
STATE_VERSION = 1
Answer = Decision | PolicyChanged | ConflictResolved | ReportRefused


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
        self._members = dict(sorted(members.items(), key=lambda item: PRIORITIES.get(item[0], 99)))
        self._standing = Standing(base)
        self._facts = Facts(self.rules)
        self._operators = Operators(self.rules, self._standing, self._facts)
        self._memories: dict[str, Mapping[str, Any]] = {name: {} for name in self._members}
        self._overridden: dict[str, dict[str, Any]] = {}
        self._failing: dict[str, str] = {}
        self._ess = ""
        self._begun = False
        self._now = self._started_at = started_at
        self._changed = False
        self._briefing: Briefing | None = None
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
        return {name: name not in self._operators.disabled for name in self._members}

    @property
    def sources(self) -> dict[str, int]:
        """When each source last spoke; UTC nanoseconds."""
        return self._facts.sources()

    @property
    def briefing(self) -> Briefing:
        """The newest briefing; of an empty desk before any message."""
        return self._brief(self._now) if self._briefing is None else self._briefing

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
        """Take messages of one instant and evaluate once; as `handle` for one. A command comes alone."""
        standing = self._standing
        standing.changed = self._changed = False
        answers: list[Answer] = []
        heard: list[Heard] = []
        before = standing.policy
        for message in messages:
            refusal = self._refusal(message)
            if refusal:
                answers.append(_refused(message, refusal, self._now))
                continue
            heard.append(message)
            if not isinstance(message, TimePassed | CouncilCommanded):
                self._facts.hear(message)
                standing.changed = True
        if not heard:
            return answers
        at = max(self._now, *(_time_of(message) for message in heard))
        self._started_at = self._started_at or at
        stamp = Stamp(
            cause_id=cause_id or _cause_of(heard[-1]), config_hash=self._config_hash, standing=standing
        )
        placed: list[str] = []
        standing.know(self._facts.model_names())
        if not self._begun:
            answers += begin(standing, self._brief(at), stamp)
            self._begun = standing.changed = True
        for message in heard:
            if isinstance(message, CouncilCommanded):
                answers += self._command(message, at, stamp, placed)
        answers += self._sit(at, stamp, placed)
        conflicts = unresolved(answers)
        standing.counts["conflicts"] += len(conflicts)
        answers += conflicts
        if standing.policy != before:
            ids = [answer.decision_id for answer in answers if isinstance(answer, Decision)]
            named = tuple(dict.fromkeys([*ids, *placed]))
            answers.append(PolicyChanged(policy=standing.policy, decisions=named, ts_event=at))
        if standing.changed:
            self._changed, self._now = True, at
        return answers

    def check(self, command: CouncilCommanded) -> None:
        """Refuse a command where `handle` would.

        Raises
        ------
        ConsiliumError
            What is wrong with it, and the cure; as of `Operators.check`.
        """
        self._operators.check(command, max(self._now, command.ts_event))

    def _refusal(self, message: Heard) -> str:
        """Say why a message changes nothing; empty if it may."""
        if isinstance(message, TimePassed):
            return "the clock went back" if message.ts_event < self._now else ""
        if isinstance(message, CouncilCommanded):
            try:
                self.check(message)
            except ConsiliumError as error:
                return str(error)
            return ""
        return self._facts.refusal(message)

    def _command(self, command: CouncilCommanded, at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Carry out a command, after all that time alone has brought until now."""
        answers = self._sit(at, stamp, placed)
        briefing = self._brief(at)
        motions = self._operators.carry_out(command, briefing, stamp)
        loosening = command.action == "approve"
        sitting = Sitting(self.rules, self._standing, self._overridden, briefing, stamp)
        sitting.enact(motions, self._members.get("supervisor") if loosening else None)
        placed += sitting.placed_by
        self._settle_reviews(sitting.told, ())
        return [*answers, *sitting.told]

    def _brief(self, at: int) -> Briefing:
        """Return the facts at an instant; nothing changes."""
        facts, standing = self._facts, self._standing
        portfolio = account_figures(facts, at, self._started_at)
        system = system_health(facts)
        ess = ess_level(facts, portfolio.ess_loss, standing.policy, self._ess)
        performance = model_figures(facts)
        faults = faults_of(facts)
        reviews = self._operators.reviews.persons()
        holds = dict(standing.holds)
        rest = (faults, reviews, facts.volumes)
        return Briefing(
            snapshot_id=snapshot_id_of(portfolio, system, ess, performance, standing.policy, holds, rest),
            ts_event=at,
            portfolio=portfolio,
            system=system,
            ess=ess,
            performance=MappingProxyType(performance),
            policy=standing.policy,
            base=standing.base,
            holds=MappingProxyType(holds),
            faults=MappingProxyType(faults),
            reviews=MappingProxyType(reviews),
            volumes=MappingProxyType(facts.volumes),
            started_at=self._started_at,
            floor_usd=self.rules.floor_usd,
            disabled_rules=self.rules.disabled_rules,
        )

    def _sit(self, at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Let time pass, and let all officers conclude from one briefing."""
        standing, before = self._standing, set(self._standing.holds)
        over = standing.expire(at)
        self._operators.expire(at)
        briefing = self._brief(at)
        unknown = self._unknown(briefing)
        why = guard(standing, unknown, at)
        if why:
            briefing = self._brief(at)
        self._briefing = briefing
        if briefing.ess != self._ess:
            self._ess, standing.changed = briefing.ess, True
        proposals, answers = self._conclude(briefing)
        if answers:
            unknown = self._unknown(briefing)
            why = guard(standing, unknown, at) or why
        sitting = Sitting(self.rules, standing, self._overridden, briefing, stamp)
        sitting.resolve(proposals, self._members.get("supervisor"), fresh=not unknown)
        placed += sitting.placed_by
        answers += sitting.told
        answers += tell_expired(standing, briefing, over, self._operators.symbols(), stamp)
        if why:
            answers.append(tell(standing, briefing, why, stamp))
        self._settle_reviews(sitting.told, before - set(standing.holds))
        return answers

    def _unknown(self, briefing: Briefing) -> tuple[str, ...]:
        """Name what is required and unknown: facts, and officers that fail (S1)."""
        if S1 in self.rules.disabled_rules:
            return ()
        return (*unknown_parts(briefing), *(f"officer {name}" for name in self._failing))

    def _conclude(self, briefing: Briefing) -> tuple[list[tuple[Role, Proposal]], list[Answer]]:
        """Ask every officer that is heard; one that fails leaves the others standing."""
        proposals: list[tuple[Role, Proposal]] = []
        told: list[Answer] = []
        for name, role in self._members.items():
            if name in self._operators.disabled:
                continue
            memory = self._memories[name]
            try:
                ruling = role.evaluate(briefing, memory)
            except Exception as error:  # noqa: BLE001  # a broken officer must not silence the others
                reason = f"{type(error).__name__}: {error}"
                if self._failing.get(name) != reason:
                    self._failing[name], self._standing.changed = reason, True
                    told.append(
                        ReportRefused(what="officer", source=name, reason=reason, ts_event=briefing.ts_event)
                    )
                continue
            if self._failing.pop(name, None) is not None:
                self._standing.changed = True
            if ruling.memory != memory:
                self._memories[name], self._standing.changed = ruling.memory, True
            proposals += [(role, proposal) for proposal in ruling.proposals]
        return proposals, told

    def _settle_reviews(self, told: Sequence[object], gone: Iterable[str]) -> None:
        """Forget reviews that a new freeze makes idle, or that have served."""
        reviews, holds = self._operators.reviews, self._standing.holds
        if any(isinstance(answer, Decision) and answer.kind == "FREEZE" for answer in told):
            self._standing.changed |= reviews.clear("freeze", "rebase")
        if reviews.given.get("freeze") and not any(is_freeze(hold) for hold in holds.values()):
            self._standing.changed |= reviews.clear("freeze")
        if REDUCE_ONLY_HOLD in gone:
            self._standing.changed |= reviews.clear("reduce_only")

    @property
    def due_at(self) -> int | None:
        """When the clock alone may change something next: at the latest a minute after the last change.

        None before the first message.
        """
        if not self._started_at:
            return None
        operators = self._operators
        heard = self._facts.oldest(self._started_at)
        times = [
            self._now + MINUTE_NS,
            *(hold.expires_at for hold in self._standing.holds.values() if hold.expires_at is not None),
            *(approval.expires_at for approval in operators.approvals.values()),
            *operators.disabled.values(),
            *(heard + int(bound * SECOND_NS) + 1 for bound in self._facts.bounds_s()),
            (self._now // DAY_NS + 1) * DAY_NS,
        ]
        return min(ts for ts in times if ts > self._now)

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
            "failing": dict(self._failing),
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
            "started_at": self._started_at,
            "ess": self._ess,
            "begun": self._begun,
            "facts": self._facts.state(),
            "standing": self._standing.state(),
            "operators": self._operators.state(),
            "memories": {name: plain(memory) for name, memory in self._memories.items()},
            "overridden": {name: plain(self._overridden[name]) for name in sorted(self._overridden)},
            "failing": dict(sorted(self._failing.items())),
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
        self._now, self._started_at = int(state["now"]), int(state["started_at"])
        self._ess, self._begun = str(state["ess"]), bool(state["begun"])
        self._facts.restore(state["facts"])
        self._standing.restore(state["standing"])
        self._standing.know(self._facts.model_names())
        self._operators.restore(state["operators"])
        self._memories = {name: dict(state["memories"].get(name, {})) for name in self._members}
        self._overridden = {name: dict(said) for name, said in state["overridden"].items()}
        self._failing = dict(state["failing"])
        self._briefing, self._changed = None, False

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
    return f"{'volumes' if isinstance(message, VolumesReported) else 'time'}#{message.ts_event}"


def _refused(message: Heard, reason: str, now: int) -> ReportRefused:
    """Return the refusal of a message, dated with the council's time."""
    if isinstance(message, CouncilCommanded):
        return ReportRefused(
            what=f"command {message.action}", source=message.person, reason=reason, ts_event=now
        )
    source = getattr(message, "source", "clock")
    return ReportRefused(what=type(message).__name__, source=source, reason=reason, ts_event=now)
