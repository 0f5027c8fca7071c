"""Operators (O1): what they may do at once, and what waits for a second person.

| action | payload | |
|---|---|---|
| mode | mode, duration_minutes | FROZEN freezes (F0) until a review lifts it |
| risk | limits by the seed's names, duration_minutes | |
| profile | profile, duration_minutes | AGGRESSIVE comes by P3 only |
| universe | symbols, duration_minutes | |
| allocation | model, weight, duration_minutes | never a loosening; 24 h |
| role | role, enabled, duration_minutes | never a loosening; CRO and supervisor stay; 24 h |
| approve | approval_id | the second person of a loosening |
| review | what: freeze, reduce_only, rebase; note | |
| release | hold_id | of an operator's hold |
| retire | source | one that is silent |
| acknowledge | alert_id | changes nothing here |
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from consilium.council.approvals import Approval, PermissionRefused
from consilium.council.asking import FROZEN, Ask, asks_of, minutes_of, number_of, text_of, told_value
from consilium.council.freezing import MANUAL_FREEZE, freeze_body
from consilium.council.holds import (
    WAIVED_OWNERS,
    WAIVER,
    is_tighter,
    is_waiver,
)
from consilium.council.identity import CODE_HASH, command_id_of
from consilium.council.payloads import kind_of, payload_of
from consilium.council.permissions import Permissions
from consilium.council.sitting import Motion, Stamp
from consilium.domain import (
    Briefing,
    CouncilCommanded,
    Decision,
    DecisionKind,
    Hold,
    Policy,
)
from consilium.domain.time import DAY_NS, MINUTE_NS, SECOND_NS

__all__ = ["Operators", "PermissionRefused"]

REBASE_PERSONS = 2
DONE_KEPT = 512
"""Commands that are known again where they come a second time."""
RISK = DecisionKind.RISK_ADJUSTMENT.value


class Operators(Permissions):
    """What operators asked for and was not decided yet, and how a command is carried out."""

    def carry_out(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        """Do what a checked command asks; return the decisions that come of it."""
        try:
            return self._carried_out(command, briefing, stamp)
        finally:
            self._note(command)

    def _carried_out(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        now, payload = briefing.ts_event, command.payload
        if command.action == "role":
            self._switch(payload, now)
        elif command.action == "review":
            self._review(command, now)
        elif command.action == "retire":
            self._facts.retire(text_of(payload, "source"))
            self._standing.know(self._facts.model_names())
            self._standing.changed = True
        elif command.action == "approve":
            return self._approved(command, briefing, stamp)
        elif command.action == "allocation":
            return self._allocate(command, briefing, stamp)
        elif command.action == "release":
            return self._release(command, briefing, stamp)
        elif command.action != "acknowledge":
            return self._ask(command, briefing, stamp)
        return []

    def _note(self, command: CouncilCommanded) -> None:
        """Remember that a command was carried out."""
        self.done.pop(command.command_id, None)
        self.done[command.command_id] = None
        for name in list(self.done)[:-DONE_KEPT]:
            del self.done[name]
        self._standing.changed = True

    def expire(self, now: int) -> None:
        """Drop approvals that nobody gave in time, and hear officers again whose time off is over."""
        for name in [name for name, until in self.disabled.items() if until <= now]:
            del self.disabled[name]
            self._standing.changed = True
        self._standing.changed |= self.reviews.forget("rebase", now - self._waits_ns)
        for name in [name for name, one in self.approvals.items() if one.expires_at <= now]:
            del self.approvals[name]
            self._standing.changed = True

    def _switch(self, payload: Mapping[str, Any], now: int) -> None:
        role = text_of(payload, "role")
        if payload["enabled"]:
            self.disabled.pop(role, None)
        else:
            self.disabled[role] = now + _length(payload)
        self._standing.changed = True

    def _review(self, command: CouncilCommanded, now: int) -> None:
        what = text_of(command.payload, "what")
        self._standing.changed = True
        if self.reviews.add(what, command.person, now) >= REBASE_PERSONS and what == "rebase":
            self._facts.rebase(now)
            self.reviews.clear("rebase")

    def _ask(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        """Tighten at once; keep what loosens for a second person."""
        policy, payload = self._standing.policy, command.payload
        asks = asks_of(command, self._standing.base, self.symbols())
        loosening = [ask for ask in asks if ask.loosens(policy)]
        if loosening:
            names = {ask.name for ask in loosening} | {"duration_minutes"}
            self._wait(command, {name: payload[name] for name in payload if name in names}, briefing.ts_event)
        tightening = [ask for ask in asks if ask not in loosening]
        return [self._tighten(command, tightening, briefing, stamp)] if tightening else []

    def _wait(self, command: CouncilCommanded, payload: Mapping[str, Any], now: int) -> None:
        name = command_id_of("approval", command.command_id)
        self.approvals[name] = Approval(
            approval_id=name,
            command_id=command.command_id,
            action=command.action,
            payload=dict(payload),
            reason=command.reason,
            person=command.person,
            key_id=command.key_id,
            ts_event=now,
            expires_at=now + self._waits_ns,
        )
        self._standing.changed = True

    @property
    def _waits_ns(self) -> int:
        """How long one person's word waits for the second."""
        return int(self._rules.approval_s * (2 if self._rules.one_person else 1) * SECOND_NS)

    def _tighten(
        self, command: CouncilCommanded, asks: list[Ask], briefing: Briefing, stamp: Stamp
    ) -> Motion:
        minutes, now = minutes_of(command.payload), briefing.ts_event
        if any(ask.value == FROZEN for ask in asks):
            return self._freeze(command, briefing, stamp)
        until = None if minutes is None else now + minutes * MINUTE_NS
        place = tuple(
            Hold(
                owner="operator",
                rule=f"O1:{ask.key}={told_value(ask.value)}",
                key=ask.key,
                value=ask.value,
                reason=command.reason,
                ts_event=now,
                expires_at=_later(self._standing.holds, ask, until),
            )
            for ask in asks
            if ask.binds(self._standing.base)
        )
        release = tuple(name for hold in place for name in self._outdone(hold))
        kind, left = kind_of(asks[0].key), self._standing.supposing(place, release)
        payload = self._in_force(kind, asks, left) | {"duration_minutes": minutes}
        decision = self._decision(command, kind, payload, briefing, stamp, expires_at=until)
        return Motion(decision=decision, place=place, release=release)

    def _outdone(self, hold: Hold) -> list[str]:
        """Name the operators' holds that another one makes idle: no tighter, and over no later."""
        return [
            name
            for name, old in self._standing.holds.items()
            if old.owner == "operator" and old.key == hold.key and name != hold.hold_id
            and not is_waiver(old)
            and is_tighter(hold.key, hold.value, old.value)
            and _ends_by(old.expires_at, hold.expires_at)
        ]  # fmt: skip

    def _freeze(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> Motion:
        hold = Hold(
            owner="supervisor",
            rule=MANUAL_FREEZE,
            key="mode",
            value=FROZEN,
            reason=command.reason,
            ts_event=briefing.ts_event,
        )
        decision = self._decision(command, "FREEZE", freeze_body(hold), briefing, stamp)
        return Motion(decision=replace(decision, rule=MANUAL_FREEZE), place=(hold,))

    def _allocate(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        now, model = briefing.ts_event, text_of(command.payload, "model")
        until = now + _length(command.payload)
        hold = Hold(
            owner="operator",
            rule="O1:allocation",
            key=f"allocation:{model}",
            value=number_of(command.payload, "weight"),
            reason=command.reason,
            ts_event=now,
            expires_at=until,
        )
        kind = kind_of(hold.key)
        payload = payload_of(kind, self._standing.supposing((hold,)))
        decision = self._decision(command, kind, payload, briefing, stamp, expires_at=until)
        return [Motion(decision=decision, place=(hold,))]

    def _release(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        """End an operator's hold: at once where that loosens nothing."""
        hold = self._standing.holds.get(text_of(command.payload, "hold_id"))
        if hold is None:
            return []  # its time was over at this very instant
        if not is_waiver(hold) and not hold.key.startswith("allocation:"):
            self._wait(command, dict(command.payload), briefing.ts_event)
            return []
        return [self._ended(command, hold, briefing, stamp)]

    def _ended(self, command: CouncilCommanded, hold: Hold, briefing: Briefing, stamp: Stamp) -> Motion:
        kind = kind_of(hold.key)
        left = self._standing.supposing(release=(hold.hold_id,))
        payload = payload_of(kind, left, self.symbols()) | {"hold_ids": [hold.hold_id]}
        decision = self._decision(command, kind, payload, briefing, stamp)
        return Motion(decision=decision, release=(hold.hold_id,))

    def _approved(self, command: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> list[Motion]:
        """Carry out what two persons want: operators' own holds end, lower ranks' are set aside."""
        name = text_of(command.payload, "approval_id")
        if name not in self.approvals:
            return []  # its time was over at this very instant
        self._check_still(self.approvals[name], command)
        approval = self.approvals.pop(name)
        self._standing.changed = True
        reason = f"{approval.reason} (asked by {approval.person}, approved by {command.person})"
        asked = replace(command, action=approval.action, payload=approval.payload, reason=reason)
        if approval.action == "release":
            hold = self._standing.holds.get(text_of(approval.payload, "hold_id"))
            return [] if hold is None else [self._ended(asked, hold, briefing, stamp)]
        return [self._loosened(asked, briefing, stamp)]

    def _loosened(self, asked: CouncilCommanded, briefing: Briefing, stamp: Stamp) -> Motion:
        """End the operators' own holds that are tighter, and set lower ranks' aside for a while."""
        now, reason = briefing.ts_event, asked.reason
        until = now + _length(asked.payload)
        asks = asks_of(asked, self._standing.base, self.symbols())
        release = tuple(
            name
            for ask in asks
            for name, hold in self._standing.holds.items()
            if hold.owner == "operator" and hold.key == ask.key and not is_waiver(hold)
            and not is_tighter(ask.key, ask.value, hold.value) and hold.value != ask.value
        )  # fmt: skip
        place = tuple(
            Hold(owner="operator", rule=WAIVER, key=ask.key, value=ask.value, reason=reason, ts_event=now,
                 expires_at=until)
            for ask in asks
            if any(h.key == ask.key and h.owner in WAIVED_OWNERS for h in self._standing.holds.values())
        )  # fmt: skip
        kind, left = kind_of(asks[0].key), self._standing.supposing(place, release)
        payload = self._in_force(kind, asks, left) | {"duration_minutes": minutes_of(asked.payload)}
        decision = self._decision(asked, kind, payload, briefing, stamp, expires_at=until)
        return Motion(decision=decision, place=place, release=release)

    def _in_force(self, kind: str, asks: Sequence[Ask], left: Policy) -> dict[str, Any]:
        """Return what a policy says of what was asked: who believes it never allows more than the council."""
        said = payload_of(kind, left, self.symbols())
        names = {ask.name for ask in asks}
        return {name: said[name] for name in said if name in names} if kind == RISK else said

    def _decision(
        self,
        command: CouncilCommanded,
        kind: str,
        payload: Mapping[str, Any],
        briefing: Briefing,
        stamp: Stamp,
        expires_at: int | None = None,
    ) -> Decision:
        again = command.command_id in self.done  # a halt is carried out as often as it is asked for
        name = f"{command.command_id}#{stamp.serial}" if again else command.command_id
        return Decision(
            decision_id=command_id_of("decision", name),
            ts_event=briefing.ts_event,
            officer="operator",
            kind=kind,
            payload=payload,
            reason=command.reason,
            expires_at=expires_at,
            snapshot_id=briefing.snapshot_id,
            rule="O1",
            cause_id=stamp.cause_id,
            code_hash=CODE_HASH,
            config_hash=stamp.config_hash,
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "approvals": [self.approvals[name].state() for name in sorted(self.approvals)],
            "reviews": self.reviews.state(),
            "disabled": dict(sorted(self.disabled.items())),
            "done": list(self.done),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        waiting = [Approval(**saved) for saved in state["approvals"]]
        self.approvals = {
            one.approval_id: one for one in sorted(waiting, key=lambda one: (one.ts_event, one.approval_id))
        }
        self.reviews.restore(state["reviews"])
        self.disabled = {name: int(until) for name, until in state["disabled"].items()}
        self.done = dict.fromkeys(state["done"])


def _length(payload: Mapping[str, Any]) -> int:
    """Return how long something lasts: a day where nothing is said."""
    minutes = minutes_of(payload)
    return DAY_NS if minutes is None else minutes * MINUTE_NS


def _later(holds: Mapping[str, Hold], ask: Ask, until: int | None) -> int | None:
    """Return the later end of a hold and of the same one that stands: to end sooner is to loosen."""
    old = holds.get(f"operator/O1:{ask.key}={told_value(ask.value)}/{ask.key}")
    if old is None or until is None:
        return until
    return None if old.expires_at is None else max(old.expires_at, until)


def _ends_by(end: int | None, bound: int | None) -> bool:
    """Whether an end comes no later than another; None is never."""
    return bound is None or (end is not None and end <= bound)
