"""What a source leaves out, or says in words that nobody knows, makes no figure better."""

import json
from typing import Any

import pytest

from consilium.council.briefing import system_health
from consilium.council.facts import Facts
from consilium.council.rules import CouncilRules
from consilium.domain import HealthReported, Missing, ReportRefused
from consilium.domain.time import MINUTE_NS
from council_voices import Voices


def refusals(told: list[object]) -> list[str]:
    return [one.reason for one in told if isinstance(one, ReportRefused)]


def unprotected(desk: Voices) -> object:
    return desk.council.briefing.portfolio.unprotected


def test_a_report_that_leaves_nav_out_wipes_no_loss() -> None:
    desk = Voices()
    for nav in (1.0, 0.94):
        desk.says(after=MINUTE_NS, nav=nav)
    assert "nav always" in refusals(desk.says(after=MINUTE_NS))[0]
    assert desk.council.briefing.portfolio.drawdown == 0.06
    assert not refusals(desk.says(after=MINUTE_NS, nav=0.94))


def test_equity_is_not_taken_for_nav_and_then_left() -> None:
    desk = Voices()
    desk.says()
    assert "nav always" in refusals(desk.says(after=MINUTE_NS, nav=1.0))[0]


def test_a_report_that_leaves_its_drawdown_out_wipes_none() -> None:
    desk = Voices()
    desk.says(drawdown=0.06)
    assert "its drawdown" in refusals(desk.says(after=MINUTE_NS))[0]
    assert desk.council.briefing.portfolio.drawdown == 0.06


def test_positions_of_one_who_does_not_tell_of_stops_are_not_protected() -> None:
    desk = Voices()
    desk.says()
    assert unprotected(desk) == 0
    desk.says(source="outside:a", positions=3, unprotected=None)
    assert unprotected(desk) is Missing.UNKNOWN
    desk.says(after=MINUTE_NS, source="outside:a", positions=0, unprotected=None)
    assert unprotected(desk) == 0


def test_an_unknown_word_beside_a_degraded_one_is_unknown() -> None:
    facts = Facts(CouncilRules())
    for source, word in (("a", "DOWN"), ("b", "DEGRADED")):
        facts.hear(HealthReported(source=source, sequence=1, ts_event=1, system_status=word))
    assert system_health(facts) == ""
    facts.hear(HealthReported(source="c", sequence=1, ts_event=1, system_status="CRITICAL"))
    assert system_health(facts) == "CRITICAL"


@pytest.mark.parametrize("value", [10**400, "0.5", float("inf"), [1]])
def test_what_is_no_number_is_refused_and_breaks_nothing(value: Any) -> None:
    desk = Voices()
    desk.says()
    assert "exposure must be finite" in refusals(desk.says(after=MINUTE_NS, exposure=value))[0]
    assert refusals(desk.asks("risk", {"max_leverage": value}))


def test_whole_numbers_leave_the_same_state_after_a_restore() -> None:
    desk = Voices()
    for nav in (10_000, 9_900):
        desk.says(after=MINUTE_NS, equity=nav)
    other = Voices().council
    other.restore(json.loads(json.dumps(desk.council.state())))
    assert other.state_hash() == desk.council.state_hash()


@pytest.mark.parametrize("name", ["consecutive_losses", "losing_closes", "positions", "winning_days"])
def test_a_count_beyond_all_reason_is_refused_and_the_supervisor_goes_on(name: str) -> None:
    """1e308 twice was infinity in the sum: the supervisor failed at every sitting after it."""
    desk = Voices()
    told: dict[str, Any] = {"nav": 1.0, name: 1e308}
    (refused,) = refusals(desk.says(after=MINUTE_NS, **told))
    assert refused.startswith(f"{name} must be finite and lie in [0, 1e+09]; got 1e+308")
