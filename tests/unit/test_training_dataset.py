"""Rows of all symbols: their order, what they may read, and what is left out."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import DataProblem, InvalidValue, UnknownName
from consilium.market.candles import CandleSeries
from consilium.market.features import (
    BOOK50,
    BookColumns,
    compute_features,
    feature_names,
    features_hash,
)
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import NEVER, LabelSpec, make_labels
from training_panels import momentum_panel, momentum_series

SPEC = LabelSpec(horizon=3)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(momentum_panel(3, 700), "core14", SPEC)


def test_rows_are_ordered_by_time_and_then_symbol(dataset: Dataset) -> None:
    keys = list(zip(dataset.ts_event.tolist(), dataset.symbol_index.tolist(), strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert dataset.symbols == ("S0", "S1", "S2")


def test_each_row_holds_the_features_and_the_label_of_its_own_bar(dataset: Dataset) -> None:
    panel = momentum_panel(3, 700)
    names = feature_names("core14")
    for index, symbol in enumerate(dataset.symbols):
        rows = np.flatnonzero(dataset.symbol_index == index)
        bars = dataset.bar[rows]
        labels = make_labels(panel[symbol], SPEC)
        assert np.array_equal(dataset.inputs(rows), compute_features(panel[symbol], names)[bars])
        assert np.array_equal(dataset.y[rows], labels.direction[bars])
        assert np.array_equal(dataset.ts_matured[rows], labels.ts_matured[bars])
        assert np.array_equal(dataset.ts_event[rows], panel[symbol].ts_close[bars])
        assert np.array_equal(dataset.realised_return[rows], labels.realised_return[bars], equal_nan=True)


def test_the_volatility_column_is_the_feature_of_that_name(dataset: Dataset) -> None:
    column = dataset.feature_names.index("volatility_20")
    values = dataset.inputs(np.arange(len(dataset)))[:, column]
    assert np.allclose(dataset.volatility, values, rtol=1e-6)


def test_only_the_last_rows_of_each_symbol_lack_an_outcome(dataset: Dataset) -> None:
    for index, symbol in enumerate(dataset.symbols):
        rows = np.flatnonzero(dataset.symbol_index == index)
        unknown = rows[dataset.y[rows] < 0]
        assert np.array_equal(unknown, rows[-(SPEC.horizon + 1) :]), symbol
        assert np.all(dataset.ts_matured[unknown] == NEVER)
    assert np.array_equal(dataset.labelled, dataset.y >= 0)


def test_no_row_stands_in_a_warm_up(dataset: Dataset) -> None:
    everything = dataset.inputs(np.arange(len(dataset)))
    assert np.all(np.isfinite(everything))
    for column in (dataset.volatility, dataset.threshold):
        assert np.all(np.isfinite(column))


def test_a_window_ends_at_its_row_and_stays_within_its_symbol(dataset: Dataset) -> None:
    panel = momentum_panel(3, 700)
    names = feature_names("core14")
    rows = np.flatnonzero(dataset.eligible(50))
    assert 0 < len(rows) < len(dataset)
    windows = dataset.inputs(rows, 50)
    assert windows.shape == (len(rows), 50, 14)
    assert np.all(np.isfinite(windows))
    for place in (0, 1, len(rows) // 2, len(rows) - 1):
        row = rows[place]
        features = compute_features(panel[dataset.symbols[dataset.symbol_index[row]]], names)
        bar = dataset.bar[row]
        assert np.array_equal(windows[place], features[bar - 49 : bar + 1])


def test_rows_without_a_whole_window_are_not_eligible_and_are_refused(dataset: Dataset) -> None:
    short = np.flatnonzero(~dataset.eligible(300))
    names = feature_names("core14")
    first_known = {
        index: int(np.flatnonzero(np.isfinite(compute_features(series, names)).all(axis=1))[0])
        for index, series in enumerate(momentum_panel(3, 700).values())
    }
    for row in short:
        assert dataset.bar[row] - first_known[int(dataset.symbol_index[row])] + 1 < 300
    with pytest.raises(InvalidValue, match=r"each row needs 300 bars .* got 1 rows with fewer"):
        dataset.inputs(short[:1], 300)
    with pytest.raises(InvalidValue, match="window must be >= 1"):
        dataset.inputs(short[:1], 0)


def test_windows_are_copies(dataset: Dataset) -> None:
    rows = np.arange(3)
    dataset.inputs(rows)[:] = 7.0
    assert not np.any(dataset.inputs(rows) == 7.0)


def test_a_subset_keeps_order_features_and_windows(dataset: Dataset) -> None:
    mask = dataset.symbol_index == 1
    part = dataset.where(mask)
    chosen = np.flatnonzero(mask)
    assert len(part) == len(chosen)
    assert np.array_equal(part.inputs(np.arange(len(part))), dataset.inputs(chosen))
    assert part.matrix is dataset.matrix
    assert part.digest() != dataset.digest()


def test_the_future_changes_no_earlier_row() -> None:
    whole = momentum_panel(2, 600)
    cut = {symbol: series.slice(0, len(series) - 200) for symbol, series in whole.items()}
    long, short = (build_dataset(panel, "core14", SPEC) for panel in (whole, cut))
    known = np.flatnonzero(short.labelled)
    place = {
        (int(t), int(s)): i for i, (t, s) in enumerate(zip(long.ts_event, long.symbol_index, strict=True))
    }
    match = np.array([place[int(short.ts_event[i]), int(short.symbol_index[i])] for i in known])
    assert np.array_equal(short.inputs(known), long.inputs(match))
    for name in ("y", "realised_return", "threshold", "volatility", "ts_matured"):
        assert np.array_equal(getattr(short, name)[known], getattr(long, name)[match])


def test_the_digest_is_that_of_the_content() -> None:
    panel = momentum_panel(2, 400)
    same = build_dataset(dict(reversed(panel.items())), "core14", SPEC)
    assert build_dataset(panel, "core14", SPEC).digest() == same.digest()
    other = build_dataset(panel, "core14", LabelSpec(horizon=2))
    assert other.digest() != same.digest()
    nudged = same.matrix.copy()
    nudged[-1, 0] += 1e-12
    assert replace(same, matrix=nudged).digest() != same.digest()


def test_names_of_single_features_are_accepted() -> None:
    names = ("return_1", "rsi_14")
    dataset = build_dataset(momentum_panel(1, 300), names, SPEC)
    assert dataset.feature_names == names
    assert dataset.features_hash == features_hash(names)
    assert dataset.horizon_ns == 3 * dataset.interval_ns


def test_an_unknown_feature_set_is_named() -> None:
    with pytest.raises(UnknownName, match="core14"):
        build_dataset(momentum_panel(1, 300), "core41", SPEC)


def test_panels_without_rows_or_with_two_intervals_are_refused() -> None:
    with pytest.raises(DataProblem, match="at least 1 symbol"):
        build_dataset({}, "core14", SPEC)
    with pytest.raises(
        DataProblem, match="rows with features and an outcome; got none in 90 bars of 1 symbols"
    ):
        build_dataset({"A": momentum_series("A", 90, seed=1)}, "core14", SPEC)
    series = momentum_series("A", 300, seed=1)
    slow = replace(series, symbol="B", interval_ns=2 * series.interval_ns, ts_open=series.ts_open * 2)
    with pytest.raises(DataProblem, match=r"bars of the same length; got 1 h \(A\), 2 h \(B\): leave out"):
        build_dataset({"A": series, "B": slow}, "core14", SPEC)


BOOKISH = ("return_1", "imbalance_1", "ofi_1_1s")


def _with_book(known: NDArray[np.bool_], symbol: str = "A") -> tuple[dict[str, CandleSeries], BookColumns]:
    series = momentum_series(symbol, len(known), seed=2)
    values = np.random.default_rng(1).normal(size=(len(known), 50))
    values[~known] = np.nan
    return {symbol: series}, BookColumns(symbol=symbol, ts_close=series.ts_close, values=values)


def test_a_masked_bar_is_a_row_all_the_same() -> None:
    known = np.arange(400) % 3 > 0
    panel, columns = _with_book(known)
    dataset = build_dataset(panel, BOOKISH, SPEC, {"A": columns})
    assert dataset.maskable.tolist() == [False, True, True]
    assert len(dataset) == len(build_dataset(panel, ("return_1",), SPEC))
    rows = dataset.inputs(np.arange(len(dataset)))
    there = known[dataset.bar]
    assert np.isfinite(rows[there]).all()
    assert np.isnan(rows[~there, 1:]).all()
    place = [BOOK50.index(name) for name in BOOKISH[1:]]
    np.testing.assert_array_equal(rows[there, 1:], columns.values[dataset.bar[there]][:, place])


def test_books_alone_make_no_row_where_they_are_masked() -> None:
    known = np.arange(400) % 3 > 0
    panel, columns = _with_book(known)
    dataset = build_dataset(panel, BOOKISH[1:], SPEC, {"A": columns})
    assert known[dataset.bar].all()


def test_columns_of_books_follow_the_times_of_bars_and_not_their_numbers() -> None:
    panel, columns = _with_book(np.ones(400, dtype=bool))
    part = build_dataset({"A": panel["A"].slice(100, 380)}, BOOKISH, SPEC, {"A": columns})
    whole = build_dataset(panel, BOOKISH, SPEC, {"A": columns})
    same = np.isin(whole.ts_event, part.ts_event)
    np.testing.assert_array_equal(part.inputs(np.arange(len(part))), whole.inputs(np.flatnonzero(same)))
