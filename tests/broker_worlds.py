"""One world for every broker: prices step by step, as bars and as books with trades."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DAY_NS, HOUR_NS, Broker, Candle, Fill, Instrument, Order, OrderEvent
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.tape import Tape

SYMBOL = "BTCUSDT"
KINDS = ("candles", "books")
HALF = 0.01
STEP_NS = HOUR_NS
START = 1_700_000_000 // 86_400 * DAY_NS
CASH = 10_000.0


@dataclass
class Played:
    """What came of the orders, and the broker at the end."""

    broker: Any
    happened: list[Any]

    def fills(self, name: str) -> list[Fill]:
        return [h for h in self.happened if isinstance(h, Fill) and h.order_id == name]

    def quantity(self, name: str) -> float:
        return sum(fill.quantity for fill in self.fills(name))

    def ends(self, name: str) -> list[tuple[str, str]]:
        """Status and reason of all that was said of an order beside its acceptance."""
        return [
            (h.status.value, h.reason)
            for h in self.happened
            if isinstance(h, OrderEvent) and h.order_id == name and h.status.value != "accepted"
        ]

    @property
    def held(self) -> float:
        found = self.broker.positions().get(SYMBOL)
        return found.quantity if found is not None else 0.0


def wish(name: str, side: str, quantity: float, step: int, **more: Any) -> Order:
    """An order that is sent at the end of a step."""
    given = {"kind": "market", "symbol": SYMBOL} | more
    return Order(order_id=name, side=side, quantity=quantity, ts_event=when(step), **given)  # type: ignore[arg-type]


def when(step: int) -> int:
    return START + (step + 1) * STEP_NS


def play(
    kind: str,
    path: Sequence[float],
    orders: Sequence[Order],
    *,
    cancels: Sequence[tuple[int, str]] = (),
    cash: float = CASH,
    **terms: Any,
) -> Played:
    """Let a broker live through a path of prices; orders and withdrawals are sent at the ends of steps."""
    instrument = Instrument(symbol=SYMBOL, **{"maker_fee": 0.0002, "taker_fee": 0.001, **terms})
    world = _Candles(path, cash, instrument) if kind == "candles" else _Books(path, cash, instrument)
    happened: list[Any] = []
    for step in range(len(path)):
        happened += world.advance(step)
        for name in [name for at, name in cancels if at == step]:
            happened += world.broker.cancel(name, when(step))
        for order in [order for order in orders if order.ts_event == when(step)]:
            happened += world.broker.submit(order)
    happened += world.advance(len(path))
    return Played(world.broker, happened)


class _Candles:
    """Each step is an hour that moves from the price before to its own."""

    def __init__(self, path: Sequence[float], cash: float, instrument: Instrument) -> None:
        self.path = [*path, path[-1]]
        self.tape = Tape(SYMBOL, STEP_NS)
        self.broker = PaperBroker(cash, CostModel(half_spread=HALF / 100.0, impact_coefficient=0.0))
        self.broker.attach(instrument, self.tape)

    def advance(self, step: int) -> list[Any]:
        before, now = self.path[max(step - 1, 0)], self.path[step]
        self.tape.push(
            Candle(
                symbol=SYMBOL,
                interval_ns=STEP_NS,
                ts_open=when(step) - STEP_NS,
                ts_close=when(step),
                open=before,
                high=max(before, now),
                low=min(before, now),
                close=now,
                volume=1e6,
            )
        )
        return [*self.broker.at_open(SYMBOL), *self.broker.within(SYMBOL)]


class _Books:
    """Each step has a book around its price, a while before its end, and trades at both best prices."""

    def __init__(self, path: Sequence[float], cash: float, instrument: Instrument) -> None:
        path = [*path, path[-1]]
        n, depth = len(path), 5
        away = HALF + 0.01 * np.arange(depth)
        ends = np.array([when(step) for step in range(n)], dtype=np.int64)
        mids: NDArray[np.float64] = np.array(path, dtype=np.float64)[:, None]
        size = np.full((n, depth), 1e5)
        book = BookSeries(
            symbol=SYMBOL,
            ts_event=ends - 10**8,
            bid_price=_cents(mids - away),
            bid_size=size,
            ask_price=_cents(mids + away),
            ask_size=size,
        )
        self.trades = TradeSeries(
            symbol=SYMBOL,
            ts_event=np.repeat(ends - 2 * 10**8, 2),
            price=np.column_stack([mids - HALF, mids + HALF]).round(2).ravel(),
            size=np.full(2 * n, 10.0),
            taker_buy=np.tile([False, True], n),
        )
        self.broker: BookBroker = BookBroker(cash, BookExecution(latency_ns=0, max_age_ns=DAY_NS))
        self.broker.attach(instrument, book, self.trades)

    def advance(self, step: int) -> list[Any]:
        return list(self.broker.advance(when(step)))


def _cents(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.asarray(np.round(prices, 2), dtype=np.float64)
    return rounded


def is_broker(broker: object) -> bool:
    return isinstance(broker, Broker)
