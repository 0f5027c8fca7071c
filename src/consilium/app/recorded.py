"""What a run takes from recorded books and trades: bars, and the features of books at their closes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from consilium.app.stages import ProgressCall, silent
from consilium.domain import DataProblem, UnknownName, UsageError
from consilium.domain.time import length_text
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.rows import BookRows
from consilium.market.candles import CandleSeries
from consilium.market.features import BookColumns
from consilium.market.recordings import RecordedFiles, Recordings, plain_symbol

FEWEST = 0.05
"""Share of the bars that books must cover: with fewer, models would learn a mask and not a market."""

Told = tuple[str, ...]


def recordings_at(paths: Sequence[str]) -> RecordedFiles:
    """Find what is recorded at some paths.

    Raises
    ------
    UsageError
        A path does not exist, or books of a simulated market are named without the market.
    DataProblem
        Nothing recorded lies there.
    """
    for path in paths:
        if path == "simulate" or path.startswith("simulate:"):
            raise UsageError(
                "simulated books must be those of --data",
                f"--books {path}",
                "use --data simulate:kind=book --books simulate",
            )
        if not Path(path).exists():
            raise UsageError("--books must be a file or a folder", f"'{path}'", "check the path")
    return RecordedFiles(Path(path) for path in paths)


def bars_of(
    recordings: Recordings, symbols: Sequence[str] | None, interval_ns: int
) -> tuple[dict[str, CandleSeries], Told]:
    """Build bars from the trades of each symbol; one that has none is left out and told.

    Raises
    ------
    UnknownName
        Nothing is recorded of a symbol.
    DataProblem
        No symbol has trades enough; what is wrong with the first.
    """
    panel: dict[str, CandleSeries] = {}
    said: list[str] = []
    first: DataProblem | None = None
    for symbol in _chosen(recordings, symbols):
        try:
            trades = recordings.trades(symbol)
            gaps = recordings.trade_gaps(symbol)
            series = panel[symbol] = bars_from_trades(trades, interval_ns, gaps=gaps)
        except DataProblem as error:
            first = first or error
            said.append(f"{symbol}: left out: {error}")
            continue
        empty = int((series.volume == 0.0).sum())
        built = f"{len(series):,} bars of {length_text(interval_ns)} built from {len(trades):,} trades"
        lost = f"; none where the recorder missed trades ({len(gaps):,} gaps)" if gaps else ""
        said.append(f"{symbol}: {built}; {empty:,} without a trade repeat the last close{lost}")
    if first is not None and not panel:
        raise first
    return panel, tuple(said)


def _chosen(recordings: Recordings, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return recordings.symbols
    known = {plain_symbol(symbol): symbol for symbol in recordings.symbols}
    for symbol in symbols:
        if plain_symbol(symbol) not in known:
            raise UnknownName("symbol", symbol, recordings.symbols)
    return tuple(known[plain_symbol(symbol)] for symbol in symbols)


def join_books(
    panel: Mapping[str, CandleSeries],
    recordings: Recordings | None,
    progress: ProgressCall = silent,
    *,
    fewest: float = FEWEST,
) -> tuple[dict[str, BookColumns], Told]:
    """Compute the features of each symbol's books at the closes of its bars; one book at a time is held.

    Parameters
    ----------
    panel
        Candles by symbol.
    recordings
        Books and trades; None masks every bar, and says so.
    progress
        Called after each symbol.
    fewest
        Share of the bars that books must cover, in [0, 1]; default a twentieth.

    Returns
    -------
    Columns by symbol, and what must be told: symbols without books, and bars that they do not cover.

    Raises
    ------
    DataProblem
        A book that cannot be, or books of other symbols, or books that cover fewer bars.
    """
    if recordings is None:
        return {}, ("no books were given: the 50 columns of books are masked in every bar",)
    known = {plain_symbol(symbol): symbol for symbol in recordings.symbols}
    columns: dict[str, BookColumns] = {}
    said: list[str] = []
    for done, (symbol, series) in enumerate(panel.items()):
        progress("book features", done, len(panel), symbol)
        name = known.get(plain_symbol(symbol))
        if name is None:
            said.append(f"{symbol}: no books: its 50 columns of books are masked")
            continue
        columns[symbol] = found = BookColumns.of(series, recordings.book(name), recordings.trades(name))
        share = 100.0 * float(found.known.mean())
        said.append(
            f"{symbol}: books cover {share:.1f} % of the bars; in the others their columns are masked"
        )
    progress("book features", len(panel), len(panel))
    _require_covered(panel, columns, recordings, fewest)
    return columns, tuple(said)


def snapshots_of(
    panel: Mapping[str, CandleSeries], recordings: Recordings, progress: ProgressCall = silent
) -> dict[str, BookRows]:
    """Lay out the books of each symbol that has any; one book at a time is held in full."""
    known = {plain_symbol(symbol): symbol for symbol in recordings.symbols}
    rows: dict[str, BookRows] = {}
    for done, symbol in enumerate(panel):
        progress("windows of books", done, len(panel), symbol)
        if (name := known.get(plain_symbol(symbol))) is not None:
            rows[symbol] = BookRows.of(recordings.book(name))
    progress("windows of books", len(panel), len(panel))
    return rows


def _require_covered(
    panel: Mapping[str, CandleSeries],
    columns: Mapping[str, BookColumns],
    recordings: Recordings,
    fewest: float,
) -> None:
    if not columns:
        raise DataProblem(
            "books must be of a symbol of the candles",
            f"books of {', '.join(recordings.symbols)} for candles of {', '.join(list(panel)[:5])}",
            "give the books of the candles",
        )
    bars = sum(len(found.known) for found in columns.values())
    covered = sum(int(found.known.sum()) for found in columns.values())
    if covered < fewest * bars:
        raise DataProblem(
            f"books must cover at least {100 * fewest:.0f} % of the bars of their symbols",
            f"{covered:,} of {bars:,} bars (30 s after a recording begins, and at most 1 s after a snapshot)",
            "give books and candles of one time, or build the bars from the recorded trades with --bar",
        )
