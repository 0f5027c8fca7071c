"""A real browser draws the page; skipped where there is none."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from consilium.app.report import write_html
from report_sample import sample_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
def test_the_browser_draws_every_chart_without_a_complaint(tmp_path: Path) -> None:
    assert BROWSER is not None
    target = tmp_path / "report.html"
    write_html(sample_report(hours=400, draws=20), target)
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
    drawn = re.findall(r'<div id="(chart-[a-z]+)" class="chart js-plotly-plot"', ran.stdout)
    assert sorted(drawn) == ["chart-calibration", "chart-drawdown", "chart-equity", "chart-weights"]
    assert "Share chart" not in re.sub(r"<script.*?</script>", "", ran.stdout, flags=re.DOTALL)
