"""What the collector needs of an exchange, and what it needs of who keeps the books."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
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


class Sink(Protocol):
    """Who keeps what was collected."""

    def take_book(self, keeper: BookKeeper) -> None:
        """Take the book that a keeper holds now."""

    def take_trade(self, trade: TradeMessage) -> None:
        """Take a trade."""
