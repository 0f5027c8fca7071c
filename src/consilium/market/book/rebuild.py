"""The books of a recording: every diff applied, every book held against the best prices."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from consilium.market.book.audit import TopAudit
from consilium.market.book.columns import BookColumns, trade_series
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import BestPrices, DepthSnapshot, Diff, Refused, TradeMessage
from consilium.market.book.series import BookSeries
from consilium.market.book.streams import Recorded, StreamReader, read_recording
from consilium.market.book.trades import TradeSeries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rebuilt:
    """What a recording holds.

    Parameters
    ----------
    books
        The book after every diff.
    trades
        The trades, each once.
    counts
        What happened, by the names of `consilium.market.book.keeper.COUNTED`.
    audit
        How many books were compared with the exchange's best prices, and how many were wrong.
    shallow
        Books with levels that are not certain, though nothing contradicts them: prices had left the depth
        of the recorded snapshot, and a level that never changed would not have been told.
    """

    books: BookSeries
    trades: TradeSeries
    counts: Counter[str]
    audit: TopAudit
    shallow: int


def rebuild(
    recording: Path | str | Iterable[Recorded], symbol: str, *, venue: str = "", levels: int = 20
) -> Rebuilt:
    """Rebuild the books and trades of one symbol from a recording of raw streams.

    Parameters
    ----------
    recording
        A file as `read_recording` takes it, or its lines.
    symbol, venue
        Whose; messages of other symbols are passed over. A snapshot in the recording is taken for this one.
    levels
        Levels a side, >= 1, default 20.

    Raises
    ------
    DataProblem
        The file cannot be read, or no book could be built.
    """
    lines = read_recording(recording) if isinstance(recording, str | Path) else recording
    reader, keeper, audit = StreamReader(), BookKeeper(symbol, levels=levels), TopAudit()
    columns = BookColumns(symbol, venue=venue, levels=levels)
    trades: list[TradeMessage] = []
    shallow = 0
    for line in lines:
        message = _read(reader, line, symbol)
        if isinstance(message, Diff):
            changed = keeper.take_diff(message)
        elif isinstance(message, DepthSnapshot):
            changed = keeper.take_snapshot(message)
        else:
            changed = False
            if isinstance(message, BestPrices) and message.symbol == symbol:
                audit.saw_best(message)
            elif isinstance(message, TradeMessage) and message.symbol == symbol:
                trades.append(message)
            elif isinstance(message, Refused):
                keeper.count(message.name)
        if changed:
            top = keeper.top(levels)
            columns.add(keeper.ts_event, keeper.session, top)
            audit.saw_book(keeper.last, top.bids[0], top.asks[0])
            shallow += keeper.certain < levels
    audit.finish()
    return Rebuilt(
        books=columns.series(),
        trades=trade_series(symbol, trades, venue=venue),
        counts=keeper.counts,
        audit=audit,
        shallow=shallow,
    )


def _read(
    reader: StreamReader, line: Recorded, symbol: str
) -> Diff | DepthSnapshot | BestPrices | TradeMessage | Refused | None:
    if line.is_snapshot:
        return reader.snapshot(line.payload, line.ts_local, symbol)
    return reader.read(line.payload, line.ts_local)
