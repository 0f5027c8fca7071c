"""What the twin takes as its data, what it refuses, and how it stands without numba."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from consilium.domain import DataProblem, Instrument, InvalidValue, Policy, UnknownName, UsageError
from consilium.market.candles import CandleSeries
from consilium.trading import SignalSeries, prepare
from consilium.trading.tape import Tape
from consilium.trading.twin import codes_of, lay_out, twin_backtest, twin_search
from consilium.trading.twin.account import MEDIAN_VOLUME, SIGMA_DAY, VOLUME_DAY
from consilium.trading.twin.compiled import CACHE_VARIABLE, _compiled, loops_for
from trading_bars import QUIET, signals, warmed
from twin_cases import BOOK, FREE, UP
from twin_worlds import NUMBA, make_world


def test_figures_of_a_table_are_the_tapes() -> None:
    (bars,) = make_world(4).panel.values()
    for days in (24.0, 6.5, 0.2):
        changed = CandleSeries(
            symbol="A",
            interval_ns=bars.interval_ns,
            ts_open=bars.ts_open,
            open=bars.open,
            high=bars.high,
            low=bars.low,
            close=bars.close,
            volume=bars.volume,
            bars_per_day=days,
        )
        table, tape = lay_out({"A": changed})["A"], Tape.of_series(changed)
        for i in range(len(changed)):
            tape.i = i
            row = table.sized[i]
            assert row[SIGMA_DAY] == pytest.approx(tape.daily_volatility(i), rel=1e-12)
            assert row[VOLUME_DAY] == pytest.approx(tape.daily_volume(i), rel=1e-12)
            assert row[MEDIAN_VOLUME] == tape.median_volume()


def test_candles_tapes_and_tables_give_the_same_run() -> None:
    world = make_world(11, 2)
    runs = [
        twin_backtest(panel, world.signals, compiled=False, **{**BOOK, "initial_cash": 1e6})
        for panel in (world.panel, prepare(world.panel), lay_out(world.panel))
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.equity, runs[0].equity)


def pair() -> tuple[dict[str, CandleSeries], list[SignalSeries]]:
    panel = {s: warmed([QUIET] * 3, symbol=s) for s in ("A", "B")}
    return panel, [signals(bars, {19: UP}) for bars in panel.values()]


@pytest.mark.parametrize(("limits", "notional"), [(True, 1_000.0), (False, None)])
def test_symbols_that_share_limits_or_equity_are_refused(limits: bool, notional: float | None) -> None:
    panel, moves = pair()
    with pytest.raises(InvalidValue, match="only with limits=False and a fixed notional; got 2 symbols"):
        twin_backtest(
            panel, moves, policy=Policy(), horizon=2, limits=limits, notional=notional, compiled=False
        )
    with pytest.raises(InvalidValue, match="use run_backtest, or one symbol at a time"):
        twin_search(panel, [moves], horizon=2, policy=Policy(), compiled=False)


def test_symbols_short_of_their_share_of_cash_are_refused_by_name() -> None:
    panel, moves = pair()
    with pytest.raises(InvalidValue, match="may run short; got A, B: give more initial_cash"):
        twin_backtest(panel, moves, compiled=False, **{**BOOK, "initial_cash": 1_500.0})


def test_a_perpetual_is_refused() -> None:
    bars = warmed([QUIET])
    terms = {"BTCUSDT": Instrument(symbol="BTCUSDT", market="perp")}
    with pytest.raises(InvalidValue, match="market spot; got perp of BTCUSDT"):
        twin_backtest({"BTCUSDT": bars}, [], instruments=terms, compiled=False, **BOOK)


@pytest.mark.parametrize(
    ("codes", "error", "words"),
    [
        (
            {"BTCUSDT": np.zeros((2, 20))},
            InvalidValue,
            r"shape \(variants, bars\) = \(2, 21\); got \(2, 20\)",
        ),
        ({"BTCUSDT": np.zeros(21)}, InvalidValue, "one row a variant"),
        ({"BTCUSDT": np.full((1, 21), 4)}, InvalidValue, "1, 2 or 3; got 4"),
        ({"BTCUSDT": np.full((1, 21), 0.5)}, InvalidValue, "1, 2 or 3; got 0.5"),
        ({"ETHUSDT": np.zeros((1, 21))}, UnknownName, "ETHUSDT"),
        ({}, InvalidValue, "codes of at least one symbol"),
        ([], InvalidValue, r"shape \(variants, bars\)"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        twin_search({"BTCUSDT": warmed([QUIET])}, codes, horizon=2, compiled=False)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"horizon": 0}, "horizon must be >= 1; got 0"),
        ({"horizon": [2, 3]}, "one for each of 1 variants"),
        ({"horizon": 2.5}, "whole number"),
        ({"delay": -1}, "delay must be >= 0"),
        ({"threads": 0}, "threads must be >= 1"),
        ({"notional": 0.0}, "notional must be finite and > 0"),
        ({"initial_cash": -1.0}, "initial_cash must be finite and > 0"),
    ],
)
def test_words_of_a_search_out_of_bounds_are_refused(told: dict[str, Any], words: str) -> None:
    codes = {"BTCUSDT": np.zeros((1, 21), np.int8)}
    with pytest.raises(InvalidValue, match=words):
        twin_search({"BTCUSDT": warmed([QUIET])}, codes, **{"horizon": 2, "compiled": False, **told})


def test_nothing_from_start_ts_on_is_refused() -> None:
    panel = {"BTCUSDT": warmed([QUIET])}
    with pytest.raises(DataProblem, match="needs bars from start_ts on"):
        twin_backtest(panel, [], compiled=False, start_ts=10**18, **BOOK)
    with pytest.raises(DataProblem, match="needs bars from start_ts on"):
        twin_search(
            panel,
            codes_of(panel, [[signals(panel["BTCUSDT"], {19: UP})]]),
            horizon=2,
            start_ts=10**18,
            compiled=False,
        )


def test_a_symbol_without_codes_is_held_in_cash() -> None:
    panel = {s: warmed([(101.0, 103.0, 100.0, 102.0)], symbol=s) for s in ("A", "B")}
    moves = [[signals(panel["A"], {19: UP})]]
    both = twin_search(panel, moves, horizon=2, costs=FREE, compiled=False)
    alone = twin_search({"A": panel["A"]}, moves, horizon=2, costs=FREE, compiled=False)
    assert both.net_return[0] == pytest.approx(alone.net_return[0] / 2)


def test_without_numba_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(UsageError, match=r"numba; got nothing installed: pip install 'consilium\[fast\]'"):
        _compiled.__wrapped__()


def test_importing_the_twin_does_not_import_numba() -> None:
    code = "import sys, consilium.trading.twin; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not NUMBA, reason="numba is not installed")
def test_machine_code_is_kept_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    loops: Any = _compiled.__wrapped__()
    assert loops.run_many.stats.cache_path is None
    assert loops_for(compiled=False).run_many is not loops.run_many
