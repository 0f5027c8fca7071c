"""What stands: holds, the policy they leave, and the decisions that were published."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from consilium.council.holds import WAIVED_OWNERS, is_freeze, is_waiver, meet
from consilium.domain import Decision, Hold, Policy
from consilium.domain.digest import plain

_FIELDS = tuple(Decision.__dataclass_fields__)
RECENT = 64
"""Decisions that can be explained with the figures they were made on."""


def same_hold(first: Hold, second: Hold) -> bool:
    """Whether two holds hold the same until the same time."""
    if is_freeze(second) and first.ts_event != second.ts_event:
        return False  # it set on again: its dwell begins anew
    return (first.hold_id, first.value, first.expires_at) == (
        second.hold_id,
        second.value,
        second.expires_at,
    )


def endless(hold: Hold) -> Hold:
    """Return a hold as it may stand: no passage of time lifts a freeze."""
    return replace(hold, expires_at=None) if is_freeze(hold) else hold


def decision_key(decision: Decision) -> str:
    """Name what a decision replaces: the last one of that officer, kind and rule."""
    return f"{decision.officer}/{decision.kind}/{decision.rule}"


class Standing:
    """Holds and decisions in force.

    Parameters
    ----------
    base
        The limits without any hold.
    """

    def __init__(self, base: Policy) -> None:
        self.base = base
        self.holds: dict[str, Hold] = {}
        self.said: dict[str, dict[str, Any]] = {}
        """What the last decision of each officer, kind and rule said."""
        self.recent: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {"decisions": 0, "conflicts": 0, "overrides": 0, "freezes": 0}
        self.changed = False
        self._models: tuple[str, ...] = ()
        self._policy: Policy | None = None

    @property
    def policy(self) -> Policy:
        """The meet of all holds and the base."""
        if self._policy is None:
            self._policy = meet(self.base, self.holds.values(), self._models)
        return self._policy

    def know(self, models: Iterable[str]) -> None:
        """Say which models there are."""
        models = tuple(models)
        if models != self._models:
            self._models, self._policy = models, None

    def supposing(self, place: Iterable[Hold] = (), release: Iterable[str] = ()) -> Policy:
        """Return the policy that other holds would leave; nothing changes."""
        gone = set(release)
        holds = {name: hold for name, hold in self.holds.items() if name not in gone}
        return meet(self.base, (holds | {hold.hold_id: hold for hold in place}).values(), self._models)

    def place(self, hold: Hold, decision_id: str) -> bool:
        """Put a hold in force; return whether that changes anything."""
        before = self.holds.get(hold.hold_id)
        hold = self._after_waivers(endless(hold))
        if before is not None and same_hold(before, hold):
            return False
        self.holds[hold.hold_id] = replace(hold, decision_id=decision_id)
        self.changed, self._policy = True, None
        return True

    def _after_waivers(self, hold: Hold) -> Hold:
        """Return a hold later than the waivers that stand: those cover what was placed before them only.

        A market's time may stand still while both come.
        """
        if hold.owner not in WAIVED_OWNERS:
            return hold
        waivers = (one for one in self.holds.values() if is_waiver(one) and one.key == hold.key)
        newest = max((waiver.ts_event for waiver in waivers), default=-1)
        return hold if newest < hold.ts_event else replace(hold, ts_event=newest + 1)

    def release(self, hold_id: str) -> Hold | None:
        """End a hold; return it, or None where there is none."""
        hold = self.holds.pop(hold_id, None)
        if hold is None:
            return None
        self.changed, self._policy = True, None
        prefix, suffix = f"{hold.owner}/", f"/{hold.rule}"
        for key in [key for key in self.said if key.startswith(prefix) and key.endswith(suffix)]:
            del self.said[key]
        return hold

    def expire(self, now: int, kept: Container[str] = ()) -> list[Hold]:
        """End the holds whose time is over, in order of their ids; those of some owners are kept."""
        over = [
            name
            for name, hold in self.holds.items()
            if hold.expires_at is not None and hold.expires_at <= now and hold.owner not in kept
        ]
        return [hold for name in sorted(over) if (hold := self.release(name)) is not None]

    def says_anew(self, decision: Decision) -> bool:
        """Whether a decision says other than the last one of its officer, kind and rule."""
        return self.said.get(decision_key(decision)) != _told(decision)

    def publish(self, decision: Decision, figures: Mapping[str, Any], wanted: Decision | None = None) -> None:
        """Remember a decision, by what its officer wanted, as the last one of its kind."""
        self.changed = True
        self.said[decision_key(decision)] = _told(wanted or decision)
        self.counts["decisions"] += 1
        if decision.kind in ("OVERRIDE", "FREEZE"):
            self.counts["overrides" if decision.kind == "OVERRIDE" else "freezes"] += 1
        told = {name: getattr(decision, name) for name in _FIELDS} | {"payload": dict(decision.payload)}
        self.recent.append({"decision": told, "figures": dict(figures)})
        del self.recent[:-RECENT]

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "holds": [asdict(self.holds[name]) for name in sorted(self.holds)],
            "said": {name: dict(self.said[name]) for name in sorted(self.said)},
            "recent": [dict(record) for record in self.recent],
            "counts": dict(self.counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        holds = (_read_hold(saved) for saved in state["holds"])
        self.holds = {hold.hold_id: hold for hold in holds}
        self.said = {name: dict(saved) for name, saved in state["said"].items()}
        self.recent = [dict(record) for record in state["recent"]]
        self.counts = dict(state["counts"])
        self._policy = None


def _told(decision: Decision) -> dict[str, Any]:
    return {"payload": plain(decision.payload), "expires_at": decision.expires_at}


def _read_hold(saved: Mapping[str, Any]) -> Hold:
    value = saved["value"]
    return Hold(**{**saved, "value": tuple(value) if isinstance(value, list) else value})
