"""A backtest that fills by walking recorded books, as a user runs it: own signals, models, and bad input."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command_line import consilium, fails_in_one_line
from consilium.app.backtest.own_signals import run_signals
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import run
from consilium.app.cli.request import request_of
from consilium.app.report.page import page
from consilium.app.settings import Book, Settings, Training
from consilium.domain import ConsiliumError, UsageError

RECORDED = ("usdm_btcusdt", "spot_ethusdt")


def _paths(books: Path, name: str) -> tuple[Path, Path]:
    return tuple(books / f"binance_{name}_{kind}_20240808.parquet" for kind in ("trades", "l20"))  # type: ignore[return-value]


def _signals(books: Path, name: str, every: int = 3) -> pl.DataFrame:
    """The lean of the best level at whole seconds: any rule of a user's own."""
    table = pl.read_parquet(_paths(books, name)[1])
    ts = table["exch_ms"].to_numpy()
    seconds = np.arange(ts[0] // 1_000 + 30, ts[-1] // 1_000, every) * 1_000
    row = np.searchsorted(ts, seconds, side="right") - 1
    bid, ask = table["bid_qty_1"].to_numpy()[row], table["ask_qty_1"].to_numpy()[row]
    lean = (bid - ask) / (bid + ask)
    words = np.where(lean > 0.3, "up", np.where(lean < -0.3, "down", "flat"))
    symbol = name.split("_")[1].upper()
    return pl.DataFrame({"ts_event": seconds * 1_000_000, "symbol": [symbol] * len(row), "direction": words})


def _arguments(books: Path, name: str, signals: Path) -> list[str]:
    trades, l20 = _paths(books, name)
    return [
        "backtest", "--data", str(trades), "--bar", "1s", "--books", str(l20), "--fills", "book",
        "--signals", str(signals), "--notional", "2000", "--horizon", "10",
        "--maker-fee", "0.0002", "--taker-fee", "0.0005", "--quiet",
    ]  # fmt: skip


@pytest.mark.shared
@pytest.mark.promise("004", "a backtest fills by walking the real book, beside the same signals on candles")
@pytest.mark.parametrize("name", RECORDED)
def test_own_signals_are_filled_from_the_recorded_book(name: str, books_l20: Path, tmp_path: Path) -> None:
    _signals(books_l20, name).write_csv(tmp_path / "s.csv")
    done = consilium(
        *_arguments(books_l20, name, tmp_path / "s.csv"), "--json", "r.json", "--html", "r.html", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    filled = report["fills"]
    assert filled["figures"]["entry"]["orders"] > 10
    assert filled["figures"]["entry"]["seconds_first"] == 0.05
    assert filled["figures"]["all"]["maker_share"] == 0.0
    assert filled["accounts"]["book"]["net_return"] == report["trading"]["net_return"]
    assert filled["accounts"]["candles"]["trades"] > 10
    books = [row["book"] for row in filled["costs"]]
    assert books == sorted(books, reverse=True)
    assert books[0] - books[2] == pytest.approx(2 * (books[0] - books[1]), rel=0.2)
    for told in ("Filled by walking the book", "The same signals, filled in two ways", "Orders rejected"):
        assert told in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("Verdict: the signals came from a file")
    assert 'id="fills"' in (tmp_path / "r.html").read_text()
    terms = filled["instruments"][name.split("_")[1].upper()]
    steps = {"usdm_btcusdt": ("perp", 0.1, 0.001), "spot_ethusdt": ("spot", 0.01, 0.0001)}[name]
    assert (terms["market"], terms["tick_size"], terms["lot_size"]) == steps


def _request(books: Path, name: str, folder: Path, **book: Any) -> BacktestRequest:
    settings = Settings(data_dir=folder, book=Book(notional=2_000.0, **book))
    trades, l20 = _paths(books, name)
    return BacktestRequest.checked(
        settings=settings, data=str(trades), books=(str(l20),), bar="1s", fills="book", horizon=10
    )


@pytest.mark.shared
def test_a_later_order_waits_longer_and_a_limit_makes(books_l20: Path, tmp_path: Path) -> None:
    _signals(books_l20, "usdm_btcusdt").write_csv(tmp_path / "s.csv")
    found = {}
    kinds: dict[str, dict[str, Any]] = {
        "market": {},
        "slow": {"latency_ms": 400.0},
        "front": {"entry": "limit", "queue": 0.0},
        "back": {"entry": "limit", "queue": 1.0},
        "shorts": {"shorts": True},
    }
    for kind, more in kinds.items():
        request = _request(books_l20, "usdm_btcusdt", tmp_path, **more)
        found[kind] = run_signals(request, tmp_path / "s.csv")["fills"]
    assert found["slow"]["figures"]["entry"]["seconds_first"] == pytest.approx(0.4)
    entries = {kind: filled["figures"]["entry"] for kind, filled in found.items()}
    assert entries["front"]["maker_share"] > 0.5
    assert entries["front"]["filled"] > entries["back"]["filled"]
    assert found["back"]["ended"]["cancelled"]["patience_over"] > 0
    assert entries["shorts"]["orders"] > entries["market"]["orders"]
    assert found["shorts"]["accounts"]["candles"] is None


@pytest.mark.promise("004", "models are trained and their consensus is filled by walking the book")
def test_models_trade_through_simulated_books(tmp_path: Path) -> None:
    request = BacktestRequest.checked(
        settings=Settings(data_dir=tmp_path, training=Training(folds=2)),
        data="simulate:kind=book,symbols=1,bars=1100,strength=1.0",
        books=("simulate",),
        fills="book",
        models=("lightgbm",),
        features="core14",
    )
    report = run(request)
    assert set(report["fills"]["accounts"]) == {"book", "candles"}
    assert report["fills"]["accounts"]["book"]["net_return"] == report["trading"]["net_return"]
    assert any("reach the exchange 50 ms after" in note for note in report["notes"])
    assert re.search(r'<section id="fills"', page(report))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"latency": "-5ms"}, "--latency must be >= 0"),
        ({"latency": "fast"}, "--latency must be a number"),
        ({"latency": "5"}, "--latency must be a number"),
        ({"queue": "1.5"}, "--queue must be back, front or a share"),
        ({"queue": "-0.1"}, "--queue must be back, front or a share"),
        ({"entry": "stop"}, "--entry"),
        ({"patience": "0"}, "--patience must be > 0"),
        ({"notional": -1.0}, "--notional"),
        ({"maker_fee": 2.0}, "--maker-fee"),
        ({"taker_fee": -0.1}, "--taker-fee"),
        ({"fills": "boks"}, "did you mean 'book'?"),
        ({"books": []}, "add --books PATH"),
        ({"fills": "candles", "queue": "front"}, "add --fills book"),
    ],
)
def test_options_outside_their_bounds_are_usage_errors(options: dict[str, Any], told: str) -> None:
    given = {"books": ["simulate"], "fills": "book"} | options
    with pytest.raises(UsageError) as error:
        request_of("simulate:kind=book", **given)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bad_option_exits_two_with_one_line(tmp_path: Path) -> None:
    market = ("--data", "simulate:kind=book", "--books", "simulate", "--fills", "book")
    line = fails_in_one_line(
        consilium("backtest", *market, "--signals", "s.csv", "--latency", "-5ms", cwd=tmp_path), 2
    )
    assert "--latency must be >= 0" in line


