"""What the council has done, counted from the journal; a pure function of its rows."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from consilium.domain import Event, Mode
from consilium.domain.time import HOUR_NS

DECISION, CONFLICT = "ai.federation.decision_made", "council.conflict_resolved"
POLICY, COMMAND = "council.policy_changed", "council.commanded"
FRESH_START = "P0"
"""Rule of the profile that a desk begins with: nobody was downgraded."""
HALTED = frozenset({Mode.FROZEN.value, Mode.EMERGENCY.value})
"""Modes in which nothing is opened and somebody must look."""


class Tally:
    """Decisions by kind and officer, conflicts, overrides, freezes, and how long trading was halted.

    Times are those of the council: of a replayed market, the market's.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.take(Event(event_id="e", topic=CONFLICT, stream="council", ts_event=5, ts_recorded=5,
    ...                  payload={}))
    >>> tally.conflicts, tally.conflicts_in_the_hour()
    (1, 1)
    """

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.conflicts = self.freezes = 0
        self.mode = ""
        self.mode_reason = ""
        """Of the newest decision on the mode."""
        self.scores_wanting = False
        """Whether no model had a score above 0 when weights were last ruled on."""
        self.profile = ""
        self._profile_since, self._profile_before = 0, ""
        self.last_ts = 0
        self._now = 0
        self._recent: deque[int] = deque()
        self._conflicts: deque[int] = deque()
        self._halted_ns = 0
        self._halted_since: int | None = None

    @property
    def total(self) -> int:
        """All decisions."""
        return self.decisions.total()

    def of_kind(self, kind: str) -> int:
        """Count the decisions of one kind."""
        return sum(count for (found, _), count in self.decisions.items() if found == kind)

    def take(self, event: Event) -> None:
        """Count one row of the journal."""
        ts, payload = event.ts_event, event.payload
        if not isinstance(payload, Mapping):
            return
        self._now = max(self._now, ts)
        if event.topic == DECISION:
            self.decisions[str(payload.get("decision_type")), str(payload.get("role_source"))] += 1
            self.last_ts = max(self.last_ts, ts)
            self._recent.append(ts)
            self.freezes += is_freeze(payload)
            self._decided(payload, ts)
        elif event.topic == CONFLICT:
            self.conflicts += 1
            self._conflicts.append(ts)
        elif event.topic == POLICY:
            self._policy(payload.get("policy"), ts)
        self._forget()

    def _decided(self, decision: Mapping[str, Any], ts: int) -> None:
        kind, said = decision.get("decision_type"), decision.get("payload")
        payload = said if isinstance(said, Mapping) else {}
        if kind == "MODE_CHANGE":
            self.mode_reason = str(decision.get("reason", ""))
        elif kind == "STRATEGY_ALLOCATION":
            self.scores_wanting = payload.get("alert") is True
        elif kind == "CAPITAL_PROFILE" and decision.get("rule") == FRESH_START and not self.profile:
            self.profile, self._profile_since = str(payload.get("profile", "")), ts
            self._profile_before = self.profile

    def _policy(self, policy: object, ts: int) -> None:
        if not isinstance(policy, Mapping):
            return
        self.mode, profile = str(policy.get("mode", "")), str(policy.get("profile", ""))
        if profile != self.profile:
            self._profile_before, self._profile_since, self.profile = self.profile, ts, profile
        halted = self.mode in HALTED
        if halted and self._halted_since is None:
            self._halted_since = ts
        elif not halted and self._halted_since is not None:
            self._halted_ns += max(0, ts - self._halted_since)
            self._halted_since = None

    def profile_before(self, ts: int) -> str:
        """Return the profile that was in force before an instant; empty if not known."""
        return self.profile if self._profile_since < ts else self._profile_before

    def _forget(self) -> None:
        for recent in (self._recent, self._conflicts):
            while recent and recent[0] <= self._now - HOUR_NS:
                recent.popleft()

    def decisions_in_the_hour(self, now: int = 0) -> int:
        """Count the decisions of the hour that ends now; with the newest row, if that is later."""
        return sum(ts > max(now, self._now) - HOUR_NS for ts in self._recent)

    def conflicts_in_the_hour(self, now: int = 0) -> int:
        """Count the conflicts of the hour that ends now."""
        return sum(ts > max(now, self._now) - HOUR_NS for ts in self._conflicts)

    def share(self, count: int) -> float | None:
        """Return a count over all decisions; None where there are none."""
        return count / self.total if self.total else None

    def halted_s(self, now: int = 0) -> float:
        """Return for how many seconds trading was halted in all."""
        running = 0 if self._halted_since is None else max(0, max(now, self._now) - self._halted_since)
        return (self._halted_ns + running) / 1e9

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "decisions": [[kind, officer, count] for (kind, officer), count in self.decisions.items()],
            "conflicts": self.conflicts,
            "freezes": self.freezes,
            "mode": self.mode,
            "mode_reason": self.mode_reason,
            "scores_wanting": self.scores_wanting,
            "profile": self.profile,
            "profile_since": self._profile_since,
            "profile_before": self._profile_before,
            "last_ts": self.last_ts,
            "now": self._now,
            "recent": list(self._recent),
            "recent_conflicts": list(self._conflicts),
            "halted_ns": self._halted_ns,
            "halted_since": self._halted_since,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Tally":
        """Take up what `state` returned."""
        made = cls()
        made.decisions = Counter({(kind, officer): count for kind, officer, count in state["decisions"]})
        made.conflicts, made.freezes, made.last_ts = state["conflicts"], state["freezes"], state["last_ts"]
        made.mode, made.profile, made._now = state["mode"], state["profile"], state["now"]
        made.mode_reason, made._profile_since = state["mode_reason"], state["profile_since"]
        made.scores_wanting = state["scores_wanting"]
        made._profile_before = state["profile_before"]
        made._recent, made._conflicts = deque(state["recent"]), deque(state["recent_conflicts"])
        made._halted_ns, made._halted_since = state["halted_ns"], state["halted_since"]
        return made


def is_freeze(decision: Mapping[str, Any]) -> bool:
    """Tell whether a decision freezes, and does not end a freeze.

    Examples
    --------
    >>> is_freeze({"decision_type": "FREEZE", "payload": {}})
    True
    >>> is_freeze({"decision_type": "FREEZE", "payload": {"released": True}})
    False
    """
    payload = decision.get("payload")
    over = isinstance(payload, Mapping) and any(
        payload.get(word) is True for word in ("released", "expired", "unfrozen")
    )
    return decision.get("decision_type") == "FREEZE" and not over
