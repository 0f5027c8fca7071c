"""The room where officers sit: one briefing, all rulings, and what comes of them."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from consilium.council.advice import Advice, holds_of, lasts, tightening
from consilium.council.briefing import (
    account_figures,
    ess_level,
    faults_of,
    model_figures,
    snapshot_id_of,
    system_health,
    unknown_parts,
)
from consilium.council.commands import Operators
from consilium.council.expiry import tell_expired
from consilium.council.facts import Facts
from consilium.council.holds import REDUCE_ONLY_HOLD, is_freeze
from consilium.council.missing import RULE as S1
from consilium.council.missing import guard, tell
from consilium.council.role import Proposal, Role
from consilium.council.rules import CouncilRules
from consilium.council.sitting import Sitting, Stamp
from consilium.council.standing import Standing
from consilium.domain import (
    Briefing,
    ConflictResolved,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    PolicyChanged,
    ReportRefused,
)
from consilium.domain.digest import plain
from consilium.domain.governance import PRIORITIES

Answer = Decision | PolicyChanged | ConflictResolved | ReportRefused


class Chamber:
    """Officers, what they remember, and one evaluation after the other.

    Parameters
    ----------
    rules
        What the desk chose.
    members
        Officers by name.
    standing, facts, operators
        Shared with the council's service.
    """

    def __init__(
        self,
        rules: CouncilRules,
        members: Mapping[str, Role],
        standing: Standing,
        facts: Facts,
        operators: Operators,
    ) -> None:
        self._rules = rules
        self.members = dict(
            sorted(members.items(), key=lambda item: PRIORITIES.get(item[0], len(PRIORITIES)))
        )
        self._standing = standing
        self._facts = facts
        self._operators = operators
        self._memories: dict[str, Mapping[str, Any]] = {name: {} for name in self.members}
        self._overridden: dict[str, dict[str, Any]] = {}
        self.failing: dict[str, str] = {}
        self._ess = ""
        self.started_at = 0
        self.newest: Briefing | None = None

    def command(self, command: CouncilCommanded, at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Carry out a command, after all that time alone has brought until now."""
        answers = self.sit(at, stamp, placed)
        briefing = self.brief(at)
        try:
            motions = self._operators.carry_out(command, briefing, stamp)
        except ConsiliumError:
            motions = []  # what it names ended by time, at this very instant
        loosening = command.action == "approve"
        sitting = Sitting(self._rules, self._standing, self._overridden, briefing, stamp)
        sitting.enact(motions, self.members.get("supervisor") if loosening else None)
        placed += sitting.placed_by
        self._settle_reviews(sitting.told, ())
        return [*answers, *sitting.told]

    def advise(self, advice: Advice, at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Place what follows from advice, in the name of the officers that it speaks to."""
        briefing = self.brief(at)
        proposals = [
            (self.members[hold.owner], tightening(hold, briefing, self._operators.symbols()))
            for hold in holds_of(advice, briefing.base)
            if hold.owner in self.members and hold.owner not in self._operators.disabled
            if hold.rule not in self._rules.disabled_rules
            if not lasts(briefing.holds.get(hold.hold_id), hold)
        ]
        if not proposals:
            return []
        sitting = Sitting(self._rules, self._standing, self._overridden, briefing, stamp)
        sitting.resolve(proposals, None, fresh=True)
        placed += sitting.placed_by
        return list(sitting.told)

    def brief(self, at: int) -> Briefing:
        """Return the facts at an instant; nothing changes."""
        facts, standing = self._facts, self._standing
        frozen = any(is_freeze(hold) for hold in standing.holds.values())
        portfolio = account_figures(facts, at, self.started_at, frozen=frozen)
        system = system_health(facts)
        ess = ess_level(facts, portfolio.ess_loss, standing.policy, self._ess)
        performance = model_figures(facts)
        faults = faults_of(facts)
        reviews = self._operators.reviews.persons()
        holds = {name: standing.holds[name] for name in sorted(standing.holds)}
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
            started_at=self.started_at,
            floor_usd=self._rules.floor_usd,
            disabled_rules=self._rules.disabled_rules,
            fresh_since=facts.fresh_since,
            accounts=len(facts.accounts),
            lost_after_ns=facts.bounds_of()[1],
        )

    def sit(self, at: int, stamp: Stamp, placed: list[str]) -> list[Answer]:
        """Let time pass, and let all officers conclude from one briefing."""
        standing, before = self._standing, set(self._standing.holds)
        self._operators.expire(at)
        over = standing.expire(at, self._operators.disabled)  # who is not heard cannot renew them
        briefing = self.brief(at)
        unknown = self._unknown(briefing)
        why = guard(standing, unknown, at)
        if why:
            briefing = self.brief(at)
        self.newest = briefing
        if briefing.ess != self._ess:
            self._ess, standing.changed = briefing.ess, True
        proposals, answers = self._conclude(briefing)
        if self._unknown(briefing) != unknown:  # an officer failed, or speaks again
            unknown = self._unknown(briefing)
            why = guard(standing, unknown, at) or why
        sitting = Sitting(self._rules, standing, self._overridden, briefing, stamp)
        sitting.resolve(proposals, self.members.get("supervisor"), fresh=not unknown)
        placed += sitting.placed_by
        answers += sitting.told
        answers += tell_expired(standing, briefing, over, self._operators.symbols(), stamp)
        if why:
            answers.append(tell(standing, briefing, why, stamp))
        self._settle_reviews(sitting.told, before - set(standing.holds))
        return answers

    def _unknown(self, briefing: Briefing) -> tuple[str, ...]:
        """Name what is required and unknown: facts, and officers that fail (S1)."""
        if S1 in self._rules.disabled_rules:
            return ()
        return (*unknown_parts(briefing), *(f"officer {name}" for name in self.failing))

    def _conclude(self, briefing: Briefing) -> tuple[list[tuple[Role, Proposal]], list[Answer]]:
        """Ask every officer that is heard; one that fails leaves the others standing."""
        proposals: list[tuple[Role, Proposal]] = []
        told: list[Answer] = []
        for name, role in self.members.items():
            if name in self._operators.disabled:
                if self.failing.pop(name, None) is not None:
                    self._standing.changed = True
                continue
            memory = self._memories[name]
            try:
                ruling = role.evaluate(briefing, memory)
            except Exception as error:  # noqa: BLE001  # a broken officer must not silence the others
                reason = f"{type(error).__name__}: {error}"
                if self.failing.get(name) != reason:
                    self.failing[name], self._standing.changed = reason, True
                    told.append(
                        ReportRefused(what="officer", source=name, reason=reason, ts_event=briefing.ts_event)
                    )
                continue
            if self.failing.pop(name, None) is not None:
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

    def state(self) -> dict[str, Any]:
        """Return what officers remember, as JSON values."""
        return {
            "started_at": self.started_at,
            "ess": self._ess,
            "memories": {name: plain(memory) for name, memory in self._memories.items()},
            "overridden": {name: plain(self._overridden[name]) for name in sorted(self._overridden)},
            "failing": dict(sorted(self.failing.items())),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self.started_at, self._ess = int(state["started_at"]), str(state["ess"])
        self._memories = {name: dict(state["memories"].get(name, {})) for name in self.members}
        self._overridden = {name: dict(said) for name, said in state["overridden"].items()}
        self.failing = dict(state["failing"])
        self.newest = None
