"""Which commands may be carried out: values in their bounds, names that are known, persons who may."""

from dataclasses import replace
from math import fsum

from consilium.council.approvals import Approval, PermissionRefused, Reviews, second_person
from consilium.council.asking import FROZEN, Ask, asks_of, minutes_of, number_of, text_of, told_value
from consilium.council.facts import Facts, too_early
from consilium.council.holds import (
    REDUCE_ONLY_HOLD,
    UNKNOWN_HOLD,
    is_freeze,
    is_grant,
    is_tighter,
    looser,
    share_of,
)
from consilium.council.rules import CouncilRules
from consilium.council.standing import Standing
from consilium.domain import CouncilCommanded, InvalidValue, UnknownName, UsageError
from consilium.domain.governance import PRIORITIES
from consilium.domain.time import SECOND_NS

ALWAYS_ON = frozenset(("supervisor", "cro"))
"""Officers that cannot be switched off."""
OWN_ACCOUNTS = "account:"
OWN_SOURCES = frozenset(("system", "shadow"))
"""Sources that the desk itself is: without them nobody would know what it holds."""
REVIEWED = ("freeze", "reduce_only", "rebase")


def is_halt(command: CouncilCommanded) -> bool:
    """Whether a command stops trading: such a one is never refused for having been given before."""
    return command.action == "mode" and command.payload.get("mode") == FROZEN


