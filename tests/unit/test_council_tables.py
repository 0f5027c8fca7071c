"""Tables of `consilium council`: what is to be given to another command stands in one line."""

import pytest
from rich.console import Console

from consilium.app.cli.council_tables import show_decisions, show_halted, show_holds

ID = "0123456789abcdef" * 2
HOLD = "operator/O1:max_position_usd=600.0/max_position_usd"


@pytest.mark.parametrize("terminal", [True, False])
def test_ids_are_whole_on_a_narrow_screen(terminal: bool) -> None:
    console = Console(width=80, force_terminal=terminal, record=True, no_color=True)
    decision = {
        "decision_id": ID,
        "timestamp": "2026-01-01T00:00:00Z",
        "role_source": "supervisor",
        "rule": "F1",
        "decision_type": "RISK_ADJUSTMENT",
        "reason": "a long reason that has to be told in full " * 3,
    }
    show_decisions({"decisions": [decision], "next": None}, console)
    hold = {"hold_id": HOLD, "value": 600.0, "timestamp": "2026-01-01T00:00:00Z", "reason": "a test " * 20}
    show_holds({"holds": [hold]}, console)
    told = console.export_text()
    assert ID in told
    assert HOLD in told


def test_the_end_of_a_hold_without_a_time_is_told_by_who_ends_it() -> None:
    console = Console(width=200, record=True)
    hold = {"value": "PAUSED", "timestamp": "2026-01-01T00:00:00Z", "reason": "a test", "expires": None}
    operators = hold | {"hold_id": "operator/O1:mode=PAUSED/mode", "owner": "operator"}
    officers = hold | {"hold_id": "ceo/M2/mode", "owner": "ceo"}
    show_holds({"holds": [operators, officers]}, console)
    _, first, second = console.export_text().splitlines()
    assert ("released" in first, "by rule" in first) == (True, False)
    assert "by rule" in second


def test_a_halt_that_is_only_noted_is_not_called_a_freeze() -> None:
    console = Console(width=200, record=True)
    done = {"success": True, "decision_id": "d1"}
    show_halted(done | {"detail": "FROZEN"}, console)
    show_halted(done | {"detail": "its note is on the disk"}, console)
    assert console.export_text().splitlines() == ["trading is frozen: d1", "its note is on the disk: d1"]
