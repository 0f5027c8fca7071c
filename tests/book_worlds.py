"""Books for the trading tests: small ones by hand, and random ones with holes in time."""

from collections.abc import Sequence

import numpy as np

from consilium.domain import Fill, Funding, Instrument, Order, OrderEvent, OrderKind, Side
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.simulator import BookHabits, SimulatedBook, simulate_book
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.register import BookHappening

MS = 1_000_000
SYMBOL = "SIM00"

Side2 = Sequence[tuple[float, float]]
BookRow = tuple[int, Side2, Side2]
TradeRow = tuple[int, float, float, Side]


def hand_book(rows: Sequence[BookRow], *, session: Sequence[int] | None = None) -> BookSeries:
    """Books of (time in ms, bids, asks), sides as (price, size) best first."""
    levels = max(max(len(bids), len(asks)) for _, bids, asks in rows)
    sides = np.full((4, len(rows), levels), np.nan)
    sides[1::2] = 0.0
    for i, (_, bids, asks) in enumerate(rows):
        for first, side in ((0, bids), (2, asks)):
            for j, (price, size) in enumerate(side):
                sides[first, i, j], sides[first + 1, i, j] = price, size
    return BookSeries(
        symbol=SYMBOL,
        ts_event=np.array([ms * MS for ms, _, _ in rows], dtype=np.int64),
        bid_price=sides[0],
        bid_size=sides[1],
        ask_price=sides[2],
        ask_size=sides[3],
        session=np.array(session if session is not None else [0] * len(rows), dtype=np.int32),
    )


def hand_trades(rows: Sequence[TradeRow] = ()) -> TradeSeries:
    """Trades of (time in ms, price, size, side of the taker)."""
    return TradeSeries(
        symbol=SYMBOL,
        ts_event=np.array([ms * MS for ms, *_ in rows], dtype=np.int64),
        price=np.array([row[1] for row in rows], dtype=np.float64),
        size=np.array([row[2] for row in rows], dtype=np.float64),
        taker_buy=np.array([row[3] is Side.BUY for row in rows], dtype=np.bool_),
    )


def order(
    name: str, side: Side, quantity: float, ms: int, *, limit: float | None = None, **more: object
) -> Order:
    """A market order, or a limit order where a limit is given; the time in ms."""
    return Order(
        order_id=name,
        symbol=SYMBOL,
        side=side,
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        quantity=quantity,
        limit_price=limit,
        ts_event=ms * MS,
        **more,  # type: ignore[arg-type]
    )


def listed(
    cash: float,
    book: BookSeries,
    trades: TradeSeries,
    execution: BookExecution | None = None,
    instrument: Instrument | None = None,
    funding: Sequence[Funding] = (),
) -> BookBroker:
    """A broker with one market."""
    broker = BookBroker(cash, execution)
    broker.attach(instrument or Instrument(symbol=book.symbol), book, trades, funding)
    return broker


def quantity(broker: BookBroker, symbol: str = SYMBOL) -> float:
    """What is held, short < 0."""
    held = broker.positions().get(symbol)
    return held.quantity if held is not None else 0.0


def play(broker: BookBroker, orders: Sequence[Order], until_ms: int) -> list[BookHappening]:
    """Send orders at their times and let the market run to the end."""
    said: list[BookHappening] = []
    for one in orders:
        said += broker.advance(one.ts_event)
        said += broker.submit(one)
    return said + broker.advance(until_ms * MS)


def fills(said: Sequence[BookHappening], name: str | None = None) -> list[Fill]:
    """The fills, of one order if named."""
    return [h for h in said if isinstance(h, Fill) and name in (None, h.order_id)]


def reasons(said: Sequence[BookHappening]) -> list[tuple[str, str, str]]:
    """Order, status and reason of all that was no fill."""
    return [(h.order_id, h.status.value, h.reason) for h in said if isinstance(h, OrderEvent)]


def random_market(rng: np.random.Generator, n: int = 220) -> SimulatedBook:
    """A lively market; `holed` cuts holes into it."""
    habits = BookHabits(
        move_rate=float(rng.choice([0.05, 0.3])),
        trade_rate=float(rng.choice([0.5, 4.0])),
        trade_size=float(rng.choice([0.03, 0.3])),
        empty_share=float(rng.choice([0.0, 0.3])),
    )
    levels = int(rng.choice([1, 3, 20]))
    return simulate_book(
        symbol=SYMBOL, snapshots=n, seed=int(rng.integers(2**31)), levels=levels, start_ts=0, habits=habits
    )


def holed(market: SimulatedBook, rng: np.random.Generator) -> tuple[BookSeries, TradeSeries]:
    """The same market with a few seconds missing once or twice, and a new session after each hole."""
    book, trades = market.book, market.trades
    n = len(book)
    shift, session = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int32)
    for at in rng.integers(1, n, int(rng.integers(0, 3))):
        shift[at:] += int(rng.choice([500, 3_000])) * MS
        session[at:] += 1
    after = np.minimum(np.searchsorted(book.ts_event, trades.ts_event), n - 1)
    return (
        BookSeries(
            symbol=SYMBOL,
            ts_event=book.ts_event + shift,
            bid_price=book.bid_price,
            bid_size=book.bid_size,
            ask_price=book.ask_price,
            ask_size=book.ask_size,
            session=session,
        ),
        TradeSeries(
            symbol=SYMBOL,
            ts_event=trades.ts_event + shift[after],
            price=trades.price,
            size=trades.size,
            taker_buy=trades.taker_buy,
        ),
    )
