"""Laws of the officers and of what combines them, on random facts, against the table written down again."""

import copy
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from typing import Any, cast

import numpy as np
import pytest

import council_meet as force
import council_oracle as oracle
import council_random as randomly
from consilium.council.holds import meet
from consilium.council.role import Role
from consilium.council.roles import ROLES
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import (
    AccountFigures,
    Briefing,
    Decision,
    Missing,
    ModelFigures,
    Policy,
    TimePassed,
)
from council_oracle import DAY, SECOND

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
START = 1_700_006_400 * SECOND
OWN = {
    "supervisor": {"F1", "F2", "F3", "F4", "F5", "F6"},
    "ceo": {"M1", "M2", "M3", "P1", "P2"},
    "cro": {"R2", "E1"},
    "cio": {"C2"},
}
TRUTH = {
    "F1": oracle.f1,
    "F2": oracle.f2,
    "F3": oracle.f3,
    "F4": oracle.f4,
    "F5": oracle.f5,
    "F6": oracle.f6,
    "M1": oracle.m1,
    "M2": oracle.m2,
    "M3": oracle.m3,
    "P1": oracle.p1,
    "P2": oracle.p2,
    "R2": oracle.r2,
    "E1": oracle.e1,
    "C2": oracle.c2,
}


WALK = 500
"""Random reports that one council hears."""
WIRE = {"REDUCING": "PAUSED", "FROZEN": "EMERGENCY"}
"""Names on the wire of the modes that the seed does not know."""


def officer(name: str) -> Role:
    module, _, kind = ROLES[name].partition(":")
    return cast("Role", getattr(import_module(module), kind)())


def council() -> CouncilService:
    return CouncilService(rules=CouncilRules(universe=randomly.SYMBOLS[:5]), started_at=START)


@pytest.mark.parametrize("name", ["supervisor", "cro", "ceo", "cio", "cfo", "researcher"])
def test_an_officer_is_pure_and_keeps_to_its_own(name: str) -> None:
    rng, role, memory = np.random.default_rng(11), officer(name), cast("dict[str, Any]", {})
    for number in range(400):
        facts = randomly.briefing(rng, START + number * 3600 * SECOND)
        kept = copy.deepcopy(memory)
        ruling = role.evaluate(facts, memory)
        assert memory == kept
        assert role.evaluate(facts, memory) == ruling
        memory = json.loads(json.dumps(ruling.memory))
        assert memory == ruling.memory
        assert {one.kind for one in ruling.proposals} <= role.kinds
        for one in ruling.proposals:
            assert one.reason
            assert {hold.owner for hold in one.holds} <= {name}
            assert all(released.startswith(f"{name}/") for released in one.releases)


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_rule_fires_where_the_table_says_so_and_nowhere_else(name: str) -> None:
    rng, role = np.random.default_rng(12), officer(name)
    fired: dict[str, int] = defaultdict(int)
    for _ in range(2_000):
        facts = randomly.briefing(rng, START)
        ruling = role.evaluate(facts, {})
        placed = {hold.rule for one in ruling.proposals for hold in one.holds} & OWN[name]
        expected = {rule for rule in OWN[name] if TRUTH[rule](facts)}
        if name == "ceo":
            expected, placed = _first_of_mode(expected), _first_of_mode(placed)
        assert placed == expected, facts
        for rule in placed:
            fired[rule] += 1
    assert set(fired) == OWN[name]


def _first_of_mode(rules: set[str]) -> set[str]:
    """Keep the tightest of the CEO's modes and profiles: the looser ones need no hold beside them."""
    kept = set(sorted(rules & {"M1", "M2", "M3"})[:1])
    return kept | set(sorted(rules & {"P1", "P2"})[:1])


def test_figures_that_are_missing_fire_nothing() -> None:
    for missing in (Missing.UNKNOWN, Missing.INSUFFICIENT):
        figures = AccountFigures(
            **{name: missing for name in AccountFigures.__dataclass_fields__ if name not in {"late", "lost"}},
            late=False,
            lost=False,
        )
        facts = _facts(figures)
        for name, rules in OWN.items():
            ruling = officer(name).evaluate(facts, {})
            assert not {hold.rule for one in ruling.proposals for hold in one.holds} & rules


@pytest.mark.parametrize("bound", [0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10])
def test_at_exact_thresholds_nothing_moves(bound: float) -> None:
    rates = {0.02: 0.65, 0.03: 0.60, 0.04: 0.50, 0.05: 0.45, 0.06: 0.45, 0.08: 0.45, 0.10: 0.45}
    figures = _calm_figures(
        drawdown=bound,
        drawdown_rebased=bound,
        max_drawdown=bound,
        max_drawdown_rebased=bound,
        drawdown_rise=0.02,
        daily_loss=0.05,
        exposure=0.85,
        win_rate=rates[bound],
        sharpe=1.5,
        equity=1000.0,
        consecutive_losses=4,
        losing_days=2,
        winning_days=4,
    )
    facts = _facts(figures)
    for name, rules in OWN.items():
        ruling = officer(name).evaluate(facts, {})
        placed = {hold.rule for one in ruling.proposals for hold in one.holds} & rules
        assert placed == {rule for rule in rules if TRUTH[rule](facts)}
    if bound == 0.05:
        assert not any(TRUTH[rule](facts) for rules in OWN.values() for rule in rules)


def _calm_figures(**more: Any) -> AccountFigures:
    calm: dict[str, Any] = {
        "equity": 10_000.0,
        "nav": 10_000.0,
        "drawdown": 0.0,
        "max_drawdown": 0.0,
        "drawdown_rebased": 0.0,
        "max_drawdown_rebased": 0.0,
        "drawdown_rise": 0.0,
        "daily_loss": 0.0,
        "ess_loss": 0.0,
        "loss_15m": 0.0,
        "exposure": 0.1,
        "leverage": 1.0,
        "margin_ratio": 0.1,
        "positions": 1,
        "unprotected": 0,
        "reserve": 0.1,
        "age_s": 1.0,
        "late": False,
        "lost": False,
    }
    return AccountFigures(**(calm | more))


