"""The part of a report about fills from books."""

from typing import Any

from rich.console import Console

from consilium.app.report import print_report
from consilium.app.report.fills import account_rows, cost_rows, ended_lines, figure_rows, fills_section
from consilium.app.report.page import page
from judge_report_bare import bare_judge_report

FIGURES: dict[str, Any] = {
    "orders": 1_200,
    "filled": 1_100,
    "in_part": 60,
    "unfilled": 40,
    "fills": 1_500,
    "maker_share": 0.25,
    "slippage": 0.000123,
    "waiting_slippage": -0.00002,
    "beyond_candles": None,
    "seconds_first": 0.05,
    "seconds_last": 2.25,
    "traded_value": 1e6,
    "slippage_cost": 12.0,
}
ACCOUNT: dict[str, Any] = {
    "net_return": -0.003,
    "max_drawdown": 0.004,
    "trades": 16,
    "orders_filled": 32,
    "fills": 35,
    "traded_value": 63_177.97,
    "fees": 31.59,
}


def _report(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "consilium.backtest/1",
        "judgement": {"word": "no forecast", "text": "no forecast was judged.", "trading_text": "It lost."},
        "fills": {
            "how": "book",
            "settings": {
                "latency_ms": 50.0,
                "queue": 1.0,
                "entry": "limit",
                "patience_ms": 2_000.0,
                "maker_fee": 0.0002,
                "taker_fee": 0.0005,
            },
            "figures": {"all": FIGURES, "entry": FIGURES | {"maker_share": None, "slippage": None}},
            "refused": {"max_exposure": 7},
            "ended": {"rejected": {"stale_book": 2}, "cancelled": {}, "expired": {}},
            "accounts": {"book": ACCOUNT, "candles": ACCOUNT | {"net_return": -0.001}},
            "costs": [{"multiple": 1.0, "book": -0.003, "candles": None}],
        }
        | changes,
    }


def test_figures_are_written_in_their_units() -> None:
    rows = figure_rows(_report())
    assert rows[0] == (
        "all", "1,200", "1,100", "60", "40", "1,500", "25.0 %", "1.23 bp", "-0.20 bp", "–", "50 ms", "2.2 s",
    )  # fmt: skip
    assert rows[1][6:8] == ("–", "–")


def test_both_accounts_stand_beside_each_other_and_a_missing_one_is_left_out() -> None:
    assert [row[:2] for row in account_rows(_report())] == [
        ("by walking the book", "-0.300 %"),
        ("on candles", "-0.100 %"),
    ]
    alone = _report(accounts={"book": ACCOUNT, "candles": None})
    assert [row[0] for row in account_rows(alone)] == ["by walking the book"]
    assert cost_rows(alone) == [("1x", "-0.300 %", "–")]


def test_reasons_are_counted() -> None:
    assert ended_lines(_report())[:2] == [
        "Refused before sending: max_exposure 7.",
        "Orders rejected: stale_book 2.",
    ]


def test_the_terminal_says_it_all_above_the_verdict() -> None:
    console = Console(width=170, no_color=True, record=True)
    print_report(_report(), console)
    text = console.export_text()
    for told in (
        "Filled by walking the book: 50 ms of latency, entries at a limit for 2 s, "
        "100 % of the level before it, "
        "fees maker 0.02",
        "The same signals, filled in two ways",
        "Refused before sending: max_exposure 7.",
    ):
        assert told in " ".join(text.split()), told
    assert text.strip().splitlines()[-1] == "Verdict: no forecast was judged."


def test_the_page_has_a_section_about_fills_only_where_books_filled() -> None:
    assert 'id="fills"' in page(_report())
    assert "Net return at multiples" in fills_section(_report())
    bare = {key: value for key, value in _report().items() if key != "fills"}
    assert 'id="fills"' not in page(bare)
    judged = bare_judge_report() | {"fills": _report()["fills"]}
    assert 'id="fills"' in page(judged)
    assert 'href="#fills"' in page(judged)