@pytest.mark.shared
def test_books_that_cannot_fill_the_signals_are_refused(books_l20: Path, tmp_path: Path) -> None:
    trades, l20 = _paths(books_l20, "usdm_btcusdt")
    signals = _signals(books_l20, "usdm_btcusdt")
    signals.write_csv(tmp_path / "s.csv")
    table = pl.read_parquet(l20)
    crossed = pl.when(pl.int_range(pl.len()) == 99).then(pl.col("ask_px_1") + 1).otherwise(pl.col("bid_px_1"))
    other = tmp_path / "crossed"
    other.mkdir()
    table.with_columns(bid_px_1=crossed).write_parquet(other / l20.name)
    short = tmp_path / "short"
    short.mkdir()
    table.head(3_000).write_parquet(short / l20.name)
    coin = tuple(
        books_l20 / f"binance_coinm_btcusd_perp_{kind}_20240808.parquet" for kind in ("trades", "l20")
    )
    cases = [
        (str(trades), str(other), "must be below the best ask"),
        (str(trades), str(short), "must lie between"),
        (str(coin[0]), str(coin[1]), "paid in the coin"),
        ("sample", str(l20), "none of SAMPLE"),
        (str(trades), str(_paths(books_l20, "spot_ethusdt")[1]), "BTCUSDT"),
    ]
    for data, books, told in cases:
        request = BacktestRequest.checked(
            settings=Settings(data_dir=tmp_path),
            data=data,
            books=(books,),
            bar="" if data == "sample" else "1s",
            fills="book",
        )
        with pytest.raises(ConsiliumError, match=told) as error:
            run_signals(request, tmp_path / "s.csv")
        assert "\n" not in str(error.value)


@pytest.mark.shared
def test_two_symbols_share_one_account(books_l20: Path, tmp_path: Path) -> None:
    names = ("spot_btcusdt", "spot_ethusdt")
    folder = tmp_path / "spot"
    folder.mkdir()
    for name in names:
        for path in _paths(books_l20, name):
            (folder / path.name).symlink_to(path)
    pl.concat([_signals(books_l20, name, every=7) for name in names]).write_parquet(tmp_path / "s.parquet")
    request = BacktestRequest.checked(
        settings=Settings(data_dir=tmp_path, book=Book(notional=4_000.0)),
        data=str(folder),
        books=(str(folder),),
        bar="1s",
        fills="book",
        horizon=5,
    )
    report = run_signals(request, tmp_path / "s.parquet")
    assert set(report["fills"]["instruments"]) == {"BTCUSDT", "ETHUSDT"}
    assert report["fills"]["figures"]["entry"]["orders"] > 20


@pytest.mark.shared
def test_resting_orders_need_trades_of_the_books(books_l20: Path, tmp_path: Path) -> None:
    trades, l20 = _paths(books_l20, "usdm_btcusdt")
    early = pl.read_parquet(trades).with_columns(exch_ms=pl.col("exch_ms") - 3_600_000)
    early.write_parquet(tmp_path / trades.name)
    pl.read_parquet(l20).write_parquet(tmp_path / l20.name)
    _signals(books_l20, "usdm_btcusdt").write_csv(tmp_path / "s.csv")
    request = BacktestRequest.checked(
        settings=Settings(data_dir=tmp_path),
        data=str(tmp_path / trades.name),
        books=(str(tmp_path / l20.name),),
        bar="1s",
        fills="book",
    )
    with pytest.raises(ConsiliumError, match="need trades of the time of its books"):
        run_signals(request, tmp_path / "s.csv")
