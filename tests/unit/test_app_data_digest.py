"""What a registration says of its data: the books that fill orders belong to them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilium.app.backtest.own_signals import run_signals
from consilium.app.backtest.request import BacktestRequest
from consilium.app.observe import Observed, observe
from consilium.app.settings import Settings
from consilium.market.book.series import BookSeries
from recorded_books import SECOND_NS, market, write_levels, write_trades


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Two recordings that differ in one size of one deep level."""
    made = market(60)
    for name, book in (("one", made.book), ("other", _touched(made.book))):
        (tmp_path / name).mkdir()
        write_levels(tmp_path / name, book)
        write_trades(tmp_path / name, made.trades)
    return tmp_path / "one", tmp_path / "other"


def _touched(book: BookSeries) -> BookSeries:
    size = book.ask_size.copy()
    size[300, -1] += 1.0
    return replace(book, ask_size=size)


def _observed(place: Path) -> Observed:
    return observe(str(place), None, bar="1s", books=(str(place),))


def test_one_size_of_a_book_changes_the_digest_of_data_that_fill(places: tuple[Path, Path]) -> None:
    one, other = (_observed(place) for place in places)
    assert one.digest() == other.digest()
    assert one.digest(fills=True) != other.digest(fills=True)
    assert one.digest(fills=True) == _observed(places[0]).digest(fills=True)


@pytest.mark.promise("004", "a registration names the books that filled its orders")
def test_the_registered_data_of_own_signals_hold_the_books(places: tuple[Path, Path], tmp_path: Path) -> None:
    begin = int(_observed(places[0]).panel["BTCUSDT"].ts_close[10])
    pl.DataFrame(
        {"ts_event": begin + np.arange(5) * SECOND_NS, "symbol": "BTCUSDT", "direction": "up"}
    ).write_csv(tmp_path / "s.csv")

    def digest(place: Path, fills: str) -> str:
        request = BacktestRequest.checked(
            settings=Settings.model_validate({"data_dir": tmp_path, "book": {"notional": 100.0}}),
            data=str(place), books=(str(place),), bar="1s", fills=fills, horizon=3,
        )  # fmt: skip
        found = run_signals(request, tmp_path / "s.csv")["data"]["digest"]
        assert isinstance(found, str)
        return found

    assert digest(places[0], "book") != digest(places[1], "book")
    assert digest(places[0], "candles") == digest(places[1], "candles")
