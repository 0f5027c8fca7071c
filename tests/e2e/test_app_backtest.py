import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import SMALL, consilium, environment, fails_in_one_line
from consilium.domain import to_iso

FIGURES = ("log_loss", "brier", "ece", "mcc", "macro_f1", "ic", "accuracy", "coverage")
TRADING = ("net_return", "max_drawdown", "turnover", "fees", "trades")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("backtest")
    done = consilium(
        "backtest", "--data", SMALL, "--features", "core14", "--folds", "2", "--rule", "smart_vote",
        "--json", "out/r.json", "--html", "out/r.html", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "out/r.json").read_text())
    return done.stdout, report, (folder / "out/r.html").read_text()


def test_the_last_line_is_the_verdict_and_the_report_says_the_same(
    run: tuple[str, dict[str, Any], str],
) -> None:
    text, report, _ = run
    last = text.strip().splitlines()[-1]
    assert last.startswith("Verdict: ")
    assert report["verdict"].startswith(last.removeprefix("Verdict: "))


def test_every_forecaster_has_every_figure_with_interval_and_count(
    run: tuple[str, dict[str, Any], str],
) -> None:
    _, report, _ = run
    assert set(report["models"]) == {"xgboost", "lightgbm"}
    assert set(report["baselines"]) == {"prior", "persistence", "logistic", "minirocket"}
    for found in (*report["models"].values(), *report["baselines"].values(), report["consensus"]):
        for name in FIGURES:
            figure = found[name]
            assert {"value", "low", "high", "n"} <= set(figure)
            assert figure["n"] > 0
            if figure["value"] is None or figure["low"] is None:
                assert figure["reason"]
            else:
                assert figure["low"] <= figure["high"]


def test_trading_figures_are_plain_numbers_and_equity_starts_at_ten_thousand(
    run: tuple[str, dict[str, Any], str],
) -> None:
    _, report, _ = run
    for name in TRADING:
        assert isinstance(report["trading"][name], int | float)
    for name in ("sharpe", "sharpe_se", "sortino"):
        assert report["trading"][name] is None or isinstance(report["trading"][name], float)
    assert report["trading"]["equity"][0][1] == 10_000.0
    begun = report["split"]["folds"][0]["test_first"]
    for curve in ("equity", "buy_and_hold", "drawdown"):
        assert to_iso(report["trading"][curve][0][0]) == begun, (
            "nothing before the first test forecast counts"
        )
    if not report["trading"]["trades"] and not report["trading"]["open_positions"]:
        assert report["trading"]["net_return"] == 0.0


def test_both_gate_presets_and_both_limit_settings_are_shown(run: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = run
    assert set(report["trading_variants"]) == {
        f"gates={gates}, limits={limits}" for gates in ("edge", "seed") for limits in ("on", "off")
    }


@pytest.mark.promise("002", "consensus patterns are counted: unanimous, strong, split")
def test_every_consensus_is_counted_by_its_level(run: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = run
    levels = report["consensus"]["levels"]
    assert {level.removesuffix("_volatility_hold") for level in levels} <= {"unanimous", "split", "weak"}
    assert sum(levels.values()) == sum(fold["rows"] for fold in report["split"]["folds"])


def test_each_model_and_baseline_has_a_paper_book_of_its_own(run: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = run
    for found in (*report["models"].values(), *report["baselines"].values()):
        assert {"net_return", "trades"} <= set(found["paper_book"])


def test_the_page_asks_no_other_host(run: tuple[str, dict[str, Any], str]) -> None:
    _, _, page = run
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://", without_scripts)
    assert "default-src 'none'" in without_scripts


@pytest.mark.long
def test_equal_runs_are_equal_to_the_bit(tmp_path: Path) -> None:
    reports = []
    for jobs in ("1", "2"):
        done = consilium(
            "backtest", "--data", SMALL, "--features", "core14", "--folds", "2", "--jobs", jobs,
            "--json", f"{jobs}.json", "--quiet", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / f"{jobs}.json").read_text())
        reports.append({key: value for key, value in report.items() if key != "run"})
    assert reports[0] == reports[1]


def test_a_second_look_is_counted_as_a_trial(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        done = consilium(
            "backtest", "--data", SMALL, "--features", "core14", "--folds", "1", "--models", "lightgbm",
            "--json", "r.json", "--quiet", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen.append(json.loads((tmp_path / "r.json").read_text()))
    assert [report["run"]["trials"] for report in seen] == [1, 2]
    assert seen[0]["config_hash"] == seen[1]["config_hash"]


def test_json_to_the_standard_output_stands_there_alone(tmp_path: Path) -> None:
    done = consilium(
        "backtest", "--data", SMALL, "--features", "core14", "--folds", "1", "--models", "lightgbm",
        "--conformal", "0.3", "--per-regime", "--json", "-", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["config"]["settings"]["ensemble"]["conformal"] == 0.3
    assert report["config"]["trust"] == "fixed_share"
    assert {"month", "outcomes", "coverage", "singletons"} == set(report["consensus"]["conformal"][0])
    assert "Verdict: " in done.stderr
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize(
    "command", [("data", "check", "sample"), ("predict", "--data", SMALL)], ids=["check", "predict"]
)
def test_other_commands_leave_the_standard_output_to_the_json_as_well(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = consilium(*command, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert done.stderr


def test_a_reader_that_goes_away_is_one_line(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m consilium data check sample --json - | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "must be read to its end" in fails_in_one_line(done, 1)
    assert "BrokenPipe" not in done.stderr


@pytest.mark.shared
def test_real_hourly_candles_run_from_the_command_line(candles_1h: Path, tmp_path: Path) -> None:
    done = consilium(
        "backtest", "--data", str(candles_1h), "--symbols", "BTCUSDT,ETHUSDT", "--models", "lightgbm",
        "--features", "core14", "--folds", "2", "--json", "r.json", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["data"]["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert 0.9 < report["consensus"]["log_loss"]["value"] < 1.2


def test_folds_follow_one_another_and_end_with_the_data(run: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = run
    folds = report["split"]["folds"]
    ends = [fold["test_last"] for fold in folds]
    assert ends == sorted(ends)
    assert ends[-1] <= report["data"]["last"]
    assert all(fold["test_first"] < fold["test_last"] for fold in folds)
