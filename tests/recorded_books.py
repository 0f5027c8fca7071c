"""Simulated markets written as recordings: the files of levels and trades, and the folder of a recorder."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.simulator import SimulatedBook, simulate_book

MS_NS = 1_000_000
DAY = "20240101"


def market(seconds: int, seed: int = 5, strength: float = 0.0, symbol: str = "BTCUSDT") -> SimulatedBook:
    """A simulated book of 100 ms."""
    return simulate_book(symbol=symbol, snapshots=10 * seconds + 1, seed=seed, strength=strength)


def write_levels(folder: Path, book: BookSeries, venue: str = "binance_spot", day: str = DAY) -> Path:
    """Write books as a file of levels."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"exch_ms": book.ts_event // MS_NS}
    for j in range(book.levels):
        columns[f"bid_px_{j + 1}"], columns[f"bid_qty_{j + 1}"] = book.bid_price[:, j], book.bid_size[:, j]
        columns[f"ask_px_{j + 1}"], columns[f"ask_qty_{j + 1}"] = book.ask_price[:, j], book.ask_size[:, j]
    path = folder / f"{venue}_{book.symbol.lower()}_l20_{day}.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def write_trades(folder: Path, trades: TradeSeries, venue: str = "binance_spot", day: str = DAY) -> Path:
    """Write trades as a file; their times are cut to milliseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{venue}_{trades.symbol.lower()}_trades_{day}.parquet"
    pl.DataFrame(
        {
            "exch_ms": trades.ts_event // MS_NS,
            "price": trades.price,
            "qty": trades.size,
            "buyer_is_maker": ~trades.taker_buy,
        }
    ).write_parquet(path)
    return path


def with_another_future(
    book: BookSeries, trades: TradeSeries, ts: int, seed: int
) -> tuple[BookSeries, TradeSeries]:
    """Change every book and trade after a time into others that are possible; their times stay."""
    rng = np.random.default_rng(seed)
    later, traded = book.ts_event > ts, trades.ts_event > ts
    jump = np.where(later, np.cumsum(rng.integers(-3, 4, len(book)) * later) / 100.0, 0.0)
    moved = {name: np.round(getattr(book, name) + jump[:, None], 10) for name in ("bid_price", "ask_price")}
    sized = {
        name: np.where(later[:, None], np.round(getattr(book, name) * rng.uniform(0.2, 5.0), 3) + 0.001,
                       getattr(book, name)) * ~np.isnan(getattr(book, name.replace("size", "price")))
        for name in ("bid_size", "ask_size")
    }  # fmt: skip
    at = np.minimum(np.searchsorted(book.ts_event, trades.ts_event), len(book) - 1)
    return (
        BookSeries(symbol=book.symbol, venue=book.venue, ts_event=book.ts_event, session=book.session,
                   **moved, **sized),
        TradeSeries(
            symbol=trades.symbol,
            venue=trades.venue,
            ts_event=trades.ts_event,
            price=np.round(trades.price + jump[at] * traded, 10),
            size=np.where(traded, trades.size * rng.uniform(0.5, 3.0), trades.size),
            taker_buy=np.where(traded, ~trades.taker_buy, trades.taker_buy),
        ),
    )  # fmt: skip


__all__ = ["MS_NS", "SECOND_NS", "market", "with_another_future", "write_levels", "write_trades"]
