"""A simulated book told as an exchange tells it: a snapshot, diffs, best prices and trades."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from consilium.domain.time import MS_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.streams import Recorded
from consilium.market.simulator import SimulatedBook, simulate_book

LATENCY_NS = 5 * MS_NS
FIRST_UPDATE = 1_000

_Side = dict[str, str]


def simulated_recording(
    symbol: str, *, snapshots: int, seed: int, strength: float = 0.0, levels: int = 20, linked: bool = False
) -> list[Recorded]:
    """Simulate a book and its trades and write them as a recording of an exchange's streams.

    The exchange's whole book is the simulated one: who keeps it right has the simulated books, each of them.
    Every changed level has an update number of its own, as an exchange counts.

    Parameters
    ----------
    symbol
        As the exchange writes it: ``SIM00USDT``.
    snapshots, seed, strength, levels
        Of `consilium.market.simulator.simulate_book`, one snapshot each 100 ms.
    linked
        Whether the diffs say what they follow, as those of futures do.

    Raises
    ------
    InvalidValue
        A number outside its bound.

    Examples
    --------
    >>> lines = simulated_recording("SIM00USDT", snapshots=3, seed=7, levels=1)
    >>> lines[0].is_snapshot, sum(b"@depth" in line.payload for line in lines)
    (True, 2)
    """
    market = simulate_book(symbol=symbol, snapshots=snapshots, seed=seed, strength=strength, levels=levels)
    return list(_lines(market, linked=linked))


def _lines(market: SimulatedBook, *, linked: bool) -> Iterator[Recorded]:
    book, symbol = market.book, market.book.symbol
    bids, asks = _sides(book, 0)
    last = FIRST_UPDATE
    yield _line(
        int(book.ts_event[0]), f'{{"lastUpdateId":{last},"bids":{_levels(bids)},"asks":{_levels(asks)}}}'
    )
    upto = np.searchsorted(market.trades.ts_event, book.ts_event, side="right").tolist()
    for i, (done, end) in enumerate(pairwise(upto), start=1):
        for k in range(done, end):
            yield _trade(market, k)
        was, now = (bids, asks), _sides(book, i)
        changed = [_changes(old, new) for old, new in zip(was, now, strict=True)]
        bids, asks = now
        first, previous, last = last + 1, last, last + max(sum(map(len, changed)), 1)
        link = f'"pu":{previous},' if linked else ""
        ts = int(book.ts_event[i])
        yield _streamed(
            ts,
            symbol,
            "depth@100ms",
            f'{{"e":"depthUpdate","E":{ts // MS_NS},"s":"{symbol}","U":{first},"u":{last},{link}'
            f'"b":{_levels(changed[0])},"a":{_levels(changed[1])}}}',
        )
        (bid, bid_size), (ask, ask_size) = next(iter(bids.items())), next(iter(asks.items()))
        yield _streamed(
            ts,
            symbol,
            "bookTicker",
            f'{{"u":{last},"s":"{symbol}","b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}"}}',
        )


def _sides(book: BookSeries, i: int) -> tuple[_Side, _Side]:
    """Return sizes by price, best first, as text."""
    bids, asks = (
        {
            f"{price:.8f}": f"{size:.8f}"
            for price, size in zip(prices[i].tolist(), sizes[i].tolist(), strict=True)
            if size
        }
        for prices, sizes in ((book.bid_price, book.bid_size), (book.ask_price, book.ask_size))
    )
    return bids, asks


def _changes(old: _Side, new: _Side) -> _Side:
    gone = {price: "0.00000000" for price in old if price not in new}
    return gone | {price: size for price, size in new.items() if old.get(price) != size}


def _levels(side: _Side) -> str:
    return "[" + ",".join(f'["{price}","{size}"]' for price, size in side.items()) + "]"


def _trade(market: SimulatedBook, k: int) -> Recorded:
    trades = market.trades
    ts, symbol = int(trades.ts_event[k]), trades.symbol
    maker_bought = "false" if trades.taker_buy[k] else "true"
    return _streamed(
        ts,
        symbol,
        "trade",
        f'{{"e":"trade","E":{ts // MS_NS},"s":"{symbol}","t":{k + 1},"p":"{trades.price[k]:.8f}",'
        f'"q":"{trades.size[k]:.8f}","T":{ts // MS_NS},"m":{maker_bought}}}',
    )


def _streamed(ts: int, symbol: str, stream: str, data: str) -> Recorded:
    return _line(ts, f'{{"stream":"{symbol.lower()}@{stream}","data":{data}}}')


def _line(ts: int, text: str) -> Recorded:
    return Recorded(ts + LATENCY_NS, text.encode())
