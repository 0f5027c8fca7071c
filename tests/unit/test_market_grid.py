"""One length of bar for a whole input: thin symbols are read with the others' bars, misfits are told."""

from pathlib import Path

import polars as pl
import pytest
from numpy.testing import assert_array_equal

from consilium.domain.errors import DataProblem
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS
from consilium.market.candles import CandleSeries
from consilium.market.files import candle_table
from consilium.market.simulator import simulate
from consilium.market.sources import Loaded, load_candles, sample_candles
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec

THIN = [0, 5, 8, 15]
EVERY_SECOND = list(range(0, 300, 2))


def _bars(symbol: str, rows: int = 300, interval_ns: int = HOUR_NS) -> CandleSeries:
    return simulate(symbols=[symbol], bars=rows, seed=3, interval_ns=interval_ns).series[symbol]


def _some(symbol: str, rows: list[int]) -> pl.DataFrame:
    return candle_table(_bars(symbol))[rows]


def _load(folder: Path, *thin: pl.DataFrame, repair: bool = False) -> Loaded:
    """Load two sound hourly symbols together with others."""
    table = pl.concat([*(candle_table(_bars(symbol)) for symbol in ("AAA", "BBB")), *thin])
    table.write_parquet(folder / "x.parquet")
    return load_candles(folder / "x.parquet", drop_last=False, repair=repair)


def _told(loaded: Loaded) -> list[tuple[str, str, int]]:
    return [(finding.symbol, finding.kind, finding.row) for finding in loaded.findings]


@pytest.mark.parametrize("repair", [False, True])
def test_a_thin_symbol_is_read_with_the_bars_of_the_others_and_its_holes_are_gaps(
    tmp_path: Path, repair: bool
) -> None:
    loaded = _load(tmp_path, _some("ZZZ", THIN), repair=repair)
    thin = loaded.series["ZZZ"]
    assert (len(thin), thin.interval_ns, thin.bars_per_day) == (4, HOUR_NS, 24.0)
    assert _told(loaded) == [("ZZZ", "gaps", 602)]
    assert loaded.findings[0].count == 4 + 2 + 6
    dataset = build_dataset(loaded.series, "core14", LabelSpec())
    assert dataset.interval_ns == HOUR_NS
    assert dataset.symbols == ("AAA", "BBB", "ZZZ")
    assert 2 not in dataset.symbol_index


def test_many_holes_do_not_look_like_closing_hours(tmp_path: Path) -> None:
    # Over many days, mostly every second bar: half of the hours of the day never hold one.
    rows = sorted({*range(0, 300, 2), 101})
    thin = _load(tmp_path, _some("ZZZ", rows)).series["ZZZ"]
    assert (thin.interval_ns, thin.bars_per_day) == (HOUR_NS, 24.0)


@pytest.mark.parametrize(
    ("rows", "apart"),
    [
        pytest.param([0, 5, 10, 15], "5 h", id="four bars, 5 h apart"),
        pytest.param(EVERY_SECOND, "2 h", id="every second bar missing"),
        pytest.param([0, 24], "1 d", id="two bars a day apart"),
    ],
)
def test_bars_that_may_be_longer_ones_are_left_out_and_told(
    tmp_path: Path, rows: list[int], apart: str
) -> None:
    loaded = _load(tmp_path, _some("ZZZ", rows))
    assert list(loaded.series) == ["AAA", "BBB"]
    assert loaded.excluded == ("ZZZ",)
    (found,) = loaded.findings
    assert (found.kind, found.row, found.count, found.fatal) == ("interval", 601, len(rows), True)
    assert found.detail == f"bars {apart} apart among symbols with bars of 1 h"
    assert len(build_dataset(loaded.series, "core14", LabelSpec()).symbols) == 2


@pytest.mark.parametrize("interval_ns", [5 * MINUTE_NS, 90 * MINUTE_NS, 4 * HOUR_NS, DAY_NS])
@pytest.mark.parametrize("repair", [False, True])
def test_another_interval_is_left_out_whether_repaired_or_not(
    tmp_path: Path, interval_ns: int, repair: bool
) -> None:
    loaded = _load(tmp_path, candle_table(_bars("ZZZ", interval_ns=interval_ns)), repair=repair)
    assert (list(loaded.series), _told(loaded)) == (["AAA", "BBB"], [("ZZZ", "interval", 601)])


def test_the_interval_of_most_rows_is_that_of_the_input(tmp_path: Path) -> None:
    days = candle_table(_bars("ZZZ", rows=700, interval_ns=DAY_NS))
    loaded = _load(tmp_path, days)
    assert list(loaded.series) == ["ZZZ"]
    assert loaded.excluded == ("AAA", "BBB")


