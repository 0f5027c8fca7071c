"""Recorded books and trades as parquet files: each can be read alone, exactly, or is refused."""

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilium.domain.errors import DataProblem
from consilium.domain.time import SECOND_NS
from consilium.market.book.changes import Changes, from_changes, to_changes
from consilium.market.book.scaled import UNIT
from consilium.market.book.scaled_rows import Integers, Rows, ScaledBooks, ScaledTrades, joined

FORMAT = 1
BLOCK = 1_000
CHUNK = 50 * BLOCK
LONGEST_SILENCE_NS = 5 * SECOND_NS
COMPRESSION = 9
HEAD, SEAL = "consilium", "consilium.seal"
_MARK = b"blake2b:"
_DIGEST_BYTES = 16
_FOOT = 65_536
_UNSEALED = _MARK + b"0" * (2 * _DIGEST_BYTES)
_CURE = "restore the file, or take it away: the others can be read without it"
_SIDES = (("bid", False), ("ask", True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a file says of itself, in its metadata under ``consilium``.

    Parameters
    ----------
    kind
        ``books`` or ``trades``.
    venue, symbol
        Whose.
    interval
        Of the stream it was recorded from, "" if unknown.
    levels
        Levels a side, 0 for trades.
    rows, first_ts, last_ts
        How many, and the exchange's earliest and latest time.
    first_id, last_id
        Numbers of its first and last update, or trade.
    first_session, last_session
        Of books; 0 for trades.
    price_unit, size_unit
        What 1 means in the file, in units of 1e-8.
    block
        Every so many rows a book is told whole.
    replaces
        Files of the same folder that hold the same rows: they count as not there.
    previous_id
        Of books, the number of the update of the row written before, None if there is none or it is unknown.
    """

    kind: str
    venue: str
    symbol: str
    interval: str
    levels: int
    rows: int
    first_ts: int
    last_ts: int
    first_id: int
    last_id: int
    first_session: int = 0
    last_session: int = 0
    price_unit: int
    size_unit: int
    block: int = BLOCK
    replaces: tuple[str, ...] = ()
    previous_id: int | None = None

    def follows(self, other: "Head") -> bool:
        """Return whether no books lay between another file and this one.

        Where it was not written what came before, a silence of more than 5 s counts as a hole.
        """
        if self.previous_id is None:
            return self.first_ts - other.last_ts <= LONGEST_SILENCE_NS
        return self.previous_id == other.last_id

    def overlaps(self, start: int | None, end: int | None) -> bool:
        """Return whether rows may lie in ``start <= ts_event < end``."""
        return (start is None or self.last_ts >= start) and (end is None or self.first_ts < end)

    @property
    def order(self) -> tuple[int, int, int]:
        """Where the file stands among those of its symbol."""
        return self.first_session, self.first_ts, self.first_id


def book_file(
    books: ScaledBooks,
    *,
    venue: str,
    symbol: str,
    interval: str = "",
    replaces: tuple[str, ...] = (),
    previous_id: int | None = None,
    compression: int = COMPRESSION,
) -> bytes:
    """Return the file of books, at least one.

    Parameters
    ----------
    compression
        Of zstd, 1 to 22, default 9.
    """
    price_unit, size_unit = _units((books.bid_price, books.ask_price), (books.bid_size, books.ask_size))
    columns: dict[str, Any] = {
        "ts_event": books.ts_event,
        "lag_ns": books.ts_local - books.ts_event,
        "session": books.session,
        "update": books.update,
        "certain": books.certain,
    }
    for side, _ in _SIDES:
        price, size = getattr(books, f"{side}_price"), getattr(books, f"{side}_size")
        changes = to_changes(price // price_unit, size // size_unit, BLOCK)
        columns[f"{side}_price"] = _lists(changes.counts, changes.price)
        columns[f"{side}_size"] = _lists(changes.counts, changes.size)
    head = Head(
        kind="books",
        venue=venue,
        symbol=symbol,
        interval=interval,
        levels=int(books.bid_price.shape[1]),
        first_id=int(books.update[0]),
        last_id=int(books.update[-1]),
        first_session=int(books.session[0]),
        last_session=int(books.session[-1]),
        price_unit=price_unit,
        size_unit=size_unit,
        replaces=replaces,
        previous_id=previous_id,
        **_span(books),
    )
    return _written(pl.DataFrame(columns), head, compression)


def trade_file(
    trades: ScaledTrades,
    *,
    venue: str,
    symbol: str,
    interval: str = "",
    replaces: tuple[str, ...] = (),
    compression: int = COMPRESSION,
) -> bytes:
    """Return the file of trades, at least one, in the order of their numbers."""
    price_unit, size_unit = _units((trades.price,), (trades.size,))
    columns = {
        "ts_event": trades.ts_event,
        "lag_ns": trades.ts_local - trades.ts_event,
        "trade_id": trades.trade_id,
        "price": trades.price // price_unit,
        "size": trades.size // size_unit,
        "taker_buy": trades.taker_buy,
    }
    head = Head(
        kind="trades",
        venue=venue,
        symbol=symbol,
        interval=interval,
        levels=0,
        first_id=int(trades.trade_id[0]),
        last_id=int(trades.trade_id[-1]),
        price_unit=price_unit,
        size_unit=size_unit,
        replaces=replaces,
        **_span(trades),
    )
    return _written(pl.DataFrame(columns), head, compression)


def _span(rows: Rows) -> dict[str, int]:
    return {"rows": len(rows), "first_ts": int(rows.ts_event.min()), "last_ts": int(rows.ts_event.max())}


def _units(prices: tuple[Integers, ...], sizes: tuple[Integers, ...]) -> tuple[int, int]:
    """Return the largest units that all prices and all sizes are whole multiples of."""
    found = [
        int(np.gcd.reduce([np.gcd.reduce(part, axis=None) for part in parts])) for parts in (prices, sizes)
    ]
    return max(found[0], 1), max(found[1], 1)


def _lists(counts: Integers, values: Integers) -> pl.Series:
    """Return one list a row, null where there are none."""
    row = np.arange(len(counts))
    told = pl.DataFrame({"row": np.repeat(row, counts), "value": values})
    lists = told.group_by("row", maintain_order=True).agg("value")
    return pl.DataFrame({"row": row}).join(lists, on="row", how="left", maintain_order="left")["value"]


def _written(table: pl.DataFrame, head: Head, compression: int) -> bytes:
    out = BytesIO()
    table.write_parquet(
        out,
        compression="zstd",
        compression_level=compression,
        statistics=False,
        row_group_size=CHUNK,
        metadata={
            HEAD: json.dumps({"format": FORMAT, "scale": UNIT, **asdict(head)}),
            SEAL: _UNSEALED.decode(),
        },
    )
    body = out.getvalue()
    return body.replace(_UNSEALED, _sealed(body))


def _sealed(body: bytes) -> bytes:
    return _MARK + blake2b(body, digest_size=_DIGEST_BYTES).hexdigest().encode()


def is_recorded(path: Path) -> bool:
    """Return whether a file says that a recorder wrote it; it may be damaged.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _FOOT, 0))
        return _MARK in file.read()


