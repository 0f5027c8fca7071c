"""The log of gaps: one JSON object a line, whole or not there."""

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

from consilium.domain.errors import DataProblem
from consilium.market.collector.durable import append_durably, flush_folder, unwritable

NAME = "gaps.jsonl"
KEPT = 10_000


class GapLog:
    """Append gaps to ``gaps.jsonl``; what cannot be written waits, at most 10,000 lines.

    Beyond that the oldest go, are counted in ``dropped``, and a line of kind ``log`` says how many.

    Parameters
    ----------
    folder
        Of the recorder; it must exist. A line that a kill cut short is taken away.
    min_free_bytes
        Nothing is written that would leave fewer.
    size
        How many lines may wait, >= 1, default 10,000.

    Raises
    ------
    OutputProblem
        The file cannot be opened.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> log = GapLog(folder)
    >>> log.add({"kind": "books", "symbol": "BTCUSDT"})
    >>> log.write()
    >>> read_gaps(folder)
    [{'kind': 'books', 'symbol': 'BTCUSDT'}]
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = 0, size: int = KEPT) -> None:
        self.dropped = 0
        self._path, self._free, self._size = folder / NAME, min_free_bytes, size
        self._waiting: deque[bytes] = deque()
        self._untold = 0
        try:
            self.torn = _mended(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, gap: dict[str, Any]) -> None:
        """Take a gap; it is written by `write`."""
        self._waiting.append(_line(gap))
        if len(self._waiting) > self._size:
            self._waiting.popleft()
            self.dropped += 1
            self._untold += 1

    def write(self, *more: dict[str, Any], at_the_end: bool = False) -> None:
        """Write what waits.

        Parameters
        ----------
        *more
            Gaps that are written with it, or not at all.
        at_the_end
            A few lines may take of the room that should stay free: they could be written never else.

        Raises
        ------
        OutputProblem
            It cannot be written; what waited waits on.
        """
        lines = [*self._waiting, *map(_line, more)]
        if self._untold:
            lines.insert(0, _line({"kind": "log", "cause": "overflow", "lines": self._untold}))
        if lines:
            free = 0 if at_the_end else self._free
            append_durably(self._path, b"".join(lines), min_free_bytes=free)
            self._waiting.clear()
            self._untold = 0


def read_gaps(folder: Path | str) -> list[dict[str, Any]]:
    """Return the gaps that a recorder logged, in the order it did; none without a log.

    Raises
    ------
    DataProblem
        A line is no JSON object.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return []
    body = path.read_bytes()
    gaps = []
    # what follows the last line's end is being written, or a kill cut it short
    for number, line in enumerate(body[: body.rfind(b"\n") + 1].splitlines(), 1):
        try:
            gap = json.loads(line)
        except ValueError:
            gap = None
        if not isinstance(gap, dict):
            raise DataProblem(f"line {number} of {NAME} must be a JSON object", repr(line[:40]), "correct it")
        gaps.append(gap)
    return gaps


def _line(gap: dict[str, Any]) -> bytes:
    return json.dumps(gap).encode() + b"\n"


def _mended(path: Path) -> int:
    """Take the piece of a line at the end away; return its length."""
    with path.open("a+b") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(0)
        whole = log.read().rfind(b"\n") + 1
        if whole < end:
            log.truncate(whole)
            os.fsync(log.fileno())
    flush_folder(path.parent)
    return end - whole
