"""Recorded books and trades at some paths: whose they are, and one symbol's at a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl

from consilium.domain.errors import DataProblem, UnknownName
from consilium.market.book.archive import KINDS, is_archive, missing_trades, recorded_symbols
from consilium.market.book.recorded import RecordedFile, is_recorded
from consilium.market.book.series import SIDES, BookSeries
from consilium.market.book.sources import load_book, load_trades, market_named
from consilium.market.book.trades import TradeSeries
from consilium.market.collector.gap_log import read_gaps
from consilium.market.files import unreadable

Path_ = Path | str
FOREVER = int(np.iinfo(np.int64).max)
LOADERS: dict[str, Callable[..., BookSeries | TradeSeries]] = {"books": load_book, "trades": load_trades}
COLUMNS = {"books": {"exch_ms", "bid_px_1"}, "trades": {"exch_ms", "price", "qty"}}
"""What tells a file of levels from one of trades."""

Columns = TypeVar("Columns", BookSeries, TradeSeries)


class Recordings(Protocol):
    """Books and trades of several symbols; each call reads one symbol's anew, so that memory holds one."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names in alphabetical order."""
        ...

    def book(self, symbol: str) -> BookSeries:
        """Return the books of a symbol."""
        ...

    def trades(self, symbol: str) -> TradeSeries:
        """Return the trades of a symbol."""
        ...

    def trade_gaps(self, symbol: str) -> list[tuple[int, int]]:
        """Return stretches of time, UTC nanoseconds, in which trades of a symbol are missing."""
        ...