class Permissions:
    """What stands in the way of a command.

    Parameters
    ----------
    rules, standing, facts
        Shared with the council's service.
    """

    def __init__(self, rules: CouncilRules, standing: Standing, facts: Facts) -> None:
        self._rules = rules
        self._standing = standing
        self._facts = facts
        self.approvals: dict[str, Approval] = {}
        self.reviews = Reviews()
        self.disabled: dict[str, int] = {}
        """Until when an officer is not heard."""
        self.done: dict[str, None] = {}
        """Ids of the newest commands that were carried out, the oldest first."""

    def check(self, command: CouncilCommanded, now: int) -> None:
        """Refuse a command that cannot be carried out.

        Raises
        ------
        InvalidValue
            A value out of its bound.
        UnknownName
            No such mode, profile, role, model, hold, approval or source.
        PermissionRefused
            Not without a second person, not by this one, or not an operator's to say.
        UsageError
            There is nothing to review or to approve, it was given before, or it is of the future.
        """
        ahead = too_early(command.ts_event, command.received_at, self._rules)
        if ahead:
            raise UsageError("a command must be of now", ahead, "correct the clock")
        if command.command_id in self.done and not is_halt(command):
            raise UsageError("a command must be given once", command.command_id, "use a new id")
        checks = {
            "allocation": self._check_allocation,
            "role": self._check_role,
            "approve": self._check_approve,
            "review": self._check_review,
            "release": self._check_release,
            "retire": self._check_retire,
            "acknowledge": self._check_acknowledged,
        }
        checks.get(command.action, self._check_asks)(command, now)

    def symbols(self) -> frozenset[str]:
        """Return all symbols that could be traded, as far as they are known."""
        base = self._standing.base.symbols
        granted = [h.value for h in self._standing.holds.values() if h.key == "symbols" and is_grant(h)]
        wide = looser("symbols", base, ()) if base is not None else tuple(self._facts.volumes)
        for names in granted:
            wide = looser("symbols", wide, names)
        return frozenset(wide)

    def _check_asks(self, command: CouncilCommanded, _: int) -> None:
        for ask in asks_of(command, self._standing.base, self.symbols()):
            if ask.loosens(self._standing.policy):
                self._check_loosening(ask)

    def _check_loosening(self, ask: Ask) -> None:
        """Refuse to loosen beyond the base, or what the supervisor holds."""
        base = getattr(self._standing.base, ask.key)
        if ask.key == "profile" and looser(ask.key, base, ask.value) != base:
            raise PermissionRefused(
                f"operators may raise the profile to {base} at most", ask.value, "P3 raises it further"
            )
        for _, hold in sorted(self._standing.holds.items()):
            if (
                hold.key == ask.key
                and hold.owner == "supervisor"
                and is_tighter(ask.key, hold.value, ask.value)
            ):
                ends = "review the freeze" if is_freeze(hold) else "wait until it ends"
                raise PermissionRefused(
                    f"{ask.key} is held at {told_value(hold.value)} by the supervisor ({hold.rule})",
                    told_value(ask.value),
                    ends,
                )

    def _check_allocation(self, command: CouncilCommanded, _: int) -> None:
        model, weight = text_of(command.payload, "model"), number_of(command.payload, "weight")
        minutes_of(command.payload)
        known = set(self._facts.model_names()) | set(self._standing.base.weights)
        if known and model not in known:
            raise UnknownName("model", model, known)
        others = fsum(
            share_of(hold)
            for hold in self._standing.holds.values()
            if hold.owner == "operator" and hold.key.startswith("allocation:") and hold.key[11:] != model
        )
        if not 0.0 <= weight <= 1.0 - others + 1e-12:
            raise InvalidValue(
                f"weight must lie in [0, {1.0 - others:g}], what other allocations leave",
                f"{weight:g}",
                "give less, or release another",
            )

    def _check_acknowledged(self, command: CouncilCommanded, _: int) -> None:
        text_of(command.payload, "alert_id")

    def _check_role(self, command: CouncilCommanded, _: int) -> None:
        role, enabled = text_of(command.payload, "role"), command.payload.get("enabled")
        known = [name for name in PRIORITIES if name != "operator"]
        if role not in known:
            raise UnknownName("role", role, known)
        if not isinstance(enabled, bool):
            raise InvalidValue("enabled must be true or false", repr(enabled), "give one of them")
        minutes_of(command.payload)
        if not enabled and role in ALWAYS_ON:
            raise PermissionRefused("supervisor and cro must stay enabled", role, "disable another role")

    def _check_approve(self, command: CouncilCommanded, now: int) -> None:
        name = text_of(command.payload, "approval_id")
        approval = self.approvals.get(name)
        if approval is None or approval.expires_at <= now:
            raise UnknownName("approval", name, self.approvals)
        second_person(command, approval.person, approval.ts_event, now, self._rules)
        self._check_still(approval, command)

    def _check_still(self, approval: Approval, command: CouncilCommanded) -> None:
        """Refuse what may not be loosened any more: much may have happened since it was asked for."""
        if UNKNOWN_HOLD in self._standing.holds:
            raise PermissionRefused(
                "nothing may be loosened while required facts are unknown",
                self._standing.holds[UNKNOWN_HOLD].reason,
                "wait until they are known",
            )
        if approval.action == "release":
            return
        asked = replace(command, action=approval.action, payload=approval.payload)
        for ask in asks_of(asked, self._standing.base, self.symbols()):
            self._check_loosening(ask)

    def _check_review(self, command: CouncilCommanded, now: int) -> None:
        what = text_of(command.payload, "what")
        if what not in REVIEWED:
            raise UnknownName("review", what, REVIEWED)
        holds = self._standing.holds
        if what == "freeze" and not any(is_freeze(hold) for hold in holds.values()):
            raise UsageError("a freeze must be in force to review it", "none", "see the holds")
        if what == "reduce_only" and REDUCE_ONLY_HOLD not in holds:
            raise UsageError("reduce-only must be in force to review it", "none", "see the holds")
        self.reviews.check(what, command, now, self._rules)

    def _check_release(self, command: CouncilCommanded, _: int) -> None:
        name = text_of(command.payload, "hold_id")
        hold = self._standing.holds.get(name)
        if hold is None:
            raise UnknownName("hold", name, self._standing.holds)
        if hold.owner != "operator":
            raise PermissionRefused(
                "operators may release their own holds only",
                name,
                "review the freeze" if is_freeze(hold) else f"ask for a looser {hold.key} by two persons",
            )

    def _check_retire(self, command: CouncilCommanded, now: int) -> None:
        source = text_of(command.payload, "source")
        silent_ns = now - self._facts.last_heard(source)
        if source.startswith(OWN_ACCOUNTS) or source in OWN_SOURCES:
            raise PermissionRefused("the desk's own sources are never retired", source, "start them again")
        bound = self._facts.retired_after(source)
        if silent_ns < bound:
            raise PermissionRefused(
                f"a source must be silent for {bound / SECOND_NS:g} s to be retired",
                f"{silent_ns / SECOND_NS:.0f} s",
                "wait",
            )
