"""The candles that the service has taken, kept before they are used: one CSV file a UTC day.

Market data is not journaled; the journal names a step by its close and digest, and here are its candles. A
line is whole or, after a kill, the last one of its file: then its step was not done, and it is cut off.
What a full disk took of a step is taken back.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from consilium.domain import Candle, DataProblem, OutputProblem
from consilium.domain.files import private_folder, whole_file
from consilium.domain.time import DAY_NS, to_iso

HEADER = "symbol,venue,interval_ns,ts_open,ts_close,open,high,low,close,volume,step\n"
TERMS = "feed.json"
WARM_UP = 0
"""Step of the candles that were taken in before the first one."""

Rows = Sequence[Candle]


class CandleLog:
    """Candles by the step in which they were taken, in a folder of daily files.

    Parameters
    ----------
    folder
        Made if missing.

    Raises
    ------
    OutputProblem
        The folder cannot be written.
    DataProblem
        A file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None
        self._name = ""
        self._half: tuple[Path, int] | None = None
        try:
            private_folder(folder)
        except OSError as error:
            raise self._unwritable(error) from None
        self._mend()
        self.last = self._last_step()

    def terms(self) -> dict[str, Any] | None:
        """Return what the folder was begun with, None before."""
        return read_terms(self.folder)

    def begin(self, terms: Mapping[str, Any], history: Rows) -> None:
        """Write down whose candles these are, and those from before the first step."""
        try:
            self.close()
            for unfinished in _days(self.folder):
                unfinished.unlink()
            self._write(history, WARM_UP)
            self._sync()
            with whole_file(self.folder / TERMS) as fresh:
                fresh.write(json.dumps(dict(terms), indent=1).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def keep(self, step: int, candles: Rows) -> None:
        """Keep the candles of a step, on the disk when it returns; a step that is kept is not kept twice.

        Raises
        ------
        OutputProblem
            They cannot be written.
        """
        if step <= self.last:
            return
        path = self.folder / day_of(step)
        try:
            self._cut_half()
            self._half = path, path.stat().st_size if path.exists() else 0
            self._write(candles, step)
            self._sync()
        except OSError as error:
            with suppress(OSError):  # or before the next step is kept
                self._cut_half()
            raise self._unwritable(error) from None
        self._half = None
        self.last = step

    def _cut_half(self) -> None:
        """Take away what was written of a step that could not be kept whole."""
        if self._half is None:
            return
        with suppress(OSError):  # what it could not write, it cannot write now
            self.close()
        path, size = self._half
        if size:
            os.truncate(path, size)
        else:
            path.unlink(missing_ok=True)
        self._half = None

    def warm_up(self) -> list[Candle]:
        """Return the candles from before the first step."""
        return _warm_up(self.folder)

    def newest(self, symbols: Collection[str], limit: int, until: int) -> list[Candle]:
        """Return candles of the steps up to one: at least the newest of each symbol, oldest first.

        Files are read from the newest backwards, until they hold enough of every symbol.

        Parameters
        ----------
        symbols, limit
            Whose candles, and how many of each.
        until
            Close of the last step; 0 for what came before the first one.
        """
        missing = dict.fromkeys(symbols, limit)
        by_day: list[list[Candle]] = []
        for path in reversed(_days(self.folder)):
            of_day = [candle for step, candle in _lines(path) if step <= until]
            by_day.append(of_day)
            for candle in of_day:
                missing[candle.symbol] = missing.get(candle.symbol, 0) - 1
            if max(missing.values(), default=0) <= 0:
                break
        return [candle for of_day in reversed(by_day) for candle in of_day]

    def steps(self, after: int = WARM_UP) -> Iterator[tuple[int, list[Candle]]]:
        """Yield the steps later than one, each with its candles, oldest first."""
        current, candles = after, list[Candle]()
        for step, candle in self._read(after):
            if step <= after:
                continue
            if step != current and candles:
                yield current, candles
                candles = []
            current = step
            candles.append(candle)
        if candles:
            yield current, candles

    def close(self) -> None:
        """Close the file."""
        file, self._file, self._name = self._file, None, ""
        if file is not None:
            file.close()

    def _write(self, candles: Iterable[Candle], step: int) -> None:
        lines: dict[str, list[str]] = {}
        for c in candles:
            # A late candle lies in the file of its step, so that files are in the order of steps.
            lines.setdefault(day_of(step or c.ts_close), []).append(
                f"{c.symbol},{c.venue},{c.interval_ns},{c.ts_open},{c.ts_close},"
                f"{c.open!r},{c.high!r},{c.low!r},{c.close!r},{c.volume!r},{step}\n"
            )
        for name, text in lines.items():
            self._open(name).write("".join(text).encode())

    def _open(self, name: str) -> IO[bytes]:
        if self._file is not None and self._name == name:
            return self._file
        self._sync()
        self.close()
        path = self.folder / name
        fresh = not path.exists()
        self._file, self._name = path.open("ab"), name
        if fresh:
            self._file.write(HEADER.encode())
        return self._file

    def _sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fdatasync(self._file.fileno())

    def _mend(self) -> None:
        """Cut off what a kill left of a line, and steps of which a kill left only a part."""
        for path in _days(self.folder)[-1:]:
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if not whole:
                path.unlink()
            elif len(whole) < len(content):
                os.truncate(path, len(whole))

    def _last_step(self) -> int:
        last = WARM_UP
        for path in _days(self.folder)[-1:]:
            for step, _ in _lines(path):
                last = max(last, step)
        return last

    def forget_after(self, step: int) -> None:
        """Drop candles of steps later than one: a kill came before their step was done.

        They are taken from the feed again, whole, whatever the kill left of them here.
        """
        self.close()
        for path in _days(self.folder):
            if path.name >= day_of(step or DAY_NS):
                lines = path.read_bytes().splitlines(keepends=True)[1:]
                kept = [HEADER.encode(), *(line for line in lines if _step(line) <= step)]
                if len(kept) == len(lines) + 1:
                    continue
                if len(kept) > 1:
                    with whole_file(path) as fresh:
                        fresh.write(b"".join(kept))
                else:
                    path.unlink()
        self.last = self._last_step()

    def _read(self, after: int = WARM_UP) -> Iterator[tuple[int, Candle]]:
        for path in _days(self.folder):
            if not after or path.name >= day_of(after):
                yield from _lines(path)

    def _unwritable(self, error: OSError) -> OutputProblem:
        return OutputProblem(
            "candles must be kept before they are used",
            f"{self.folder} ({error.strerror or error})",
            "free space, or give a writable CONSILIUM_DATA_DIR",
        )


class CandleReader:
    """Reads the candles of steps out of a folder that another process writes, from step to later step.

    Parameters
    ----------
    folder
        Of a `CandleLog`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name, self._place = "", 0

    def terms(self) -> dict[str, Any] | None:
        """Return what the folder was begun with, None before."""
        return read_terms(self.folder)

    def warm_up(self) -> list[Candle]:
        """Return the candles from before the first step."""
        return _warm_up(self.folder)

    def newest(self, symbol: str, limit: int) -> list[Candle]:
        """Return the newest candles of a symbol, oldest first."""
        found: list[Candle] = []
        for path in reversed(_days(self.folder)):
            of_day = [candle for _, candle in _lines(path) if candle.symbol == symbol]
            found = [*of_day, *found]
            if len(found) >= limit:
                break
        return found[-limit:]

    def step(self, ts: int) -> list[Candle]:
        """Return the candles of a step; later calls must be for this or later steps."""
        name = day_of(ts)
        if name != self._name:
            self._name, self._place = name, len(HEADER)
        path, found = self.folder / name, list[Candle]()
        if not path.exists():
            return found
        with path.open("rb") as lines:
            lines.seek(self._place)
            for line in lines:
                if not line.endswith(b"\n") or _step(line) > ts:
                    break
                if _step(line) == ts:
                    found.append(_candle(line.decode())[1])
                elif not found:
                    self._place += len(line)
        return found

    def rewind(self) -> None:
        """Let the next call of `step` be for any step."""
        self._name, self._place = "", 0


def read_terms(folder: Path) -> dict[str, Any] | None:
    """Return what a folder of kept candles was begun with, None before.

    Raises
    ------
    DataProblem
        They cannot be read.
    """
    path = folder / TERMS
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DataProblem(
            "the terms of kept candles must be JSON", f"'{path}'", "restore the folder"
        ) from None
    return found


def _days(folder: Path) -> list[Path]:
    return sorted(folder.glob("????-??-??.csv"))


def _warm_up(folder: Path) -> list[Candle]:
    taken: list[Candle] = []
    for path in _days(folder):
        for step, candle in _lines(path):
            if step != WARM_UP:
                return taken  # steps come later than all of it
            taken.append(candle)
    return taken


def digest_of(candles: Iterable[Candle]) -> str:
    """Hash candles: SHA-256, 32 hex digits."""
    state = sha256()
    for c in candles:
        fields = (c.symbol, c.ts_open, c.ts_close, c.open, c.high, c.low, c.close, c.volume)
        state.update(repr(fields).encode())
    return state.hexdigest()[:32]


def day_of(ts: int) -> str:
    """Return the file of a step."""
    return f"{to_iso(ts - 1)[:10]}.csv"


def _candle(line: str) -> tuple[int, Candle]:
    symbol, venue, interval, begin, end, *rest, step = line.rstrip("\n").split(",")
    o, h, l, c, v = (float(text) for text in rest)
    return int(step), Candle(
        symbol=symbol, venue=venue, interval_ns=int(interval), ts_open=int(begin),
        ts_close=int(end), open=o, high=h, low=l, close=c, volume=v,
    )  # fmt: skip


def _step(line: bytes) -> int:
    return int(line.rsplit(b",", 1)[1])


def _lines(path: Path) -> Iterator[tuple[int, Candle]]:
    with path.open(encoding="utf-8") as lines:
        next(lines, None)
        for number, line in enumerate(lines, start=2):
            if not line.endswith("\n"):
                return  # somebody writes it just now, or was killed while he did
            try:
                yield _candle(line)
            except ValueError as error:
                raise DataProblem(
                    "kept candles must be whole",
                    f"{path.name} line {number} ({' '.join(str(error).split())[:80]})",
                    "restore the folder from a backup",
                ) from None
