"""The judge's page of a report that is empty, torn, or full of foreign text."""

import json
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from consilium.app.report import page, write_html, write_json
from consilium.app.report.judge.page import body
from consilium.app.report.judge.plots import charts_of
from judge_page_cases import FILLED_BY_CANDLES, UNDEFINED, Outline, places, short, shown, without
from judge_report_bare import TOO_FEW, bare_judge_report
from judge_report_sample import sample_judge_report


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return sample_judge_report()


@pytest.fixture(scope="module")
def markup(report: dict[str, Any]) -> str:
    return page(report).replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def outline(markup: str) -> Outline:
    return Outline(markup)


def test_a_report_in_which_nothing_could_be_computed_tells_why() -> None:
    found = shown(bare_judge_report())
    assert [s["id"] for s in found.named("section")] == FILLED_BY_CANDLES
    reasons = (
        TOO_FEW,
        "identical forecasts",
        "fewer than 30 days",
        "not applicable: 1 trial",
        "no timestamp has 5 symbols",
        "fewer times than the embargo needs",
        "none of them says more than climatology",
        "no trade was made",
        "not run",
        "No symbols were kept unseen",
        "No earlier run",
        "lightgbm failed in fold 3",
    )
    for reason in reasons:
        assert reason in found.text, reason
    titles = [s["title"] for s in found.named("span") if "title" in s]
    assert titles
    assert all(titles)


def test_nothing_undefined_is_printed(outline: Outline) -> None:
    for text in (outline.text, shown(bare_judge_report()).text):
        assert not UNDEFINED.search(text)


def test_any_part_of_a_report_may_be_missing(report: dict[str, Any]) -> None:
    for whole in (short(report), short({**bare_judge_report(), "economics": report["economics"]})):
        for path in places(whole):
            changed = without(whole, path)
            assert not UNDEFINED.search(" ".join(body(changed).values())), path
            charts_of(changed)


def test_an_empty_report_still_makes_a_page() -> None:
    text = page({"schema": "consilium.judge/1"}).replace(get_plotlyjs(), "")
    assert "no verdict" in Outline(text).text


def evil(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: evil(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [evil(item, text) for item in value]
    return text if isinstance(value, str) else value


def test_foreign_text_cannot_become_markup(report: dict[str, Any]) -> None:
    attack = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    for whole in (report, bare_judge_report()):
        hostile = evil(whole, attack) | {"schema": "consilium.judge/1"}
        for key in ("models", "baselines", "calibration"):
            hostile[key] = dict(zip((attack, f"{attack}2", "c", "d"), hostile[key].values(), strict=False))
        hostile["development"]["models"] = {attack: {"half_brier": 0.3}}
        hostile["economics"]["books"] = {attack: {"net_return": 0.1}}
        text = page(hostile)
        assert "<script>alert" not in text
        assert "<img" not in text.replace(get_plotlyjs(), "")
        Outline(text.replace(get_plotlyjs(), ""))


def test_the_page_and_the_json_are_written_as_they_are(report: dict[str, Any], tmp_path: Path) -> None:
    write_html(report, tmp_path / "judge.html")
    assert (tmp_path / "judge.html").read_text(encoding="utf-8") == page(report)
    write_json(report, tmp_path / "judge.json")
    assert json.loads((tmp_path / "judge.json").read_text(encoding="utf-8")) == report
