"""What a check of market data says: one finding a kind and symbol, with its row and its cure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from consilium.domain.errors import DataProblem
from consilium.domain.time import to_iso

FAULTS = {
    "empty": "a symbol must have at least two bars",
    "interval": "all symbols of one input must have bars of one length",
    "mixed": "a table without a symbol column must hold one symbol",
    "impossible": "a bar needs a time, 0 < low <= open, close <= high and a volume >= 0, all finite",
    "unsorted": "times must ascend",
    "duplicates": "a bar must appear once",
    "overlap": "a bar must not open before the one before it has closed",
}
"""Kinds that make a symbol unusable until repaired, and what must hold instead."""

NOTES = ("gaps", "unfinished", "extent", "skipped")
"""Kinds that are said and change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in the data of one symbol.

    Parameters
    ----------
    kind
        One of FAULTS (the symbol cannot be used until repaired) or NOTES.
    symbol
        Whose data; "" if it concerns the whole input.
    row
        First row concerned, counted from 1 without the header; 0 if no row can be named.
    ts
        Opening time of that row, UTC nanoseconds; None where it has none.
    count
        How many rows (of gaps: how many bars are missing).
    detail, cure
        What was found there, and what to do about it.
    repaired
        What a repair did about it; "" where nothing was repaired.

    Examples
    --------
    >>> print(Finding(kind="duplicates", symbol="BTC", row=17, ts=0, count=2,
    ...     detail="2 rows repeat a time", cure="repair keeps the last of each"))
    BTC: duplicates at row 17 (1970-01-01T00:00:00Z): 2 rows repeat a time; repair keeps the last of each
    """

    kind: str
    symbol: str
    row: int
    ts: int | None
    count: int
    detail: str
    cure: str
    repaired: str = ""

    @property
    def fatal(self) -> bool:
        """Whether the symbol cannot be used: a fault that was not repaired."""
        return self.kind in FAULTS and not self.repaired

    @property
    def where(self) -> str:
        """The row and its time in words."""
        time = f" ({to_iso(self.ts)})" if self.ts is not None else ""
        return f"row {self.row}{time}" if self.row else "no row"

    def __str__(self) -> str:
        at = f" at {self.where}" if self.row else ""
        whose = f"{self.symbol}: " if self.symbol else ""
        return f"{whose}{self.kind}{at}: {self.detail}; {self.repaired or self.cure}"

    def after(self, repaired: str) -> "Finding":
        """Return the finding with what a repair did about it."""
        return replace(self, repaired=repaired)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was checked and what was found.

    Parameters
    ----------
    rows
        How many rows were checked.
    symbols
        All symbols seen, in order of appearance.
    findings
        Ordered by symbol, as they appear.
    """

    rows: int
    symbols: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Symbols that cannot be used without repair."""
        fatal = {finding.symbol for finding in self.findings if finding.fatal}
        return tuple(symbol for symbol in self.symbols if symbol in fatal)

    @property
    def ok(self) -> bool:
        """Whether every symbol can be used as it is."""
        return not any(finding.fatal for finding in self.findings)


def refuse(findings: Iterable[Finding]) -> DataProblem:
    """Return the error for the first fatal finding; it says how many more there are."""
    fatal = [finding for finding in findings if finding.fatal]
    first = fatal[0]
    more = f" (and {len(fatal) - 1} more findings)" if len(fatal) > 1 else ""
    whose = f"{first.symbol}: " if first.symbol else ""
    at = f" at {first.where}" if first.row else ""
    return DataProblem(f"{whose}{FAULTS[first.kind]}", f"{first.detail}{at}{more}", first.cure)
