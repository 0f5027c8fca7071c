"""What must hold of a council before and after each message, whatever the message was.

Each law raises an AssertionError that begins with its name. The laws remember on their own how long each
condition of the table has held, from the briefings alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import council_meet as force
import council_oracle as oracle
from consilium.council.service import CouncilService
from consilium.council.sitting import differ
from consilium.domain import (
    Briefing,
    ConflictResolved,
    Decision,
    Hold,
    Missing,
    Policy,
    PolicyChanged,
    ReportRefused,
)
from council_oracle import DAY, HOUR, MINUTE
from council_told import law, told_is_in_force

Output = Decision | PolicyChanged | ConflictResolved | ReportRefused

DWELL = {"M1": 30 * MINUTE, "M2": 30 * MINUTE, "M3": 15 * MINUTE, "P1": DAY, "R1": HOUR, "R2": HOUR}
DWELL |= {"E1": DAY, "C2": DAY}
TRIGGERS: dict[str, Callable[[Briefing], bool]] = {
    "M1": oracle.m1,
    "M2": oracle.m2,
    "M3": oracle.m3,
    "P1": oracle.p1,
    "P2": oracle.p2,
    "R2": oracle.r2,
    "E1": oracle.e1,
    "C2": oracle.c2,
}


def _calm_for_c2(now: Briefing) -> bool:
    rate = now.portfolio.win_rate
    return oracle.below(now.portfolio.drawdown, 0.04) and not oracle.below(rate, 0.45)


RELEASES: dict[str, tuple[Callable[[Briefing], bool], int]] = {
    "M1": (lambda b: not oracle.m1(b), 15 * MINUTE),
    "M2": (lambda b: not oracle.m2(b), 15 * MINUTE),
    "M3": (lambda b: not oracle.m3(b), 0),
    "P1": (lambda b: oracle.below(b.portfolio.drawdown, 0.05), DAY),
    "E1": (lambda b: oracle.below(b.portfolio.drawdown_rebased, 0.02), DAY),
    "C2": (_calm_for_c2, DAY),
}
"""By rule: what must have held, and for how long, before a hold of it may end."""


PARTS = ("approval", "proposal", "officer")
"""What is refused of a message that was heard."""


@dataclass(frozen=True)
class Seen:
    """The council as it stood at one instant."""

    policy: Policy
    holds: Mapping[str, Hold]
    roles: Mapping[str, bool]

    @classmethod
    def of(cls, council: CouncilService) -> "Seen":
        return cls(council.policy, dict(council.holds), dict(council.roles))


@dataclass
class Laws:
    """Watches one council; ``after`` is called with every message and all that came of it."""

    floor: float = 1000.0
    since: dict[str, int] = field(default_factory=dict)
    """By condition: the first briefing since which it has been true without a break."""
    triggered: dict[str, int] = field(default_factory=dict)
    """By freeze: when its trigger last came true."""
    stepped: dict[str, int] = field(default_factory=dict)
    true: set[str] = field(default_factory=set)
    placed: dict[str, int] = field(default_factory=dict)
    """By hold: since when one of its name has stood without a break."""
    waived: dict[str, int] = field(default_factory=dict)
    """By key: until when two persons have waived what lower ranks hold."""
    decisions: dict[str, Decision] = field(default_factory=dict)
    beaten: set[str] = field(default_factory=set)
    """Ids that conflicts name in place of a decision: what these would tighten stands too."""
    last: Briefing | None = None
    reviewed: dict[str, set[str]] = field(default_factory=dict)
    blind: bool = False
    """Whether something required has been unknown for longer than it may."""
    r2_held: bool = False
    reduced_by_review: bool = False

    def after(self, before: Seen, outputs: Sequence[Output], council: CouncilService) -> Seen:
        now, after = council.briefing, Seen.of(council)
        refused = [one for one in outputs if isinstance(one, ReportRefused)]
        failed = [one for one in refused if one.what.startswith(("officer", "proposal"))]
        law("no officer fails, or says what is not its to say", not failed, failed)
        refused = [one for one in refused if not one.what.startswith(PARTS)]
        if refused:
            law("I7 what is refused changes nothing", not council.changed, refused)
            law("a refusal says why", all(one.reason and one.what for one in refused))
        self._remember(now)
        for one in outputs:
            if isinstance(one, Decision):
                self._decided(one, now)
            elif isinstance(one, ConflictResolved):
                self.beaten.add(one.loser_id)
        self._in_force(now, after, council)
        self._freezes(before, now, after)
        self._gone(before, now, after, outputs)
        self._looser(before, now, after)
        self._placed(before, now, after)
        self.placed = {name: self.placed.get(name, now.ts_event) for name in after.holds}
        self._policy(before, now, after, outputs)
        self._contradictions(outputs)
        told_is_in_force(outputs, after.policy)
        self.last = now
        return after

    # --- memory -------------------------------------------------------------------------------------------

    def _remember(self, now: Briefing) -> None:
        conditions = {rule: test(now) for rule, (test, _) in RELEASES.items()}
        conditions["flat"] = now.portfolio.positions == 0
        unknown = self.since.setdefault("unknown", now.ts_event) if oracle.unknown(now) else now.ts_event
        self.blind = now.ts_event - unknown > now.lost_after_ns
        conditions["unknown"] = oracle.unknown(now)
        conditions["U1"] = not oracle.may_unfreeze(now, self.last, self.floor, blind=self.blind)
        for name, holds in conditions.items():
            if not holds:
                self.since.pop(name, None)
            else:
                self.since.setdefault(name, now.ts_event)
        true = oracle.freezes(now, self.last, self.floor, blind=self.blind)
        for rule in true - self.true:
            self.triggered[rule] = now.ts_event
        self.true = true

    def _decided(self, one: Decision, now: Briefing) -> None:
        twin = self.decisions.get(one.decision_id)
        law("I9 ids are unique", twin is None or replace(twin, cause_id=one.cause_id) == one, one)
        law("I9 a decision names its facts, rules and cause", one.snapshot_id and one.code_hash, one)
        law("a decision is of now", one.ts_event == now.ts_event, one)
        self.decisions[one.decision_id] = one
        if one.kind == "FREEZE":
            self.reviewed.pop("freeze", None)

    # --- laws ---------------------------------------------------------------------------------------------

    def _in_force(self, now: Briefing, after: Seen, council: CouncilService) -> None:
        policy = after.policy
        frozen = any(h.key == "mode" and h.value == "FROZEN" for h in after.holds.values())
        law("I3 a hold freezes the policy", frozen == (policy.mode == "FROZEN"), policy.mode, after.holds)
        law("I3 frozen in every view", (council.status()["mode"] == "FROZEN") == frozen, council.status())
        allowed = force.CAPABILITIES[policy.mode]
        said = force.meet(now.base, after.holds.values())
        real = {name: getattr(policy, name) for name in said}
        real["symbols"] = None if policy.symbols is None else set(policy.symbols)
        law(
            "I2 the policy is the meet",
            real == said,
            {k: (real[k], said[k]) for k in said if real[k] != said[k]},
        )
        law("I3 frozen has no entries", not policy.entry or allowed[0], policy)
        weights = policy.weights.values()
        law("I11 weights sum to 1", not weights or abs(sum(weights) - 1) < 1e-9, policy.weights)
        split = (policy.profit_lock, policy.reinvest, policy.reserve_buffer)
        total = sum(Decimal(repr(part)) for part in split)
        law("I11 the split sums to 1", total == 1, total)
        limit = oracle.most(now, self.last, self.floor, ceo=after.roles["ceo"], blind=self.blind)
        late = now.portfolio.late or not now.system or not now.ess
        law("I5 unknown means at least paused", not (late and policy.entry), policy, now)
        if not self._waived("mode", now):
            tight = force.TIGHTNESS.index(policy.mode)
            law("mode as tight as the facts", tight >= force.TIGHTNESS.index(limit.mode), limit, policy)
        if not self._waived("profile", now):
            order = force.PROFILE_ORDER
            fits = order.index(policy.profile) <= order.index(limit.profile)
            law("profile as tight as the facts", fits, limit, policy)
        for key, bound in (
            ("max_leverage", limit.leverage),
            ("max_position_usd", limit.position),
            ("max_exposure", limit.exposure),
            ("stop_multiplier", limit.stop),
            ("ess_caution", limit.caution),
            ("ess_warning", limit.warning),
        ):
            if not self._waived(key, now):
                law(f"{key} as tight as the facts", getattr(policy, key) <= bound + 1e-12, limit, policy)
        if (
            limit.symbols is not None
            and after.roles["cio"]
            and not self._waived("symbols", now)
            and policy.symbols is not None
        ):
            law("symbols as few as the facts", len(policy.symbols) <= limit.symbols, policy.symbols)
        self._reducing(now, after)
        self._onsets(now, after)

    def _reducing(self, now: Briefing, after: Seen) -> None:
        """R2 holds while its trigger is true, unless a review after a flat day ended it.

        A drawdown that nobody knows neither begins nor ends it.
        """
        held = any(hold.rule == "R2" and hold.key == "max_leverage" for hold in after.holds.values())
        unknown = isinstance(now.portfolio.drawdown, Missing)
        if not unknown and not oracle.r2(now):
            self.reduced_by_review = False
        elif self.r2_held and not held:
            self.reduced_by_review = True
            flat = now.ts_event - self.since.get("flat", now.ts_event)
            law("R2 ends by a review of a flat day", self.reviewed.get("reduce_only") and flat >= DAY, flat)
        elif not held and not unknown:
            law("R2 holds while it is true", self.reduced_by_review, now.portfolio, after.holds)
        self.r2_held = held
        if held and not self._waived("max_leverage", now):
            law("R2 allows a leverage of 1", after.policy.max_leverage <= 1.0, after.policy)
        if held and not self._waived("mode", now):
            law("R2 lets nothing in", not after.policy.entry, after.policy)

    def _onsets(self, now: Briefing, after: Seen) -> None:
        """R1's limits are base x min(1, .5^k + .25 d) with floors, whatever was in force before."""
        for key in ("max_leverage", "max_position_usd", "max_exposure", "stop_multiplier"):
            hold = after.holds.get(f"cro/R1/{key}")
            if hold is not None:
                near = min(abs(float(hold.value) - x) for x in oracle.r1_ladder(key, now.base))  # type: ignore[arg-type]
                law("R1 bounds the base, not what is in force", near < 1e-9, hold)

    def _waived(self, key: str, now: Briefing) -> bool:
        return self.waived.get(key, -1) > now.ts_event

    def _freezes(self, before: Seen, now: Briefing, after: Seen) -> None:
        held = {
            h.rule: h for h in before.holds.values() if h.owner == "supervisor" and h.rule in oracle.FREEZES
        }
        stay = {
            h.rule: h for h in after.holds.values() if h.owner == "supervisor" and h.rule in oracle.FREEZES
        }
        true = oracle.freezes(now, self.last, self.floor, blind=self.blind)
        law("a true trigger freezes", true <= set(stay) or after.policy.mode == "FROZEN", true, stay)
        law(
            "only a true trigger freezes", set(stay) - set(held) <= true | {"F0"}, set(stay) - set(held), true
        )
        lifted = set(held) - set(stay)
        if not lifted:
            return
        law("U1 lifts all or nothing", not stay, lifted, stay)
        missing = oracle.may_unfreeze(now, self.last, self.floor, blind=self.blind)
        law("I4 U1 lifts only when all is well", not missing, missing)
        calm = now.ts_event - self.since.get("U1", now.ts_event)
        law("I4 U1 lifts after 15 calm minutes", calm >= 15 * MINUTE, calm / MINUTE)
        newest = max(self.triggered.get(rule, 0) for rule in lifted)
        dwelt = now.ts_event - max(newest, *(h.ts_event for r, h in held.items() if r in lifted))
        law("I4 U1 lifts after 120 minutes", dwelt >= 120 * MINUTE, dwelt / MINUTE)
        if "F2" in lifted:
            law("F2 waits for the next day", now.ts_event // DAY > self.triggered["F2"] // DAY)
        needed = oracle.reviewers(oracle.SEVERITY[rule] for rule in lifted)
        persons = self.reviewed.get("freeze", set())
        law("I4 U1 lifts after the reviews", len(persons) >= needed, persons, lifted)
        timed = {h.key: h for h in after.holds.values() if h.owner == "supervisor" and h.rule == "U1"}
        law("after a freeze comes SHADOW and MICRO", {"mode", "profile"} <= set(timed), after.holds)
        for key, value, length in (("mode", "SHADOW", HOUR), ("profile", "MICRO", DAY)):
            fits = timed[key].value == value and timed[key].expires_at == now.ts_event + length
            law("after a freeze comes SHADOW for an hour and MICRO for a day", fits, timed[key])
        self.reviewed.pop("freeze", None)

    def _gone(self, before: Seen, now: Briefing, after: Seen, outputs: Sequence[Output]) -> None:
        speakers = {one.officer for one in outputs if isinstance(one, Decision)}
        for name, hold in before.holds.items():
            if name in after.holds:
                continue
            expired = hold.expires_at is not None and hold.expires_at <= now.ts_event
            if hold.owner == "supervisor":
                law("I6 a supervisor's hold ends by it or by time", expired or "supervisor" in speakers, hold)
            elif hold.owner == "operator":
                law("I6 an operator's hold ends by one, or by time", expired or "operator" in speakers, hold)
            else:
                rank = force.RANKS[hold.owner]
                higher = {o for o in speakers if o == "operator" or force.RANKS[o] <= rank}
                law("I1 I6 a hold ends by its owner or a higher rank", expired or higher, hold, speakers)
                if not expired and "operator" not in higher:
                    self._released(hold, now)

    def _looser(self, before: Seen, now: Briefing, after: Seen) -> None:
        """What is let go in steps: P1's MICRO becomes LOW, R1's limits go back by 25 % of base a day."""
        was, stands = before.holds.get("ceo/P1/profile"), after.holds.get("ceo/P1/profile")
        if was is not None and stands is not None and was.value == "MICRO" != stands.value:
            self._released(was, now)
        old, new = before.holds.get("cro/R1/max_leverage"), after.holds.get("cro/R1/max_leverage")
        if old is None or (new is not None and float(new.value) <= float(old.value)):  # type: ignore[arg-type]
            return
        to = now.base.max_leverage if new is None else float(new.value)  # type: ignore[arg-type]
        step = to - float(old.value)  # type: ignore[arg-type]
        law("I10 limits go back by 25 % of base", step <= 0.25 * now.base.max_leverage + 1e-9, old, new)
        since = now.ts_event - self.stepped.get("R1", now.ts_event - DAY)
        law("I10 limits go back once a day", since >= DAY, since / HOUR)
        self.stepped["R1"] = now.ts_event

    def _released(self, hold: Hold, now: Briefing) -> None:
        if hold.rule in TRIGGERS and hold.rule != "R2":
            law("no release while the trigger is true", not TRIGGERS[hold.rule](now), hold, now.portfolio)
        if hold.rule in DWELL:
            stood = now.ts_event - self.placed[hold.hold_id]
            law("no release before the dwell", stood >= DWELL[hold.rule], hold, stood / MINUTE)
        if hold.rule in RELEASES and not (
            hold.rule == "E1" and now.portfolio.drawdown_rebased is Missing.UNKNOWN
        ):
            since = self.since.get(hold.rule)
            held = -1 if since is None else now.ts_event - since
            law("no release before its condition held", held >= RELEASES[hold.rule][1], hold, held / MINUTE)

    def _placed(self, before: Seen, now: Briefing, after: Seen) -> None:
        for name, hold in after.holds.items():
            known = hold.decision_id in self.decisions or hold.decision_id in self.beaten
            law(
                "I9 a hold names its decision",
                known or (hold.rule in ("P0", "S1") and not hold.decision_id),
                hold,
            )
            if name in before.holds or hold.rule not in TRIGGERS or name == "cro/R2/profile":
                continue
            law("I8 only a true trigger places a hold", TRIGGERS[hold.rule](now), hold, now.portfolio)

    def _policy(self, before: Seen, now: Briefing, after: Seen, outputs: Sequence[Output]) -> None:
        told = [one for one in outputs if isinstance(one, PolicyChanged)]
        changed = after.policy != before.policy
        law("I9 a change of policy is told once", len(told) == changed, told, before.policy, after.policy)
        for one in told:
            law("I9 what is told is in force", one.policy == after.policy)
            known = bool(one.decisions) and set(one.decisions) <= set(self.decisions) | self.beaten
            law("I9 a change of policy is traceable", known, one.decisions)
        looser = force.no_looser(after.policy, before.policy)
        expired = [h for n, h in before.holds.items() if h.expires_at is not None and n not in after.holds]
        if looser and oracle.above(now.portfolio.drawdown, 0.05):
            ended = {h.key for h in expired}
            if "cro/R2/max_leverage" in before.holds and "cro/R2/max_leverage" not in after.holds:
                ended.add("max_leverage")  # R2 ends below 6 %: its own row says so
            law(
                "V1 nothing is loosened in a drawdown",
                set(looser) <= ended,
                looser,
            )
        if after.policy.profile == "AGGRESSIVE" != before.policy.profile:
            above = [h for h in before.holds.values() if h.owner in {"supervisor", "cro"} and h.rule != "R1"]
            law("V1 AGGRESSIVE needs the hands free", not above, above)
        if "profile" in looser and not expired:
            up = force.PROFILE_ORDER.index
            law("I10 a profile goes up one step", up(after.policy.profile) - up(before.policy.profile) <= 3)

    def _contradictions(self, outputs: Sequence[Output]) -> None:
        beaten = {one.loser_id for one in outputs if isinstance(one, ConflictResolved)}
        overruled = {one.overrides for one in outputs if isinstance(one, Decision) and one.overrides}
        stand = [
            one
            for one in outputs
            if isinstance(one, Decision)
            and one.decision_id not in beaten | overruled
            and one.officer != "operator"
            and one.rule != "S1"
            and not one.payload.get("expired")
        ]
        for kind in {one.kind for one in stand}:
            told = [one for one in stand if one.kind == kind]
            officers = {one.officer for one in told}
            agreed = not any(differ(told[0], one) for one in told)
            one_voice = len(officers) == 1 or agreed or kind == "OVERRIDE"
            law("one officer prevails in a kind", one_voice, kind, officers)
