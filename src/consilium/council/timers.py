"""How long conditions have held: a memory of plain values that changes only where a condition changes."""

from collections.abc import Mapping
from typing import Any

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Timers:
    """A working copy of an officer's memory at one instant; the memory given is left as it was.

    Under ``since`` it keeps from when each condition has held; every other key is the officer's own.

    Parameters
    ----------
    memory
        As `memory` returned it before; empty at first.
    now
        UTC nanoseconds. Where the clock went back nothing has held for long.
    fresh_since
        When the newest gap ended in which nobody watched: no condition has held across it.

    Examples
    --------
    >>> first = Timers({}, now=0)
    >>> first.began("late", True), first.held("late", True, 60)
    (True, False)
    >>> second = Timers(first.memory, now=60)
    >>> second.began("late", True), second.held("late", True, 60), second.memory == first.memory
    (False, True, True)
    """

    def __init__(self, memory: Mapping[str, Any], now: int, fresh_since: int = 0) -> None:
        self.now = now
        self._fresh_since = fresh_since
        self._since: dict[str, int] = dict(memory.get("since", {}))
        self._own = {key: value for key, value in memory.items() if key != "since"}
        self._seen: dict[str, bool] = {}

    def began(self, name: str, condition: bool | None) -> bool:
        """Note a condition, and return whether it holds now and did not before; None if nobody knows."""
        if condition is None:
            return False
        if name not in self._seen:
            self._seen[name] = condition and name not in self._since
            if not condition:
                self._since.pop(name, None)
            else:
                self._since.setdefault(name, self.now)
        return self._seen[name]

    def held(self, name: str, condition: bool, for_ns: int) -> bool:
        """Note a condition, and return whether it has held for a time, its end included."""
        self.began(name, condition)
        return condition and self.reached(max(self._since[name], self._fresh_since) + for_ns)

    def lasted(self, name: str, condition: bool, for_ns: int) -> bool:
        """As `held`; time in which nobody watched counts too."""
        self.began(name, condition)
        return condition and self.reached(self._since[name] + for_ns)

    def reached(self, ts: int) -> bool:
        """Return whether an instant has come."""
        return self.now >= ts

    def recall(self, key: str, default: Any = None) -> Any:
        """Return what the officer keeps under a key."""
        return self._own.get(key, default)

    def keep(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key; None forgets it."""
        if value is None:
            self._own.pop(key, None)
        else:
            self._own[key] = value

    @property
    def memory(self) -> dict[str, Any]:
        """All that is to be remembered, as JSON values."""
        return {**self._own, "since": dict(self._since)}
