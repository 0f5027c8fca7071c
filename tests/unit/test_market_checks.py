"""Each kind of fault is found at its row, said with its cure, and repaired without inventing anything."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from consilium.domain.time import DAY_NS, HOUR_NS
from consilium.market.checks import check_candles
from consilium.market.files import candle_table
from consilium.market.findings import FAULTS, NOTES, Finding, refuse
from consilium.market.hours import find_gaps, find_hours
from consilium.market.repair import repair_candles
from consilium.market.simulator import simulate
from consilium.market.sources import sample_candles


def _table(bars: int = 200, symbol: str = "A") -> pl.DataFrame:
    return candle_table(simulate(symbols=[symbol], bars=bars, seed=1).series[symbol])


def _change(table: pl.DataFrame, row: int, **values: float) -> pl.DataFrame:
    """Set cells of one row, counted from 1."""
    at = pl.int_range(1, pl.len() + 1) == row
    return table.with_columns(
        pl.when(at).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in values.items()
    )


def _only(table: pl.DataFrame) -> Finding:
    findings = check_candles(table).findings
    assert len(findings) == 1, findings
    return findings[0]


def test_sound_candles_have_no_findings() -> None:
    report = check_candles(_table())
    assert (report.ok, report.findings, report.broken, report.rows) == (True, (), (), 200)


IMPOSSIBLE: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "high below low": lambda t: _change(t, 40, high=1e-9),
    "open above high": lambda t: _change(t, 40, open=1e9),
    "close below low": lambda t: _change(t, 40, close=1e-9),
    "low of zero": lambda t: _change(t, 40, low=0.0),
    "negative price": lambda t: _change(t, 40, low=-1.0),
    "NaN": lambda t: _change(t, 40, close=float("nan")),
    "infinite": lambda t: _change(t, 40, high=float("inf")),
    "negative volume": lambda t: _change(t, 40, volume=-1.0),
    "NaN volume": lambda t: _change(t, 40, volume=float("nan")),
    "missing": lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) != 39).then("close").alias("close")),
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_an_impossible_bar_is_found_at_its_row_and_dropped(fault: str) -> None:
    broken = IMPOSSIBLE[fault](_table())
    report = check_candles(broken)
    found = report.findings[0]
    assert (found.kind, found.row, found.count, found.symbol) == ("impossible", 40, 1, "A")
    assert "--repair" in found.cure
    assert report.broken == ("A",)
    repaired, told = repair_candles(broken)
    assert repaired["row"].to_list() == [row for row in range(1, 201) if row != 40]
    assert [(f.kind, f.repaired) for f in told.findings] == [
        ("impossible", "repaired: dropped"),
        ("gaps", ""),
    ]


def test_a_row_without_a_time_is_impossible() -> None:
    times = pl.when(pl.int_range(pl.len()) != 4).then("date").alias("date")
    found = check_candles(_table().with_columns(times)).findings[0]
    assert (found.kind, found.row, found.ts) == ("impossible", 5, None)
    assert "no time" in found.detail


def test_repeated_rows_are_found_and_the_last_is_kept() -> None:
    table = _table()
    doubled = pl.concat([table, _change(table[49:51], 1, volume=1.0)])
    report = check_candles(doubled)
    kinds = {f.kind: f for f in report.findings}
    assert set(kinds) == {"duplicates", "unsorted"}
    assert (kinds["duplicates"].row, kinds["duplicates"].count) == (201, 2)
    repaired, _ = repair_candles(doubled)
    assert len(repaired) == 200
    assert repaired["row"][49] == 201
    assert repaired["volume"][49] == 1.0


def test_an_impossible_repetition_does_not_displace_the_sound_row() -> None:
    table = _table()
    doubled = pl.concat([table, _change(table[49:50], 1, close=float("nan"))])
    repaired, _ = repair_candles(doubled)
    assert_array_equal(repaired["row"].to_numpy(), np.arange(1, 201))


def test_unsorted_rows_are_found_and_sorted() -> None:
    table = _table()
    swapped = pl.concat([table[:99], table[100:101], table[99:100], table[101:]])
    found = _only(swapped)
    assert (found.kind, found.row, found.count) == ("unsorted", 101, 1)
    repaired, told = repair_candles(swapped)
    assert told.ok
    assert_array_equal(repaired["close"].to_numpy(), table["close"].to_numpy())


def test_missing_bars_are_said_and_kept_missing() -> None:
    table = _table()
    holed = pl.concat([table[:50], table[53:120], table[121:]])
    found = _only(holed)
    assert (found.kind, found.row, found.count) == ("gaps", 51, 4)
    assert found.ts == table["date"].dt.epoch("ns")[53]
    assert "longest 3 bars" in found.detail
    assert check_candles(holed).ok
    assert len(repair_candles(holed)[0]) == len(holed)


def test_a_bar_between_two_bars_overlaps_and_is_dropped() -> None:
    table = _table()
    half = table[10:11].with_columns(pl.col("date") + pl.duration(minutes=30, time_unit="ns"))
    broken = pl.concat([table[:11], half, table[11:]])
    found = _only(broken)
    assert (found.kind, found.row) == ("overlap", 12)
    repaired, told = repair_candles(broken)
    assert told.ok
    assert repaired["row"].to_list() == [r for r in range(1, 202) if r != 12]


def test_several_markets_without_a_symbol_column_are_told_apart_from_repetitions() -> None:
    panel = simulate(symbols=["A", "B"], bars=100, seed=2, start_price=None).series
    mixed = pl.concat([candle_table(series) for series in panel.values()])
    assert check_candles(mixed).ok
    blind = mixed.drop("symbol")
    found = check_candles(blind).findings[0]
    assert (found.kind, found.row, found.count) == ("mixed", 101, 100)
    assert "symbol" in found.cure
    untouched, told = repair_candles(blind)
    assert not told.ok
    assert len(untouched) == 200


def test_the_same_market_twice_is_not_several_markets() -> None:
    table = _table().drop("symbol")
    kinds = {f.kind for f in check_candles(pl.concat([table, table])).findings}
    assert kinds == {"duplicates", "unsorted"}


def test_one_broken_symbol_of_many_is_named_alone() -> None:
    panel = pl.concat([_table(symbol=s) for s in ("A", "B", "C")])
    report = check_candles(_change(panel, 250, high=0.0))
    assert report.broken == ("B",)
    assert report.symbols == ("A", "B", "C")
    assert report.findings[0].row == 250


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_of_less_than_two_rows_is_empty(rows: int) -> None:
    report = check_candles(_table()[:rows], "A")
    assert [f.kind for f in report.findings] == ["empty"]
    repaired, told = repair_candles(_table()[:rows], "A")
    assert (len(repaired), told.ok) == (rows, False)


def test_a_symbol_of_impossible_bars_alone_stays_broken() -> None:
    hopeless = _table(5).with_columns(pl.lit(-1.0).alias("low"))
    untouched, told = repair_candles(hopeless)
    assert not told.ok
    assert len(untouched) == 5
    assert "empty" in {f.kind for f in told.findings}


def test_the_error_names_bound_value_row_and_cure() -> None:
    found = check_candles(_change(_table(), 40, high=0.0)).findings
    said = str(refuse(found))
    assert said.startswith("A: a bar needs a time, 0 < low <= open")
    assert "row 40 (2024-01-02T15:00:00Z)" in said
    assert "\n" not in said


def test_every_kind_is_a_fault_or_a_note() -> None:
    assert not set(FAULTS) & set(NOTES)


def test_nights_weekends_and_holidays_of_a_stock_are_no_gaps() -> None:
    series = sample_candles().series["SAMPLE"]
    hours = find_hours(series.ts_open, HOUR_NS)
    assert not hours.round_the_clock
    assert hours.bars_per_day == 7.0
    assert len(find_gaps(series.ts_open, HOUR_NS)) == 0


@pytest.mark.parametrize("start", range(0, 300, 37))
@pytest.mark.parametrize("bars", [24, 40, 80, 400])
def test_a_few_days_of_a_stock_have_no_gaps_either(start: int, bars: int) -> None:
    ts = sample_candles().series["SAMPLE"].ts_open[start : start + bars]
    assert len(find_gaps(ts, HOUR_NS)) == 0


def test_a_hole_inside_trading_hours_is_a_gap() -> None:
    ts = sample_candles().series["SAMPLE"].ts_open
    day = np.flatnonzero(np.diff(ts) > HOUR_NS)[100] + 1
    holed = np.delete(ts, [day + 2, day + 3])
    assert_array_equal(find_gaps(holed, HOUR_NS), [day + 1])


def test_a_market_that_rests_at_weekends_only_has_trading_hours() -> None:
    hours = np.arange(24 * 7 * 8)
    open_ = hours[(hours % (24 * 7)) < 24 * 5]
    ts = open_ * HOUR_NS
    assert not find_hours(ts, HOUR_NS).round_the_clock
    assert find_hours(ts, HOUR_NS).bars_per_day == 24.0
    assert len(find_gaps(ts, HOUR_NS)) == 0
    assert_array_equal(find_gaps(np.delete(ts, [200, 201]), HOUR_NS), [199])


def test_daily_bars_of_a_stock_have_no_gaps_at_weekends() -> None:
    days = np.arange(7 * 30)
    ts = days[days % 7 < 5] * DAY_NS
    assert len(find_gaps(ts, DAY_NS)) == 0
    assert find_hours(ts, DAY_NS).bars_per_day == 1.0


def test_a_lunch_break_is_no_gap() -> None:
    hours = [day * 24 + hour for day in range(30) for hour in (1, 2, 4, 5, 6)]
    ts = np.array(hours) * HOUR_NS
    assert len(find_gaps(ts, HOUR_NS)) == 0
    assert find_hours(ts, HOUR_NS).bars_per_day == 5.0


def test_a_long_outage_does_not_make_trading_hours() -> None:
    ts = np.delete(np.arange(24 * 60), slice(200, 700)) * HOUR_NS
    assert find_hours(ts, HOUR_NS).round_the_clock
    assert_array_equal(find_gaps(ts, HOUR_NS), [199])
