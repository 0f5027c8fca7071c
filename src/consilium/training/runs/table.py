"""The table of runs: one is written when it starts, so that one that is killed is still counted."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import ArrayLike

from consilium.domain import Clock, InvalidValue, OutputProblem, canonical_json, digest
from consilium.training.runs import openings, returns
from consilium.training.runs.openings import Opening
from consilium.training.runs.returns import EarlierTrials

STATUSES = ("running", "ok", "failed", "aborted")
BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT UNIQUE,
    kind TEXT NOT NULL,
    ts_started INTEGER NOT NULL,
    ts_ended INTEGER,
    status TEXT NOT NULL CHECK (status IN ('running', 'ok', 'failed', 'aborted')),
    config TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    seed INTEGER,
    data_digest TEXT NOT NULL,
    code_version TEXT NOT NULL,
    figures TEXT NOT NULL,
    error TEXT NOT NULL
)
"""
COLUMNS = (
    "run_id, kind, ts_started, ts_ended, status, config, config_hash, seed, data_digest, code_version, "
    "figures, error"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One row of the table.

    Parameters
    ----------
    run_id
        Running number and the beginning of the configuration's hash: ``000042-1f3a9c2e``.
    kind
        What was run: ``train``, ``backtest``, ``walk_forward``.
    ts_started, ts_ended
        UTC nanoseconds; ``ts_ended`` is None while it runs and for one that was killed.
    status
        running, ok, failed or aborted.
    config, config_hash
        What was asked for, and its SHA-256.
    seed
        None where nothing is random.
    data_digest, code_version
        What it ran on.
    figures
        What came out.
    error
        Why it failed or was aborted, else empty.
    """

    run_id: str
    kind: str
    ts_started: int
    ts_ended: int | None
    status: str
    config: Mapping[str, Any]
    config_hash: str
    seed: int | None
    data_digest: str
    code_version: str
    figures: Mapping[str, Any]
    error: str


class Run:
    """A run in progress: leave its ``with`` block and its row says how it ended.

    An exception makes it ``failed``; an interrupt or an exit makes it ``aborted``; both pass on.
    """

    def __init__(self, table: "RunTable", run_id: str) -> None:
        self.run_id = run_id
        self._table = table
        self._figures: dict[str, Any] = {}

    def record(self, figures: Mapping[str, Any]) -> None:
        """Add figures, and write them at once so that an aborted run keeps them.

        Raises
        ------
        InvalidValue
            A figure that JSON cannot hold.
        """
        self._figures.update(figures)
        self._table.write_figures(self.run_id, self._figures)

    def open_slice(
        self, *, market: str, interval_ns: int, first: int, last: int, symbols: Collection[str]
    ) -> tuple[Opening, ...]:
        """Write down that this run now reads outcomes; see `RunTable.open_slice`."""
        return self._table.open_slice(
            self.run_id, market=market, interval_ns=interval_ns, first=first, last=last, symbols=symbols
        )

    def keep_returns(self, day: ArrayLike, daily: ArrayLike, name: str = "") -> None:
        """Keep the daily returns of one trial of this run; see `RunTable.keep_returns`."""
        self._table.keep_returns(self.run_id, day, daily, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._table.end(self.run_id, "ok", "")
            return
        text = " ".join(str(error).split()) or type(error).__name__
        self._table.end(self.run_id, "failed" if isinstance(error, Exception) else "aborted", text)


class RunTable:
    """All runs, in one SQLite file that several processes may write.

    Parameters
    ----------
    path
        The file; it and its folder are created.
    clock
        Where the time comes from.

    Raises
    ------
    OutputProblem
        The file cannot be written, or is no run table.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> class Noon:
    ...     def now_ns(self) -> int:
    ...         return 43_200_000_000_000
    >>> table = RunTable(Path(mkdtemp()) / "runs.sqlite", Noon())
    >>> with table.start("backtest", {"rule": "smart_vote"}, seed=7) as run:
    ...     run.record({"sharpe": 0.1})
    >>> [(row.status, dict(row.figures)) for row in table.rows()], table.trials()
    ([('ok', {'sharpe': 0.1})], 1)
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from None
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(SCHEMA)
            connection.execute(returns.SCHEMA)
            openings.prepare(connection)

    def _refused(self, error: Exception) -> OutputProblem:
        return OutputProblem(
            "the run table must be a writable SQLite file", f"{self.path} ({error})", "choose another folder"
        )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Open, commit, close: a connection is shared with no thread and no forked process."""
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as connection, connection:
                yield connection
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            raise self._refused(error) from None

    def start(
        self,
        kind: str,
        config: Mapping[str, Any],
        *,
        seed: int | None = None,
        data_digest: str = "",
        code_version: str = "",
    ) -> Run:
        """Write a row with status ``running`` and return the run, to be used in a ``with`` block.

        Parameters
        ----------
        kind
            What is run, not empty.
        config
            All that decides the result, as JSON can hold it.
        seed, data_digest, code_version
            As in `RunRow`.

        Raises
        ------
        InvalidValue
            An empty kind or a configuration that is not JSON.
        OutputProblem
            The table cannot be written.
        """
        if not kind:
            raise InvalidValue("kind must not be empty", repr(kind), "say what is run")
        text, config_hash = canonical_json(config), digest(config)
        with self._connected() as connection:
            added = connection.execute(
                "INSERT INTO runs (kind, ts_started, status, config, config_hash, seed, data_digest, "
                "code_version, figures, error) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, '{}', '')",
                (kind, self._clock.now_ns(), text, config_hash, seed, data_digest, code_version),
            )
            run_id = f"{added.lastrowid:06d}-{config_hash[:8]}"
            connection.execute("UPDATE runs SET run_id = ? WHERE number = ?", (run_id, added.lastrowid))
        return Run(self, run_id)

    def write_figures(self, run_id: str, figures: Mapping[str, Any]) -> None:
        """Replace the figures of a run."""
        text = canonical_json(figures)
        with self._connected() as connection:
            connection.execute("UPDATE runs SET figures = ? WHERE run_id = ?", (text, run_id))

    def end(self, run_id: str, status: str, error: str) -> None:
        """Write how a run ended; one that has ended stays as it is."""
        if status not in STATUSES:
            raise InvalidValue(f"status must be one of {', '.join(STATUSES)}", status, "use one of them")
        with self._connected() as connection:
            connection.execute(
                "UPDATE runs SET status = ?, error = ?, ts_ended = ? WHERE run_id = ? AND status = 'running'",
                (status, error, self._clock.now_ns(), run_id),
            )

    def rows(self, kind: str | None = None) -> tuple[RunRow, ...]:
        """Return all runs, or those of a kind, oldest first."""
        with self._connected() as connection:
            found = connection.execute(
                f"SELECT {COLUMNS} FROM runs WHERE ? IS NULL OR kind = ? ORDER BY number",  # noqa: S608
                (kind, kind),
            ).fetchall()
        names = COLUMNS.split(", ")
        plain = [dict(zip(names, row, strict=True)) for row in found]
        for row in plain:
            row["config"], row["figures"] = json.loads(row["config"]), json.loads(row["figures"])
        return tuple(RunRow(**row) for row in plain)

    def trials(self, kind: str | None = None) -> int:
        """Count all runs, whatever became of them: who looked often must expect luck."""
        with self._connected() as connection:
            (count,) = connection.execute(
                "SELECT COUNT(*) FROM runs WHERE ? IS NULL OR kind = ?", (kind, kind)
            ).fetchone()
        return int(count)

    def open_slice(
        self,
        run_id: str,
        *,
        market: str,
        interval_ns: int,
        first: int,
        last: int,
        symbols: Collection[str],
    ) -> tuple[Opening, ...]:
        """Write down that a run now reads outcomes, and return who has read some of them before.

        To be called right before they are read. What the run itself has opened before is not returned: it is
        one look. Of two processes that open at the same time, one is told of the other.

        Parameters
        ----------
        run_id
            The run that reads.
        market
            ``observed`` for real data; the spec and the seed of a simulated market.
        interval_ns
            Length of a bar; outcomes overlap whatever it is.
        first, last
            UTC nanoseconds of the first and the last forecast whose outcome is read, both included.
        symbols
            All whose outcomes are read.

        Returns
        -------
        Openings of other runs, of any kind and whatever became of them, that overlap in time and share a
        symbol, oldest first.

        Raises
        ------
        InvalidValue
            A span that is none, no market, no symbols, a run that is not in the table.
        """
        with self._connected() as connection:
            return openings.open_slice(connection, run_id, market, interval_ns, first, last, symbols)

    def read_by(self, run_id: str) -> tuple[tuple[int, int], ...]:
        """Return what a run has opened, oldest first: (first, last) as in `open_slice`.

        Raises
        ------
        InvalidValue
            A run that is not in the table.
        """
        with self._connected() as connection:
            return openings.read_by(connection, run_id)

    def keep_returns(self, run_id: str, day: ArrayLike, daily: ArrayLike, name: str = "") -> None:
        """Keep the daily returns of one trial of a run; the same name again replaces them.

        Parameters
        ----------
        run_id
            The run.
        day
            Shape (T,), numbers of UTC days from 1970 on, ascending; a day left out counts as flat.
        daily
            Shape (T,), simple returns, finite.
        name
            Which of the run's variants; empty for its only or main one.

        Raises
        ------
        InvalidValue
            Days or returns that are not as they should be, a run that is not in the table.
        """
        with self._connected() as connection:
            returns.keep_returns(connection, run_id, day, daily, name)

    def returns_of_overlapping(
        self, run_id: str, day: ArrayLike, *, market: str, symbols: Collection[str]
    ) -> EarlierTrials:
        """Return what all other runs tried on some of the same symbols over some of the same days.

        Parameters
        ----------
        run_id
            The run that asks; its own trials are left out.
        day
            Shape (T,), numbers of UTC days, ascending.
        market, symbols
            As in `open_slice`.

        Raises
        ------
        InvalidValue
            Days that are not as they should be.
        """
        with self._connected() as connection:
            return returns.returns_of_overlapping(connection, run_id, day, market, symbols)
