"""Laws of loading, checking and repairing, over many planted faults."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from consilium.domain.time import MINUTE_NS
from consilium.market.candles import COLUMNS
from consilium.market.checks import check_candles
from consilium.market.files import candle_table
from consilium.market.repair import repair_candles
from consilium.market.simulator import KINDS, simulate
from consilium.market.sources import load_candles

FAULTS = ("impossible", "no time", "duplicate", "swap", "gap", "overlap")


def _plant(table: pl.DataFrame, fault: str, at: int) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == at
    if fault == "impossible":
        return table.with_columns(pl.when(here).then(-1.0).otherwise("low").alias("low"))
    if fault == "no time":
        return table.with_columns(pl.when(~here).then("date").alias("date"))
    if fault == "duplicate":
        return pl.concat([table[: at + 1], table[at:]])
    if fault == "swap":
        return pl.concat([table[:at], table[at + 1 : at + 2], table[at : at + 1], table[at + 2 :]])
    if fault == "gap":
        return pl.concat([table[:at], table[at + 1 :]])
    extra = table[at : at + 1].with_columns(pl.col("date") + pl.duration(minutes=20, time_unit="ns"))
    return pl.concat([table[: at + 1], extra, table[at + 1 :]])


@st.composite
def broken_tables(draw: st.DrawFn) -> pl.DataFrame:
    bars = draw(st.integers(30, 120))
    table = candle_table(simulate(symbols=["A"], bars=bars, seed=draw(st.integers(0, 99))).series["A"])
    for fault in draw(st.lists(st.sampled_from(FAULTS), max_size=8)):
        table = _plant(table, fault, draw(st.integers(1, len(table) - 3)))
    return table


@given(broken_tables())
def test_a_repair_passes_the_checks_and_repeating_it_changes_nothing(table: pl.DataFrame) -> None:
    repaired, told = repair_candles(table)
    assert told.ok
    assert check_candles(repaired).ok
    again, nothing = repair_candles(repaired)
    assert again.equals(repaired)
    assert not any(finding.repaired for finding in nothing.findings)


@given(broken_tables())
def test_a_repair_invents_no_row(table: pl.DataFrame) -> None:
    repaired, _ = repair_candles(table)
    for row in repaired.iter_rows(named=True):
        source = table.row(row["row"] - 1, named=True)
        assert [row[c] for c in COLUMNS] == [source[c] for c in COLUMNS]
    assert repaired["ts"].is_sorted()


KIND_OF = {
    "impossible": "impossible",
    "no time": "impossible",
    "duplicate": "duplicates",
    "swap": "unsorted",
    "gap": "gaps",
    "overlap": "overlap",
}


@pytest.mark.parametrize("fault", FAULTS)
@given(at=st.integers(1, 96), seed=st.integers(0, 50))
def test_every_planted_fault_is_found_at_its_row(fault: str, at: int, seed: int) -> None:
    table = _plant(candle_table(simulate(symbols=["A"], bars=100, seed=seed).series["A"]), fault, at)
    found = check_candles(table).findings[0]
    # Rows are counted from 1; the second of a pair is the one that is named.
    second = fault in {"duplicate", "swap", "overlap"}
    assert (found.kind, found.row) == (KIND_OF[fault], at + 1 + second)


@given(
    bars=st.integers(2, 80),
    symbols=st.integers(1, 3),
    seed=st.integers(0, 999),
    kind=st.sampled_from(KINDS),
    minutes=st.sampled_from([1, 15, 60, 1440]),
)
def test_parquet_feather_and_csv_give_the_same_candles(
    bars: int, symbols: int, seed: int, kind: str, minutes: int
) -> None:
    panel = simulate(symbols=symbols, bars=bars, seed=seed, kind=kind, interval_ns=minutes * MINUTE_NS).series
    table = pl.concat([candle_table(series) for series in panel.values()])
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"x.{suffix}" for suffix in ("parquet", "feather", "csv")]
        table.write_parquet(paths[0])
        table.write_ipc(paths[1])
        table.write_csv(paths[2])
        for path in paths:
            loaded = load_candles(path, drop_last=False)
            assert list(loaded.series) == list(panel)
            for name, series in panel.items():
                assert loaded.series[name].interval_ns == series.interval_ns
                for column in ("ts_open", *COLUMNS):
                    assert_array_equal(getattr(loaded.series[name], column), getattr(series, column))


@given(start=st.integers(-60, 60), stop=st.integers(-60, 60), inner=st.integers(0, 20))
def test_a_slice_of_a_slice_is_a_slice(start: int, stop: int, inner: int) -> None:
    series = simulate(bars=50, seed=1).series["SIM00"]
    part = series.slice(start, stop)
    expected = np.arange(50)[start:stop]
    assert_array_equal(part.close, series.close[expected])
    assert_array_equal(part.slice(inner, None).ts_close, series.ts_close[expected[inner:]])
    assert part.bars_per_day == series.bars_per_day
    if len(part):
        assert part.candle(-1) == series.candle(int(expected[-1]))
