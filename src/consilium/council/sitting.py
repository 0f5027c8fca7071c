"""One sitting: officers' proposals become decisions, and decisions become holds.

Of two decisions of one kind that differ the higher authority's is published; what the other would tighten
stands too, what it would loosen does not. While required facts are unknown nothing is loosened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consilium.council.holds import check_hold, is_grant, tighter, widens
from consilium.council.identity import CODE_HASH, decision_id
from consilium.council.payloads import WIRE_MODES, kind_of, payload_of
from consilium.council.role import Proposal, Role
from consilium.council.rules import CouncilRules
from consilium.council.standing import Standing, decision_key, endless, same_hold
from consilium.domain import (
    Briefing,
    ConflictResolved,
    Decision,
    DecisionKind,
    Hold,
    InvalidValue,
    Missing,
    Policy,
    ReportRefused,
)
from consilium.domain.digest import plain
from consilium.domain.governance import PRIORITIES

Told = Decision | ConflictResolved | ReportRefused
ALWAYS_TOLD = frozenset((DecisionKind.RESEARCH_TASK.value, DecisionKind.FREEZE.value))
"""Kinds of which each proposal counts: an officer makes them on an edge only."""
BESIDE = frozenset(("duration_minutes", "expired", "hold_ids"))
"""Keys of payloads that two decisions may differ in without a conflict."""
LIVE_AGAIN = "M4"
"""A row that is proposed on an edge only and always says the same."""
BOUNDING = frozenset(
    kind.value
    for kind in (
        DecisionKind.MODE_CHANGE,
        DecisionKind.CAPITAL_PROFILE,
        DecisionKind.RISK_ADJUSTMENT,
        DecisionKind.ESS_POLICY,
    )
)
"""Kinds whose payload says how much is allowed."""
WIRE_RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(dict.fromkeys(WIRE_MODES.values()))}
"""Modes on the wire, from the loosest to the tightest."""
ONE_OFFICERS = frozenset((DecisionKind.OVERRIDE.value, DecisionKind.FREEZE.value))
"""Kinds of which several at once are no conflict."""
BESIDE_THEIR_KINDS: Mapping[str, frozenset[str]] = {
    "cro": frozenset((DecisionKind.MODE_CHANGE.value, DecisionKind.CAPITAL_PROFILE.value))
}
"""Kinds of what an officer may hold and never decides on: reduce-only, and MICRO after it (R2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What every decision of a sitting carries."""

    cause_id: str
    config_hash: str
    standing: Standing

    @property
    def serial(self) -> int:
        """How many decisions there were before."""
        return self.standing.counts["decisions"]


@dataclass(slots=True, kw_only=True)
class Motion:
    """A decision to be, and the holds that it places and ends."""

    decision: Decision
    place: tuple[Hold, ...] = ()
    release: tuple[str, ...] = ()


def figures_of(briefing: Briefing) -> dict[str, Any]:
    """Return the known figures of a briefing as JSON values, to explain a decision by."""
    portfolio = briefing.portfolio
    known = {
        name: value.value if isinstance(value, Missing) else value
        for name in portfolio.__dataclass_fields__
        if (value := getattr(portfolio, name)) is not Missing.INSUFFICIENT
    }
    return known | {"system": briefing.system, "ess": briefing.ess}


def decide(briefing: Briefing, officer: str, proposal: Proposal, stamp: Stamp) -> Decision:
    """Return the decision that a proposal asks for; its id follows from what it says."""
    kind, rule, payload = proposal.kind, proposal.rule, proposal.payload
    return Decision(
        decision_id=decision_id(
            briefing.snapshot_id, officer, kind, rule, payload, briefing.ts_event, stamp.serial
        ),
        ts_event=briefing.ts_event,
        officer=officer,
        kind=kind,
        payload=payload,
        reason=proposal.reason,
        expires_at=proposal.expires_at,
        overrides=proposal.overrides,
        snapshot_id=briefing.snapshot_id,
        rule=rule,
        cause_id=stamp.cause_id,
        code_hash=CODE_HASH,
        config_hash=stamp.config_hash,
    )


class Sitting:
    """What comes of all proposals on one briefing.

    Parameters
    ----------
    standing
        Changed by what is decided.
    overridden
        What was overridden last, by officer, kind and rule; changed too, so that an override is told once.
    """

    def __init__(
        self,
        rules: CouncilRules,
        standing: Standing,
        overridden: dict[str, dict[str, Any]],
        briefing: Briefing,
        stamp: Stamp,
    ) -> None:
        self._rules = rules
        self._standing = standing
        self._overridden = overridden
        self._briefing = briefing
        self._stamp = stamp
        self.told: list[Told] = []
        self.placed_by: list[str] = []
        """Ids of all decisions that changed a hold."""

    def resolve(
        self,
        proposals: Iterable[tuple[Role, Proposal]],
        supervisor: Role | None,
        *,
        fresh: bool,
    ) -> None:
        """Turn proposals, in order of authority, into decisions and holds."""
        motions = [motion for role, proposal in proposals if (motion := self._motion(role, proposal))]
        if not fresh:
            motions = [kept for motion in motions if (kept := self._tightening(motion))]
        self.enact(self._conflicts(motions), supervisor)

    def enact(self, motions: Sequence[Motion], supervisor: Role | None) -> None:
        """Carry out what the supervisor lets stand."""
        kept = self._reviewed(motions, supervisor)
        for motion in kept:
            self._change(motion)
        for motion in kept:
            self._tell(motion)

    def _motion(self, role: Role, proposal: Proposal) -> Motion | None:
        """Return what a proposal would change; None where it is nothing, or not its officer's to say."""
        try:
            self._check(role, proposal)
            decision = decide(self._briefing, role.name, proposal, self._stamp)
        except InvalidValue as error:
            self._refuse(role.name, proposal, str(error))
            return None
        place = tuple(
            hold for hold in (replace(h, decision_id="") for h in proposal.holds) if self._differs(hold)
        )
        release = tuple(name for name in proposal.releases if name in self._standing.holds)
        told = (
            proposal.kind in ALWAYS_TOLD or proposal.rule == LIVE_AGAIN or self._standing.says_anew(decision)
        )
        if not (place or release or told):
            return None
        return Motion(decision=decision, place=place, release=release)

    def _differs(self, hold: Hold) -> bool:
        before = self._standing.holds.get(hold.hold_id)
        return before is None or not same_hold(before, endless(hold))

    def _check(self, role: Role, proposal: Proposal) -> None:
        """Refuse what is not its officer's: a foreign kind, another's hold, a release of a higher rank's."""
        if proposal.kind not in role.kinds or proposal.kind == DecisionKind.OVERRIDE.value:
            raise InvalidValue(f"{role.name} may not decide on this kind", proposal.kind, "leave it")
        for hold in proposal.holds:
            check_hold(hold)
            if hold.owner != role.name:
                raise InvalidValue(f"{role.name} may place its own holds only", hold.hold_id, "leave it")
            if kind_of(hold.key) not in role.kinds | BESIDE_THEIR_KINDS.get(role.name, frozenset()):
                raise InvalidValue(f"{role.name} may not hold this key", hold.key, "leave it")
        for name in proposal.releases:
            hold_of = self._standing.holds.get(name)
            if hold_of is not None and not may_release(role.name, hold_of):
                raise InvalidValue(f"{role.name} may not release it", name, "its owner or a higher rank may")

    def _refuse(self, officer: str, proposal: Proposal, reason: str) -> None:
        self.told.append(
            ReportRefused(
                what=f"proposal {proposal.rule}",
                source=officer,
                reason=reason,
                ts_event=self._briefing.ts_event,
            )
        )

    def _tightening(self, motion: Motion) -> Motion | None:
        """Return of a motion what tightens only; a decision that changes no hold as it is."""
        place = tuple(hold for hold in motion.place if self._only_tightens(hold))
        release = tuple(name for name in motion.release if widens(self._standing.holds[name]))
        if len(release) == len(motion.release) and len(place) == len(motion.place):
            return motion
        return replace(motion, place=place, release=release) if place or release else None

    def _only_tightens(self, hold: Hold) -> bool:
        """Whether a hold takes nothing back of what stands, neither at once nor by ending sooner."""
        if is_grant(hold):
            return hold.key == "split" or hold.key.startswith("allocation:")
        before = self._standing.holds.get(hold.hold_id)
        if before is None:
            return True
        sooner = hold.expires_at is not None and (
            before.expires_at is None or hold.expires_at < before.expires_at
        )
        return not sooner and tighter(hold.key, hold.value, before.value) == tighter(
            hold.key, hold.value, hold.value
        )

    def _conflicts(self, motions: Sequence[Motion]) -> list[Motion]:
        """Let the higher authority win of two on one kind; of the other only what tightens goes on."""
        winners: dict[str, Motion] = {}
        kept: list[Motion] = []
        for motion in sorted(motions, key=lambda motion: motion.decision.priority):
            decision = motion.decision
            winner = winners.setdefault(decision.kind, motion)
            if decision.kind in ONE_OFFICERS or not differ(winner.decision, decision):
                kept.append(motion)
                continue
            self.told.append(conflict(winner.decision, decision))
            self._standing.counts["conflicts"] += 1
            self._standing.changed = True
            lesser = self._tightening(motion)
            if lesser is not None:
                self._change(lesser)
        return kept

    def _reviewed(self, motions: Sequence[Motion], supervisor: Role | None) -> list[Motion]:
        """Let the supervisor override what must not stand (V1)."""
        if supervisor is None or not motions or "V1" in self._rules.disabled_rules:
            return list(motions)
        reviews = supervisor.review(self._briefing, [motion.decision for motion in motions])
        by_id = {proposal.overrides: proposal for proposal in reviews}
        kept = []
        for motion in motions:
            override = by_id.get(motion.decision.decision_id)
            key = decision_key(motion.decision)
            if override is None or motion.decision.officer == supervisor.name:
                if self._overridden.pop(key, None) is not None:
                    self._standing.changed = True
                kept.append(motion)
                continue
            self.override(motion.decision, override, supervisor.name)
        return kept

    def override(self, decision: Decision, proposal: Proposal, officer: str) -> None:
        """Tell a decision and that it is cancelled, unless it was told so already."""
        key, said = decision_key(decision), {"payload": plain(decision.payload)}
        if self._overridden.get(key) == said:
            return
        self._overridden[key] = said
        cancelled = decide(self._briefing, officer, proposal, self._stamp)
        figures = figures_of(self._briefing)
        self._standing.publish(decision, figures)
        self._standing.said.pop(key, None)  # it is not in force: the same one may be told again
        self._standing.publish(cancelled, figures)
        self._standing.said.pop(decision_key(cancelled), None)
        self.told += [decision, cancelled]

    def _tell(self, motion: Motion) -> None:
        """Tell a decision; where others tightened more at this very instant, what is in force after all."""
        wanted = motion.decision
        decision = in_force(wanted, self._standing.policy)
        if wanted.rule == LIVE_AGAIN and decision is not wanted and not (motion.place or motion.release):
            return  # it would only have told that trading is LIVE
        self._standing.publish(decision, figures_of(self._briefing), wanted)
        self.told.append(decision)

    def _change(self, motion: Motion) -> None:
        """End and place the holds of a motion."""
        for name in motion.release:
            self._standing.release(name)
        placed = [self._standing.place(hold, motion.decision.decision_id) for hold in motion.place]
        if motion.release or any(placed):
            self.placed_by.append(motion.decision.decision_id)


def differ(first: Decision, second: Decision) -> bool:
    """Whether two officers say different things; how long it lasts, and what ended, is no difference."""
    mine, others = (
        {name: value for name, value in one.payload.items() if name not in BESIDE} for one in (first, second)
    )
    return first.officer != second.officer and mine != others


def in_force(decision: Decision, policy: Policy) -> Decision:
    """Return a decision that says no more than a policy allows: who follows decisions alone never loosens.

    Examples
    --------
    >>> said = Decision(decision_id="d", ts_event=0, officer="ceo", kind="MODE_CHANGE",
    ...                 payload={"mode": "LIVE"}, reason="calm")
    >>> in_force(said, Policy(mode="FROZEN")).payload, in_force(said, Policy()) is said
    ({'mode': 'EMERGENCY'}, True)
    """
    payload, says = decision.payload, payload_of(decision.kind, policy) if decision.kind in BOUNDING else {}
    if decision.kind == DecisionKind.MODE_CHANGE:
        tight = WIRE_RANKS[str(says["mode"])] <= WIRE_RANKS.get(str(payload.get("mode")), len(WIRE_RANKS))
        bounds = {} if tight else {"mode": says["mode"]}
    else:
        bounds = {
            name: says[name]
            for name, value in payload.items()
            if name in says and isinstance(value, int | float) and value > says[name]
        }
        if bounds and "profile" in says:
            bounds["profile"] = says["profile"]
    if not bounds:
        return decision
    told = ", ".join(f"{name} {value}" for name, value in bounds.items())
    return replace(
        decision, payload={**payload, **bounds}, reason=f"{decision.reason}; others hold it at {told}"
    )


def conflict(winner: Decision, loser: Decision) -> ConflictResolved:
    """Return the record of two decisions of one kind."""
    return ConflictResolved(
        kind=loser.kind,
        winner_id=winner.decision_id,
        winner=winner.officer,
        loser_id=loser.decision_id,
        loser=loser.officer,
        payload=loser.payload,
        reason=f"{winner.reason}; not: {loser.reason}",
        ts_event=loser.ts_event,
    )


def unresolved(told: Iterable[object]) -> list[ConflictResolved]:
    """Return the conflicts among decisions of one message that no sitting saw: of time, of operators."""
    told = list(told)
    known = {answer.loser_id for answer in told if isinstance(answer, ConflictResolved)}
    known |= {answer.overrides for answer in told if isinstance(answer, Decision)}
    by_kind: dict[str, list[Decision]] = {}
    for answer in told:
        if isinstance(answer, Decision) and answer.decision_id not in known:
            by_kind.setdefault(answer.kind, []).append(answer)
    found = []
    for kind, decisions in by_kind.items():
        winner = min(decisions, key=lambda decision: decision.priority)
        if kind not in ONE_OFFICERS:
            found += [conflict(winner, one) for one in decisions if differ(winner, one)]
    return found


def may_release(officer: str, hold: Hold) -> bool:
    """Whether an officer may end a hold: its owner, or a higher rank; an operator's only operators."""
    return officer == hold.owner or (officer != "operator" and PRIORITIES[officer] < PRIORITIES[hold.owner])
