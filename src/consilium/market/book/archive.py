"""The folder of a recorder: where its files lie, and books and trades read back from many of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import numpy as np

from consilium.domain.errors import DataProblem, UnknownName
from consilium.domain.time import to_iso
from consilium.market.book.recorded import Head, RecordedFile, is_recorded
from consilium.market.book.scaled_rows import Rows, ScaledBooks, ScaledTrades, book_series, joined
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.files import unreadable

KINDS = ("books", "trades")
JOINED = "_joined"
R = TypeVar("R", bound=Rows)
_ATTEMPTS = 5


def symbol_folder(folder: Path, kind: str, venue: str, symbol: str) -> Path:
    """Return where the days of one symbol lie."""
    return folder / kind / f"venue={quote(venue, safe='')}" / f"symbol={quote(symbol, safe='')}"


def day_folder(folder: Path, kind: str, venue: str, symbol: str, ts: int) -> Path:
    """Return where the files of the UTC day of a time lie."""
    return symbol_folder(folder, kind, venue, symbol) / f"day={to_iso(ts)[:10]}"


def is_archive(path: Path) -> bool:
    """Return whether a recorder wrote into this folder."""
    return any((path / kind).is_dir() for kind in KINDS)


def recorded_symbols(folder: Path, kind: str = "books") -> list[tuple[str, str]]:
    """Return (venue, symbol) of all that was recorded, in order."""
    return sorted(
        (unquote(path.parent.name.removeprefix("venue=")), unquote(path.name.removeprefix("symbol=")))
        for path in (folder / kind).glob("venue=*/symbol=*")
        if next(path.glob("day=*/*.parquet"), None) is not None
    )


def read_books(
    folder: Path, symbol: str = "", venue: str = "", start: int | None = None, end: int | None = None
) -> BookSeries:
    """Return the books of one symbol with ``start <= ts_event < end``; sessions rise where they were broken.

    Parameters
    ----------
    folder
        Of a recorder.
    symbol, venue
        Whose; may be left out where only one was recorded.
    start, end
        UTC nanoseconds; None for all.

    Raises
    ------
    UnknownName
        Nothing was recorded of the symbol, or several symbols were and none is named.
    DataProblem
        A file is damaged or foreign, files overlap, or nothing was recorded in that time.
    """
    venue, symbol = _chosen(folder, "books", symbol, venue)
    parts = _settled(lambda: _books(_files(folder, "books", venue, symbol, start, end), start, end))
    some = _some(parts, symbol, start, end)
    _require_order(symbol, some)
    return book_series(some, symbol, venue)


def read_trades(
    folder: Path, symbol: str = "", venue: str = "", start: int | None = None, end: int | None = None
) -> TradeSeries:
    """Return the trades of one symbol with ``start <= ts_event < end``; parameters as of `read_books`."""
    venue, symbol = _chosen(folder, "trades", symbol, venue)
    parts = _settled(
        lambda: [f.trades(start, end) for f in _files(folder, "trades", venue, symbol, start, end)]
    )
    trades = joined(_some(parts, symbol, start, end))
    if len(set(trades.trade_id.tolist())) != len(trades):
        raise DataProblem(f"each trade of {symbol} must be recorded once", "one twice", "take a copy away")
    return trades.series(symbol, venue)


def missing_trades(paths: Iterable[Path], symbol: str, venue: str) -> list[tuple[int, int]]:
    """Return where numbers of trades are skipped: UTC nanoseconds of the trades before and after.

    A recorder logs most of them; a file that is gone leaves no line in its log.

    Parameters
    ----------
    paths
        Files of trades of a recorder, and folders of one.
    symbol, venue
        Whose.
    """
    parts = [trades for path in paths for trades in _trades_at(path, symbol, venue)]
    if not parts:
        return []
    trades = joined(parts)
    order = np.argsort(trades.trade_id, kind="stable")
    number, ts = trades.trade_id[order], trades.ts_event[order]
    return [(int(ts[i]), int(ts[i + 1])) for i in np.flatnonzero(np.diff(number) > 1)]


def _trades_at(path: Path, symbol: str, venue: str) -> list[ScaledTrades]:
    if path.is_dir():
        return _settled(lambda: [f.trades() for f in _files(path, "trades", venue, symbol, None, None)])
    return _settled(lambda: [RecordedFile(path).trades()] if is_recorded(path) else [])


def day_files(day: Path, venue: str, symbol: str) -> list[RecordedFile]:
    """Return the files of a day in their order, without those that another one replaces.

    Raises
    ------
    DataProblem
        A file is damaged, or of another symbol.
    """
    found = {path.name: RecordedFile(path) for path in sorted(day.glob("*.parquet"))}
    for name, file in found.items():
        if (file.head.venue, file.head.symbol) != (venue, symbol):
            raise DataProblem(
                f"{name} must be of {symbol} at {venue}",
                f"{file.head.symbol} at {file.head.venue}",
                "put it back where it was recorded",
            )
    gone = {name for file in found.values() for name in file.head.replaces}
    return sorted(
        (file for name, file in found.items() if name not in gone), key=lambda file: file.head.order
    )


def _files(
    folder: Path, kind: str, venue: str, symbol: str, start: int | None, end: int | None
) -> Iterator[RecordedFile]:
    first = "" if start is None else f"day={to_iso(start)[:10]}"
    last = "day=~" if end is None else f"day={to_iso(end - 1)[:10]}"
    for day in sorted(symbol_folder(folder, kind, venue, symbol).glob("day=*")):
        if first <= day.name <= last:
            yield from (f for f in day_files(day, venue, symbol) if f.head.overlaps(start, end))


def _books(files: Iterable[RecordedFile], start: int | None, end: int | None) -> list[ScaledBooks]:
    """Return the books of files in their order; the session rises where one between them is gone."""
    parts, before, raised = [], None, 0
    for file in files:
        head, books = file.head, file.books(start, end)
        if before is not None and head.first_session == before.last_session and not head.follows(before):
            raised += 1
        parts.append(replace(books, session=books.session + raised) if raised else books)
        before = head
    return parts


def _settled(read: Callable[[], list[R]]) -> list[R]:
    """Read again where a file went away meanwhile: what replaces it is there."""
    for _ in range(_ATTEMPTS):
        try:
            return read()
        except FileNotFoundError as error:
            missing = error
        except OSError as error:
            raise unreadable(Path(error.filename or "file"), error) from error
    raise DataProblem("files must stay while they are read", missing.filename, "read again") from missing


def _chosen(folder: Path, kind: str, symbol: str, venue: str) -> tuple[str, str]:
    known = recorded_symbols(folder, kind)
    if not known:
        raise DataProblem(f"'{folder}' must hold recorded {kind}", "none", "record some: consilium collect")
    found = [(v, s) for v, s in known if symbol in {"", s} and venue in {"", v}]
    if len(found) != 1:
        if symbol and not found:
            raise UnknownName("symbol", symbol, {s for _, s in known})
        raise DataProblem(
            "one recorded symbol must be named",
            ", ".join(f"{s} at {v}" for v, s in found or known),
            "give symbol, and venue where there are several",
        )
    return found[0]


def _some(parts: list[R], symbol: str, start: int | None, end: int | None) -> list[R]:
    some = [part for part in parts if len(part)]
    if not some:
        span = [
            ("the beginning" if start is None else to_iso(start)),
            ("the end" if end is None else to_iso(end)),
        ]
        raise DataProblem(
            f"something of {symbol} must be recorded from {span[0]} to {span[1]}",
            "nothing",
            "widen the range",
        )
    return some


def _require_order(symbol: str, parts: list[ScaledBooks]) -> None:
    ts, update, session = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ts_event", "update", "session")
    )
    later = (ts[1:] > ts[:-1]) | ((ts[1:] == ts[:-1]) & (update[1:] != update[:-1]))
    wrong = (~later | (session[1:] < session[:-1])).nonzero()[0]
    if len(wrong):
        raise DataProblem(
            f"recorded books of {symbol} must follow one another",
            f"two that overlap at {to_iso(int(ts[wrong[0] + 1]))}",
            "keep one recorder's files in a folder",
        )


def newest_head(folder: Path, kind: str, venue: str, symbol: str) -> tuple[Head | None, int]:
    """Return what the file with the last row says of itself, and how many unreadable ones were passed over.

    Only joined files may reach beyond one with a later name: the others are written one after another.
    """
    unreadable_files = 0
    for day in sorted(symbol_folder(folder, kind, venue, symbol).glob("day=*"), reverse=True):
        found: list[Head] = []
        for path in sorted(day.glob("*.parquet"), key=_first_ts, reverse=True):
            if found and not path.stem.endswith(JOINED):
                continue
            try:
                found.append(RecordedFile(path).head)
            except (DataProblem, OSError):
                unreadable_files += 1
        if found:
            return max(found, key=lambda head: (head.last_ts, head.last_id)), unreadable_files
    return None, unreadable_files


def _first_ts(path: Path) -> tuple[int, str]:
    first = path.stem.split("_")[0]
    return (int(first) if first.isdigit() else -1), path.stem
