"""A council of the real six officers in a world that goes wrong: its 14 invariants after each message."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from council_mutants import MUTANTS, Mutant
from council_oracle import DAY, HOUR, MINUTE
from council_paths import Paths
from council_world import MODELS, PERSONS, START, SYMBOLS

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
MOVES = (
    0.0,
    0.0,
    0.001,
    -0.001,
    -0.002,
    -0.01,
    -0.019,
    -0.03,
    -0.05,
    -0.06,
    -0.085,
    -0.11,
    -0.5,
    0.01,
    0.05,
    0.2,
)
DRAWDOWNS = (0.0, 0.019, 0.02, 0.021, 0.03, 0.04, 0.05, 0.051, 0.06, 0.061, 0.08, 0.081, 0.10, 0.101, 0.3)
SPANS = (
    0.5,
    1,
    10,
    59,
    60,
    61,
    119,
    121,
    299,
    300,
    301,
    900,
    1800,
    3600,
    7200,
    86_400,
    3 * 86_400,
    20 * 86_400,
)
STATUSES = ("HEALTHY", "HEALTHY", "HEALTHY", "DEGRADED", "CRITICAL", "EMERGENCY", "FINE", "healthy")
WHO = st.sampled_from(PERSONS)
RATE = st.sampled_from((None, 0.0, 0.39, 0.40, 0.449, 0.45, 0.5, 0.60, 0.601, 0.65, 0.66, 1.0))
SHARPE = st.sampled_from((None, -2.0, 0.99, 1.0, 1.5, 1.51, 2.0, 2.1, 5.0))


def council() -> CouncilService:
    """Return a council as a service would make it, of the real officers."""
    return CouncilService(rules=CouncilRules(universe=SYMBOLS[:5]), started_at=START, config_hash="test")


class CouncilMachine(RuleBasedStateMachine):
    """Reports, clocks, operators and restarts in any order; `council_laws` are checked after each."""

    maker = staticmethod(council)

    def __init__(self) -> None:
        super().__init__()
        self.world = Paths(self.maker)

    @initialize(awake=st.booleans())
    def begin(self, awake: bool) -> None:
        if awake:
            self.world.health()
            self.world.report(positions=0)

    @rule(source=st.sampled_from(("paper", "paper", "paper", "desk", "venue")), move=st.sampled_from(MOVES))
    def reports(self, source: str, move: float) -> None:
        self.world.report(source, move)

    @rule(
        drawdown=st.sampled_from(DRAWDOWNS),
        most=st.sampled_from((0.0, 0.08, 0.081, 0.10, 0.101)),
        rate=RATE,
        sharpe=SHARPE,
        pnl=st.sampled_from((None, 0.0, -499.0, -500.0, -501.0, -700.0)),
    )
    def says_itself(
        self, drawdown: float, most: float, rate: float | None, sharpe: float | None, pnl: float | None
    ) -> None:
        self.world.report(
            drawdown=drawdown,
            max_drawdown=max(most, drawdown),
            win_rate=rate,
            sharpe=sharpe,
            realized_pnl_today=pnl,
        )

    @rule(
        losses=st.sampled_from((0, 4, 5, 9)),
        winning=st.sampled_from((0, 4, 5, 9)),
        losing=st.sampled_from((0, 2, 3, 9)),
        exposure=st.sampled_from((0.0, 0.85, 0.851, 0.9, 2.0)),
        positions=st.sampled_from((0, 1, 7, 8)),
        unprotected=st.sampled_from((0, 1)),
        margin=st.sampled_from((None, 0.1, 0.5, 0.51)),
    )
    def counts(
        self,
        losses: int,
        winning: int,
        losing: int,
        exposure: float,
        positions: int,
        unprotected: int,
        margin: float | None,
    ) -> None:
        self.world.report(
            consecutive_losses=losses,
            winning_days=winning,
            losing_days=losing,
            exposure=exposure,
            positions=positions,
            unprotected=min(unprotected, positions),
            margin_ratio=margin,
        )

    @rule(equity=st.sampled_from((0.0, 999.0, 999.99, 1000.0, 1000.01, 1500.0, 1500.1)))
    def is_poor(self, equity: float) -> None:
        self.world.report(equity=equity, nav=self.world.sources["paper"].nav)

    @rule(
        figure=st.sampled_from(("nav", "drawdown", "exposure", "win_rate", "sharpe")),
        bad=st.sampled_from(("nan", "inf", "-inf")),
    )
    def says_nonsense(self, figure: str, bad: str) -> None:
        self.world.nonsense(figure, float(bad))

    @rule(
        status=st.sampled_from(STATUSES),
        ess=st.sampled_from(("", "", "NOMINAL", "CAUTION", "WARNING", "CRITICAL")),
    )
    def health(self, status: str, ess: str) -> None:
        self.world.health(status, ess_state=ess)

    @rule(faults=st.sampled_from(({"journal": "no append"}, {"reconciliation": "1 != 2"}, {})))
    def faults(self, faults: dict[str, str]) -> None:
        self.world.health(faults=faults)

    @rule(
        model=st.sampled_from(MODELS),
        sharpe=SHARPE,
        rate=RATE,
        days=st.sampled_from((0, 10, 30, 400)),
        age=st.sampled_from((0.0, 30.0, 31.0)),
    )
    def models(self, model: str, sharpe: float | None, rate: float | None, days: int, age: float) -> None:
        self.world.model(model, sharpe, rate, days, age)

    @rule(order=st.permutations(range(9)))
    def volumes(self, order: list[int]) -> None:
        self.world.volumes(order)

    @rule(seconds=st.sampled_from(SPANS))
    def time_passes(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule(
        span=st.sampled_from((5 * MINUTE, 20 * MINUTE, 2 * HOUR + MINUTE, DAY, 8 * DAY)), good=st.booleans()
    )
    def calm_passes(self, span: int, good: bool) -> None:
        fine: dict[str, Any] = {"winning_days": 6, "losing_days": 0, "win_rate": 0.7, "sharpe": 2.5}
        self.world.calm(span, **(fine | {"consecutive_losses": 0} if good else {}))

    @rule(persons=st.integers(0, 2), rebase=st.booleans())
    def freeze_is_reviewed_after_calm(self, persons: int, rebase: bool) -> None:
        self.world.calm(2 * HOUR, 4, consecutive_losses=0)
        self.world.review("freeze", persons)
        if rebase:
            self.world.review("rebase", 2)
        self.world.calm(30 * MINUTE, 6, consecutive_losses=0)

    @rule()
    def review_comes_in_unrest(self) -> None:
        self.world.reviewed_in_unrest()

    @rule()
    def knows_too_little_for_long(self) -> None:
        self.world.blind_for_long()

    @rule()
    def one_is_slow_and_one_silent(self) -> None:
        self.world.slow_and_silent()

    @rule(seconds=st.sampled_from((1800, 3 * 86_400)), move=st.sampled_from((-0.01, -0.06)))
    def falls_over_a_gap(self, seconds: float, move: float) -> None:
        self.world.tick(seconds)
        self.world.report(move=move)

    @rule()
    def freezes_again(self) -> None:
        self.world.freezes_again()

    @rule(
        drawdown=st.sampled_from((0.02, 0.05, 0.051, 0.06, 0.08, 0.081, 0.10)),
        rate=st.sampled_from((None, 0.40, 0.45)),
    )
    def stands_at_a_threshold(self, drawdown: float, rate: float | None) -> None:
        self.world.at_a_threshold(drawdown, rate)

    @rule(profile=st.sampled_from(("LOW", "NORMAL")), first=WHO, second=WHO)
    def asks_and_approves(self, profile: str, first: str, second: str) -> None:
        self.world.loosen(profile, first, second)

    @rule(what=st.sampled_from(("freeze", "reduce_only", "rebase")), persons=st.integers(1, 2))
    def reviews(self, what: str, persons: int) -> None:
        self.world.review(what, persons)

    @rule(back=st.integers(0, 50))
    def replays(self, back: int) -> None:
        self.world.replay(back)

    @rule(back=st.integers(0, 50))
    def commands_come_again(self, back: int) -> None:
        self.world.command_again(back)

    @rule(seconds=st.sampled_from((0.001, 1.0, 3600.0, 1e6)))
    def future(self, seconds: float) -> None:
        self.world.from_the_future(seconds)

    @rule(seconds=st.sampled_from((1.0, 3600.0, 86_400.0)))
    def clock_goes_back(self, seconds: float) -> None:
        self.world.clock_back(seconds)

    @rule(
        mode=st.sampled_from(("LIVE", "SHADOW", "PAUSED", "REDUCING", "EMERGENCY", "FROZEN")),
        who=WHO,
        minutes=st.sampled_from((None, 1, 60, 1440)),
    )
    def asks_mode(self, mode: str, who: str, minutes: int | None) -> None:
        self.world.command("mode", {"mode": mode, "duration_minutes": minutes}, who)

    @rule(profile=st.sampled_from(("MICRO", "LOW", "NORMAL", "AGGRESSIVE")), who=WHO)
    def asks_profile(self, profile: str, who: str) -> None:
        self.world.command("profile", {"profile": profile, "duration_minutes": 60}, who)

    @rule(
        key=st.sampled_from(
            (
                "max_leverage",
                "max_position_size_usd",
                "max_drawdown_pct",
                "max_exposure_pct",
                "stop_loss_multiplier",
            )
        ),
        share=st.sampled_from((0.0, -1.0, 0.1, 0.5, 1.0, 1.5, float("inf"), float("nan"))),
        who=WHO,
    )
    def asks_risk(self, key: str, share: float, who: str) -> None:
        base = {
            "max_leverage": 10.0,
            "max_position_size_usd": 10_000.0,
            "max_drawdown_pct": 0.08,
            "max_exposure_pct": 0.9,
        }
        self.world.command("risk", {key: base.get(key, 1.0) * share, "duration_minutes": 60}, who)

    @rule(
        model=st.sampled_from((*MODELS, "nobody")), weight=st.sampled_from((0.0, 0.1, 0.5, 1.0, 1.1)), who=WHO
    )
    def asks_weight(self, model: str, weight: float, who: str) -> None:
        self.world.command("allocation", {"model": model, "weight": weight}, who)

    @rule(count=st.integers(1, 9), who=WHO)
    def asks_symbols(self, count: int, who: str) -> None:
        self.world.command("universe", {"symbols": list(SYMBOLS[:count]), "duration_minutes": 60}, who)

    @rule(
        role=st.sampled_from(("ceo", "cio", "cfo", "researcher", "cro", "supervisor", "nobody")),
        on=st.booleans(),
    )
    def switches(self, role: str, on: bool) -> None:
        self.world.switch(role, on)

    @rule(who=WHO)
    def approves(self, who: str) -> None:
        self.world.approve(who)

    @rule(index=st.integers(0, 20), who=WHO)
    def releases(self, index: int, who: str) -> None:
        self.world.release(index, who)

    @rule(source=st.sampled_from(("desk", "venue", "paper", "nobody")))
    def retires(self, source: str) -> None:
        self.world.retire(source)

    @rule()
    def restarts(self) -> None:
        self.world.restore()

    @rule()
    def replays_from_zero(self) -> None:
        self.world.from_zero()

    def teardown(self) -> None:
        self.world.from_zero()


def _run(machine: type[CouncilMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not FULL,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(8, 30), pytest.param(1_000 if FULL else 100, 60, marks=pytest.mark.long)],
)
def test_a_council_keeps_its_invariants_whatever_it_hears(examples: int, steps: int) -> None:
    _run(CouncilMachine, examples, steps)


class RecoveringMachine(CouncilMachine):
    """As above; at its end ordinary events and permitted reviews must lead back to LIVE and NORMAL."""

    def teardown(self) -> None:
        self.world.recover()


@pytest.mark.parametrize(
    ("examples", "steps"), [(1, 20), pytest.param(200 if FULL else 12, 60, marks=pytest.mark.long)]
)
def test_from_every_state_there_is_a_way_back_to_live_and_normal(examples: int, steps: int) -> None:
    _run(RecoveringMachine, examples, steps)


def _notices(examples: int) -> None:
    """Let the machine look for a fault; an AssertionError where it finds one."""
    for machine in (CouncilMachine, RecoveringMachine):
        _run(machine, examples, 40)


@pytest.mark.long
@pytest.mark.parametrize("fault", MUTANTS if FULL else MUTANTS[::8], ids=str)
def test_a_planted_fault_is_noticed(fault: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        _notices(200)
