import json
from typing import Any

import pytest

from consilium.council.accounts import Account
from consilium.council.briefing import account_figures, ess_level, faults_of, model_figures, system_health
from consilium.council.facts import Facts
from consilium.council.rules import CouncilRules
from consilium.domain import (
    AccountReported,
    HealthReported,
    Missing,
    ModelReported,
    Policy,
    UnknownName,
    VolumesReported,
)
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS  # 00:00 UTC


def account(ts: int, nav: float, sequence: int = 0, source: str = "paper", **more: Any) -> AccountReported:
    said: dict[str, Any] = {"positions": 0, "exposure": 0.0, "interval_ns": 60 * SECOND_NS} | more
    return AccountReported(
        source=source, sequence=sequence or 1 + (ts - START) // SECOND_NS, ts_event=ts, equity=nav, **said
    )


def heard(*reports: Any) -> Facts:
    facts = Facts(CouncilRules())
    for report in reports:
        assert facts.refusal(report) == ""
        facts.hear(report)
    return facts


def test_drawdown_is_from_the_peak_of_thirty_days() -> None:
    facts = heard(account(START, 100.0), account(START + HOUR_NS, 90.0))
    figures = account_figures(facts, START + HOUR_NS, START)
    assert figures.drawdown == pytest.approx(0.10)
    assert figures.max_drawdown == pytest.approx(0.10)
    late = START + 30 * DAY_NS + HOUR_NS
    facts.hear(account(late, 90.0))
    assert account_figures(facts, late, START).drawdown == 0.0
    assert account_figures(facts, late, START).max_drawdown == pytest.approx(0.10), "it was so within 30 days"


def test_daily_loss_is_from_the_last_mark_before_midnight() -> None:
    facts = heard(
        account(START + 23 * HOUR_NS, 100.0),
        account(START + 25 * HOUR_NS, 97.0),
        account(START + 26 * HOUR_NS, 94.0),
    )
    assert account_figures(facts, START + 26 * HOUR_NS, START).daily_loss == pytest.approx(0.06)
    account_of = facts.accounts["paper"]
    assert account_of.figures(START + 2 * DAY_NS)["daily_loss"] == 0.0, "a new day opens at the last mark"


def test_a_source_that_tells_drawdown_and_the_days_profit_is_believed() -> None:
    facts = heard(account(START, 9_400.0, drawdown=0.07, realized_pnl_today=-600.0))
    figures = account_figures(facts, START, START)
    assert figures.drawdown == 0.07
    assert figures.daily_loss == pytest.approx(0.06)


def test_the_loss_of_the_emergency_stop_decays_after_a_day() -> None:
    facts = heard(account(START, 100.0), account(START + MINUTE_NS, 92.0))
    loss = account_figures(facts, START + MINUTE_NS, START).ess_loss
    assert loss == pytest.approx(0.08)
    for hours in range(1, 26):
        facts.hear(account(START + hours * HOUR_NS, 92.0))
    assert account_figures(facts, START + 25 * HOUR_NS, START).ess_loss == 0.0


def test_the_rise_of_drawdown_is_from_its_lowest_of_a_day() -> None:
    facts = heard(account(START, 100.0), account(START + HOUR_NS, 99.0), account(START + 2 * HOUR_NS, 96.0))
    assert account_figures(facts, START + 2 * HOUR_NS, START).drawdown_rise == pytest.approx(0.04)
    facts.hear(account(START + 25 * HOUR_NS, 96.0))
    assert account_figures(facts, START + 25 * HOUR_NS, START).drawdown_rise == pytest.approx(0.03)


def test_the_loss_of_fifteen_minutes_counts_what_was_in_force_at_its_start() -> None:
    facts = heard(account(START, 100.0), account(START + 20 * MINUTE_NS, 99.0))
    of = facts.accounts["paper"]
    assert of.figures(START + 20 * MINUTE_NS)["loss_15m"] == pytest.approx(0.01)
    assert of.figures(START + 35 * MINUTE_NS)["loss_15m"] == 0.0


