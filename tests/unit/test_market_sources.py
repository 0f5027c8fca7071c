"""Files of several makes give the same candles; what is broken is excluded and told."""

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from consilium.domain.errors import DataProblem, InvalidValue, OutputProblem, UnknownName
from consilium.domain.time import DAY_NS, HOUR_NS, from_iso
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.columns import BINANCE_COLUMNS, canonical
from consilium.market.files import candle_table, write_whole
from consilium.market.simulator import simulate
from consilium.market.sources import load_candles, sample_candles, write_candles


def _panel(*names: str, bars: int = 60) -> dict[str, CandleSeries]:
    return simulate(symbols=list(names), bars=bars, seed=3).series


def _same(one: CandleSeries, other: CandleSeries) -> None:
    assert (one.symbol, one.interval_ns, one.bars_per_day) == (
        other.symbol,
        other.interval_ns,
        other.bars_per_day,
    )
    for name in ("ts_open", *COLUMNS):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def _binance(series: CandleSeries, unit_ns: int) -> pl.DataFrame:
    opened = series.ts_open // unit_ns
    columns = [opened, *(getattr(series, c) for c in COLUMNS), opened + series.interval_ns // unit_ns - 1]
    columns += [np.zeros(len(series))] * 5
    return pl.DataFrame(dict(zip(BINANCE_COLUMNS, columns, strict=True)))


def test_our_own_file_gives_back_the_panel(tmp_path: Path) -> None:
    panel = _panel("BBB", "AAA")
    loaded = load_candles(write_candles(tmp_path / "deep" / "x.parquet", panel), drop_last=False)
    assert list(loaded.series) == ["AAA", "BBB"]
    assert loaded.findings == ()
    for name, series in panel.items():
        _same(loaded.series[name], series)


def test_the_last_bar_is_dropped_and_said_by_default(tmp_path: Path) -> None:
    panel = _panel("AAA", "BBB")
    loaded = load_candles(write_candles(tmp_path / "x.parquet", panel))
    assert [len(s) for s in loaded.series.values()] == [59, 59]
    assert [(f.kind, f.count) for f in loaded.findings] == [("unfinished", 2)]


@pytest.mark.parametrize("unit", ["ms", "ns", "us"])
def test_a_folder_of_freqtrade_feather_files_is_read_by_file_name(tmp_path: Path, unit: str) -> None:
    for pair, series in _panel("BTC_USDT", "ETH_USDT").items():
        table = candle_table(series).drop("symbol").with_columns(pl.col("date").dt.cast_time_unit(unit))  # type: ignore[arg-type]
        table.write_ipc(tmp_path / f"{pair}-1h.feather")
        table.write_ipc(tmp_path / f"{pair}_USDT-1h-futures.feather")
        table.write_ipc(tmp_path / f"{pair}_USDT-1h-mark.feather")
    loaded = load_candles(tmp_path, drop_last=False)
    assert list(loaded.series) == ["BTCUSDT", "BTCUSDT_PERP", "ETHUSDT", "ETHUSDT_PERP"]
    assert_array_equal(loaded.series["ETHUSDT"].close, _panel("BTC_USDT", "ETH_USDT")["ETH_USDT"].close)
    assert list(load_candles(tmp_path, ["ETH/USDT"]).series) == ["ETHUSDT"]


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("unit_ns", [1_000_000, 1_000])
def test_binance_archives_of_several_months_become_one_series(
    tmp_path: Path, header: bool, unit_ns: int
) -> None:
    series = _panel("BTCUSDT")["BTCUSDT"]
    for month, part in (("2024-01", series.slice(0, 30)), ("2024-02", series.slice(30, 60))):
        # The archives changed from milliseconds to microseconds half-way.
        table = _binance(part, unit_ns if month == "2024-02" else 1_000_000)
        table.write_csv(tmp_path / f"BTCUSDT-1h-{month}.csv", include_header=header)
    _same(load_candles(tmp_path, drop_last=False).series["BTCUSDT"], series)


def test_column_names_are_known_in_any_case_and_with_spaces(tmp_path: Path) -> None:
    series = _panel("XYZ")["XYZ"]
    table = candle_table(series).drop("symbol")
    table = table.rename({"date": "Open Time", **{c: c.upper() for c in COLUMNS}})
    table.write_csv(tmp_path / "xyz.csv")
    _same(load_candles(tmp_path / "xyz.csv", drop_last=False).series["XYZ"], series)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024-01-01T05:00:00+02:00", "2024-01-01T03:00:00"),
        ("2024-01-01 05:00:00+00:00", "2024-01-01T05:00:00"),
        ("2024-01-01T05:00:00Z", "2024-01-01T05:00:00"),
        ("2024-01-01 05:00", "2024-01-01T05:00:00"),
        ("2024-01-01", "2024-01-01T00:00:00"),
        ("1704067200", "2024-01-01T00:00:00"),
        ("1704067200000", "2024-01-01T00:00:00"),
        ("1704067200000000", "2024-01-01T00:00:00"),
        ("1704067200000000000", "2024-01-01T00:00:00"),
    ],
)
def test_times_are_read_in_many_spellings(text: str, iso: str) -> None:
    row = {"date": [text], **{c: ["1"] for c in COLUMNS}}
    assert canonical(pl.DataFrame(row).lazy(), "A").collect()["ts"][0] == from_iso(iso)


