"""The judge's page says both verdicts first, shows every section, and tells why a figure is missing."""

import re
from itertools import pairwise
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from consilium.app.report import page
from consilium.app.report.judge.page import body
from consilium.app.report.judge.plots import charts_of
from judge_page_cases import FILLED_BY_CANDLES, Outline, shown
from judge_report_bare import bare_judge_report
from judge_report_sample import sample_judge_report

CHARTS = {
    "chart-months",
    "chart-weights",
    "chart-calibration",
    "chart-coverage",
    "chart-equity",
    "chart-drawdown",
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return sample_judge_report()


@pytest.fixture(scope="module")
def markup(report: dict[str, Any]) -> str:
    return page(report).replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def outline(markup: str) -> Outline:
    return Outline(markup)


def test_every_section_is_there_in_its_order_and_both_verdicts_come_first(outline: Outline) -> None:
    assert [s["id"] for s in outline.named("section")] == FILLED_BY_CANDLES
    assert [a["href"] for a in outline.named("a")] == [f"#{name}" for name in FILLED_BY_CANDLES]


def test_the_verdicts_stand_with_what_decided_them(report: dict[str, Any], outline: Outline) -> None:
    words = report["judgement"]
    before = outline.text.split("What was registered")[0]
    for said in (words["word"], words["text"], words["trading_word"], words["trading_text"]):
        assert said in before
    assert "against climatology: better (p < 0.0001)" in before
    for condition in ("Net return > 0", "Deflated Sharpe > 0.95", "PBO) < 0.2", "p-value < 0.05"):
        assert condition in before


@pytest.mark.parametrize(
    ("word", "direction", "kind"),
    [
        ("better", "better", "better"),
        ("better", "not distinguishable", "even"),
        ("worse", None, "worse"),
        ("not distinguishable", None, "even"),
    ],
)
def test_the_box_has_the_colour_of_the_word_and_green_needs_direction(
    word: str, direction: str | None, kind: str
) -> None:
    found = shown({"judgement": {"word": word, "text": f"{word}."}, "direction": {"word": direction}})
    assert found.named("div", "verdict")[0]["class"] == f"verdict {kind}"


def test_the_second_line_of_the_verdict_says_whether_it_knows_which_way() -> None:
    judged = {"word": "better", "text": "better than climatology."}
    for word in ("better", "not distinguishable"):
        told = "".join(body({"judgement": judged, "direction": {"word": word}}).values())
        assert f'<p class="word">better</p><p class="way">which way prices move: {word}</p>' in told
    assert 'class="way"' not in "".join(body({"judgement": judged, "direction": {"word": None}}).values())


def test_every_row_of_a_forest_has_the_digits_of_its_own_interval() -> None:
    wide = {"difference": -0.0042234, "low": -0.0055033, "high": -0.0029334, "smallest_visible": 0.00167}
    narrow = {"difference": -0.0000104, "low": -0.0000187, "high": -0.0000023, "smallest_visible": 0.0000091}
    found = shown({"primary": {"comparisons": [wide, narrow]}}).text
    assert "-0.0042 [-0.0055, -0.0029]" in found
    assert "-0.0000104 [-0.0000187, -0.0000023]" in found


def test_an_interval_beside_0_that_decides_nothing_is_explained() -> None:
    mirror = {"difference": -0.0018, "low": -0.0034, "high": -0.0001, "p_value": 0.0635}
    for word, explained in (("not distinguishable", True), ("better", False)):
        found = shown({"mirror": {**mirror, "word": word}}).text
        assert ("An interval that leaves out 0 is not enough" in found) is explained


def test_the_mirror_is_explained_in_plain_english(outline: Outline) -> None:
    assert (
        "A forecast that is no better than its own mirror image knows how far prices move, but not which way."
    ) in outline.text


def test_development_marks_the_pool_and_the_rival_is_its_lowest(
    report: dict[str, Any], outline: Outline
) -> None:
    told = outline.text.split("Models on the development folds")[1].split("Combinatorial")[0]
    for marked in ("xgboost pool; the rival in the lock-box", "lightgbm pool", "prior baseline"):
        assert marked in told, marked
    # A baseline with a lower loss than all of the pool is no rival.
    losses = {name: row["half_brier"] for name, row in report["development"]["models"].items()}
    assert min(losses, key=lambda name: losses[name]) == "persistence"
    assert "persistence baseline" in told
    assert "The lowest of the pool is the rival in the lock-box" in told


def test_buy_and_hold_pays_for_its_entry_where_that_is_known(report: dict[str, Any]) -> None:
    economics = report["economics"]
    known = f"{100 * economics['buy_and_hold_return']:.1f} %"
    line = economics["buy_and_hold"]
    drawn = f"{100 * (line[-1][1] / line[0][1] - 1.0):.1f} %"
    assert known != drawn
    assert f"buy and hold {known} all symbols, equal money, cost of the entry in" in shown(report).text
    older = {**report, "economics": {k: v for k, v in economics.items() if k != "buy_and_hold_return"}}
    assert f"buy and hold {drawn} all symbols, equal money held" in shown(older).text


def test_an_account_that_never_traded_has_a_sentence_and_no_chart_of_drawdown(
    report: dict[str, Any],
) -> None:
    idle, traded = bare_judge_report(), shown(report)
    assert charts_of(idle)["chart-drawdown"] is None
    assert "chart-drawdown" not in {d["id"] for d in shown(idle).named("div", "chart")}
    assert "The account never traded" in shown(idle).text
    assert "The account never traded" not in traded.text


def test_power_is_told_of_four_statements_with_intervals_and_where_it_was_measured(
    report: dict[str, Any], outline: Outline
) -> None:
    power = report["controls"]["power"]
    told = outline.text.split("What this judge can see")[1].split("Past verdicts")[0]
    assert "Verdict better Beats climatology Which way told Mirror rejected" in told
    row = power["rows"][-1]
    cells = " ".join(
        f"{100 * found['hits'] / found['runs']:.1f} % {100 * found['low']:.1f} to {100 * found['high']:.1f}"
        for found in (row, row["climatology"], row["direction"], row["rejected"])
    )
    assert f"planted signal, IC 0.06 {cells}" in told
    assert "random walk no signal" in told
    assert "in 200 worlds of each kind" in told
    for fact in ("Measured on 2024-10-01", power["worlds"].rstrip("."), power["command"]):
        assert fact in told
    empty = shown({"controls": {**report["controls"], "power": {"date": "", "rows": []}}}).text
    assert "What this judge can see was not measured." in empty


def test_counts_that_reach_beyond_the_lock_box_say_so(report: dict[str, Any]) -> None:
    said = "counted over development and lock-box together"
    assert said not in shown(report).text
    consensus = {**report["consensus"], "levels": {"unanimous_volatility_hold": 50_000}}
    assert f"Levels are {said}" in shown({**report, "consensus": consensus}).text


def test_a_condition_that_could_not_be_computed_is_not_held() -> None:
    text = shown(bare_judge_report()).text
    assert "Deflated Sharpe > 0.95 – no fewer than 30 days" in text
    assert "Net return > 0 0.0 % no" in text


def test_what_was_registered_and_how_often_it_was_opened_is_told(
    report: dict[str, Any], outline: Outline
) -> None:
    told = outline.text.split("What was registered")[1].split("How time was split")[0]
    for fact in (
        report["config_hash"],
        "smart_vote · fixed_share · edge",
        "taker fee 0.10 %",
        "b94461e3f527",
        "UP or DOWN if the return is beyond ± 0.8614 times the volatility of a bar (span 96 bars), else FLAT",
        "Meta-labelling on",
        "Conformal gate on; its sets are to hold 80.0 % of outcomes",
        "Risk limits on, capital profile NORMAL",
    ):
        assert fact in told, fact
    assert "had been opened 2 times before" in told
    assert "000031-9799b7b3" in told
    assert "opened for the first time" in shown(bare_judge_report()).text


def test_what_was_left_off_was_registered_too_and_what_is_unknown_is_a_dash(report: dict[str, Any]) -> None:
    settings = {"ensemble": {"conformal": None, "meta": False}, "paper": {"profile": "MICRO"}}
    label = {**report["config"]["label"], "floor": 0.0022}
    config = {**report["config"], "settings": settings, "limits": False, "label": label}
    told = shown({**report, "config": config}).text
    assert "Meta-labelling off" in told
    assert "Conformal gate off" in told
    assert "Risk limits off Costs" in told
    assert "at least 0.22 %, else FLAT" in told
    bare = shown({**report, "config": {"label_id": "b94461e3f527"}}).text
    assert "Label b94461e3f527 (names the rule" in bare
    assert "Meta-labelling – Conformal gate – Risk limits – Costs –" in bare


def test_past_verdicts_are_apart_by_where_their_data_came_from(report: dict[str, Any]) -> None:
    told = shown(report).text.rsplit("Past verdicts", 1)[1].split("All of them stay here")[0]
    real, simulated = told.split("Earlier verdicts on simulated markets")
    assert "Earlier verdicts on real data, newest first" in real
    assert "candles.parquet" in real
    assert "simulate:" not in real
    assert "simulate:signal_ic=0.4" in simulated
    assert "candles.parquet" not in simulated
    older = [{key: value for key, value in row.items() if key != "origin"} for row in report["past"]]
    assert "on data of unknown origin" in shown({**report, "past": older}).text


def test_the_time_line_draws_every_fold_inside_its_part(report: dict[str, Any], outline: Outline) -> None:
    bars = [i for i in outline.named("i") if {"fold", "whole"} & set((i["class"] or "").split())]
    folds = len(report["split"]["development"]["folds"]) + len(report["split"]["lockbox"]["folds"])
    assert len(bars) == folds + 3
    for bar in bars:
        left, width = (float(v) for v in re.findall(r"[\d.]+(?=%)", bar["style"] or ""))
        assert 0.0 <= left < left + width <= 100.01


def test_a_forest_draws_its_intervals_on_one_scale(report: dict[str, Any], markup: str) -> None:
    primary = re.search(r'<section id="primary".*?</section>', markup, re.DOTALL)
    assert primary is not None
    first = Outline(primary[0].split("</table>")[0] + "</table></div></section>")
    rows = report["primary"]["comparisons"]
    dots = [float((i["style"] or "")[5:-1]) for i in first.named("i", "dot")]
    zero = {(i["style"] or "")[5:-1] for i in first.named("i", "zero")}
    assert len(zero) == 1
    assert [dot < float(next(iter(zero))) for dot in dots] == [row["difference"] < 0.0 for row in rows]
    assert sorted(range(3), key=lambda k: dots[k]) == sorted(range(3), key=lambda k: rows[k]["difference"])
    assert all(strip["role"] == "img" and strip["aria-label"] for strip in first.named("span", "strip"))


def test_the_heat_table_has_a_cell_for_every_variant_and_frames_the_registered_one(
    report: dict[str, Any], markup: str
) -> None:
    table = re.search(r'<table class="heat">.*?</table>', markup, re.DOTALL)
    assert table is not None
    found = Outline(table[0])
    rows = report["table"]["rows"]
    assert len(found.named("span", "cell")) == len(rows) == 48
    assert len(found.named("span", "registered")) == 1
    assert len(found.named("b", "member")) == sum(row["in_set"] for row in rows)
    largest = max(rows, key=lambda row: abs(row["difference"]))
    hottest = max(
        found.named("span", "cell"), key=lambda s: float(re.findall(r"[\d.]+", s["style"] or "")[0])
    )
    assert f"difference {largest['difference']:+.6f}" in (hottest["title"] or "")


def test_every_chart_has_a_place_a_text_and_data(report: dict[str, Any], outline: Outline) -> None:
    there = {d["id"]: d for d in outline.named("div", "chart")}
    built = {name: chart for name, chart in charts_of(report).items() if chart}
    assert set(there) == set(built) == CHARTS
    assert all(place["role"] == "img" and place["aria-label"] for place in there.values())
    for traces, _ in built.values():
        assert all(len(trace["x"]) == len(trace["y"]) > 0 for trace in traces)


def test_a_month_without_an_interval_is_hatched_and_has_no_error_bar(report: dict[str, Any]) -> None:
    chart = charts_of(report)["chart-months"]
    assert chart is not None
    known, rest = chart[0]
    assert [row["month"] for row in report["months"] if row["low"] is None] == rest["x"]
    assert "error_y" in known
    assert "error_y" not in rest
    assert rest["marker"]["pattern"]


def test_every_table_is_explained_and_names_its_rows(outline: Outline) -> None:
    assert len(outline.named("table")) == len(outline.named("caption")) >= 25
    assert all(th["scope"] in ("row", "col") for th in outline.named("th"))
    assert len(outline.named("p", "under")) >= 18
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_oracle_is_never_a_comparator(outline: Outline) -> None:
    assert "lightgbm model; best of the pool in hindsight, never a comparator" in outline.text


def test_the_page_asks_no_host_for_anything(markup: str, outline: Outline) -> None:
    for wrong in ("http://", "https://", "url(", "@import"):
        assert wrong not in markup
    policy = next(m["content"] for m in outline.named("meta") if "http-equiv" in m)
    assert policy is not None
    assert "default-src 'none'" in policy


def test_both_colour_schemes_define_every_colour_that_is_used(markup: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", markup, re.DOTALL)
    names = [set(re.findall(r"(--[a-z0-9]+):", part)) for part in (light, dark)]
    assert names[0] == names[1]
    used = set(re.findall(r"var\((--[a-z0-9]+)", markup)) - {"--heat", "--hue"}
    used |= set(re.findall(r'"(--[a-z0-9]+)"', markup))
    assert used <= names[0]


def test_controls_that_were_left_out_are_missed(report: dict[str, Any]) -> None:
    assert "nothing shows that this run would stay silent" in shown({**report, "controls": None}).text


def test_an_interval_without_width_is_not_shown_as_one(report: dict[str, Any]) -> None:
    mirror = {**report["mirror"], "low": -0.07771, "high": -0.07771}
    assert "-0.0777" not in shown({**report, "mirror": mirror}).text
