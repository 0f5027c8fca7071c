"""Patience: what becomes of an entry, and of a position, when the next bar of their symbol does not come.

An entry lives for one expected bar; a position whose symbol misses ``STRANDED_BARS`` is stranded. Both are
judged by the clock and by bars already seen (``Tape.expected``), never by whether bars will come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consilium.trading.holdings import Holding
from consilium.trading.tape import Tape

STRANDED_BARS = 4
"""Bars in a row that a symbol must miss before its position is written down as stranded."""

NO_NEXT_BAR = "no_next_bar"
HALTED = "halted"


@dataclass(slots=True)
class _Entry:
    """Value, risk at the stop, and how long it may wait: for a bar that opens before ``opens_before``."""

    tape: Tape
    ts_event: int
    value: float
    risk: float
    opens_before: int
    gives_up: int
    reason: str = NO_NEXT_BAR


_KEPT = ("ts_event", "value", "risk", "opens_before", "gives_up", "reason")


class Waiting:
    """Entries on their way, one a symbol: what they will bind, and until when they may fill.

    Examples
    --------
    >>> tape = Tape("BTCUSDT", 60)
    >>> tape.ts_open, tape.i = [0], 0
    >>> waiting = Waiting()
    >>> waiting.add(tape, value=100.0, risk=2.0)
    >>> len(waiting), waiting.total, waiting.overdue(119), waiting.overdue(120)
    (1, (100.0, 2.0), [], [('BTCUSDT', 'no_next_bar')])
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, tape: Tape, *, value: float, risk: float) -> None:
        """Note an entry sent at the close of the tape's newest bar; money in quote units."""
        until = tape.expected(1)
        self._entries[tape.symbol] = _Entry(tape, tape.ts_close, value, risk, until, until)

    def state(self) -> list[dict[str, Any]]:
        """Return the entries as JSON values, in their order."""
        return [
            {"symbol": symbol} | {name: getattr(entry, name) for name in _KEPT}
            for symbol, entry in self._entries.items()
        ]

    def restore(self, state: Sequence[Mapping[str, Any]], tapes: Mapping[str, Tape]) -> None:
        """Take up what ``state`` returned."""
        self._entries = {
            saved["symbol"]: _Entry(tapes[saved["symbol"]], **{name: saved[name] for name in _KEPT})
            for saved in state
        }

    def drop(self, symbol: str) -> None:
        """Forget an entry that has ended."""
        self._entries.pop(symbol, None)

    @property
    def total(self) -> tuple[float, float]:
        """Value of all entries, and what they lose at their stops."""
        entries = self._entries.values()
        return sum(e.value for e in entries), sum(e.risk for e in entries)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols with an entry on its way, the oldest first."""
        return tuple(self._entries)

    def value(self, symbol: str) -> float:
        """Return what the entry of a symbol will bind, in quote units."""
        return self._entries[symbol].value

    def objection(self, symbol: str, ts_open: int) -> str:
        """Return why the entry of a symbol may not fill in a bar that opens then; nothing if it may."""
        entry = self._entries.get(symbol)
        return entry.reason if entry is not None and ts_open >= entry.opens_before else ""

    def halt(self, ts: int) -> None:
        """Let no entry fill in a bar that opens during a halt which has begun by now.

        An entry is over at once, unless its next bar may be under way (another interval, or another offset):
        then it had filled by now if that bar opened before, which is known when the bar is.
        """
        for entry in self._entries.values():
            if entry.gives_up > ts and entry.reason != HALTED:
                interval = entry.tape.interval_ns
                under_way = (ts - entry.ts_event) % interval != 0
                entry.opens_before = min(entry.opens_before, ts)
                entry.gives_up = min(entry.gives_up, ts + interval if under_way else ts)
                entry.reason = HALTED

    def overdue(self, ts: int) -> list[tuple[str, str]]:
        """Return symbol and reason of each entry that can no longer fill, once the bars of ``ts`` are in."""
        return [(symbol, e.reason) for symbol, e in sorted(self._entries.items()) if ts >= e.gives_up]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranding:
    """A position whose symbol stopped to have bars.

    Parameters
    ----------
    ts_event
        The instant at which it was written down.
    ts_resumed
        Close of the bar with which it came back; None while it has not.
    """

    symbol: str
    ts_event: int
    ts_resumed: int | None = None


class Strandings:
    """Which positions are stranded, and the record of all that ever were."""

    def __init__(self) -> None:
        self.records: list[Stranding] = []

    def look(self, holding: Holding, tape: Tape, ts: int) -> None:
        """Write a position down if its symbol has missed too many bars by now."""
        if not holding.stranded and ts >= tape.expected(STRANDED_BARS):
            holding.stranded = True
            self.records.append(Stranding(symbol=holding.symbol, ts_event=ts))

    def resume(self, holding: Holding, ts: int) -> None:
        """Bring a stranded position back: its symbol has a bar again."""
        holding.stranded = False
        for k in reversed(range(len(self.records))):
            if self.records[k].symbol == holding.symbol:
                self.records[k] = replace(self.records[k], ts_resumed=ts)
                return