def test_a_rebase_measures_anew_beside_the_old_measure() -> None:
    facts = heard(account(START, 100.0), account(START + HOUR_NS, 88.0))
    facts.rebase(START + HOUR_NS)
    facts.hear(account(START + 2 * HOUR_NS, 86.24))
    figures = account_figures(facts, START + 2 * HOUR_NS, START)
    assert figures.drawdown == pytest.approx(0.1376)
    assert figures.drawdown_rebased == pytest.approx(0.02)
    assert figures.max_drawdown_rebased == pytest.approx(0.02)


def test_sources_combine_by_the_worse_value_and_are_never_reconciled() -> None:
    facts = heard(
        account(START, 100.0, source="a", positions=1, win_rate=0.7),
        account(START, 5_000.0, source="b", positions=3, win_rate=0.5),
        account(START + HOUR_NS, 99.0, source="a", positions=1, win_rate=0.7, reserve=9.9),
        account(START + HOUR_NS, 4_500.0, source="b", positions=3, win_rate=0.5),
    )
    figures = account_figures(facts, START + HOUR_NS, START)
    assert (figures.equity, figures.positions, figures.win_rate) == (99.0, 3, 0.5)
    assert figures.drawdown == pytest.approx(0.10)
    assert figures.reserve == 0.0


def test_what_nobody_says_is_unknown_or_insufficient() -> None:
    empty = account_figures(Facts(CouncilRules()), START, START)
    assert empty.drawdown is Missing.UNKNOWN
    assert empty.sharpe is Missing.INSUFFICIENT
    facts = heard(AccountReported(source="a", sequence=1, ts_event=START, equity=1.0))
    assert account_figures(facts, START, START).exposure is Missing.UNKNOWN


def test_a_silent_account_is_late_and_then_lost_but_its_positions_are_remembered() -> None:
    health = HealthReported(source="s", sequence=1, ts_event=START + DAY_NS, system_status="HEALTHY")
    facts = heard(account(START, 100.0, positions=2), health)
    for age, late, lost in ((120, False, False), (121, True, False), (300, True, False), (301, True, True)):
        figures = account_figures(facts, START + age * SECOND_NS, START)
        assert (figures.late, figures.lost) == (late, lost), age
        assert figures.positions == 2
    assert figures.equity is Missing.UNKNOWN


def test_silent_health_is_late_too() -> None:
    facts = heard(
        account(START, 100.0, interval_ns=0),
        HealthReported(source="s", sequence=1, ts_event=START, system_status="HEALTHY"),
        account(START + 61 * SECOND_NS, 100.0, interval_ns=0),
    )
    assert account_figures(facts, START + 61 * SECOND_NS, START).late


def test_replays_older_and_future_reports_are_refused() -> None:
    facts = heard(account(START, 100.0, sequence=7), account(START + SECOND_NS, 100.0, sequence=30))
    assert "sequence must be > 30" in facts.refusal(account(START + SECOND_NS, 100.0, sequence=30))
    assert "older" in facts.refusal(account(START, 100.0, sequence=31))
    ahead = account(START + 10 * SECOND_NS, 100.0, sequence=31, received_at=START + 4 * SECOND_NS)
    assert "in the future" in facts.refusal(ahead)
    at_bound = account(START + 10 * SECOND_NS, 100.0, sequence=31, received_at=START + 5 * SECOND_NS)
    assert facts.refusal(at_bound) == ""
    assert facts.refusal(account(START, 100.0, sequence=1, source="another")) == ""


def test_models_count_apart_and_combine_by_the_worse() -> None:
    facts = heard(
        ModelReported(source="a", sequence=1, ts_event=START, model="x", sharpe=1.0, days=40),
        ModelReported(source="a", sequence=1, ts_event=START, model="y", win_rate=0.5),
        ModelReported(source="b", sequence=1, ts_event=START, model="x", sharpe=0.5, staleness_days=3.0),
    )
    figures = model_figures(facts)
    assert (figures["x"].sharpe, figures["x"].staleness_days, figures["x"].days) == (0.5, 3.0, 0)
    assert figures["y"].sharpe is Missing.INSUFFICIENT
    assert "replay" in facts.refusal(ModelReported(source="a", sequence=1, ts_event=START, model="x"))


