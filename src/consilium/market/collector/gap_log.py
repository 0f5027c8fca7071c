"""The log of gaps: one JSON object a line, whole or not there."""

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

from consilium.domain.errors import DataProblem
from consilium.market.collector.durable import append_durably, unwritable

NAME = "gaps.jsonl"
KEPT = 10_000


class GapLog:
    """Append gaps to ``gaps.jsonl``; what cannot be written waits, at most 10,000 lines.

    Parameters
    ----------
    folder
        Of the recorder; it must exist. A line that a kill cut short is taken away.

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

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._waiting: deque[bytes] = deque(maxlen=KEPT)
        try:
            self.torn = _mended(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, gap: dict[str, Any]) -> None:
        """Take a gap; it is written by `write`."""
        self._waiting.append(json.dumps(gap).encode() + b"\n")

    def write(self) -> None:
        """Write what waits.

        Raises
        ------
        OutputProblem
            It cannot be written, and waits on.
        """
        if self._waiting:
            append_durably(self._path, b"".join(self._waiting))
            self._waiting.clear()


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


def _mended(path: Path) -> int:
    """Take the piece of a line at the end away; return its length."""
    with path.open("a+b") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(0)
        whole = log.read().rfind(b"\n") + 1
        if whole < end:
            log.truncate(whole)
            os.fsync(log.fileno())
    return end - whole
