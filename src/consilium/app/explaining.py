"""Finds one stored consensus of a run by what a user types, and tells it in lines and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consilium.app.bootstrap import SystemClock
from consilium.app.consensus_recall import StoredConsensus, StoredConsensuses
from consilium.app.consensus_store import place_of
from consilium.domain import DataProblem, UnknownName, UsageError, from_iso, plain, to_iso
from consilium.ensemble import Explanation, account, action
from consilium.training.runs import RunRow, RunTable

KINDS = ("backtest", "judge")
"""Kinds of runs that reach consensus; a demo is a backtest."""
LISTED = 10
"""Runs that an error names."""
NEWEST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An explained consensus.

    Parameters
    ----------
    row
        The run.
    asked
        The time asked for, UTC nanoseconds.
    stored
        The consensus found there.
    explanation
        Why it came out so.
    """

    row: RunRow
    asked: int
    stored: StoredConsensus
    explanation: Explanation

    @property
    def exact(self) -> bool:
        """Whether the consensus is of the very time asked for, and not the latest before it."""
        return self.stored.consensus.ts_event == self.asked

    def lines(self) -> list[str]:
        """Tell it line by line."""
        s, c = self.stored, self.stored.consensus
        when = "exactly that bar" if self.exact else f"the latest at or before {to_iso(self.asked)}"
        told = [
            f"run {self.row.run_id} ({self.row.kind} of {self.row.config.get('data', 'unknown data')})",
            f"{c.symbol} at {to_iso(c.ts_event)}, {when}",
            account(c, s.predictions, volatility=s.volatility),
            *self.explanation.lines(),
        ]
        silent = [name for name, skilled in s.skilled.items() if not skilled]
        if silent:
            told.append(f"  no_skill, so climatology: {', '.join(silent)}")
        return [*told, self._outcome_line()]

    def _outcome_line(self) -> str:
        came, c = self.stored.outcome, self.stored.consensus
        if came is None:
            return "What came of it is not known in the data of this run."
        met = "as the consensus said" if came.direction is c.direction else f"not {c.direction.name}"
        return (
            f"What came: {came.direction.name}, {met}; log return {came.realised_return:+.4%}, "
            f"known at {to_iso(came.ts_matured)}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        s, c = self.stored, self.stored.consensus
        result: dict[str, Any] = plain(
            {
                "schema": "consilium.explanation/1",
                "run": self.row.run_id,
                "kind": self.row.kind,
                "asked": self.asked,
                "exact": self.exact,
                "time": to_iso(c.ts_event),
                "action": action(c),
                "consensus": self._plain_consensus(),
                "volatility": s.volatility,
                "prior": s.prior,
                "allocations": s.allocations,
                "account": account(c, s.predictions, volatility=s.volatility),
                "voices": self._plain_voices(),
                "pivots": self._plain_pivots(),
                "outcome": self._plain_outcome(),
                "lines": self.lines(),
            }
        )
        return result

    def _plain_consensus(self) -> dict[str, Any]:
        c = self.stored.consensus
        return {
            **{name: getattr(c, name) for name in c.__slots__ if name not in ("weights", "gates")},
            "direction": c.direction.name,
            "weights": dict(c.weights),
            "gates": dict(c.gates),
        }

    def _plain_voices(self) -> list[dict[str, Any]]:
        return [
            {
                **asdict(voice),
                "direction": voice.direction.name,
                "expected_return": expected,
                "skilled": self.stored.skilled[voice.model],
            }
            for voice, expected in self._voices()
        ]

    def _plain_pivots(self) -> list[dict[str, Any]]:
        return [
            {
                **asdict(p),
                "to": "abstaining" if p.to is None else p.to.name,
                "direction": p.direction.name,
            }
            for p in self.explanation.pivots
        ]

    def _plain_outcome(self) -> dict[str, Any] | None:
        came = self.stored.outcome
        if came is None:
            return None
        return {
            "direction": came.direction.name,
            "realised_return": came.realised_return,
            "ts_matured": came.ts_matured,
            "as_said": came.direction is self.stored.consensus.direction,
        }

    def _voices(self) -> list[tuple[Any, float]]:
        expected = {p.model: p.expected_return for p in self.stored.predictions}
        return [(voice, expected[voice.model]) for voice in self.explanation.voices]


def tell(data_dir: Path, run: str, symbol: str, at: str) -> Told:
    """Explain the consensus of a run on a symbol at a time, or the latest before it.

    Parameters
    ----------
    data_dir
        Where the run table and the stored consensuses are.
    run
        A run's id, the beginning of one that only it has, its number, or ``last``.
    symbol
        Its name.
    at
        ISO time (UTC if it names no zone) or nanoseconds.

    Raises
    ------
    UnknownName
        No such run or symbol.
    UsageError
        A time that is none, or outside what the run has; the beginning of several runs.
    DataProblem
        The run has stored no consensuses.
    ArtefactRefused
        What it has stored is damaged.
    """
    asked = time_of(at)
    row = find_run(_rows(data_dir), data_dir, run)
    path = place_of(data_dir, row.run_id)
    if not path.is_file():
        raise DataProblem(
            "a run must have stored its consensuses",
            f"none of the {row.kind} {row.run_id}, which is {row.status}",
            f"run consilium {row.kind if row.kind in KINDS else KINDS[0]} to its end and explain that run",
        )
    kept = StoredConsensuses(path)
    stored = kept.at(symbol, asked)
    first, last = kept.spans[symbol]
    if stored is None or asked >= last + stored.interval_ns:
        raise UsageError(
            f"--at must lie in {to_iso(first)} to {to_iso(last)}, where run {row.run_id} has {symbol}",
            to_iso(asked) if 0 <= asked < 2**63 else asked,
            "choose a time in that range",
        )
    return Told(row=row, asked=asked, stored=stored, explanation=stored.explained())


def time_of(text: str) -> int:
    """Read a time: ISO 8601, UTC if it names no zone, or nanoseconds.

    Raises
    ------
    UsageError
        Neither.

    Examples
    --------
    >>> time_of("1970-01-01T00:00:01") == time_of("1000000000")
    True
    """
    try:
        found = int(text) if text.strip().isdecimal() else from_iso(text.strip())
    except (ValueError, OverflowError):
        found = -1
    if not 0 <= found < 2**63:
        raise UsageError(
            "--at must be an ISO time from 1970 on, or nanoseconds",
            f"'{text}'",
            "write for example 2025-03-01T12:00",
        )
    return found


def find_run(rows: Sequence[RunRow], data_dir: Path, text: str) -> RunRow:
    """Find a run by its id, a beginning that only it has, its number, or ``last``.

    ``last`` is the newest that has stored its consensuses.

    Raises
    ------
    UnknownName
        No such run; the newest are named.
    UsageError
        Several begin so, or none is there at all.
    """
    reached = [row for row in rows if row.kind in KINDS]
    if not reached:
        raise UsageError(
            "a run must be there to be explained",
            f"none in {data_dir}",
            "run consilium backtest, or set data_dir",
        )
    if text == NEWEST:
        stored = [row for row in reached if place_of(data_dir, row.run_id).is_file()]
        return (stored or reached)[-1]
    numbered = [row for row in rows if text.isdecimal() and row.run_id.startswith(f"{int(text):06d}-")]
    found = numbered or [row for row in rows if text and row.run_id.startswith(text)]
    if not found:
        raise UnknownName("run", text, [*(row.run_id for row in reached[-LISTED:]), NEWEST])
    if len(found) > 1:
        named = ", ".join(row.run_id for row in found[-LISTED:])
        raise UsageError("--run must name one run", f"'{text}' for {named}", "give more of its id")
    return found[0]


def _rows(data_dir: Path) -> tuple[RunRow, ...]:
    path = data_dir / "runs.db"
    return RunTable(path, SystemClock()).rows() if path.is_file() else ()
