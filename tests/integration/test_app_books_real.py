"""Recorded minutes of a real exchange, from trades and books to a report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import run
from consilium.app.matrix import Matrix
from consilium.app.observe import observe
from consilium.app.settings import Settings
from consilium.domain import DataProblem


@pytest.mark.parametrize("market", ["usdm_btcusdt", "spot_ethusdt"])
def test_all_112_features_of_recorded_minutes(books_l20: Path, market: str) -> None:
    data, books = (str(books_l20 / f"binance_{market}_{kind}_20240808.parquet") for kind in ("trades", "l20"))
    matrix = Matrix.of(observe(data, None, bar="250ms", books=(books,)), "full112")
    assert matrix.values.shape[1] == 112
    warm = np.asarray(np.isfinite(matrix.values).all(axis=1))
    assert warm[1_000:].mean() > 0.99
    assert not warm[:999].any()


def test_one_second_bars_of_recorded_minutes_are_too_few_and_the_bars_are_named(
    books_l20: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataProblem, match=r"full112 .* needs 1,\d{3} bars .*; got 342: .* shorter bars"):
        run(_request(books_l20, "1s", tmp_path))


def test_recorded_minutes_go_from_trades_and_books_to_a_report(books_l20: Path, tmp_path: Path) -> None:
    report = run(_request(books_l20, "100ms", tmp_path))
    assert report["data"]["features"] == "full112"
    assert report["data"]["interval_ns"] == 100_000_000
    assert report["trading"]["sharpe"] is None
    assert any("Bars are built from trades" in note for note in report["notes"])


def _request(folder: Path, bar: str, data_dir: Path) -> BacktestRequest:
    data, books = (
        str(folder / f"binance_usdm_btcusdt_{kind}_20240808.parquet") for kind in ("trades", "l20")
    )
    request = BacktestRequest.checked(
        settings=Settings.model_validate({"training": {"folds": 2}, "data_dir": data_dir}),
        data=data, books=(books,), bar=bar, models=["lightgbm"], features="full112",
    )  # fmt: skip
    return replace(request, baselines=("prior",))
