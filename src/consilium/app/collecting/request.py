"""What `consilium collect` was asked for, checked before anything is opened."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from consilium.domain import OutputProblem, UnknownName, UsageError
from consilium.domain.tables import missing_package
from consilium.domain.time import length_ns
from consilium.market.book.archive import newest_head
from consilium.market.collector.ring import RING

MOST_LEVELS = 500
MOST_SYMBOLS = 300
"""Three streams each: Binance allows 1,024 on one connection."""

LEAST_RING = 1_000
RING_SHARE = 0.5
_BYTES_A_LEVEL = 2 * 2 * 8
_BYTES_A_BOOK = 5 * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """Which books to record, where, and within which bounds.

    Parameters
    ----------
    symbols
        As the exchange writes them, each once.
    levels
        A side, in [1, 500].
    interval
        Of the depth stream, one of the market's.
    market
        ``spot``, ``usdm`` or ``coinm``.
    folder
        Where to write.
    seconds
        How long; None until it is ended.
    rest_url, stream_url
        Other addresses than the exchange's own; "" for those.
    max_disk, max_memory, min_free
        Bytes: what the folder may hold, what the process may use, what the disk must keep free.
    """

    symbols: tuple[str, ...]
    levels: int
    interval: str
    market: str
    folder: Path
    seconds: float | None
    rest_url: str
    stream_url: str
    max_disk: int
    max_memory: int
    min_free: int

    @property
    def ring(self) -> int:
        """Newest books of each symbol kept in memory: 10,000, or what half the memory holds."""
        book = self.levels * _BYTES_A_LEVEL + _BYTES_A_BOOK
        return min(RING, int(self.max_memory * RING_SHARE) // (len(self.symbols) * book))

    def check(self) -> None:
        """Refuse what cannot work.

        Raises
        ------
        UnknownName
            No such market, or an interval that it does not have.
        UsageError
            A number outside its bound, only one of two addresses, or aiohttp is not installed.
        OutputProblem
            The folder cannot be written to.
        """
        try:
            from consilium.market.collector.binance import INTERVALS
        except ModuleNotFoundError as error:
            raise missing_package("collect", error) from None
        if self.market not in INTERVALS:
            raise UnknownName("market", self.market, INTERVALS)
        if self.interval not in INTERVALS[self.market]:
            raise _unknown_interval(self.interval, self.market, tuple(INTERVALS[self.market]))
        if not 1 <= self.levels <= MOST_LEVELS:
            raise UsageError(f"--levels must lie in [1, {MOST_LEVELS}]", self.levels, "use 20")
        _require_symbols(self.symbols)
        _require_urls(self.rest_url, self.stream_url)
        if self.ring < LEAST_RING:
            raise UsageError(
                f"--max-memory must hold {LEAST_RING:,} books of each symbol in half of it",
                f"{self.max_memory:,} bytes for {len(self.symbols)} symbols of {self.levels} levels",
                "raise it, or collect fewer symbols or levels",
            )
        require_folder(self.folder)


def _unknown_interval(interval: str, market: str, known: Sequence[str]) -> UsageError:
    """Return what refuses an interval; one that is only written otherwise, as 1s, is named as it must be."""
    with suppress(UsageError):
        same = [name for name in known if length_ns(name) == length_ns(interval)]
        if same:
            return UsageError(
                f"interval of {market} must be one of {', '.join(known)}",
                f"'{interval}'",
                f"did you mean '{same[0]}'?",
            )
    return UnknownName(f"interval of {market}", interval, known)


def require_levels(folder: Path, venue: str, symbols: Sequence[str], levels: int) -> None:
    """Refuse to add books of other levels to those of a folder: they could not be read as one series.

    Raises
    ------
    UsageError
        The newest books of a symbol have other levels.
    """
    for symbol in symbols:
        head, _ = newest_head(folder, "books", venue, symbol)
        if head is not None and head.levels != levels:
            raise UsageError(
                f"--levels must be {head.levels}, as of the books of {symbol} in '{folder}'",
                levels,
                f"use --levels {head.levels}, or another --folder",
            )


def _require_symbols(symbols: Sequence[str]) -> None:
    if len(symbols) > MOST_SYMBOLS:
        raise UsageError(
            f"one collector takes at most {MOST_SYMBOLS} symbols",
            len(symbols),
            "start several, a folder each",
        )
    for symbol in symbols:
        if not (symbol.replace("_", "").isalnum() and symbol.isascii()):
            raise UsageError(
                "a symbol is letters and digits", f"'{symbol}'", "write it as the exchange does: BTCUSDT"
            )


def _require_urls(rest: str, stream: str) -> None:
    if bool(rest) != bool(stream):
        raise UsageError(
            "--rest-url and --stream-url go together", f"only {rest or stream}", "give both, or neither"
        )
    for option, url, schemes in (
        ("--rest-url", rest, ("http://", "https://")),
        ("--stream-url", stream, ("ws://", "wss://")),
    ):
        if url and not url.startswith(schemes):
            raise UsageError(f"{option} must begin with {' or '.join(schemes)}", f"'{url}'", "correct it")


def require_folder(folder: Path) -> None:
    """Make a folder and refuse one that cannot be written to.

    Raises
    ------
    OutputProblem
        It is a file, or it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise OutputProblem(
            "--folder must be writable",
            f"{folder}: {error.strerror}",
            "choose another folder or change its permissions",
        ) from None
