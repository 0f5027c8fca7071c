"""Which outcomes each run has read: whoever looks at them again must be told how often they were seen."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from consilium.domain import InvalidValue

OBSERVED = "observed"
"""The market of all real data."""

SCHEMA = """
CREATE TABLE openings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    market TEXT NOT NULL,
    interval_ns INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    symbols TEXT NOT NULL
)
"""
COLUMNS = "run_id, market, interval_ns, first, last, symbols"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A run that has read outcomes of some symbols over some time.

    Parameters
    ----------
    run_id, kind, ts_started, config_hash
        The run.
    first, last
        UTC nanoseconds of the first and the last forecast whose outcome it read, both included.
    symbols
        All whose outcomes it read, sorted.
    """

    run_id: str
    kind: str
    ts_started: int
    first: int
    last: int
    symbols: tuple[str, ...]
    config_hash: str


def market_of(source: str, seed: int | None) -> str:
    """Name the market of a run: real data are one, each simulated market is its own.

    Parameters
    ----------
    source
        What was read; ``simulate`` with settings, or anything else for real data.
    seed
        Of the simulator, unless its settings name one.

    Examples
    --------
    >>> market_of("candles.parquet", 7), market_of("simulate:bars=900,symbols=2", 7)
    ('observed', 'simulate:bars=900,seed=7,symbols=2')
    """
    name, _, spec = source.partition(":")
    if name != "simulate":
        return OBSERVED
    given = dict(part.split("=", 1) for part in spec.split(",") if "=" in part)
    settings = {"seed": str(seed)} | {key: value.strip() for key, value in given.items()}
    return "simulate:" + ",".join(f"{key}={value}" for key, value in sorted(settings.items()))


def origin_of(source: str) -> str:
    """Return where data come from: ``observed``, ``sample`` or ``simulated``.

    A simulated market says nothing about real ones, and the bundled sample is for trying things out.

    Examples
    --------
    >>> origin_of("candles.parquet"), origin_of("sample"), origin_of("simulate:bars=900")
    ('observed', 'sample', 'simulated')
    """
    if source == "sample":
        return "sample"
    return OBSERVED if market_of(source, None) == OBSERVED else "simulated"


def prepare(connection: sqlite3.Connection) -> None:
    """Create the table if it is missing, and write down what older runs must have read.

    They did not say it, so each is taken to have read all outcomes of its symbols up to its start: none could
    have read later ones.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'openings'").fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'openings'").fetchone():
        return
    connection.execute(SCHEMA)
    older = connection.execute("SELECT run_id, ts_started, seed, config FROM runs").fetchall()
    for run_id, ts_started, seed, text in older:
        config = json.loads(text)
        symbols = config.get("universe") or config.get("symbols") or []
        market = market_of(str(config.get("data", "")), seed)
        if symbols:
            row = (run_id, market, config.get("interval_ns", 0), 0, ts_started, json.dumps(sorted(symbols)))
            _add(connection, row)


def open_slice(
    connection: sqlite3.Connection,
    run_id: str,
    market: str,
    interval_ns: int,
    first: int,
    last: int,
    symbols: Iterable[str],
) -> tuple[Opening, ...]:
    """Add an opening and return the earlier ones of other runs that overlap; see `RunTable.open_slice`."""
    wanted = sorted(set(symbols))
    if not market or not wanted:
        raise InvalidValue("an opening needs a market and symbols", f"{market!r}, {wanted}", "name both")
    if not 0 <= first <= last:
        raise InvalidValue("0 <= first <= last", f"{first}, {last}", "give the span of the forecasts")
    require_run(connection, run_id)
    # Writing first takes the lock: of two runs that open at once, one sees the other.
    mine = _add(connection, (run_id, market, interval_ns, first, last, json.dumps(wanted)))
    return overlapping(connection, run_id, market, first, last, wanted, before=mine)


def overlapping(
    connection: sqlite3.Connection,
    run_id: str,
    market: str,
    first: int,
    last: int,
    symbols: Collection[str],
    *,
    before: int | None = None,
) -> tuple[Opening, ...]:
    """Return what other runs have read of the same outcomes, oldest first; a run's own are one look."""
    found = connection.execute(
        "SELECT o.run_id, r.kind, r.ts_started, o.first, o.last, o.symbols, r.config_hash "
        "FROM openings o JOIN runs r ON r.run_id = o.run_id "
        "WHERE o.market = ? AND o.first <= ? AND o.last >= ? AND o.run_id != ? AND o.number < ? "
        "ORDER BY o.number",
        (market, last, first, run_id, 2**62 if before is None else before),
    ).fetchall()
    openings = []
    for run, kind, ts_started, start, end, text, config_hash in found:
        theirs = tuple(json.loads(text))
        if not set(theirs).isdisjoint(symbols):
            openings.append(
                Opening(
                    run_id=run,
                    kind=kind,
                    ts_started=ts_started,
                    first=start,
                    last=end,
                    symbols=theirs,
                    config_hash=config_hash,
                )
            )
    return tuple(openings)


def read_by(connection: sqlite3.Connection, run_id: str) -> tuple[tuple[int, int], ...]:
    """Return the spans that a run has read; see `RunTable.read_by`."""
    require_run(connection, run_id)
    found = connection.execute("SELECT first, last FROM openings WHERE run_id = ? ORDER BY number", (run_id,))
    return tuple((int(first), int(last)) for first, last in found)


def require_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Refuse a run that is not in the table."""
    if not connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
        raise InvalidValue("the run must be in the run table", repr(run_id), "start it first")


def _add(connection: sqlite3.Connection, row: tuple[object, ...]) -> int:
    added = connection.execute(f"INSERT INTO openings ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    return int(added.lastrowid or 0)
