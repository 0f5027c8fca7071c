"""A file of records that only grows: each is on the disk, whole, before `append` returns."""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final, Self

from consilium.domain import DataProblem, InvalidValue, OutputProblem, UsageError
from consilium.domain.files import private_file, private_folder

HEAD: Final = struct.Struct("<III")
"""Length and CRC-32 of the bytes that follow, and CRC-32 of these two."""
_HEAD_OF: Final = struct.Struct("<II")
MOST: Final = 1 << 30
"""Bytes of one record."""


class RecordLog:
    """Appends records to a file and reads them back in order.

    A record is its length, its CRC-32, the CRC-32 of these two, and its bytes. What a kill left half-written
    at the end is cut off when the file is opened; nobody was told of it. All else is an error, and the file
    stays as it is: damage before the end, where records behind it were told of, and a head that is whole and
    wrong, whose length nobody can trust. So is a file of the first form, whose heads had no checksum.
    One process has a file at a time. Many threads may wait in `sync`: one of them writes for all.

    Parameters
    ----------
    path
        The file; made, with its folders, readable by its owner alone.

    Raises
    ------
    DataProblem
        Damage.
    OutputProblem
        The file cannot be made or written.
    UsageError
        Another process has it.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "attempt.log"
    >>> with RecordLog(path) as log:
    ...     log.append(b"one")
    ...     log.append(b"two")
    >>> with RecordLog(path) as log:
    ...     log.records
    [b'one', b'two']
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._syncing = threading.Lock()
        try:
            private_folder(path.parent)
            private_file(path)
            self._file = FileIO(path, "r+")
        except OSError as error:
            raise OutputProblem(
                f"records must be kept in {path}",
                error.strerror or error,
                "free the disk or mend its permissions",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UsageError(
                "records must be written by one process at a time",
                path,
                "stop the other or use another folder",
            ) from error
        try:
            raw = self._file.read()
            self.records, self._end = _whole_records(raw, path)
            if self._end < len(raw):
                self._file.truncate(self._end)
            _keep_name(path)
        except OSError as error:
            self._file.close()
            raise self._refused(error) from error
        except BaseException:
            self._file.close()
            raise
        self._synced = self._end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def append(self, record: bytes, *, durable: bool = True) -> None:
        """Write a record down; it is on the disk when this returns, or it is not in the file at all.

        Parameters
        ----------
        record
            The bytes.
        durable
            False where `sync` follows before anybody is told: several records then reach the disk at once.

        Raises
        ------
        InvalidValue
            A record that is too long.
        OutputProblem
            The disk does not take it.
        """
        if len(record) > MOST:
            raise InvalidValue(f"a record must have at most {MOST} bytes", len(record), "split it")
        written = _framed(record)
        try:
            self._write(written)
            if durable:
                os.fdatasync(self._file.fileno())
        except OSError as error:
            self._take_back()
            raise self._refused(error) from error
        self._end += len(written)
        self.records.append(record)
        if durable:
            self._synced = self._end

    def sync(self) -> None:
        """Return when all that was appended before is on the disk, or the file was closed.

        Raises
        ------
        OutputProblem
            The disk does not take it: what is in the file is not certain, until it is opened again.
        """
        wanted = self._end
        if self._synced >= wanted:
            return
        with self._syncing:
            end = self._end
            if self._synced >= wanted or self._file.closed:
                return
            try:
                os.fdatasync(self._file.fileno())
            except OSError as error:
                raise self._refused(error) from error
            self._synced = max(self._synced, end)

    def rewrite(self, records: Sequence[bytes]) -> None:
        """Put these records in the place of all, at once; what was there is overwritten before it goes.

        Raises
        ------
        OutputProblem
            The disk does not take it: what was there stays.
        """
        beside = self.path.with_name(f".{self.path.name}.part")
        content = b"".join(_framed(record) for record in records)
        try:
            fresh = _locked(beside)
            try:
                _write_all(fresh, content)
                os.fsync(fresh.fileno())
                beside.replace(self.path)
            except BaseException:
                fresh.close()
                beside.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._refused(error) from error
        with self._syncing:
            old, self._file = self._file, fresh
            self.records, self._end, self._synced = list(records), len(content), len(content)
        try:
            _keep_name(self.path)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            _blank(old)

    def close(self) -> None:
        """Let go of the file."""
        with self._syncing:
            self._file.close()

    def _refused(self, error: OSError) -> OutputProblem:
        return OutputProblem(
            f"a record must be kept in {self.path}",
            error.strerror or error,
            "free the disk or mend its permissions; nothing was sent that depends on it",
        )

    def _write(self, data: bytes) -> None:
        self._file.seek(self._end)
        _write_all(self._file, data)

    def _take_back(self) -> None:
        """Cut off what a failed write left; where that fails too, the next opening does it."""
        try:
            self._file.truncate(self._end)
        except OSError:
            return


def _framed(record: bytes) -> bytes:
    head = _HEAD_OF.pack(len(record), zlib.crc32(record))
    return head + zlib.crc32(head).to_bytes(4, "little") + record


def _locked(path: Path) -> FileIO:
    """Make an empty file for its owner alone, and hold its lock before anybody can know it."""
    path.unlink(missing_ok=True)
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def _blank(file: FileIO) -> None:
    """Overwrite a file that has no name any more, as far as the disk lets that be known, and let go of it."""
    with suppress(OSError), file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        _write_all(file, bytes(size))
        os.fsync(file.fileno())


def _whole_records(raw: bytes, path: Path) -> tuple[list[bytes], int]:
    """Return the records of a file, and where the last whole one ends."""
    found: list[bytes] = []
    end = 0
    while end + HEAD.size <= len(raw):
        size, checksum, of_head = HEAD.unpack_from(raw, end)
        if zlib.crc32(raw[end : end + _HEAD_OF.size]) != of_head:
            raise _damage(path, f"damage in the head of record {len(found) + 1} at byte {end}")
        start = end + HEAD.size
        record = raw[start : start + size]
        if len(record) != size or zlib.crc32(record) != checksum:
            if start + size < len(raw):
                raise _damage(path, f"damage in record {len(found) + 1} at byte {start}")
            break
        found.append(record)
        end = start + size
    return found, end


def _damage(path: Path, what: str) -> DataProblem:
    return DataProblem(
        f"records of {path} must be as they were written",
        what,
        "restore the folder from a copy, or leave this session",
    )


def _keep_name(path: Path) -> None:
    """Have the file's name on the disk too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
