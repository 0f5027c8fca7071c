"""The page stands alone, says the verdict first and escapes what it is given."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from consilium.app.report import page, write_html, write_json
from consilium.domain import HOUR_NS, InvalidValue, OutputProblem
from report_sample import MODELS, sample_report

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Collects what the tests ask about; refuses tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return sample_report()


@pytest.fixture(scope="module")
def markup(report: dict[str, Any]) -> str:
    return page(report).replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def outline(markup: str) -> Outline:
    parsed = Outline()
    parsed.feed(markup)
    assert parsed.open == []
    return parsed


def charts(markup: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', markup, re.DOTALL)
    assert found is not None
    return {chart["id"]: chart for chart in json.loads(found[1])}


def test_the_page_names_no_host_and_loads_no_file(markup: str, outline: Outline) -> None:
    assert "http://" not in markup
    assert "https://" not in markup
    assert "url(" not in markup
    assert "@import" not in markup
    for _, attributes in outline.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


def test_the_browser_is_told_to_forbid_every_request(outline: Outline) -> None:
    policy = next(m["content"] for m in outline.named("meta") if "http-equiv" in m)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["form-action"] == "'none'"
    assert not any("http" in value or "*" in value for value in rules.values())


def test_charts_cannot_be_uploaded(markup: str) -> None:
    assert "showSendToCloud: false" in markup


def test_the_chart_library_is_there_once(report: dict[str, Any]) -> None:
    assert page(report).count(get_plotlyjs()) == 1


def test_the_verdict_comes_before_everything_else(report: dict[str, Any], outline: Outline) -> None:
    sections = outline.named("section")
    assert report["judgement"]["word"] == "better"
    assert sections[0]["class"] == "verdict better"
    assert report["judgement"]["text"] in outline.text
    assert report["judgement"]["trading_text"] in outline.text
    assert [s["id"] for s in sections] == [
        "verdict",
        "forecasts",
        "consensus",
        "trading",
        "folds",
        "data",
        "notes",
        "configuration",
    ]


@pytest.mark.parametrize(
    ("word", "kind"), [("better", "better"), ("worse", "worse"), ("not distinguishable", "even")]
)
def test_the_box_shows_the_word(word: str, kind: str) -> None:
    text = page({"schema": "consilium.backtest/1", "judgement": {"word": word, "text": f"{word}."}})
    assert f'<section class="verdict {kind}"' in text


def test_headings_have_an_order_and_tables_name_their_rows(outline: Outline) -> None:
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = len(outline.named("table"))
    assert tables == len(outline.named("caption")) >= 7
    assert all(th["scope"] in ("row", "col") for th in outline.named("th"))
    links = {a["href"] for a in outline.named("a")}
    assert links <= {f"#{attributes.get('id')}" for _, attributes in outline.tags}


def test_every_chart_has_a_place_and_a_text(markup: str, outline: Outline) -> None:
    places = {d["id"]: d for d in outline.named("div") if d.get("class") == "chart"}
    assert set(places) == set(charts(markup))
    assert set(places) == {"chart-calibration", "chart-weights", "chart-equity", "chart-drawdown"}
    assert all(place["role"] == "img" and place["aria-label"] for place in places.values())
    assert len(outline.named("figcaption")) == 4


def test_both_colour_schemes_define_the_same_names(markup: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", markup, re.DOTALL)
    names = [set(re.findall(r"(--[a-z0-9]+):", part)) for part in (light, dark)]
    assert names[0] == names[1]
    used = set(re.findall(r'"(--[a-z0-9]+)"', json.dumps(charts(markup))))
    assert used <= names[0]


def test_figures_stand_with_their_intervals_and_reasons(report: dict[str, Any], outline: Outline) -> None:
    figure = report["consensus"]["log_loss"]
    assert f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]" in outline.text
    assert "constant forecast: one direction is always stated" in outline.text
    assert "no_skill in 2 of 5" in outline.text
    for name in (*MODELS, "prior", "gates=edge, limits=off", report["config_hash"], *report["notes"]):
        assert name in outline.text
    assert report["data"]["findings"][0] in outline.text


def test_failures_are_shown(report: dict[str, Any]) -> None:
    assert "Nothing failed." in page(report)
    failed = page({**report, "failures": ["lightgbm: fold 3 did not converge"]})
    assert "lightgbm: fold 3 did not converge" in failed
    assert "Nothing failed." not in failed


def test_lines_are_thinned_and_keep_their_extremes() -> None:
    long = sample_report(hours=9_000, draws=20)
    crash = 4_321
    long["trading"]["drawdown"][crash][1] = 0.987
    long["trading"]["equity"][crash][1] = 1.0
    built = charts(page(long))
    for chart in built.values():
        for trace in chart["data"]:
            assert len(trace["x"]) == len(trace["y"]) <= 2_000
    assert min(built["chart-drawdown"]["data"][0]["y"]) == -0.987
    assert min(built["chart-equity"]["data"][0]["y"]) == 1.0
    equity = built["chart-equity"]["data"][0]
    ts = [ts for ts, _ in long["trading"]["equity"]]
    assert equity["x"][0] == ts[0] // 1_000_000
    assert equity["x"][-1] == ts[-1] // 1_000_000
    assert equity["x"] == sorted(equity["x"])
    assert sum(trace["y"][-1] for trace in built["chart-weights"]["data"]) == pytest.approx(1.0)


def test_foreign_text_cannot_become_markup(report: dict[str, Any]) -> None:
    evil = "</script><script>alert(1)</script>"
    hostile = {
        **report,
        "notes": [evil],
        "models": {evil: report["models"]["xgboost"]},
        "calibration": {evil: report["calibration"]["xgboost"]},
        "weights": {"ts": [0, HOUR_NS], evil: [0.5, 0.5]},
        "config": {"name": evil},
        "data": {**report["data"], "source": evil, "symbols": [evil]},
        "judgement": {**report["judgement"], "text": evil, "word": evil},
    }
    text = page(hostile)
    assert "<script>alert" not in text
    assert charts(text)["chart-weights"]["data"][0]["name"] == evil


def test_a_report_with_little_in_it_still_makes_a_page() -> None:
    parsed = Outline()
    parsed.feed(page({"schema": "consilium.backtest/1"}).replace(get_plotlyjs(), ""))
    assert parsed.open == []
    assert "Verdict" not in parsed.text


def test_a_report_of_another_schema_is_refused(tmp_path: Path) -> None:
    for write in (write_html, write_json):
        with pytest.raises(InvalidValue, match=r"schema consilium\.backtest/1; got 'other/1'"):
            write({"schema": "other/1"}, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_written_whole_and_leaves_nothing_beside_it(
    report: dict[str, Any], tmp_path: Path
) -> None:
    target = tmp_path / "deep" / "report.html"
    write_html(report, target)
    assert target.read_text(encoding="utf-8") == page(report)
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_an_output_problem(report: dict[str, Any], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for write in (write_html, write_json):
        with pytest.raises(OutputProblem):
            write(report, blocked / "report")
        with pytest.raises(OutputProblem, match="an output must be a file"):
            write(report, tmp_path)
    assert blocked.read_text() == "in the way"


def test_equal_reports_make_equal_pages(report: dict[str, Any]) -> None:
    assert page(report) == page(sample_report())
