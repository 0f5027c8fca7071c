"""A real browser draws the judge's page; skipped where there is none."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from consilium.app.report import write_html
from judge_report_sample import bare_judge_report, sample_judge_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHARTS = ["calibration", "coverage", "drawdown", "equity", "months", "weights"]


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
def test_the_browser_draws_every_chart_without_a_complaint(tmp_path: Path, full: bool) -> None:
    assert BROWSER is not None
    target = tmp_path / "judge.html"
    write_html(sample_judge_report(hours=300, draws=20) if full else bare_judge_report(), target)
    ran = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=4000",
            "--dump-dom",
            target.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in ran.stderr, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    drawn = re.findall(r'<div id="chart-([a-z]+)" class="chart js-plotly-plot"', ran.stdout)
    assert sorted(drawn) == (CHARTS if full else ["equity", "months"])
