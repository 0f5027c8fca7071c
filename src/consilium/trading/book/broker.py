"""The book broker: an exchange made of recorded books and trades, which know nothing of our orders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from consilium.domain import Funding, Instrument, Order, OrderEvent, OrderStatus, Position
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.book.account import BookAccount
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.market import BookMarket
from consilium.trading.book.register import BookHappening, Register, said


class BookBroker:
    """An exchange that replays recorded markets; the port ``Broker`` and ``advance``, which lets time pass.

    An order reaches the exchange ``latency_ns`` after its time and meets the newest book at or before that.
    What crosses takes, level by level. What rests waits behind its share of the level, and is filled at its
    price by a trade through it, by a trade at it once those ahead are gone, or by a book that crosses it, up
    to the size recorded there. Those ahead are never more than the level shows; orders that leave the level
    are taken to stand behind us. A stop waits until a trade (or the book) reaches its price, and then takes,
    or with a ``limit_price`` becomes that limit order. At one time trades come before the book, the book
    before orders that arrive. After a gap (a new session) resting orders go to the back of their level.
    Nothing fills while the book is older than ``max_age_ns``: an order that arrives is rejected with
    ``stale_book``, and a trade that passes resting orders is counted in ``passed_over``.

    Parameters
    ----------
    initial_cash
        Quote units, > 0.
    execution
        Latency, bound of age, place in the queue, triggers, leverage of perpetuals.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> market = simulate_book(snapshots=100, seed=1)
    >>> broker = BookBroker(1_000.0)
    >>> broker.attach(Instrument(symbol="SIM00"), market.book, market.trades)
    >>> start = int(market.book.ts_event[0])
    >>> broker.submit(Order(order_id="1", symbol="SIM00", side="BUY", quantity=2.0, ts_event=start))
    []
    >>> [type(happening).__name__ for happening in broker.advance(start + 10**8)]
    ['OrderEvent', 'Fill']
    """

    def __init__(self, initial_cash: float, execution: BookExecution | None = None) -> None:
        self.execution = BookExecution() if execution is None else execution
        self.account = BookAccount(initial_cash, self.execution)
        self.now = 0
        self._register = Register()
        self._markets: dict[str, BookMarket] = {}

    def attach(
        self, instrument: Instrument, book: BookSeries, trades: TradeSeries, funding: Sequence[Funding] = ()
    ) -> None:
        """List a symbol with its terms and its record.

        Parameters
        ----------
        instrument
            Terms; all symbols of an account are spot, or all are linear perpetuals.
        book, trades
            Of that symbol.
        funding
            Recorded funding of a perpetual; without it the execution's rate is paid every 8 h.
        """
        market = BookMarket(book, trades, instrument, self.account, self._register, funding)
        self._markets[instrument.symbol] = market

    @property
    def cash(self) -> float:
        """Cash, with every position counted as paid in full."""
        return self.account.cash

    def market(self, symbol: str) -> BookMarket:
        """Return what is kept of one symbol."""
        return self._markets[symbol]

    @property
    def forced(self) -> Mapping[str, Order]:
        """Orders with which the exchange took positions away, by id."""
        return dict(chain.from_iterable(market.forced.items() for market in self._markets.values()))

    @property
    def passed_over(self) -> Counter[str]:
        """Trades that would have met resting orders and did not, by reason."""
        return sum((market.passed_over for market in self._markets.values()), Counter())

    # the port

    def submit(self, order: Order) -> Sequence[OrderEvent]:
        """Send an order; what becomes of it is said by ``advance``. Times must not go back."""
        if self._register.known(order.order_id):
            return [said(order.order_id, OrderStatus.REJECTED, "duplicate_order_id", order.ts_event)]
        market = self._markets.get(order.symbol)
        if market is None:
            self._register.end(order.order_id, OrderStatus.REJECTED.value)
            return [said(order.order_id, OrderStatus.REJECTED, "unknown_symbol", order.ts_event)]
        market.send(order.ts_event, order)
        self._register.enter(order)
        return []

    def cancel(self, order_id: str, ts_event: int) -> Sequence[OrderEvent]:
        """Send a withdrawal, as slow as an order; one of an unknown or finished order is rejected at once."""
        if not self._register.is_open(order_id):
            return [self._register.no_cancel(order_id, ts_event)]
        self._markets[self._register.sent[order_id].symbol].send(ts_event, order_id)
        return []

    def open_orders(self) -> Mapping[str, Order]:
        """Return the orders that wait or are on their way, by id."""
        return dict(self._register.sent)

    def is_open(self, order_id: str) -> bool:
        """Whether an order waits or is on its way."""
        return self._register.is_open(order_id)

    def positions(self) -> Mapping[str, Position]:
        """Return what is held, by symbol."""
        return self.account.positions()

    # time

    def advance(self, until: int, *, pause: bool = False) -> list[BookHappening]:
        """Let the recorded markets run up to and including a time; return what became of our orders.

        Parameters
        ----------
        until
            UTC nanoseconds, not before an earlier call's.
        pause
            Stop at the first thing that is said, so that the caller can answer at ``now``.
        """
        while True:
            market = min(self._markets.values(), key=BookMarket.next_time, default=None)
            ts = float("inf") if market is None else market.next_time()
            if market is None or ts > until:
                self.now = max(self.now, until)
                for each in self._markets.values():
                    each.run_to(until)
                break
            market.step(int(ts))
            self.now = int(ts)
            if pause and self._register.out:
                break
        return self._register.emptied()

    def close_down(self, ts: int) -> list[BookHappening]:
        """Cancel whatever is open, at once: the record is over."""
        for market in self._markets.values():
            market.close_down(ts)
        return self._register.emptied()
