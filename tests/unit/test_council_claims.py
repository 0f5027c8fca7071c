"""An outside source may make things look worse, never better."""

from typing import Any

from consilium.council.briefing import account_figures, model_figures
from consilium.council.facts import Facts
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, HealthReported, Missing, ModelReported
from consilium.domain.time import DAY_NS, HOUR_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS
GOOD: dict[str, Any] = {"win_rate": 0.9, "sharpe": 3.0, "winning_days": 6}


def account(source: str, ts: int = START, **more: Any) -> AccountReported:
    told: dict[str, Any] = {"equity": 10_000.0, "positions": 0, "exposure": 0.0} | more
    return AccountReported(source=source, sequence=ts // SECOND_NS, ts_event=ts, interval_ns=HOUR_NS, **told)


def model(source: str, name: str = "xgboost", **more: Any) -> ModelReported:
    return ModelReported(source=source, sequence=1, ts_event=START, model=name, **more)


def heard(*reports: Any, trusted: tuple[str, ...] = ()) -> Facts:
    facts = Facts(CouncilRules(trusted_sources=trusted))
    for report in reports:
        assert facts.refusal(report) == ""
        facts.hear(report)
    return facts


def profile_after(trusted: tuple[str, ...]) -> str:
    council = CouncilService(rules=CouncilRules(trusted_sources=trusted))
    for hour in range(100):
        ts = START + hour * HOUR_NS
        council.handle_all(
            (
                HealthReported(source="system", sequence=hour + 1, ts_event=ts, system_status="HEALTHY"),
                account("account:paper", ts),
                account("outside:liar", ts, **GOOD),
            )
        )
    return council.policy.profile


def test_a_claim_raises_no_profile_where_our_own_account_is_insufficient() -> None:
    assert profile_after(()) == "MICRO"
    assert profile_after(("liar",)) == "LOW", "a desk may trust it, and so the claim was one that could"


def test_favourable_figures_are_capped_and_unfavourable_ones_count_in_full() -> None:
    figures = account_figures(heard(account("account:paper"), account("outside:a", **GOOD)), START, START)
    assert (figures.win_rate, figures.sharpe, figures.winning_days) == (0.60, 1.5, 4)
    bad: dict[str, Any] = {
        "win_rate": 0.1,
        "sharpe": -2.0,
        "winning_days": 0,
        "losing_days": 5,
        "drawdown": 0.2,
    }
    own = account("account:paper", **GOOD)
    figures = account_figures(heard(own, account("outside:a", **bad)), START, START)
    told = {name: getattr(figures, name) for name in bad}
    assert told == bad


def test_a_stranger_neither_weighs_a_model_nor_sets_research_on() -> None:
    claims = [model("outside:a", f"evil{n}", sharpe=-9.0, win_rate=0.1, days=999) for n in range(3)]
    facts = heard(*claims, model("shadow"), model("outside:b", sharpe=-9.0, staleness_days=99.0))
    assert facts.model_names() == ["xgboost"]
    (only,) = model_figures(facts).values()
    assert (only.sharpe, only.win_rate) == (Missing.INSUFFICIENT, Missing.INSUFFICIENT)
    assert only.staleness_days is Missing.UNKNOWN
    council = CouncilService()
    said = council.handle_all((*claims, model("shadow"), model("outside:b", sharpe=-9.0)))
    assert {getattr(one, "rule", "") for one in said} & {"C1", "Q1"} == set()
    assert dict(council.policy.weights) == {}
    assert list(model_figures(heard(*claims, trusted=("a",)))) == ["evil0", "evil1", "evil2"]


def test_a_claim_lowers_what_is_known_of_a_model_and_raises_nothing() -> None:
    own = model("shadow", sharpe=1.2, win_rate=0.55, days=200, staleness_days=3.0)
    claim = model("outside:a", sharpe=0.4, win_rate=0.99, staleness_days=40.0)
    (only,) = model_figures(heard(claim, own)).values()
    assert (only.sharpe, only.win_rate, only.days, only.staleness_days) == (0.4, 0.55, 200, 40.0)


def test_trust_is_by_name_of_an_outside_source() -> None:
    later = START + DAY_NS
    facts = heard(account("outside:desk", later, **GOOD), trusted=("desk",))
    assert account_figures(facts, later, later).sharpe == 3.0


def test_outside_sources_and_their_models_are_bounded_and_own_ones_are_not() -> None:
    facts = heard(*(account(f"outside:s{n}") for n in range(32)))
    assert "32 outside sources are heard" in facts.refusal(account("outside:more"))
    assert facts.refusal(account("outside:s1", START + SECOND_NS)) == ""
    assert facts.refusal(account("account:paper")) == ""
    facts.retire("outside:s7")
    assert facts.refusal(account("outside:more")) == ""
    facts = heard(*(model("outside:s", f"m{n}") for n in range(64)))
    assert "64 models" in facts.refusal(model("outside:s", "m64"))
    assert facts.refusal(model("outside:t", "m63")) == ""
    assert facts.refusal(model("shadow", "m64")) == ""


def test_the_past_of_a_retired_source_is_forgotten_after_thirty_days() -> None:
    facts = heard(account("outside:old"), account("outside:new"), account("account:paper"))
    facts.retire("outside:old")
    facts.hear(account("account:paper", START + 30 * DAY_NS))
    facts.retire("outside:new")
    assert set(facts.resting) == {"outside:old", "outside:new"}
    facts.hear(account("outside:other", START + 31 * DAY_NS))
    facts.retire("outside:other")
    assert set(facts.resting) == {"outside:other"}