def test_a_word_in_a_csv_cell_costs_one_row_not_the_file(tmp_path: Path) -> None:
    table = candle_table(_panel("AAA")["AAA"]).with_columns(pl.col("close").cast(pl.String))
    table = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 9).then(pl.lit("n/a")).otherwise("close").alias("close")
    )
    table.write_csv(tmp_path / "a.csv")
    with pytest.raises(DataProblem, match=r"AAA: a bar needs .* row 10 "):
        load_candles(tmp_path / "a.csv")
    loaded = load_candles(tmp_path / "a.csv", repair=True)
    assert len(loaded.series["AAA"]) == 58
    assert [f.kind for f in loaded.findings] == ["impossible", "gaps", "unfinished"]


def test_a_broken_symbol_is_excluded_and_told_while_the_others_carry_on(tmp_path: Path) -> None:
    table = pl.concat([candle_table(s) for s in _panel("AAA", "BBB").values()])
    bad = (pl.col("symbol") == "AAA") & (pl.col("date") == table["date"][5])
    table = table.with_columns(pl.when(bad).then(-1.0).otherwise("low").alias("low"))
    table.write_parquet(tmp_path / "x.parquet")
    loaded = load_candles(tmp_path / "x.parquet")
    assert list(loaded.series) == ["BBB"]
    assert loaded.excluded == ("AAA",)
    assert [(f.symbol, f.kind, f.row) for f in loaded.findings if f.fatal] == [("AAA", "impossible", 6)]
    assert load_candles(tmp_path / "x.parquet", repair=True).excluded == ()
    with pytest.raises(DataProblem, match="AAA: a bar needs"):
        load_candles(tmp_path / "x.parquet", ["AAA"])


def test_an_unknown_symbol_is_refused_with_the_one_probably_meant(tmp_path: Path) -> None:
    file = write_candles(tmp_path / "x.parquet", _panel("BTCUSDT", "ETHUSDT"))
    with pytest.raises(UnknownName, match="did you mean 'BTCUSDT'"):
        load_candles(file, ["BTCUSD"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", "", "must hold rows"),
        ("header.csv", "date,open,high,low,close,volume\n", "at least two bars"),
        ("short.csv", "date,open,high,low,close\n1,1,1,1,1\n", "without volume"),
        ("wide.csv", "1,2,3\n", "without header"),
        ("x.parquet", "not parquet", "readable parquet file"),
        ("x.feather", "not feather", "readable feather file"),
        ("x.txt", "text", "candles must be in"),
    ],
)
def test_unusable_files_are_refused_with_a_cure(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataProblem, match=said) as caught:
        load_candles(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="must exist"):
        load_candles(tmp_path / "nothing.parquet")
    with pytest.raises(DataProblem, match="a folder of them"):
        load_candles(tmp_path)


