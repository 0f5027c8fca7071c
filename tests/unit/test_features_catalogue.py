"""The tables: how many features there are, how sets are named, what a wrong name is answered."""

from pathlib import Path

import numpy as np
import pytest

from consilium.domain.errors import InvalidValue, UnknownName, UsageError
from consilium.market.features import (
    FEATURE_SETS,
    FEATURES,
    compute_features,
    compute_panel,
    feature_names,
    features_hash,
    warm_up,
)
from consilium.market.features.page import page
from feature_bars import rough_series

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


@pytest.mark.promise("004", "25 candle features, 37 indicator features, 50 order book features: 112")
def test_there_are_25_candle_37_indicator_and_50_book_features() -> None:
    families = [spec.family for spec in FEATURES.values()]
    assert [families.count(family) for family in ("candle", "indicator", "book")] == [25, 37, 50]
    assert len(families) == len(set(feature_names("full112"))) == 112
    assert feature_names("full112") == feature_names("candle62") + feature_names("book50")


def test_every_feature_is_told_in_words() -> None:
    for name, spec in FEATURES.items():
        assert spec.name == name
        assert spec.formula
        assert spec.meaning


def test_core14_is_a_subset_of_the_62() -> None:
    core = feature_names("core14")
    assert len(core) == len(set(core)) == 14
    assert set(core) < set(feature_names("candle62"))


@pytest.mark.promise("002", "14 features, RSI, EMA and volatility_20 among them")
def test_core14_holds_what_the_fallback_needs_within_250_bars() -> None:
    core = FEATURE_SETS["core14"]
    assert {"rsi_14", "ema_10_gap", "ema_50_gap", "volatility_20"} <= set(core)
    assert warm_up(core) == 250
    values = compute_features(rough_series(4, 300), core)
    assert np.isfinite(values[249:]).all()


def test_ema_200_is_warm_after_1000_bars() -> None:
    assert warm_up(["ema_200_gap"]) == 1000


def test_the_page_equals_the_tables() -> None:
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("set_name", ["book50", "full112"])
def test_candles_alone_do_not_give_features_of_books(set_name: str) -> None:
    with pytest.raises(UsageError, match="order book; got 'spread_bps': choose candle62"):
        compute_features(rough_series(1, 30), feature_names(set_name))


def test_an_unknown_set_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownName, match="did you mean 'candle62'"):
        feature_names("candle26")


def test_an_unknown_feature_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownName, match="did you mean 'rsi_14'"):
        compute_features(rough_series(1, 30), ["rsi_41"])


def test_names_are_a_sequence_of_names() -> None:
    with pytest.raises(InvalidValue, match="sequence"):
        warm_up("rsi_14")
    with pytest.raises(InvalidValue, match="at least one"):
        warm_up([])


def test_a_hash_tells_features_and_their_order() -> None:
    assert features_hash(["body", "rsi_14"]) == features_hash(("body", "rsi_14"))
    hashes = {features_hash(names) for names in (["body", "rsi_14"], ["rsi_14", "body"], ["body"])}
    assert len(hashes) == 3


def test_columns_come_in_the_order_asked_for() -> None:
    series = rough_series(2, 60)
    one, other = compute_features(series, ["body", "range_1"]), compute_features(series, ["range_1", "body"])
    np.testing.assert_array_equal(one, other[:, ::-1])


@pytest.mark.parametrize("rows", [0, 1, 2, 19, 20, 249])
def test_a_series_too_short_is_nan_where_it_is_too_short(rows: int) -> None:
    names = feature_names("candle62")
    values = compute_features(rough_series(1, 300).slice(0, rows), names)
    assert values.shape == (rows, 62)
    for column, name in enumerate(names):
        assert np.isfinite(values[:, column]).sum() == max(rows - FEATURES[name].warm_up + 1, 0)


def test_a_panel_gives_each_symbol_its_own_rows_whatever_the_jobs() -> None:
    panel = {"A": rough_series(1, 120), "B": rough_series(2, 90), "C": rough_series(3, 60)}
    names = feature_names("core14")
    one, two = compute_panel(panel, names), compute_panel(panel, names, jobs=2)
    assert list(one) == list(two) == ["A", "B", "C"]
    for symbol, series in panel.items():
        np.testing.assert_array_equal(one[symbol], compute_features(series, names))
        np.testing.assert_array_equal(one[symbol], two[symbol])


def test_a_panel_needs_a_job() -> None:
    with pytest.raises(InvalidValue, match="jobs must be >= 1"):
        compute_panel({}, ["body"], jobs=0)
