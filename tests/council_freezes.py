"""A supervisor's desk that is frozen by a row, and what makes it well again."""

from typing import Any

from council_desk import MINUTE, Desk

TRIGGERS: dict[str, dict[str, Any]] = {
    "F1": {"dd": 0.102, "max_dd": 0.102},
    "F2": {"daily_loss": 0.051},
    "F3": {"consecutive_losses": 5.0},
    "F4": {"equity": 999.0},
    "F5": {"ess": "CRITICAL"},
    "F6": {"faults": {"journal": "disk full"}},
}
BACK: dict[str, dict[str, Any]] = {
    "F1": {"dd": 0.025, "max_dd": 0.03},
    "F2": {"daily_loss": 0.0},
    "F3": {},
    "F4": {"equity": 10_000.0},
    "F5": {"ess": "NOMINAL"},
    "F6": {"faults": {}},
}
SEVERITY = {"F1": "CRITICAL", "F2": "HIGH", "F3": "MEDIUM", "F4": "CRITICAL", "F5": "CRITICAL", "F6": "HIGH"}


def frozen(desk: Desk) -> list[str]:
    return sorted(name for name, each in desk.holds.items() if each.value == "FROZEN")


def freeze(rule: str) -> Desk:
    desk = Desk("supervisor")
    desk.see()
    assert desk.rules(MINUTE, **TRIGGERS[rule]) == [rule]
    return desk