def _facts(figures: AccountFigures) -> Briefing:
    return Briefing(
        snapshot_id="calm",
        ts_event=START,
        portfolio=figures,
        system="HEALTHY",
        ess="NOMINAL",
        base=Policy(symbols=randomly.SYMBOLS[:5]),
        policy=Policy(symbols=randomly.SYMBOLS[:5]),
        volumes=dict.fromkeys(randomly.SYMBOLS, 1.0),
        started_at=START,
    )


# --- what is in force -------------------------------------------------------------------------------------


def _as_dict(policy: Policy) -> dict[str, object]:
    allowed = None if policy.symbols is None else set(policy.symbols)
    names = force.meet(policy, ())
    return {name: getattr(policy, name) for name in names} | {"symbols": allowed}


def test_the_policy_is_the_meet_of_holds_and_base_in_any_order() -> None:
    rng = np.random.default_rng(13)
    base = Policy(symbols=randomly.SYMBOLS[:7])
    for _ in range(400):
        listed = randomly.holds(rng, int(rng.integers(0, 12)))
        policy = meet(base, listed)
        assert _as_dict(policy) == force.meet(base, listed)
        shuffled = [listed[i] for i in rng.permutation(len(listed))]
        assert meet(base, shuffled) == policy
        assert meet(base, [*listed, *listed]) == policy
        assert not force.no_looser(policy, base)
        fewer = meet(base, listed[1:])
        assert not force.no_looser(policy, fewer)


# --- random facts, one after another ----------------------------------------------------------------------


def _contradictions(outputs: Iterable[Any], service: CouncilService) -> list[str]:
    policy = service.policy
    found = []
    modes = [str(hold.value) for hold in service.holds.values() if hold.key == "mode"]
    if ("FROZEN" in modes) != (policy.mode == "FROZEN"):
        found.append("frozen in one view only")
    if policy.mode != force.tightest_mode(modes):
        found.append(f"mode {policy.mode} of {modes}")
    if (policy.entry, policy.strategy_exit) != force.capabilities(modes)[:2]:
        found.append("capabilities of another mode")
    kinds: dict[str, list[Decision]] = defaultdict(list)
    for one in outputs:
        if isinstance(one, Decision):
            kinds[one.kind].append(one)
    found += [
        f"LIVE beside {modes}" for mode in kinds["MODE_CHANGE"] if mode.payload["mode"] == "LIVE" and modes
    ]
    said = [str(one.payload["mode"]) for one in kinds["MODE_CHANGE"]]
    if said and not kinds["FREEZE"] and said[-1] != WIRE.get(policy.mode, policy.mode):
        found.append(f"two modes: {said} and {policy.mode}")
    for kind, key in (("RISK_ADJUSTMENT", "max_leverage"), ("ESS_POLICY", "warning_threshold_pct")):
        bounds = {one.payload.get(key) for one in kinds[kind]}
        if len(bounds) > 1:
            found.append(f"{kind} says {bounds}")
    if len({str(one.payload["profile"]) for one in kinds["CAPITAL_PROFILE"]}) > 1:
        found.append("two profiles")
    return found


@pytest.mark.parametrize(
    "count", [1_000, pytest.param(1_000_000 if FULL else 10_000, marks=pytest.mark.long)]
)
def test_random_briefings_never_contradict(count: int) -> None:
    for seed in range(count // WALK):
        walks_without_contradiction(seed)


def walks_without_contradiction(seed: int) -> None:
    """Let a council hear one walk of random reports."""
    service, now = council(), START
    for message in randomly.messages(np.random.default_rng([14, seed]), WALK, START):
        outputs = service.handle(message)
        assert not _contradictions(outputs, service), (seed, message, outputs)
        now = message.ts_event
    service.handle(TimePassed(ts_event=now + DAY))


# --- weights and splits -----------------------------------------------------------------------------------


def test_weights_fill_like_water_between_their_bounds() -> None:
    rng, role = np.random.default_rng(15), officer("cio")
    for _ in range(200):
        names = [f"model{number}" for number in range(int(rng.integers(1, 12)))]
        performance = {
            name: ModelFigures(
                sharpe=float(rng.normal(0.5, 2.0)),
                win_rate=float(rng.uniform(0.3, 0.7)),
                days=int(rng.integers(20, 900)),
            )
            for name in names
        }
        facts = Briefing(
            **{f: getattr(_facts(_calm_figures()), f) for f in Briefing.__slots__}
            | {"performance": performance}
        )
        made = [one for one in role.evaluate(facts, {}).proposals if one.kind == "STRATEGY_ALLOCATION"]
        scores = [
            oracle.shrunk_score(cast("float", of.sharpe), cast("float", of.win_rate), of.days)
            for of in performance.values()
        ]
        weights = cast("dict[str, float]", made[0].payload["model_weights"])
        assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
        assert [weights[name] for name in names] == pytest.approx(oracle.allocation(scores), abs=1e-9)


def test_the_split_of_profit_follows_the_first_true_row() -> None:
    rng, role = np.random.default_rng(16), officer("cfo")
    for _ in range(500):
        facts = randomly.briefing(rng, START)
        for one in role.evaluate(facts, {}).proposals:
            said = tuple(
                one.payload[name] for name in ("profit_lock_pct", "reinvest_pct", "reserve_buffer_pct")
            )
            assert said == oracle.split(facts)
            assert sum(cast("tuple[float, ...]", said)) == 1.0
