"""A small exchange whose books are known after every update: the slow, obvious reference for books."""

import json
from dataclasses import dataclass, field

import numpy as np

from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff, Level
from consilium.market.book.streams import Recorded

MS_NS = 1_000_000
STEP_NS = 100 * MS_NS
START_NS = 1_700_000_000_000 * MS_NS


@dataclass(kw_only=True)
class KnownExchange:
    """Diffs, and the whole book after each of them, as plain dictionaries."""

    symbol: str
    linked: bool
    diffs: list[Diff] = field(default_factory=list)
    books: dict[int, tuple[dict[int, int], dict[int, int]]] = field(default_factory=dict)

    def snapshot(self, last: int, levels: int) -> DepthSnapshot:
        """The best levels after the newest diff not newer than ``last``."""
        known = max(u for u in self.books if u <= last)
        sides = [sorted(side.items(), reverse=True) for side in self.books[known]]
        return DepthSnapshot(
            self.symbol,
            0,
            known,
            sides[0][:levels],
            sides[1][:levels],
            len(sides[0]) < levels,
            len(sides[1]) < levels,
        )

    def top(self, last: int, levels: int) -> tuple[list[Level], list[Level]]:
        bids, asks = self.books[last]
        return sorted(bids.items(), reverse=True)[:levels], sorted(asks.items(), reverse=True)[:levels]


def known_exchange(seed: int, *, diffs: int = 40, linked: bool = False, depth: int = 30) -> KnownExchange:
    """Let the best price wander and levels come and go; no book is ever crossed or empty."""
    rng = np.random.default_rng(seed)
    exchange = KnownExchange(symbol="BTCUSDT", linked=linked)
    mid, update = 10_000, 100
    book: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for i in range(diffs + 1):
        mid += int(rng.integers(-6, 7))
        changed: tuple[list[Level], list[Level]] = ([], [])
        for side, changes, sign in zip(book, changed, (1, -1), strict=True):
            for key in [key for key in side if key >= sign * mid]:
                del side[key]
                changes.append((key, 0))
            for step in rng.choice(np.arange(1, depth), size=8 if i else depth - 2, replace=False):
                key = sign * mid - int(step)
                size = int(rng.integers(0, 5)) if i else int(rng.integers(1, 5))
                if size:
                    side[key] = size
                elif len(side) > 1:
                    side.pop(key, None)
                else:
                    continue
                changes.append((key, size))
        previous = update
        first = previous + int(rng.integers(1, 5) if linked else 1)
        update = first + int(rng.integers(0, 6))
        if i:
            ts = START_NS + i * STEP_NS
            exchange.diffs.append(
                Diff("BTCUSDT", ts, ts + MS_NS, first, update, previous, linked, changed[0], changed[1])
            )
        exchange.books[update] = (dict(book[0]), dict(book[1]))
    return exchange


def assert_right(keeper: BookKeeper, exchange: KnownExchange, levels: int) -> None:
    """A readable book is the reference's: as deep as it is certain, and what it tells beyond is true."""
    if not keeper.live:
        assert keeper.top(levels) == ([], [])
        return
    bids, asks = keeper.top(levels)
    true_bids, true_asks = exchange.top(keeper.last, levels)
    certain = min(keeper.certain, levels)
    assert bids[:certain] == true_bids[:certain]
    assert asks[:certain] == true_asks[:certain]
    for told, side in ((bids, exchange.books[keeper.last][0]), (asks, exchange.books[keeper.last][1])):
        assert all(side.get(key) == size for key, size in told)


def recording(exchange: KnownExchange, *, start: int = 3, levels: int = 1_000) -> list[Recorded]:
    """The streams as a recorder would have written them, with the snapshot after ``start`` diffs."""
    lines = []
    for i, diff in enumerate(exchange.diffs):
        body: dict[str, object] = {"e": "depthUpdate", "E": diff.ts_event // MS_NS, "s": diff.symbol}
        body |= {"U": diff.first, "u": diff.last} | ({"pu": diff.previous} if diff.linked else {})
        body |= {"b": _texts(diff.bids), "a": _texts(diff.asks)}
        lines.append(_line(diff.ts_local, f"{diff.symbol.lower()}@depth@100ms", body))
        bids, asks = exchange.top(diff.last, 1)
        ((bid, bid_size),), ((ask, ask_size),) = _texts(bids), _texts(asks)
        best = {"u": diff.last, "s": diff.symbol, "b": bid, "B": bid_size, "a": ask, "A": ask_size}
        lines.append(_line(diff.ts_local, f"{diff.symbol.lower()}@bookTicker", best))
        trade = {
            "e": "trade",
            "E": diff.ts_event // MS_NS,
            "s": diff.symbol,
            "t": i + 1,
            "p": ask,
            "q": "1.5",
        }
        lines.append(
            _line(
                diff.ts_local,
                f"{diff.symbol.lower()}@trade",
                trade | {"T": diff.ts_event // MS_NS, "m": i % 2 == 0},
            )
        )
        if i == start:
            shown = exchange.snapshot(diff.last, levels)
            answer = {
                "lastUpdateId": shown.last,
                "bids": _texts(shown.bids),
                "asks": _texts(shown.asks),
            }
            lines.append(Recorded(diff.ts_local, json.dumps(answer, separators=(",", ":")).encode()))
    return lines


def _line(ts_local: int, stream: str, data: dict[str, object]) -> Recorded:
    payload = json.dumps({"stream": stream, "data": data}, separators=(",", ":"))
    return Recorded(ts_local, payload.encode())


def _texts(levels: list[Level]) -> list[list[str]]:
    """Keys and sizes are in units of 1e-8."""
    return [[f"{abs(key) / 1e8:.8f}", f"{size / 1e8:.8f}"] for key, size in levels]
