"""The page of the judge: both verdicts first, then what they rest on."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.account import configuration_section, data_section, failures_section
from consilium.app.report.fills import fills_section
from consilium.app.report.frame import closing, frame, heading
from consilium.app.report.judge.controls import controls_section
from consilium.app.report.judge.development import development_section
from consilium.app.report.judge.division import split_section
from consilium.app.report.judge.economics import economics_section
from consilium.app.report.judge.forecasts import forecasts_section, secondary_section
from consilium.app.report.judge.parts import parts_section
from consilium.app.report.judge.past import past_section
from consilium.app.report.judge.plots import charts_of
from consilium.app.report.judge.primary import months_section, primary_section
from consilium.app.report.judge.registration import registration_section
from consilium.app.report.judge.variants import variants_section
from consilium.app.report.judge.verdicts import verdict_section
from consilium.app.report.markup import Markup

SECTIONS = {
    "verdict": ("Verdicts", verdict_section),
    "registered": ("Registered", registration_section),
    "split": ("Split", split_section),
    "primary": ("Comparison", primary_section),
    "months": ("Months", months_section),
    "development": ("Development", development_section),
    "forecasts": ("Forecasts", forecasts_section),
    "secondary": ("Secondary", secondary_section),
    "variants": ("Rules × policies", variants_section),
    "parts": ("Parts", parts_section),
    "economics": ("Economics", economics_section),
    "fills": ("Fills", fills_section),
    "controls": ("Controls", controls_section),
    "past": ("Past", past_section),
    "data": ("Data", data_section),
    "notes": ("Notes", failures_section),
    "configuration": ("Configuration", configuration_section),
}
"""Every section by its anchor: its name among the links, and what builds it."""


def judge_page(report: Mapping[str, Any]) -> str:
    """Return the page of a report of the schema ``consilium.judge/1``, plain JSON already."""
    parts = body(report)
    data, judged = report.get("data") or {}, report.get("judgement") or {}
    return frame(
        f"Judge: {judged.get('word') or 'no verdict'}; {judged.get('trading_word') or 'no trading verdict'}",
        heading("Consilium judge", data, {anchor: SECTIONS[anchor][0] for anchor in parts}),
        parts.values(),
        closing(report.get("config_hash")),
        charts_of(report),
        ("page.css", "judge.css"),
    )


def body(report: Mapping[str, Any]) -> dict[str, Markup]:
    """Return the sections that have something to say, by anchor."""
    built = {anchor: build(report) for anchor, (_, build) in SECTIONS.items()}
    return {anchor: part for anchor, part in built.items() if part}
