"""Books and trades as columns, and what is refused where they enter."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilium.domain.errors import DataProblem, InvalidValue
from consilium.market.book.columns import BookColumns
from consilium.market.book.keeper import Top
from consilium.market.book.series import BookSeries
from consilium.market.book.sources import load_book, load_trades

MS = 1_700_000_000_000
NAME = "binance_spot_btcusdt_l2_20240101"


def table(rows: int = 4, levels: int = 2) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {"exch_ms": [MS + 100 * i for i in range(rows)]}
    for j in range(1, levels + 1):
        columns[f"bid_px_{j}"] = [100.0 - j] * rows
        columns[f"ask_px_{j}"] = [100.0 + j] * rows
        columns[f"bid_qty_{j}"] = columns[f"ask_qty_{j}"] = [float(j)] * rows
    return columns


def written(
    folder: Path, columns: dict[str, list[float]], name: str = "binance_spot_btcusdt_l2_20240101"
) -> Path:
    path = folder / f"{name}.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_file_of_levels_is_read_with_the_names_it_says(tmp_path: Path) -> None:
    books = load_book(written(tmp_path, table()))
    assert (books.symbol, books.venue, len(books), books.levels) == ("BTCUSDT", "binance_spot", 4, 2)
    assert books.ts_event[0] == MS * 1_000_000
    assert books.snapshot(0).bids.tolist() == [[99.0, 1.0], [98.0, 2.0]]
    assert load_book(written(tmp_path, table(), "mine"), symbol="X", venue="y").symbol == "X"


def test_a_silence_begins_a_session(tmp_path: Path) -> None:
    columns = table(5) | {"exch_ms": [MS + ms for ms in (0, 100, 5_100, 10_101, 10_200)]}
    assert load_book(written(tmp_path, columns)).session.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("bid_px_1", 101.0, "best bid"),
        ("bid_px_2", 99.5, "lead away"),
        ("ask_px_2", 101.0, "lead away"),
        ("bid_qty_1", 0.0, "sizes"),
        ("ask_qty_2", -1.0, "sizes"),
        ("ask_qty_1", float("nan"), "sizes"),
        ("ask_px_1", float("nan"), "must be there"),
        ("ask_px_2", float("inf"), "finite"),
        ("bid_px_2", float("nan"), "size 0"),
        ("bid_px_2", -5.0, "finite and > 0"),
    ],
)
def test_a_book_that_cannot_be_is_refused_with_its_row(
    tmp_path: Path, column: str, value: float, said: str
) -> None:
    columns = table()
    columns[column] = [*columns[column][:2], value, columns[column][3]]
    with pytest.raises(DataProblem, match=said) as raised:
        load_book(written(tmp_path, columns))
    assert "row 2" in str(raised.value)


def test_files_that_are_no_books_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="exist"):
        load_book(tmp_path / "absent.parquet")
    with pytest.raises(DataProblem, match="bid_px_1"):
        load_book(written(tmp_path, {"exch_ms": [1.0]}))
    hole = table(levels=3)
    del hole["bid_px_2"]
    with pytest.raises(DataProblem, match="without a hole"):
        load_book(written(tmp_path, hole))
    with pytest.raises(DataProblem, match="ask_qty_2"):
        load_book(written(tmp_path, {k: v for k, v in table().items() if k != "ask_qty_2"}))
    with pytest.raises(DataProblem, match="ascend"):
        load_book(written(tmp_path, table() | {"exch_ms": [MS + 1, MS + 3, MS + 2, MS + 4]}))
    with pytest.raises(DataProblem, match="rows"):
        load_book(written(tmp_path, {k: [] for k in table()}))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataProblem, match="readable"):
        load_book(tmp_path / "text.parquet")


def test_trades_are_read_and_refused(tmp_path: Path) -> None:
    good: dict[str, list[object]] = {
        "exch_ms": [MS + 1, MS + 1, MS + 2],
        "price": [5.0, 5.0, 6.0],
        "qty": [1.0, 2.0, 3.0],
        "buyer_is_maker": [True, False, True],
    }

    def load(columns: dict[str, list[object]]) -> list[bool]:
        path = tmp_path / "binance_usdm_ethusdt_trades_20240101.parquet"
        pl.DataFrame(columns, strict=False).write_parquet(path)
        trades = load_trades(path)
        assert (trades.symbol, trades.venue) == ("ETHUSDT", "binance_usdm")
        return [bool(value) for value in trades.taker_buy]

    assert load(good) == [False, True, False]
    for column, value in (("price", 0.0), ("qty", -1.0), ("qty", None), ("price", float("nan"))):
        with pytest.raises(DataProblem, match="row 1"):
            load(good | {column: [1.0, value, 1.0]})
    with pytest.raises(DataProblem, match="buyer_is_maker"):
        load(good | {"buyer_is_maker": [True, None, False]})
    with pytest.raises(DataProblem, match="exch_ms"):
        load(good | {"exch_ms": [1, None, 2]})


def test_columns_refuse_what_is_dated_before_the_last_book() -> None:
    columns = BookColumns("BTCUSDT", levels=1)
    top = Top([(5, 1)], [(-6, 1)])
    assert columns.add(5, 0, top)
    assert columns.add(5, 0, top)
    assert not columns.add(4, 0, top)
    assert columns.add(6, 1, top)
    assert (len(columns), columns.backward) == (3, 1)
    assert columns.series().session.tolist() == [0, 0, 1]
    with pytest.raises(DataProblem, match="needs a book"):
        BookColumns("BTCUSDT").series()


def test_shapes_that_differ_are_refused() -> None:
    level = np.ones((3, 2))
    with pytest.raises(InvalidValue, match="ask_size"):
        BookSeries(
            symbol="X",
            ts_event=np.arange(3),
            bid_price=level,
            bid_size=level,
            ask_price=level + 1,
            ask_size=level[:, :1],
        )
    with pytest.raises(DataProblem, match="sessions of X must ascend"):
        BookSeries(
            symbol="X",
            ts_event=np.arange(3),
            bid_price=level,
            bid_size=level,
            ask_price=level + 1,
            ask_size=level,
            session=np.array([1, 1, 0]),
        )


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-3, "seconds"), (1e3, "microseconds"), (1e6, "nanoseconds"), (-1, "")]
)
@pytest.mark.parametrize("kind", ["books", "trades"])
def test_times_in_another_unit_are_refused_with_their_row(
    tmp_path: Path, kind: str, factor: float, unit: str
) -> None:
    columns: dict[str, list[float]] = table() if kind == "books" else {"price": [1.0] * 4, "qty": [1.0] * 4}
    times: list[float] = [MS, *(int((MS + i) * factor) for i in (1, 2, 3))]
    columns |= {"exch_ms": times, "buyer_is_maker": [True] * 4}
    path = written(tmp_path, columns)
    said = rf"milliseconds.*{times[1]} in row 1, 3 such rows: .*{unit}"
    with pytest.raises(DataProblem, match=said):
        (load_book if kind == "books" else load_trades)(path)
