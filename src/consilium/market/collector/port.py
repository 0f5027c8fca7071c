"""What the collector needs of an exchange, and what it needs of who keeps the books."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import DepthSnapshot, Message, Refused, TradeMessage


class Venue(Protocol):
    """An exchange behind its websocket and its requests.

    A lost connection ends the iteration or raises ``ConnectionError``; a request that may succeed later
    raises `TryLater`; one that never will raises a `consilium.domain.ConsiliumError`.
    """

    name: str

    def listen(self, symbols: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Connect, and return the messages of the depth, best price and trade streams as they come."""

    def read(self, payload: bytes, ts_local: int) -> Message | None:
        """Read one message."""

    async def snapshot(self, symbol: str, ts_local: int) -> DepthSnapshot | Refused:
        """Ask for the whole book of one symbol."""

    async def check(self, symbols: Sequence[str]) -> None:
        """Refuse symbols that the exchange does not trade."""


class TryLater(Exception):
    """The exchange asks for a pause.

    Parameters
    ----------
    said
        What it said.
    pause_s
        How long, in seconds; 0 if it did not say.
    """

    def __init__(self, said: str, pause_s: float = 0.0) -> None:
        super().__init__(said)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which a book could not be read.

    Parameters
    ----------
    symbol
        Whose.
    cause
        What made it unreadable, a name of `consilium.market.book.keeper.COUNTED`.
    ts_begin, ts_end
        UTC nanoseconds on arrival: the last readable book, None where a former run saw it, and the first
        after it; None while it lasts.
    ts_event_begin, ts_event_end
        The same two books by the exchange's time, as they are kept.
    """

    symbol: str
    cause: str
    ts_begin: int | None
    ts_end: int | None = None
    ts_event_begin: int
    ts_event_end: int | None = None


class Sink(Protocol):
    """Who keeps what was collected."""

    def take_book(self, keeper: BookKeeper) -> None:
        """Take the book that a keeper holds now."""

    def take_trade(self, trade: TradeMessage) -> None:
        """Take a trade."""

    def take_gap(self, gap: Gap) -> None:
        """Take a gap twice: when it opens, and with its end before the book that closes it is handed over."""
