"""The judge in a terminal: 80 columns, about 70 lines, the verdicts last."""

from io import StringIO
from math import ceil
from typing import Any

import pytest
from rich.console import Console

from consilium.app.report import print_report
from judge_report_bare import bare_judge_report
from judge_report_sample import sample_judge_report


def printed(report: dict[str, Any], width: int = 80) -> list[str]:
    stream = StringIO()
    print_report(report, Console(file=stream, width=width))
    return stream.getvalue().splitlines()


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return printed(sample_judge_report())


def test_the_last_lines_are_both_verdicts(lines: list[str]) -> None:
    words = sample_judge_report()["judgement"]
    assert lines[-3] == f"Trading verdict: {words['trading_word']}. {words['trading_text']}"
    assert lines[-2] == f"Verdict: {words['text']}"
    assert lines[-2].startswith(f"Verdict: {words['word']}")
    assert lines[-1] == "Which way prices move: not distinguishable"


def test_the_verdict_begins_with_its_word_whatever_its_text_begins_with() -> None:
    judged = {"schema": "consilium.judge/1", "judgement": {"word": "better", "text": "It gained."}}
    assert printed(judged)[-1] == "Verdict: better. It gained."


def test_where_direction_was_not_judged_no_line_tells_of_it() -> None:
    assert sample_judge_report()["direction"]["word"]
    assert not any(line.startswith("Which way") for line in printed(bare_judge_report()))


def test_a_difference_is_written_in_points_with_two_digits_of_its_interval() -> None:
    row = {"difference": -0.0042234, "low": -0.0055033, "high": -0.0029334, "p_value": 0.00001}
    small = {"difference": -0.0000104, "low": -0.0000187, "high": -0.0000023, "p_value": 0.0249}
    found = printed(
        {
            "schema": "consilium.judge/1",
            "primary": {
                "comparisons": [
                    {**row, "against": "climatology", "word": "better"},
                    {**small, "against": "the equal-weight mean", "word": "better"},
                ]
            },
        }
    )
    assert "in points of 0.0001" in found[0]
    assert "-42.2 [-55.0, -29.3] < 0.0001 better" in " ".join(found[2].split())
    assert "-0.104 [-0.187, -0.023] 0.0249 better" in " ".join(found[3].split())


def test_tables_fit_eighty_columns_and_all_fits_seventy_lines(lines: list[str]) -> None:
    first = next(k for k, line in enumerate(lines) if line.startswith("The lock-box"))
    assert max(len(line) for line in lines[1:first]) <= 80
    assert "…" not in "".join(lines[1:first])
    assert sum(ceil(max(len(line), 1) / 80) for line in lines) <= 70


def test_nine_models_fit_as_well() -> None:
    full = sample_judge_report()
    figures = next(iter(full["models"].values()))
    names = (
        "xgboost",
        "lightgbm",
        "nhits",
        "patchtst",
        "cnn_lstm",
        "mpd_transformer",
        "tlob",
        "rl_agent",
        "sentiment",
    )
    found = printed({**full, "models": dict.fromkeys(names, figures)})
    first = next(k for k, line in enumerate(found) if line.startswith("The lock-box"))
    assert max(len(line) for line in found[1:first]) <= 80
    assert any(line.startswith("mpd_transformer ") for line in found)


def test_models_have_their_short_names_and_the_oracle_its_mark(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "best single (xgb)" in text
    assert "lgbm *" in text
    assert "* best of the pool in hindsight, never a comparator" in text


def test_what_a_sceptic_asks_is_there(lines: list[str]) -> None:
    text = "\n".join(lines)
    for fact in (
        "climatology, unseen",
        "opened 2 times before",
        "Rules x policies: None of the 47 variants",
        "independent models",
        "Luck: deflated Sharpe",
        "says better in 0 % without signal, 5 % at IC 0.03, 10 % at IC 0.06",
        "which way in 2 % without signal, 48 % at IC 0.03, 92 % at IC 0.06",
        "one bar later",
        "without xgb",
        "Earlier verdicts on real data: not distinguishable 1, worse 1",
        "Earlier verdicts on simulated markets: better 1",
    ):
        assert fact in text, fact


def test_a_test_of_luck_without_a_figure_says_why() -> None:
    (line,) = (line for line in printed(bare_judge_report()) if line.startswith("Luck"))
    assert "deflated Sharpe – (needs > 0.95; fewer than 30 days)" in line
    assert "PBO – (needs < 0.2; not applicable: 1 trial, 10 are needed)" in line
    assert "permutation p – (needs < 0.05; too short)" in line
    silent = printed({"schema": "consilium.judge/1", "economics": {"permutation": {"p_value": 0.2}}})
    (line,) = (line for line in silent if line.startswith("Luck"))
    assert "PBO – (needs < 0.2; not computed)" in line
    assert "permutation p 0.20 (needs < 0.05)" in line


def test_a_report_without_figures_is_printed() -> None:
    text = "\n".join(printed(bare_judge_report()))
    assert "None" not in text
    assert "opened for the first time" in text
    assert "Failure: lightgbm failed in fold 3" in text
    assert printed({"schema": "consilium.judge/1"})[-1] == "Verdict: none"


def test_of_many_notes_the_first_are_printed_and_the_rest_counted() -> None:
    found = printed({"schema": "consilium.judge/1", "notes": [f"[b]note {k}[/b]" for k in range(9)]})
    assert [line for line in found if line.startswith("Note")] == [
        *(f"Note: [b]note {k}[/b]" for k in range(4)),
        "Note: 5 more in the report",
    ]
