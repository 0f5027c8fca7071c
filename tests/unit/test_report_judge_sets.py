"""The sets of the conformal gate by month, in the judge's page, the backtest's page and the terminal."""

from io import StringIO
from typing import Any

import pytest
from plotly.offline import get_plotlyjs
from rich.console import Console

from consilium.app.report import page, print_report
from judge_report_bare import bare_judge_report
from judge_report_sample import sample_judge_report
from report_sample import sample_report

MONTHS = [
    {"month": "2024-02", "outcomes": 1_000, "coverage": 0.7, "singletons": 0.5},
    {"month": "2024-03", "outcomes": 3_000, "coverage": 0.82, "singletons": 0.25},
]


def with_sets(report: dict[str, Any], missed: float | None = 0.2) -> dict[str, Any]:
    settings = {"ensemble": {"conformal": missed}}
    consensus = {**report["consensus"], "conformal": MONTHS}
    return {**report, "consensus": consensus, "config": {**report["config"], "settings": settings}}


def text_of(report: dict[str, Any]) -> str:
    return page(report).replace(get_plotlyjs(), "")


def printed(report: dict[str, Any]) -> list[str]:
    stream = StringIO()
    print_report(report, Console(file=stream, width=80))
    return stream.getvalue().splitlines()


@pytest.fixture(params=[sample_report, sample_judge_report], ids=["backtest", "judge"])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    made: dict[str, Any] = request.param(hours=300, draws=20)
    return made


def test_every_month_and_all_together_stand_beside_the_target(report: dict[str, Any]) -> None:
    text = text_of(with_sets(report)).replace("\u00a0", " ")
    table = text.split("<caption>Conformal sets by month</caption>")[1].split("</table>")[0]
    assert "Held what came (target 80.0 %)" in table
    assert "<td>1,000</td><td>70.0 %</td><td>50.0 %</td>" in table
    assert "<td>3,000</td><td>82.0 %</td><td>25.0 %</td>" in table
    # 0.7 x 1,000 + 0.82 x 3,000 of 4,000: a month counts by its outcomes.
    assert "<td>4,000</td><td>79.0 %</td><td>31.2 %</td>" in table


def test_the_terminal_tells_all_months_in_one_line(report: dict[str, Any]) -> None:
    line = "Conformal sets: 79.0 % of 4,000 held what came (target 80.0 %), 31.2 % singletons"
    assert printed(with_sets(report)).count(line) == 1
    assert len(line) <= 80 + 5


def test_without_the_gate_nothing_is_said(report: dict[str, Any]) -> None:
    without = {**report, "consensus": {**report["consensus"], "conformal": None}}
    assert "Conformal sets" not in text_of(without)
    assert not any("Conformal" in line for line in printed(without))


def test_without_a_target_none_is_made_up(report: dict[str, Any]) -> None:
    unaimed = with_sets(report, None)
    assert '<th scope="col">Held what came</th>' in text_of(unaimed)
    assert any("held what came, 31.2 % singletons" in line for line in printed(unaimed))


def test_months_before_the_lock_box_are_named_development() -> None:
    judged = sample_judge_report()
    assert judged["split"]["lockbox"]["first"].startswith("2024-03")
    text = text_of(with_sets(judged))
    assert "2024-02 <small>development</small>" in text
    assert "2024-03 <small>development</small>" not in text


def test_a_backtest_that_made_no_trade_draws_no_drawdown() -> None:
    made = sample_report(hours=300, draws=20)
    still = [[ts, 0.0] for ts, _ in made["trading"]["drawdown"]]
    idle = {**made, "trading": {**made["trading"], "trades": 0, "drawdown": still}}
    assert "The account never traded" in text_of(idle)
    assert 'id="chart-drawdown"' not in text_of(idle)
    assert 'id="chart-drawdown"' in text_of(made)


def test_a_backtest_says_in_its_second_line_whether_it_knows_which_way() -> None:
    made = sample_report(hours=300, draws=20)
    told = {**made, "judgement": {**made["judgement"], "direction": "not distinguishable"}}
    assert '<p class="way">which way prices move: not distinguishable</p>' in text_of(told)
    assert 'class="way"' not in text_of(bare_judge_report())
