"""A report as one HTML page that asks no host for anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilium.app import files
from consilium.app.report import charts
from consilium.app.report.account import (
    configuration_section,
    data_section,
    failures_section,
    folds_section,
    trading_section,
)
from consilium.app.report.fills import fills_section
from consilium.app.report.frame import closing, frame, heading
from consilium.app.report.judge.page import judge_page
from consilium.app.report.plain import JUDGE_SCHEMA, checked
from consilium.app.report.sections import consensus_section, figures_section, verdict_section

_SECTIONS = (
    verdict_section,
    figures_section,
    consensus_section,
    trading_section,
    fills_section,
    folds_section,
    data_section,
    failures_section,
    configuration_section,
)
_LINKS = ("forecasts", "consensus", "trading", "fills", "folds", "data", "notes", "configuration")


def write_html(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as one self-contained page, whole or not at all.

    Parameters
    ----------
    report
        A report of the schema ``consilium.backtest/1`` or ``consilium.judge/1``.
    path
        The file to write.

    Raises
    ------
    InvalidValue
        Another schema.
    OutputProblem
        The file cannot be written.
    """
    text = page(report)
    files.write_text(path, text)


def page(report: Mapping[str, Any]) -> str:
    """Return the page; see `write_html`.

    Examples
    --------
    >>> verdict = {"word": "worse", "text": "worse than climatology."}
    >>> text = page({"schema": "consilium.backtest/1", "judgement": verdict})
    >>> '<section class="verdict worse" id="verdict"' in text, "<h2" in text
    (True, True)
    """
    clean = checked(report)
    return judge_page(clean) if clean["schema"] == JUDGE_SCHEMA else _backtest_page(clean)


def _backtest_page(report: Mapping[str, Any]) -> str:
    trading = report.get("trading", {})
    parts = [build(report) for build in _SECTIONS]
    links = [name for name in _LINKS if any(f'<section id="{name}"' in part for part in parts)]
    return frame(
        f"Backtest: {report.get('judgement', {}).get('word', 'no verdict')}",
        heading("Consilium backtest", report.get("data", {}), {name: name.capitalize() for name in links}),
        parts,
        closing(report.get("config_hash")),
        {
            "chart-calibration": charts.calibration(report.get("calibration", {})),
            "chart-weights": charts.weights(report.get("weights", {})),
            "chart-equity": charts.equity(trading),
            "chart-drawdown": charts.drawdown(trading),
        },
    )