def test_two_intervals_of_one_symbol_in_a_folder_are_refused(tmp_path: Path) -> None:
    table = candle_table(_panel("AAA")["AAA"])
    table.write_ipc(tmp_path / "BTC_USDT-1h.feather")
    table.write_ipc(tmp_path / "BTC_USDT-5m.feather")
    with pytest.raises(DataProblem, match="one interval per symbol; got BTCUSDT in 1h and 5m"):
        load_candles(tmp_path)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="choose another folder"):
        write_candles(tmp_path / "file" / "x.parquet", _panel("AAA"))
    with pytest.raises(OutputProblem):
        write_candles(tmp_path, _panel("AAA"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = write_candles(tmp_path / "x.parquet", _panel("AAA"))

    def interrupted(out: BinaryIO) -> None:
        out.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(file, interrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]
    _same(load_candles(file, drop_last=False).series["AAA"], _panel("AAA")["AAA"])


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from consilium.domain.errors import OutputProblem
from consilium.market.simulator import simulate
from consilium.market.sources import write_candles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_candles(Path(sys.argv[1]), simulate(bars=5000, seed=1).series)
except OutputProblem as error:
    print(error)
"""


def test_a_file_that_outgrows_its_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "x.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith("the file must be writable; got ")
    assert "File too large" in said.stdout
    assert (said.stdout.count("\n"), said.stderr, list(tmp_path.iterdir())) == (1, "", [])


def test_the_sample_is_a_stock_of_seven_bars_a_day_without_findings_but_the_last_bar() -> None:
    loaded = sample_candles()
    series = loaded.series["SAMPLE"]
    assert (len(series), series.interval_ns, series.bars_per_day) == (3478, HOUR_NS, 7.0)
    assert series.ts_open[0] == from_iso("2024-08-06T13:30:00")
    assert [f.kind for f in loaded.findings] == ["unfinished"]


def test_only_the_symbols_asked_for_are_loaded_from_the_shared_candles(candles_15m: Path) -> None:
    loaded = load_candles(candles_15m, ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    assert list(loaded.series) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert all(len(s) > 23_000 for s in loaded.series.values())
    assert loaded.series["BTCUSDT"].bars_per_day == 96.0


def test_all_shared_hourly_candles_are_sound(candles_1h: Path) -> None:
    loaded = load_candles(candles_1h)
    assert len(loaded.series) == 136
    assert sum(map(len, loaded.series.values())) == 755_566 - 136
    assert [f.kind for f in loaded.findings] == ["unfinished"]


def test_a_series_keeps_its_day_when_sliced_and_cannot_be_written_to() -> None:
    series = sample_candles().series["SAMPLE"]
    part = series.slice(3, 5)
    assert (len(part), part.bars_per_day) == (2, 7.0)
    assert part.candle(0) == series.candle(3)
    assert series.candle(-1).ts_close == int(series.ts_close[-1])
    with pytest.raises(ValueError, match="read-only"):
        series.close[0] = 1.0


def test_a_series_of_wrong_shape_or_order_is_refused() -> None:
    one = np.ones(3)
    columns = dict.fromkeys(COLUMNS, one)
    times = np.arange(3) * DAY_NS
    with pytest.raises(InvalidValue, match=r"shape \(n,\)"):
        CandleSeries(symbol="A", interval_ns=DAY_NS, ts_open=times, **{**columns, "close": np.ones(2)})  # type: ignore[arg-type]
    with pytest.raises(DataProblem, match="times of A must ascend"):
        CandleSeries(symbol="A", interval_ns=DAY_NS, ts_open=times[::-1], **columns)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="interval_ns must be > 0"):
        CandleSeries(symbol="A", interval_ns=0, ts_open=times, **columns)  # type: ignore[arg-type]