def test_a_symbol_of_one_row_or_two_stops_nobody_else(tmp_path: Path) -> None:
    loaded = _load(tmp_path, _some("ONE", [7]), _some("TWO", [7, 8]))
    assert {symbol: len(series) for symbol, series in loaded.series.items()} == {
        "AAA": 300,
        "BBB": 300,
        "TWO": 2,
    }
    assert _told(loaded) == [("ONE", "empty", 0)]
    assert len(build_dataset(loaded.series, "core14", LabelSpec())) > 0
    dropped = load_candles(tmp_path / "x.parquet")
    assert (list(dropped.series), dropped.excluded) == (["AAA", "BBB"], ("ONE", "TWO"))


def test_a_thin_symbol_with_a_broken_row_is_repaired_and_then_read(tmp_path: Path) -> None:
    thin = _some("ZZZ", [*THIN, 20])
    off = pl.int_range(pl.len()) == 1
    broken = thin.with_columns(
        pl.when(off).then(pl.col("date") + pl.duration(minutes=7, time_unit="ns")).otherwise("date"),
        pl.when(off).then(-1.0).otherwise("low").alias("low"),
    )
    assert _told(_load(tmp_path, broken))[0] == ("ZZZ", "impossible", 602)
    loaded = _load(tmp_path, broken, repair=True)
    assert_array_equal(loaded.series["ZZZ"].ts_open, _bars("ZZZ").ts_open[[0, 8, 15, 20]])


def test_the_name_of_a_file_says_the_length_of_its_bars(tmp_path: Path) -> None:
    for symbol in ("AAA", "BBB"):
        candle_table(_bars(symbol)).write_parquet(tmp_path / f"{symbol}-1h.parquet")
    _some("ZZZ", EVERY_SECOND).write_parquet(tmp_path / "ZZZ-1h.parquet")
    loaded = load_candles(tmp_path, drop_last=False)
    assert loaded.series["ZZZ"].interval_ns == HOUR_NS
    assert [(f.symbol, f.kind, f.count) for f in loaded.findings] == [("ZZZ", "gaps", 149)]
    alone = load_candles(tmp_path / "ZZZ-1h.parquet", drop_last=False)
    assert alone.series["ZZZ"].interval_ns == HOUR_NS


@pytest.mark.parametrize("name", ["AAA-30d", "AAA-1m", "AAA-3M", "AAA"])
def test_a_name_that_says_how_long_the_history_is_does_not_speak_of_the_bars(
    tmp_path: Path, name: str
) -> None:
    candle_table(_bars("AAA")).write_parquet(tmp_path / f"{name}.parquet")
    loaded = load_candles(tmp_path, drop_last=False)
    assert (loaded.series["AAA"].interval_ns, loaded.findings) == (HOUR_NS, ())


def test_months_of_different_length_are_one_interval(tmp_path: Path) -> None:
    months = pl.datetime_range(
        pl.datetime(2015, 1, 1), pl.datetime(2022, 12, 1), "1mo", time_unit="ns", time_zone="UTC", eager=True
    ).alias("date")
    long = candle_table(_bars("AAA", rows=len(months))).with_columns(months)
    short = candle_table(_bars("BBB", rows=2)).with_columns(months[1:3])
    pl.concat([long, short]).write_parquet(tmp_path / "x.parquet")
    loaded = load_candles(tmp_path / "x.parquet", drop_last=False)
    assert {series.interval_ns for series in loaded.series.values()} == {31 * DAY_NS}
    assert len(loaded.series) == 2


def test_a_stock_among_others_keeps_its_own_hours(tmp_path: Path) -> None:
    stock = sample_candles().series["SAMPLE"]
    loaded = _load(tmp_path, candle_table(stock))
    assert loaded.series["SAMPLE"].bars_per_day == 7.0
    assert loaded.series["AAA"].bars_per_day == 24.0


def test_a_file_of_misfits_alone_is_refused_with_the_first(tmp_path: Path) -> None:
    sound = candle_table(_bars("AAA")).with_columns(pl.lit(-1.0).alias("low"))[:298]
    sound = pl.concat([sound, candle_table(_bars("AAA"))[298:]])
    days = candle_table(_bars("ZZZ", rows=2, interval_ns=DAY_NS))
    # The two sound rows of AAA and all its times make hours the interval; AAA itself is broken.
    pl.concat([days, sound]).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataProblem, match=r"ZZZ: all symbols of one input .* got bars 1 d apart") as caught:
        load_candles(tmp_path / "x.parquet", drop_last=False)
    assert "load it on its own" in str(caught.value)
