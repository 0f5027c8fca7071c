"""A real browser draws the judge's page; skipped where there is none."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from consilium.app.report import write_html
from judge_report_bare import bare_judge_report
from judge_report_sample import sample_judge_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHARTS = ["calibration", "coverage", "drawdown", "equity", "months", "weights"]


TALLER = """
<script>
onload = () => setTimeout(() => {
  const wide = [...document.querySelectorAll(".wide")];
  const taller = wide.filter((e) => e.scrollHeight > e.clientHeight);
  const names = taller.map((e) => e.getAttribute("aria-label"));
  parent.postMessage({ count: wide.length, width: innerWidth, names }, "*");
}, 500);
</script></body>"""
NEEDED = pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")


def browse(target: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    return subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--window-size=1400,1000",
            "--virtual-time-budget=4000",
            "--dump-dom",
            target.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@NEEDED
@pytest.mark.parametrize("width", [1200, 390])
def test_no_table_is_taller_than_its_place(tmp_path: Path, width: int) -> None:
    report = tmp_path / "judge.html"
    write_html(sample_judge_report(hours=300, draws=20), report)
    report.write_text(report.read_text("utf-8").replace("</body>", TALLER), "utf-8")
    # A window of a browser without a screen is never as narrow as a phone; a frame is.
    outer = tmp_path / "frame.html"
    outer.write_text(
        f'<body><iframe src="{report.as_uri()}" width="{width}" height="900"></iframe><p></p><script>'
        'onmessage = (m) => { document.querySelector("p").textContent = JSON.stringify(m.data); }'
        "</script></body>",
        "utf-8",
    )
    told = re.search(r"<p>(\{.*?\})</p>", browse(outer, tmp_path).stdout)
    assert told is not None
    found = json.loads(told[1])
    assert found["width"] == width
    assert found["count"] > 20
    assert found["names"] == []


@NEEDED
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
def test_the_browser_draws_every_chart_without_a_complaint(tmp_path: Path, full: bool) -> None:
    target = tmp_path / "judge.html"
    write_html(sample_judge_report(hours=300, draws=20) if full else bare_judge_report(), target)
    ran = browse(target, tmp_path)
    assert "CONSOLE" not in ran.stderr, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    drawn = re.findall(r'<div id="chart-([a-z]+)" class="chart js-plotly-plot"', ran.stdout)
    assert sorted(drawn) == (CHARTS if full else ["equity", "months"])