def plain_symbol(symbol: str) -> str:
    """Return a symbol as it is compared: BTC/USDT, btc-usdt and BTCUSDT are one.

    Examples
    --------
    >>> plain_symbol("btc/USDT"), plain_symbol("BTCUSD_PERP")
    ('BTCUSDT', 'BTCUSD_PERP')
    """
    return symbol.upper().replace("/", "").replace("-", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Where rows of one symbol lie: a file, or the folder of a recorder."""

    kind: str
    venue: str
    symbol: str
    path: Path
    load: Callable[[], BookSeries | TradeSeries]


class RecordedFiles:
    """Recordings in files: parquet files of levels and of trades, folders of them, folders of a recorder.

    Parameters
    ----------
    paths
        Files and folders. Beside a file of levels its trades are found by the name
        (``..._l20_20240808.parquet`` and ``..._trades_20240808.parquet``).

    Raises
    ------
    DataProblem
        Nothing recorded lies there, or a file is damaged.
    """

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self._parts: dict[str, list[_Part]] = {}
        seen: set[tuple[str, Path]] = set()
        for path in paths:
            for part in _parts_at(Path(path)):
                if (key := (part.kind + part.symbol, part.path.resolve())) not in seen:
                    seen.add(key)
                    self._parts.setdefault(plain_symbol(part.symbol), []).append(part)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names in alphabetical order."""
        return tuple(sorted(self._parts))

    def has(self, kind: str, symbol: str) -> bool:
        """Tell whether there are ``books`` or ``trades`` of a symbol."""
        return any(part.kind == kind for part in self._parts.get(plain_symbol(symbol), ()))

    def book(self, symbol: str) -> BookSeries:
        """Return the books of a symbol; several files are put behind one another, a session each.

        Raises
        ------
        DataProblem
            None there, of two venues, or two files cover one time.
        UnknownName
            Nothing is recorded of the symbol.
        """
        parts = [part for part in self._load("books", symbol) if isinstance(part, BookSeries)]
        return parts[0] if len(parts) == 1 else _joined_books(parts)

    def trades(self, symbol: str) -> TradeSeries:
        """Return the trades of a symbol.

        Raises
        ------
        DataProblem
            None there, of two venues, or two files cover one time.
        UnknownName
            Nothing is recorded of the symbol.
        """
        parts = [part for part in self._load("trades", symbol) if isinstance(part, TradeSeries)]
        return parts[0] if len(parts) == 1 else _joined_trades(parts)

    def trade_gaps(self, symbol: str) -> list[tuple[int, int]]:
        """Return the stretches in which trades are missing, by the exchange's time, each once.

        Those that a recorder logged, and those over which its trades skip numbers, as where a file is gone.
        The log of a single file is that of the recorder's folder in which it lies; elsewhere it has none.

        Raises
        ------
        DataProblem
            A log is damaged.
        """
        found = []
        parts = [part for part in self._parts.get(plain_symbol(symbol), ()) if part.kind == "trades"]
        for venue, name in dict.fromkeys((part.venue, part.symbol) for part in parts):
            paths = (part.path for part in parts if (part.venue, part.symbol) == (venue, name))
            found.extend(missing_trades(paths, name, venue))
        logs = dict.fromkeys((_recorder_of(part.path), part.venue, part.symbol) for part in parts)
        for folder, venue, name in logs:
            for gap in [] if folder is None else read_gaps(folder):
                if (gap.get("kind"), gap.get("venue"), gap.get("symbol")) == ("trades", venue, name):
                    begin, end = gap.get("ts_event_begin"), gap.get("ts_event_end")
                    found.append((0 if begin is None else int(begin), FOREVER if end is None else int(end)))
        return sorted(set(found))

    def _load(self, kind: str, symbol: str) -> list[BookSeries | TradeSeries]:
        found = self._parts.get(plain_symbol(symbol))
        if found is None:
            raise UnknownName("recorded symbol", symbol, self._parts)
        venues = sorted({part.venue for part in found if part.venue})
        if len(venues) > 1:
            raise DataProblem(
                f"what is recorded of {symbol} must be of one venue",
                " and ".join(venues),
                "name the files of one of them",
            )
        chosen = [part for part in found if part.kind == kind]
        if not chosen:
            others = ", ".join(sorted({part.path.name for part in found}))
            raise DataProblem(
                f"{symbol} needs recorded {kind}",
                f"only {others}",
                f"name the file of its {kind} too, or a folder that holds books and trades",
            )
        loaded = [part.load() for part in chosen]
        return sorted(loaded, key=lambda series: int(series.ts_event[0]))


def _recorder_of(path: Path) -> Path | None:
    """Return the folder of the recorder that wrote a file, or that this is; None for a file elsewhere."""
    path = path.resolve()
    if path.is_dir():
        return path
    return next(
        (
            folder
            for folder in path.parents
            if path.relative_to(folder).parts[0] in KINDS and is_archive(folder)
        ),
        None,
    )


def is_recording(path: Path) -> bool:
    """Tell whether a path holds recorded books or trades and not candles."""
    try:
        return bool(_parts_at(path))
    except DataProblem:
        return False


def _parts_at(path: Path) -> list[_Part]:
    if not path.exists():
        raise DataProblem("a recording must exist", f"'{path}'", "check the path")
    if path.is_file():
        part = _part_of_file(path)
        if part is None:
            raise DataProblem(
                f"{path.name} must hold books (bid_px_1, ...) or trades (price, qty, buyer_is_maker)",
                "other columns",
                "give a file of recorded levels or trades",
            )
        return [part, *_trades_beside(part)]
    if is_archive(path):
        found = _parts_of_recorder(path)
    else:
        files = sorted(p for p in path.glob("*.parquet") if not p.name.startswith("."))
        found = [part for part in map(_part_of_file, files) if part is not None]
    if not found:
        raise DataProblem(
            f"'{path}' must hold recorded books or trades",
            "none",
            "give the folder of a recorder, or one of parquet files of levels and trades",
        )
    return found


def _part_of_file(path: Path) -> _Part | None:
    try:
        if is_recorded(path):
            head = RecordedFile(path).head
            load = partial(LOADERS[head.kind], path)
            return _Part(kind=head.kind, venue=head.venue, symbol=head.symbol, path=path, load=load)
        columns = pl.read_parquet_schema(path).keys()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error
    kind = next((kind for kind, needed in COLUMNS.items() if needed <= columns), None)
    if kind is None:
        return None
    symbol, venue = market_named(path)
    return _Part(kind=kind, venue=venue, symbol=symbol, path=path, load=partial(LOADERS[kind], path))


def _trades_beside(part: _Part) -> list[_Part]:
    if part.kind != "books":
        return []
    name, _, day = part.path.stem.rpartition("_l")
    beside = part.path.with_name(f"{name}_trades_{day.partition('_')[2]}{part.path.suffix}")
    found = _part_of_file(beside) if name and beside.is_file() else None
    return [found] if found is not None and found.kind == "trades" else []


def _parts_of_recorder(folder: Path) -> list[_Part]:
    return [
        _Part(
            kind=kind,
            venue=venue,
            symbol=symbol,
            path=folder,
            load=partial(LOADERS[kind], folder, symbol=symbol, venue=venue),
        )
        for kind in KINDS
        for venue, symbol in recorded_symbols(folder, kind)
    ]


def _in_order(parts: Sequence[Columns]) -> Sequence[Columns]:
    for one, other in pairwise(parts):
        if other.ts_event[0] < one.ts_event[-1]:
            raise DataProblem(
                f"recordings of {one.symbol} must follow one another",
                f"one from {other.ts_event[0]} while another lasts until {one.ts_event[-1]}",
                "name each time once",
            )
    return parts


def _joined_books(parts: Sequence[BookSeries]) -> BookSeries:
    first = _in_order(parts)[0]
    levels = {part.levels for part in parts}
    if len(levels) > 1:
        raise DataProblem(
            f"books of {first.symbol} must have equally many levels", sorted(levels), "name files that have"
        )
    sessions, after = [], 0
    for part in parts:
        sessions.append(part.session - part.session[0] + after)
        after = int(sessions[-1][-1]) + 1
    sides = {name: np.concatenate([getattr(part, name) for part in parts]) for name in SIDES}
    return BookSeries(
        symbol=first.symbol,
        venue=first.venue,
        ts_event=np.concatenate([part.ts_event for part in parts]),
        session=np.concatenate(sessions),
        **sides,
    )


def _joined_trades(parts: Sequence[TradeSeries]) -> TradeSeries:
    first = _in_order(parts)[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("ts_event", "price", "size", "taker_buy")
    }
    return TradeSeries(symbol=first.symbol, venue=first.venue, **columns)
