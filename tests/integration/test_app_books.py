"""The path from books to a verdict: recordings and simulated books, 112 features, artefacts, forecasts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from command_line import consilium, fails_in_one_line
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import run
from consilium.app.cli.root import app
from consilium.app.observe import observe
from consilium.app.settings import Settings
from consilium.market.features import compute_full112, feature_names, features_hash
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from recorded_books import SECOND_NS, market, write_levels, write_trades

SIMULATED = "simulate:kind=book,symbols=2,bars=4000,strength={}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recorded levels and trades of one symbol, 320 s."""
    folder = tmp_path_factory.mktemp("recorded")
    made = market(320, strength=1.0)
    write_levels(folder, made.book)
    write_trades(folder, made.trades)
    return folder


@pytest.mark.promise("004", "112 features of recorded books and trades, as a file")
def test_the_matrix_of_a_recording_is_a_file_of_112_columns(recorded: Path, tmp_path: Path) -> None:
    done = consilium(
        "features", "--data", str(recorded), "--bar", "250ms", "--books", str(recorded),
        "--out", "m.parquet", "--json", "m.json", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = feature_names("full112")
    frame = pl.read_parquet(tmp_path / "m.parquet")
    assert tuple(frame.columns) == ("symbol", "ts_event", *names, "book_known")
    said = pl.read_parquet_metadata(tmp_path / "m.parquet")
    assert said["consilium.features_hash"] == features_hash(names)
    observed = observe(str(recorded), None, bar="250ms", books=(str(recorded),))
    assert observed.recordings is not None
    books = observed.recordings
    expected = compute_full112(observed.panel["BTCUSDT"], books.book("BTCUSDT"), books.trades("BTCUSDT"))
    np.testing.assert_array_equal(frame.select(names).to_numpy(), expected)
    assert frame["book_known"].to_list() == np.isfinite(expected[:, 62]).tolist()
    told = json.loads((tmp_path / "m.json").read_text())
    assert (told["columns"], told["rows"], len(told["groups"])) == (112, len(frame), 3)


def test_a_killed_or_refused_matrix_leaves_nothing_behind(recorded: Path, tmp_path: Path) -> None:
    done = consilium("features", "--data", str(recorded), "--bar", "1h", "--out", "m.parquet", cwd=tmp_path)
    assert "one whole bar with a trade" in fails_in_one_line(done, 1)
    assert list(tmp_path.glob("*")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--data", "{recorded}"), 2, "without --bar: add for example --bar 1s"),
        (("--data", "sample", "--bar", "1s"), 2, "--data sample, which has none"),
        (("--data", "sample", "--books", "simulate"), 2, "use --data simulate:kind=book --books simulate"),
        (("--data", "sample", "--books", "absent"), 2, "--books must be a file or a folder"),
        (("--data", "sample", "--books", "{recorded}"), 1, "books of BTCUSDT for candles of SAMPLE"),
        (("--data", "simulate:bars=1100", "--bar", "1 s"), 2, "a length must be a whole number and ms, s"),
        (("--data", "simulate:kind=book,bars=50", "--books", "{recorded}"), 2, "has books of its own"),
        (("--data", "simulate:kind=book,bars=50,strength=2"), 1, "strength must lie in [0, 1]; got 2.0"),
        (("--data", "{recorded}", "--bar", "1s", "--symbols", "ETHUSDT"), 2, "symbol"),
        (("--data", "{recorded}", "--bar", "1s", "--features", "full113"), 2, "did you mean 'full112'"),
    ],
)
def test_bad_input_is_one_line(
    recorded: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    given = [part.format(recorded=recorded) for part in arguments]
    done = CliRunner().invoke(app, ["features", *given, "--out", str(tmp_path / "m.parquet"), "--quiet"])
    assert done.exit_code == code, done.output
    assert says in done.stderr.splitlines()[-1]
    assert list(tmp_path.glob("*")) == []


def test_books_of_another_time_than_the_candles_are_refused(recorded: Path, tmp_path: Path) -> None:
    candles = market(4_000, seed=9).candles(60 * SECOND_NS)
    later = replace(candles, ts_open=candles.ts_open + 10**6 * SECOND_NS)
    columns: dict[str, Any] = {
        name: getattr(later, name) for name in ("open", "high", "low", "close", "volume")
    }
    pl.DataFrame({"symbol": "BTCUSDT", "date": later.ts_open // 10**6, **columns}).write_parquet(
        tmp_path / "candles.parquet"
    )
    line = fails_in_one_line(
        consilium("features", "--data", "candles.parquet", "--books", str(recorded), "--out", "m.parquet",
                  cwd=tmp_path), 1,
    )  # fmt: skip
    assert "books must cover at least 5 % of the bars of their symbols; got 0 of 65 bars" in line


def test_a_symbol_without_books_is_masked_and_the_layout_stays_112(recorded: Path) -> None:
    alone = observe(str(recorded), None, bar="250ms", books=(str(recorded),))
    other = replace(alone.panel["BTCUSDT"], symbol="ETHUSDT")
    both = replace(alone, panel={**alone.panel, "ETHUSDT": other}).with_books(feature_names("full112"))
    assert any("ETHUSDT: no books" in finding for finding in both.findings)
    dataset = build_dataset(both.panel, "full112", LabelSpec(), both.books)
    known = np.asarray(np.isfinite(dataset.matrix[dataset.position][:, 62:]).all(axis=1))
    names = np.array(dataset.symbols)[dataset.symbol_index]
    assert dataset.matrix.shape[1] == 112
    assert not known[names == "ETHUSDT"].any()
    assert known[names == "BTCUSDT"].all()
    assert (names == "ETHUSDT").sum() == (names == "BTCUSDT").sum() > 200


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _backtest(1, tmp_path_factory.mktemp("runs"))


def _backtest(strength: int, folder: Path) -> dict[str, Any]:
    request = BacktestRequest.checked(
        settings=Settings.model_validate({"training": {"folds": 2}, "data_dir": folder}),
        data=SIMULATED.format(strength),
        books=("simulate",),
        models=["lightgbm"],
        features="full112",
    )
    return run(replace(request, baselines=("prior",)))


@pytest.mark.promise(
    "004", "candles and books give 112 features, models, consensus and a backtest in one run"
)
def test_a_planted_order_flow_is_found_from_the_raw_books(judged: dict[str, Any]) -> None:
    climatology = next(c for c in judged["judgement"]["comparisons"] if c["against"] == "climatology")
    assert judged["data"]["features"] == "full112"
    assert climatology["difference"] < 0.0
    assert climatology["high"] < 0.0
    assert judged["consensus"]["ic"]["value"] > 0.1


@pytest.mark.long
def test_books_that_know_nothing_are_not_called_better(tmp_path: Path) -> None:
    assert _backtest(0, tmp_path)["judgement"]["word"] != "better"
