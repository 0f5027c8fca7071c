"""Books and trades for the tests of features: rough ones, real ones, and how a stream sees them."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BOOK50, BookFeatureStream

Floats = NDArray[np.float64]
MS_NS = 1_000_000
START = 1_700_000_000 * SECOND_NS + 123


def rough_book(
    seed: int,
    rows: int,
    *,
    levels: int = 20,
    tick: float = 0.01,
    mid: float = 100.0,
    pace_ms: tuple[float, ...] = (0.0, 20.0, 100.0, 100.0, 250.0),
    jump_every: int = 0,
    still: bool = False,
) -> tuple[BookSeries, TradeSeries]:
    """A walk of the best prices on a grid, ladders with holes, bursts of trades, ties in time.

    `jump_every` rows the recording breaks off for a while and another session begins; `still` stands still.
    """
    rng = np.random.default_rng(seed)
    waits = rng.choice(np.array(pace_ms), rows) * (0.5 + rng.random(rows))
    session = np.arange(rows) // jump_every if jump_every else np.zeros(rows, dtype=int)
    waits[1:][np.diff(session) > 0] = 4_000.0
    ts = START + np.cumsum((waits * MS_NS).astype(np.int64))
    steps = np.zeros(rows, dtype=int) if still else rng.choice([0, 0, 0, 0, 1, -1, 3], rows)
    centre = round(mid / tick) + np.cumsum(steps)
    sides = {}
    for side, up in (("bid", -1), ("ask", 1)):
        gaps = rng.choice([1, 1, 1, 2, 5], (rows, levels))
        best = centre + (up > 0) * (1 + rng.choice([0, 0, 0, 1, 4], rows)) if not still else centre + (up > 0)
        size = np.round(rng.lognormal(0, 1.5, (rows, levels)), 3) + 0.001
        if still:
            gaps[:], size[:] = 1, size[:1]
        depth = best[:, None] + up * (np.cumsum(gaps, axis=1) - gaps[:, :1])
        keep = rng.random(rows) < 0.6
        for row in np.flatnonzero(keep[1:]) + 1:
            # Most books differ from the one before in a few sizes only.
            depth[row] = depth[row - 1] if centre[row] == centre[row - 1] else depth[row]
            size[row] = np.where(rng.random(levels) < 0.8, size[row - 1], size[row])
        sides[side] = (depth * tick, size)
    short = rng.random(rows) < 0.1
    for price, size in sides.values():
        cut = rng.integers(1, levels + 1, rows)
        for row in np.flatnonzero(short):
            price[row, cut[row] :], size[row, cut[row] :] = np.nan, 0.0
    # Bids and asks were drawn apart: a pair that would cross is moved apart.
    crossed = sides["ask"][0][:, 0] - sides["bid"][0][:, 0] < 0.5 * tick
    sides["ask"][0][crossed] += (sides["bid"][0][crossed, :1] - sides["ask"][0][crossed, :1]) + tick
    book = BookSeries(
        symbol="TEST",
        ts_event=ts,
        bid_price=sides["bid"][0],
        bid_size=sides["bid"][1],
        ask_price=sides["ask"][0],
        ask_size=sides["ask"][1],
        session=session.astype(np.int32),
    )
    return book, _rough_trades(rng, book, tick)


def _rough_trades(rng: np.random.Generator, book: BookSeries, tick: float) -> TradeSeries:
    count = len(book)
    first, last = int(book.ts_event[0]) - SECOND_NS, int(book.ts_event[-1]) + SECOND_NS
    ts = rng.integers(first, last, count)
    # Some share the time of a snapshot, some come in bursts; for a fifth of the time there are none.
    some = rng.random(count) < 0.2
    ts[some] = rng.choice(book.ts_event, int(some.sum()))
    burst = rng.random(count) < 0.3
    ts[burst] = rng.choice(ts[~burst][:5], int(burst.sum()))
    quiet = (ts > first + 0.5 * (last - first)) & (ts < first + 0.7 * (last - first))
    ts = np.sort(ts[~quiet])
    mids = book.mid[np.clip(np.searchsorted(book.ts_event, ts) - 1, 0, None)]
    return TradeSeries(
        symbol="TEST",
        ts_event=ts,
        price=mids + tick * rng.integers(-4, 5, len(ts)),
        size=np.round(rng.lognormal(-1, 1.5, len(ts)), 4) + 1e-4,
        taker_buy=rng.random(len(ts)) < 0.55,
    )


def with_book(book: BookSeries, **columns: Any) -> BookSeries:
    return replace(book, **columns)


def with_trades(trades: TradeSeries, **columns: Any) -> TradeSeries:
    return replace(trades, **columns)


def no_trades(symbol: str = "TEST") -> TradeSeries:
    return TradeSeries(
        symbol=symbol,
        ts_event=np.array([], dtype=np.int64),
        price=np.array([]),
        size=np.array([]),
        taker_buy=np.array([], dtype=bool),
    )


def streamed(
    book: BookSeries, trades: TradeSeries, names: tuple[str, ...] = BOOK50, tick_size: float = 0.0
) -> Floats:
    """Rows of a stream that gets trades first where times are equal."""
    stream, rows, done = BookFeatureStream(names, tick_size=tick_size), [], 0
    upto = np.searchsorted(trades.ts_event, book.ts_event, side="right")
    for i in range(len(book)):
        while done < upto[i]:
            stream.update_trade(trades.trade(done))
            done += 1
        if i and book.session[i] != book.session[i - 1]:
            stream.begin_session()
        rows.append(stream.update_book(book.snapshot(i)))
        np.testing.assert_array_equal(stream.features(), rows[-1])
    return np.array(rows).reshape(len(book), len(names))


@cache
def real_book(folder: Path, name: str) -> tuple[BookSeries, TradeSeries]:
    """The recorded books and trades of a market, such as ``spot_btcusdt``."""
    from consilium.market.book.sources import load_book, load_trades

    stem = f"binance_{name}"
    return (
        load_book(folder / f"{stem}_l20_20240808.parquet"),
        load_trades(folder / f"{stem}_trades_20240808.parquet"),
    )
