"""What a model of books reads of a dataset: windows that end at the close, and the features beside them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain import DataProblem, InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.rows import BookRows, row_names
from consilium.market.features import BookColumns
from consilium.market.simulator import simulate_book
from consilium.market.simulator.books import SimulatedBook
from consilium.training.columns import columns_hash
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.reading import Reading

NAMES = ("return_1", "range_1", "imbalance_5")
WINDOW = 12


class Reader:
    """A model of books, as far as reading goes."""

    def __init__(self, *, features: bool = True, levels: int = 20) -> None:
        self.window = WINDOW
        self.book_levels = levels
        self.reads_features = features


@pytest.fixture(scope="module")
def markets() -> Mapping[str, SimulatedBook]:
    made = {}
    for number, symbol in enumerate(("A", "B")):
        made[symbol] = simulate_book(symbol=symbol, snapshots=3_001, seed=number, strength=1.0)
    return made


@pytest.fixture(scope="module")
def dataset(markets: Mapping[str, SimulatedBook]) -> Dataset:
    panel = {symbol: market.candles() for symbol, market in markets.items()}
    books = {s: BookColumns.of(panel[s], market.book, market.trades) for s, market in markets.items()}
    rows = {symbol: BookRows.of(market.book) for symbol, market in markets.items()}
    return build_dataset(panel, NAMES, LabelSpec(span=10), books, rows)


def test_a_window_ends_with_the_book_at_the_close_of_its_bar(
    dataset: Dataset, markets: Mapping[str, SimulatedBook]
) -> None:
    reading = Reading.of(dataset, Reader())
    rows = np.flatnonzero(reading.eligible())
    X = reading.inputs(rows)
    assert X.shape == (len(rows), WINDOW, 80 + len(NAMES))
    for place in (0, 7, len(rows) - 1):
        row = int(rows[place])
        book = markets[dataset.symbols[int(dataset.symbol_index[row])]].book
        last = int(np.searchsorted(book.ts_event, dataset.ts_event[row], side="right"))
        assert dataset.ts_event[row] - book.ts_event[last - 1] <= SECOND_NS
        np.testing.assert_array_equal(X[place, :, :80], BookRows.of(book).values[last - WINDOW : last])
        features = dataset.inputs(np.array([row]))
        np.testing.assert_array_equal(X[place, :, 80:], np.repeat(features, WINDOW, axis=0))


def test_a_row_whose_book_is_masked_or_too_young_is_not_for_it(dataset: Dataset) -> None:
    eligible = Reading.of(dataset, Reader()).eligible()
    masked = np.isnan(dataset.matrix[dataset.position, 2])
    assert masked.any()
    assert not (eligible & masked).any()
    alone = Reading.of(dataset, Reader(features=False)).eligible()
    assert alone[masked].any()
    assert dataset.snapshots is not None
    old = replace(dataset, snapshots=replace(dataset.snapshots, newest=np.full(len(dataset.matrix), -1)))
    assert not Reading.of(old, Reader()).eligible().any()


def test_scaled_windows_cut_batch_by_batch_are_those_scaled_one_by_one(dataset: Dataset) -> None:
    for features in (True, False):
        reading = Reading.of(dataset, Reader(features=features))
        rows = np.flatnonzero(reading.eligible())
        scaler = reading.fit_scaler(rows[:200])
        windows = reading.windows(scaler).of_rows(rows)
        assert windows.shape == (len(rows), WINDOW, len(reading.names))
        expected = scaler.transform(reading.inputs(rows[:50])).astype(np.float32)
        np.testing.assert_array_equal(windows[:50], expected)


def test_windows_take_the_memory_of_their_table_and_not_their_own(dataset: Dataset) -> None:
    reader = Reader()
    reader.window = 100
    reading = Reading.of(dataset, reader)
    rows = np.flatnonzero(reading.eligible())
    windows: Any = reading.windows(reading.fit_scaler(rows)).of_rows(rows)
    held = sum(part.nbytes for part in (windows.table, windows.beside, windows.last, windows.place))
    assert held < 0.15 * 4 * np.prod(windows.shape)


def test_the_scaler_learns_on_the_fit_part_alone(dataset: Dataset) -> None:
    reading = Reading.of(dataset, Reader())
    rows = np.flatnonzero(reading.eligible())
    early = rows[dataset.ts_event[rows] < dataset.ts_event[rows[len(rows) // 2]]]
    only = early[dataset.symbol_index[early] == 0]
    held = dataset.snapshots
    assert held is not None
    table = held.table.copy()
    table[np.setdiff1d(np.arange(len(table)), held.newest[dataset.position[only]])] = 1e3
    other = replace(dataset, snapshots=replace(held, table=table))
    np.testing.assert_array_equal(
        reading.fit_scaler(only).mean, Reading.of(other, Reader()).fit_scaler(only).mean
    )


def test_horizons_of_the_book_are_labelled_by_what_is_known_in_the_fold(dataset: Dataset) -> None:
    held = dataset.snapshots
    assert held is not None
    rows = np.flatnonzero(Reading.of(dataset, Reader()).eligible())
    bars, until = dataset.position[rows], int(dataset.ts_event[rows[-1]]) - 20 * SECOND_NS
    found = held.directions(bars, 30, until)
    assert found is not None
    place = held.newest[bars]
    late = held.changes[30].ts_matured[place] > until
    assert late.any()
    assert (found[late] == -1).all()
    shares = np.bincount(found[~late], minlength=3) / (~late).sum()
    assert 0.15 < shares[1] < 0.55
    up = found == 2
    assert (held.changes[30].change[place[up]] > 0.0).all()
    assert held.directions(bars, 30, 0) is None


def test_what_follows_changes_nothing_that_is_read(markets: Mapping[str, SimulatedBook]) -> None:
    market = markets["A"]
    bars = market.candles()

    def read(books: int, count: int) -> tuple[Any, Any]:
        cut = BookRows.of(market.book.slice(0, books))
        found = build_dataset({"A": bars.slice(0, count)}, NAMES[:2], LabelSpec(span=10), None, {"A": cut})
        reading = Reading.of(found, Reader())
        rows = np.flatnonzero(reading.eligible())
        return found.ts_event[rows], reading.inputs(rows)

    (ts, short), (ts_all, long) = read(1_501, 150), read(3_001, len(bars))
    kept = np.isin(ts_all, ts)
    assert len(ts) > 100
    np.testing.assert_array_equal(long[kept], short)


def test_a_model_of_books_is_refused_without_them(dataset: Dataset) -> None:
    with pytest.raises(DataProblem, match="needs books of 20 levels; got none: give recorded books"):
        Reading.of(replace(dataset, snapshots=None), Reader())
    with pytest.raises(DataProblem, match="needs books of 30 levels; got 20 levels"):
        Reading.of(dataset, Reader(levels=30))


def test_columns_of_books_have_a_hash_of_their_own() -> None:
    assert columns_hash((*row_names(), *NAMES)) != columns_hash((*row_names(), *NAMES[::-1]))
    assert columns_hash(row_names(10)) != columns_hash(row_names(20))


def test_the_books_belong_to_the_digest_of_a_dataset(dataset: Dataset) -> None:
    held = dataset.snapshots
    assert held is not None
    table = held.table.copy()
    table[500, 3] += 1.0
    assert dataset.digest() != replace(dataset, snapshots=replace(held, table=table)).digest()
    assert dataset.digest() != replace(dataset, snapshots=None).digest()


def test_a_masked_scaler_is_not_split(dataset: Dataset) -> None:
    scaler = Reading(dataset=dataset, window=1).fit_scaler(np.arange(100))
    with pytest.raises(InvalidValue, match="a scaler is split where no column is masked"):
        scaler.parts(2)


@pytest.mark.promise("004", "112 features and one flag for the book, outside the grid of patches")
def test_a_model_of_bars_reads_112_columns_and_the_mask_behind_them() -> None:
    market = simulate_book(symbol="A", snapshots=11_001, seed=3)
    bars = market.candles()
    books = {"A": BookColumns.of(bars, market.book, market.trades)}
    books["A"].values[1_050:1_060] = np.nan
    full = build_dataset({"A": bars}, "full112", LabelSpec(span=10), books)
    reading = Reading(dataset=full, window=60)
    assert len(reading.names) == 112
    scaler = reading.fit_scaler(np.arange(len(full)))
    table = reading.windows(scaler)
    assert table.columns == 113
    rows = np.flatnonzero(reading.eligible())
    windows = table.of_rows(rows)
    assert windows.shape == (len(rows), 60, 113)
    flags = windows[:][..., -1]
    known = np.isfinite(full.matrix[full.position[rows]][:, 62:]).all(axis=1)
    assert (flags[:, -1] == known).all()
    assert 0.0 < flags.mean() < 1.0
    masked = windows[:][flags == 0.0]
    assert (masked[:, 62:112] == 0.0).all()
    assert (masked[:, :62] != 0.0).any()
    np.testing.assert_array_equal(windows[:5], scaler.transform(reading.inputs(rows[:5])).astype(np.float32))
