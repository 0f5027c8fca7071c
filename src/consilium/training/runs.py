"""The run table: every training and every look at a result, aborted ones too, because each is a trial.

One SQLite file in WAL mode. A run is written when it starts, so that one that is killed is still counted.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from consilium.domain import Clock, InvalidValue, OutputProblem, canonical_json, digest

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