class RecordedFile:
    """A file of recorded books or trades, known to be whole.

    The digest in its metadata is that of the file with zeros in the digest's place: a file cut short or with
    one bit turned is refused before anything reads it.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DataProblem
        It is damaged, cut short, of another kind, or of a newer format.
    OSError
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._body = path.read_bytes()
        self.head = self._checked()

    def _checked(self) -> Head:
        at = self._body.rfind(_MARK)
        if not self._body.startswith(b"PAR1") or at < 0:
            raise self._refused(
                "a file that `consilium collect` recorded", "another kind of file, or a piece of one"
            )
        found = self._body[at : at + len(_UNSEALED)]
        if found != _sealed(self._body[:at] + _UNSEALED + self._body[at + len(_UNSEALED) :]):
            raise self._refused(
                "whole, as it was written", f"{len(self._body)} bytes that do not match its digest"
            )
        said = json.loads(pl.read_parquet_metadata(BytesIO(self._body))[HEAD])
        form, scale = said.pop("format"), said.pop("scale")
        if (form, scale) != (FORMAT, UNIT):
            raise self._refused(
                f"of format {FORMAT} and scale {UNIT}",
                f"{form} and {scale}",
                "read it with the version that wrote it",
            )
        return Head(**said | {"replaces": tuple(said["replaces"])})

    def _refused(self, bound: str, value: str, cure: str = _CURE) -> DataProblem:
        return DataProblem(f"{self.path.name} must be {bound}", value, cure)

    def books(self, start: int | None = None, end: int | None = None) -> ScaledBooks:
        """Return the books with ``start <= ts_event < end``, at least what lies in one chunk is decoded."""
        self._require("books")
        parts = [self._chunk(table).between(start, end) for table in self._chunks(start, end)]
        return joined(parts)

    def trades(self, start: int | None = None, end: int | None = None) -> ScaledTrades:
        """Return the trades with ``start <= ts_event < end``, in the order of their numbers."""
        self._require("trades")
        head, table = self.head, self._table()
        ts = _integers(table, "ts_event")
        trades = ScaledTrades(
            ts_event=ts,
            ts_local=ts + _integers(table, "lag_ns"),
            trade_id=_integers(table, "trade_id"),
            price=_integers(table, "price") * head.price_unit,
            size=_integers(table, "size") * head.size_unit,
            taker_buy=_integers(table, "taker_buy"),
        )
        kept = np.ones(len(ts), dtype=bool) if start is None else ts >= start
        return trades.where(kept if end is None else kept & (ts < end))

    def _require(self, kind: str) -> None:
        if self.head.kind != kind:
            raise self._refused(f"a file of {kind}", self.head.kind, f"give one of the folder {kind}")

    def _table(self) -> pl.DataFrame:
        return pl.read_parquet(BytesIO(self._body))

    def _chunks(self, start: int | None, end: int | None) -> list[pl.DataFrame]:
        """Return the row groups that overlap a range of time, or the first one."""
        if self.head.rows <= CHUNK:
            return [self._table()]
        scan = pl.scan_parquet(BytesIO(self._body))
        ts = _integers(scan.select("ts_event").collect(), "ts_event")
        wanted = [
            first
            for first in range(0, len(ts), CHUNK)
            if (end is None or ts[first] < end)
            and (start is None or ts[min(first + CHUNK, len(ts)) - 1] >= start)
        ]
        return [scan.slice(first, CHUNK).collect() for first in wanted or [0]]

    def _chunk(self, table: pl.DataFrame) -> ScaledBooks:
        head, ts = self.head, _integers(table, "ts_event")
        sides: dict[str, Integers] = {}
        for side, rising in _SIDES:
            counts = table[f"{side}_price"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
            price, size = (_flat(table[f"{side}_{what}"]) for what in ("price", "size"))
            prices, sizes = from_changes(
                Changes(counts, price, size), levels=head.levels, block=head.block, rising=rising
            )
            sides |= {f"{side}_price": prices * head.price_unit, f"{side}_size": sizes * head.size_unit}
        return ScaledBooks(
            ts_event=ts,
            ts_local=ts + _integers(table, "lag_ns"),
            **{name: _integers(table, name) for name in ("session", "update", "certain")},
            **sides,
        )


def _integers(table: pl.DataFrame, name: str) -> Integers:
    return table[name].cast(pl.Int64).to_numpy()


def _flat(lists: pl.Series) -> Integers:
    return lists.drop_nulls().explode().cast(pl.Int64).to_numpy()
