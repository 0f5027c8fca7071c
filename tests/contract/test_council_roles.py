"""The exam of every officer: pure, deterministic, of its own kinds only, silent where nothing is to say."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from consilium.council.holds import check_hold, is_grant, is_tighter
from consilium.council.roles import ROLES, make_role
from consilium.domain import DecisionKind, Missing, ModelFigures, Policy, UnknownName
from consilium.domain.governance import PRIORITIES
from council_desk import DAY, HOUR, MINUTE, Desk, decision, hold

SECOND = 10**9
OFFICERS = sorted(ROLES)
STEPS = (SECOND, MINUTE, 15 * MINUTE, HOUR, 5 * HOUR, DAY, 4 * DAY, 14 * DAY)
AROUND: dict[str, tuple[Any, ...]] = {
    "drawdown": (0.0, 0.019, 0.02, 0.029, 0.03, 0.039, 0.05, 0.051, 0.06, 0.061, 0.08, 0.081, 0.1, 0.102),
    "max_drawdown": (0.0, 0.08, 0.081, 0.10, 0.101),
    "drawdown_rebased": (0.0, 0.019, 0.049, 0.05, 0.061, 0.10, 0.11),
    "max_drawdown_rebased": (0.0, 0.08, 0.081),
    "drawdown_rise": (0.0, 0.02, 0.021, 0.05),
    "daily_loss": (0.0, 0.05, 0.051),
    "ess_loss": (0.0, 0.069, 0.2),
    "loss_15m": (0.0, 0.001, 0.002),
    "equity": (10_000.0, 1500.0, 1501.0, 1000.0, 999.0),
    "exposure": (0.1, 0.85, 0.86),
    "positions": (0.0, 1.0, 8.0),
    "unprotected": (0.0, 1.0),
    "win_rate": (0.3, 0.4, 0.45, 0.46, 0.5, 0.6, 0.61, 0.65, 0.7),
    "sharpe": (-1.0, 0.9, 1.5, 1.6, 2.0, 2.5),
    "consecutive_losses": (0.0, 4.0, 5.0, 6.0),
    "winning_days": (0.0, 4.0, 5.0),
    "losing_days": (0.0, 2.0, 3.0),
    "reserve": (0.01, 0.05, 0.10, 0.15, 0.2),
    "late": (False, False, False, True),
    "lost": (False, False, False, True),
    "system": ("HEALTHY", "HEALTHY", "DEGRADED", "CRITICAL", "EMERGENCY", ""),
    "ess": ("NOMINAL", "NOMINAL", "CAUTION", "WARNING", "CRITICAL", ""),
    "faults": ({}, {}, {"journal": "disk full"}),
    "reviews": ({}, {"freeze": ("ann", "bob"), "reduce_only": ("ann",)}),
    "performance": (
        {},
        {"a": ModelFigures(sharpe=2.0, win_rate=0.6, days=300, staleness_days=40), "b": ModelFigures()},
        {"a": ModelFigures(sharpe=-2.0, win_rate=0.4, days=300, staleness_days=4)},
    ),
}
"""Values of each fact at and around the bounds of the table."""
MAY_BE_MISSING = tuple(name for name in AROUND if isinstance(AROUND[name][0], float))
OTHERS = (
    hold("operator", "O1:max_leverage=5", "max_leverage", 5.0),
    hold("operator", "O1:mode=SHADOW", "mode", "SHADOW"),
    hold("supervisor", "U1", "profile", "MICRO"),
    hold("cro", "R1", "max_exposure", 0.7),
    hold("ceo", "P2", "profile", "LOW"),
    hold("cio", "C2", "symbols", ("A", "B", "C")),
)


def changes(rng: np.random.Generator) -> dict[str, Any]:
    """Return a few facts that change, one in ten to a missing figure."""
    names = rng.choice(sorted(AROUND), size=rng.integers(0, 8), replace=False)
    found: dict[str, Any] = {}
    for name in names:
        values = AROUND[str(name)]
        found[str(name)] = values[int(rng.integers(len(values)))]
        if name in MAY_BE_MISSING and rng.random() < 0.1:
            found[str(name)] = (Missing.UNKNOWN, Missing.INSUFFICIENT)[int(rng.integers(2))]
    return found


def walks(officer: str, seed: int, steps: int) -> Iterator[Desk]:
    """Yield a desk before each of many briefings; the holds of others come and go."""
    rng = np.random.default_rng(seed)
    base = Policy(symbols=("A", "B", "C", "D"))
    desk = Desk(officer, base=base, volumes=dict.fromkeys("ABCDEFGHI", 1.0))
    others = [each for each in OTHERS if each.owner != officer]
    for _ in range(steps):
        desk.now += STEPS[int(rng.integers(len(STEPS)))]
        desk.facts |= changes(rng)
        for each in others:
            desk.holds.pop(each.hold_id, None)
            if rng.random() < 0.1:
                desk.put(each)
        yield desk
        desk.see()


@pytest.fixture(params=OFFICERS)
def officer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_six_officers_are_known_by_name_and_no_seventh_is() -> None:
    assert {name: make_role(name).name for name in ROLES} == {
        name: name for name in PRIORITIES if name != "operator"
    }
    with pytest.raises(UnknownName, match="supervisor"):
        make_role("supervisr")


def test_an_officer_decides_on_known_kinds_and_overrides_are_the_supervisors(officer: str) -> None:
    kinds = make_role(officer).kinds
    assert kinds
    assert kinds <= {kind.value for kind in DecisionKind}
    assert ("OVERRIDE" in kinds) == ("FREEZE" in kinds) == (officer == "supervisor")


def test_an_officer_is_silent_on_a_calm_briefing(officer: str) -> None:
    desk = Desk(officer)
    assert desk.see() == ()
    for _ in range(50):
        assert desk.see(HOUR) == ()


def test_a_memory_changes_only_where_a_condition_does(officer: str) -> None:
    for desk in walks(officer, seed=1, steps=150):
        role = make_role(officer)
        desk.see()
        desk.see()
        first = role.evaluate(desk.briefing(), desk.memory)
        if first.proposals:
            continue
        desk.now += SECOND
        second = role.evaluate(desk.briefing(), first.memory)
        if not second.proposals:  # else a span was over within that very second
            assert second.memory == first.memory


def test_an_officer_is_pure_and_deterministic(officer: str) -> None:
    for desk in walks(officer, seed=3, steps=150):
        given, memory = desk.briefing(), copy.deepcopy(desk.memory)
        first = make_role(officer).evaluate(given, desk.memory)
        assert desk.memory == memory
        again = make_role(officer).evaluate(given, json.loads(json.dumps(memory)))
        assert again == first
        assert json.loads(json.dumps(first.memory)) == first.memory


def test_an_officer_keeps_to_its_kinds_and_to_its_own_holds(officer: str) -> None:
    spoke = 0
    for desk in walks(officer, seed=4, steps=250):
        role = make_role(officer)
        for proposal in role.evaluate(desk.briefing(), desk.memory).proposals:
            spoke += 1
            assert proposal.kind in role.kinds
            assert proposal.rule
            assert proposal.reason
            json.dumps(proposal.payload, allow_nan=False)
            for placed in proposal.holds:
                check_hold(placed)
                assert placed.owner == officer
                assert placed.ts_event == desk.now
            for name in proposal.releases:
                assert desk.holds[name].owner == officer
            assert not {placed.hold_id for placed in proposal.holds} & set(proposal.releases)
    assert spoke > 5


def test_one_evaluation_brings_one_decision_of_a_kind(officer: str) -> None:
    for desk in walks(officer, seed=5, steps=250):
        ruling = make_role(officer).evaluate(desk.briefing(), desk.memory)
        kinds = [p.kind for p in ruling.proposals if p.kind not in ("FREEZE", "RESEARCH_TASK")]
        assert len(kinds) == len(set(kinds))
        freezes = [p.rule for p in ruling.proposals if p.kind == "FREEZE"]
        assert len(freezes) == len(set(freezes))


def test_nothing_is_loosened_where_nothing_is_known(officer: str) -> None:
    unknown = {"late": True, "system": "", "ess": "", **dict.fromkeys(MAY_BE_MISSING, Missing.UNKNOWN)}
    for desk in walks(officer, seed=6, steps=150):
        desk.facts |= unknown
        for proposal in make_role(officer).evaluate(desk.briefing(), desk.memory).proposals:
            for name in proposal.releases:
                assert is_grant(desk.holds[name])
            for placed in proposal.holds:
                before = desk.holds.get(placed.hold_id)
                if before is not None and not is_grant(placed):
                    assert not is_tighter(placed.key, before.value, placed.value)


def test_an_officer_overrides_nothing_unless_it_is_the_supervisor(officer: str) -> None:
    bad = decision("ceo", "CAPITAL_PROFILE", {"profile": "AGGRESSIVE"})
    desk = Desk(officer, dd=0.2)
    assert len(make_role(officer).review(desk.briefing(), [bad])) == (1 if officer == "supervisor" else 0)