def test_health_is_the_worst_of_all_and_unknown_words_are_not_healthy() -> None:
    def says(*words: str) -> Facts:
        return heard(
            *(
                HealthReported(source=f"s{place}", sequence=1, ts_event=START, system_status=word)
                for place, word in enumerate(words)
            )
        )

    assert system_health(says("HEALTHY", "DEGRADED")) == "DEGRADED"
    assert system_health(says("HEALTHY", "fine")) == ""
    assert system_health(says("CRITICAL", "fine")) == "CRITICAL"
    assert system_health(says()) == ""


def test_at_a_threshold_the_level_stays_on_its_side() -> None:
    facts, policy = Facts(CouncilRules()), Policy()
    assert ess_level(facts, 0.05, policy, "CAUTION") == "CAUTION"
    assert ess_level(facts, 0.05, policy, "WARNING") == "WARNING"
    assert ess_level(facts, 0.0501, policy, "NOMINAL") == "WARNING"
    assert ess_level(facts, 0.0499, policy, "CRITICAL") == "CAUTION"
    assert ess_level(facts, Missing.UNKNOWN, policy, "NOMINAL") == ""


def test_the_worse_of_our_level_and_a_claimed_one_counts() -> None:
    facts = heard(
        HealthReported(source="s", sequence=1, ts_event=START, system_status="HEALTHY", ess_state="WARNING")
    )
    assert ess_level(facts, 0.0, Policy(), "NOMINAL") == "WARNING"
    assert ess_level(facts, 0.09, Policy(), "NOMINAL") == "CRITICAL"


def test_faults_of_all_sources_are_told() -> None:
    facts = heard(
        HealthReported(
            source="s", sequence=1, ts_event=START, system_status="HEALTHY", faults={"journal": "disk full"}
        )
    )
    assert faults_of(facts) == {"journal": "disk full"}


def test_a_retired_source_may_count_anew_but_its_past_is_not_heard_again() -> None:
    facts = heard(account(START + HOUR_NS, 100.0, sequence=9))
    facts.retire("paper")
    assert account_figures(facts, START + HOUR_NS, START).equity is Missing.UNKNOWN
    assert "retirement" in facts.refusal(account(START + HOUR_NS, 100.0, sequence=10))
    assert facts.refusal(account(START + 2 * HOUR_NS, 100.0, sequence=1)) == ""
    with pytest.raises(UnknownName, match="source"):
        facts.retire("nobody")


def test_who_retires_a_source_does_not_forget_its_peak() -> None:
    facts = heard(account(START, 100.0))
    facts.retire("paper")
    later = START + HOUR_NS
    other = Facts(CouncilRules())
    other.restore(json.loads(json.dumps(facts.state())))
    for each in (facts, other):
        each.hear(account(later, 85.0, sequence=1))
        assert account_figures(each, later, START).drawdown == pytest.approx(0.15)


def test_volumes_must_be_numbers() -> None:
    facts = Facts(CouncilRules())
    assert "BTC" in facts.refusal(VolumesReported(ts_event=START, volumes={"BTC": float("nan")}))


def test_months_of_seconds_stay_small() -> None:
    one = Account(account(START, 100.0))
    nav = 100.0
    for place in range(1, 40_000):
        ts = START + place * 67 * SECOND_NS
        nav *= 1.0 + (0.002 if (place * 2_654_435_761) % 97 < 48 else -0.002)
        one.hear(account(ts, nav))
    assert len(json.dumps(one.state())) < 60_000


def test_a_restored_account_goes_on_as_it_was() -> None:
    one = Account(account(START, 100.0))
    for place in range(1, 300):
        one.hear(account(START + place * 13 * MINUTE_NS, 100.0 + (place * 37 % 11)))
    one.rebase(START + 300 * 13 * MINUTE_NS)
    other = Account.restored(json.loads(json.dumps(one.state())))
    later = START + 301 * 13 * MINUTE_NS
    for each in (one, other):
        each.hear(account(later, 95.0))
    assert one.figures(later) == other.figures(later)
    assert one.state() == other.state()
