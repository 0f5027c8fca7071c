"""Signals of one's own from a file: what is read, and what is refused in one line."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from consilium.app.backtest.signal_files import read_signals
from consilium.domain import ConsiliumError, to_iso

BEGIN = 1_723_161_300_000_000_000
SECOND = 1_000_000_000
SPANS = {"AAA": (BEGIN, BEGIN + 10 * SECOND), "BBB": (BEGIN, BEGIN + 10 * SECOND)}


def _table(**columns: object) -> pl.DataFrame:
    given: dict[str, object] = {
        "ts_event": [BEGIN + 2 * SECOND, BEGIN + SECOND, BEGIN],
        "symbol": ["AAA", "AAA", "BBB"],
        "direction": [2, 0, 1],
    }
    return pl.DataFrame(given | columns)


def test_rows_are_sorted_and_parted_by_symbol(tmp_path: Path) -> None:
    _table().write_csv(tmp_path / "s.csv")
    first, second = read_signals(tmp_path / "s.csv", SPANS)
    assert (first.symbol, first.direction.tolist()) == ("AAA", [0, 2])
    assert first.ts_event.tolist() == [BEGIN + SECOND, BEGIN + 2 * SECOND]
    assert first.actionable.all()
    assert (second.symbol, second.direction.tolist()) == ("BBB", [1])


@pytest.mark.parametrize(
    "columns",
    [
        {"direction": ["up", " Down", "FLAT"]},
        {"direction": ["2", "0", "1"]},
        {"direction": [2.0, 0.0, 1.0]},
        {"ts_event": pl.Series([BEGIN + 2 * SECOND, BEGIN + SECOND, BEGIN]).cast(pl.Datetime("ns"))},
        {"ts_event": pl.Series([BEGIN + 2 * SECOND, BEGIN + SECOND, BEGIN]).cast(pl.Datetime("ns", "UTC"))},
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_directions_and_times_may_be_written_in_several_ways(
    columns: dict[str, object], kind: str, tmp_path: Path
) -> None:
    path, table = tmp_path / f"s.{kind}", _table(**columns)
    table.write_csv(path) if kind == "csv" else table.write_parquet(path)
    first, second = read_signals(path, SPANS)
    assert first.direction.tolist() == [0, 2]
    assert first.ts_event.tolist() == [BEGIN + SECOND, BEGIN + 2 * SECOND]
    assert second.direction.tolist() == [1]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_date_without_a_time_is_the_first_instant_of_its_day(tmp_path: Path, ending: str) -> None:
    table = pl.DataFrame(
        {"ts_event": [date(2024, 8, 9), date(2024, 8, 10)], "symbol": "AAA", "direction": "up"}
    )
    path = tmp_path / f"s{ending}"
    if ending == ".csv":
        table.write_csv(path)
    else:
        table.write_parquet(path)
    (series,) = read_signals(path, {"AAA": (0, 2 * BEGIN)})
    assert [to_iso(ts)[:19] for ts in series.ts_event.tolist()] == [
        "2024-08-09T00:00:00",
        "2024-08-10T00:00:00",
    ]


def test_rows_may_say_that_they_are_not_to_be_acted_on(tmp_path: Path) -> None:
    _table(actionable=[True, False, True]).write_parquet(tmp_path / "s.parquet")
    assert read_signals(tmp_path / "s.parquet", SPANS)[0].actionable.tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"direction": ["up", "sideways", "down"]}, "'sideways' in row 2"),
        ({"direction": [2, 3, 1]}, "3 in row 2"),
        ({"direction": [2, None, 1]}, "None in row 2"),
        ({"direction": [2.0, 0.5, 1.0]}, "row 2"),
        ({"symbol": ["AAA", "AAB", "BBB"]}, "did you mean 'AAA'?"),
        ({"symbol": ["AAA", None, "BBB"]}, "row 2"),
        ({"ts_event": [BEGIN, BEGIN - 1, BEGIN]}, "in row 2"),
        ({"ts_event": [BEGIN // 1_000_000] * 3}, "UTC nanoseconds"),
        ({"ts_event": [BEGIN, BEGIN, BEGIN]}, "two of AAA"),
        ({"ts_event": ["soon", "later", "now"]}, "no time in row 1"),
        ({"ts_event": [True, False, True]}, "ts_event"),
        ({"ts_event": [float(BEGIN), float(BEGIN), float(BEGIN)]}, "whole UTC nanoseconds"),
        ({"actionable": ["yes", "perhaps", "no"]}, "neither true nor false"),
    ],
)
def test_what_cannot_be_is_refused_with_its_row(
    columns: dict[str, object], told: str, tmp_path: Path
) -> None:
    _table(**columns).write_csv(tmp_path / "s.csv")
    with pytest.raises(ConsiliumError) as error:
        read_signals(tmp_path / "s.csv", SPANS)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "s.txt").write_text("x")
    _table().drop("direction").write_csv(tmp_path / "d.csv")
    _table().head(0).write_csv(tmp_path / "e.csv")
    for name, told in (
        ("none.csv", "check the path"),
        ("s.txt", "csv or a parquet"),
        ("s.parquet", "readable"),
        ("d.csv", "add direction"),
        ("e.csv", "0 rows"),
    ):
        with pytest.raises(ConsiliumError, match=told):
            read_signals(tmp_path / name, SPANS)
