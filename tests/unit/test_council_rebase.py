"""A rebase stands until nothing that was measured from the old peak counts any more."""

from consilium.council.service import CouncilService
from consilium.domain import AccountReported, CouncilCommanded, HealthReported
from consilium.domain.time import HOUR_NS

FALLEN = 0.89


def hear(council: CouncilService, hour: int, nav: float) -> None:
    ts = hour * HOUR_NS
    health = HealthReported(source="system", sequence=hour, ts_event=ts, system_status="HEALTHY")
    account = AccountReported(
        source="account:paper", sequence=hour, ts_event=ts, interval_ns=HOUR_NS, equity=1e4 * nav, nav=nav,
        exposure=0.0, leverage=0.0, margin_ratio=0.0, positions=0, unprotected=0, consecutive_losses=0,
    )  # fmt: skip
    council.handle_all([health, account])


def review(council: CouncilService, hour: int, person: str, what: str) -> None:
    council.handle(
        CouncilCommanded(
            command_id=f"{what}-{person}",
            action="review",
            payload={"what": what, "note": "looked at"},
            reason="looked at",
            person=person,
            authenticated_at=hour * HOUR_NS,
            ts_event=hour * HOUR_NS,
        )
    )


def test_a_fall_before_a_rebase_tightens_nothing_a_month_after_it() -> None:
    council = CouncilService(started_at=HOUR_NS)
    for hour in range(1, 30):
        hear(council, hour, 1.0 if hour < 20 else FALLEN)
    for person in ("ann", "bob"):
        review(council, 29, person, "rebase")
        review(council, 29, person, "freeze")
    deepest = []
    for hour in range(30, 75 * 24):
        hear(council, hour, FALLEN)
        found = council.briefing.portfolio.max_drawdown_rebased
        assert isinstance(found, float)
        deepest.append(found)
    assert max(deepest) == 0.0
    assert council.policy.mode == "LIVE"
