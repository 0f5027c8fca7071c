"""JSON without NaN, and a terminal whose last lines are the verdicts."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from consilium.app.report import print_report, write_json
from consilium.app.report.thinning import extremes, strides
from consilium.domain import InvalidValue, plain
from report_sample import sample_report


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return sample_report(hours=300, draws=20)


def printed(report: dict[str, Any], width: int = 100) -> str:
    stream = StringIO()
    print_report(report, Console(file=stream, width=width))
    return stream.getvalue()


def test_json_comes_back_as_it_was_and_has_no_nan(report: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    broken = {
        **report,
        "extra": {"a": float("nan"), "b": np.float64("inf"), "c": np.arange(2), "d": (1, None)},
    }
    write_json(broken, target)
    text = target.read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    read = json.loads(text)
    assert read.pop("extra") == {"a": None, "b": None, "c": [0, 1], "d": [1, None]}
    assert read == plain(report)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidValue, match="must be plain JSON; got"):
        plain({"where": Path("x")})


def test_the_last_lines_are_the_verdicts(report: dict[str, Any]) -> None:
    lines = printed(report).strip().splitlines()
    assert lines[-1] == f"Verdict: {report['judgement']['text']}"
    assert lines[-2] == f"Trading verdict: does not pay. {report['judgement']['trading_text']}"


def test_a_verdict_that_already_says_so_is_not_labelled_twice(report: dict[str, Any]) -> None:
    labelled = {**report, "judgement": {**report["judgement"], "text": "Verdict: worse than climatology."}}
    assert "Verdict: worse than climatology." in printed(labelled).splitlines()


def test_the_terminal_shows_every_forecaster_and_run(report: dict[str, Any]) -> None:
    text = printed(report)
    for name in (
        "consensus",
        "xgboost",
        "lightgbm",
        "logistic",
        "prior",
        "gates=seed, limits=off",
        "this run",
    ):
        assert name in text
    assert f"{report['consensus']['log_loss']['value']:.4f}" in text
    assert "Gates opened: seed 12" in text
    assert report["notes"][0] in text
    assert report["data"]["findings"][0] in text


def test_eighty_columns_are_enough_for_the_tables(report: dict[str, Any]) -> None:
    long = {**report, "models": {"mpd_transformer": report["models"]["xgboost"]}}
    tables = printed(long, width=80).split("Gates opened")[0].splitlines()[1:]
    assert max(map(len, tables)) <= 80
    assert any(line.startswith("forecaster      log-loss") for line in tables)
    assert "…" not in "".join(tables)


def test_square_brackets_in_names_are_printed_as_they_are(report: dict[str, Any]) -> None:
    odd = {**report, "notes": ["[bold]kept[/bold]"], "models": {"[red]m": report["models"]["xgboost"]}}
    assert "[bold]kept[/bold]" in printed(odd)
    assert "[red]m" in printed(odd)


def test_a_short_line_keeps_every_point_and_a_long_one_its_ends() -> None:
    assert extremes([3.0, None, 1.0]) == [0, 1, 2]
    kept = extremes(list(np.random.default_rng(0).normal(size=12_345)))
    assert (kept[0], kept[-1]) == (0, 12_344)
    assert len(kept) <= 2_000
    assert strides(12_345)[-1] == 12_344
    assert len(strides(12_345)) <= 2_000
