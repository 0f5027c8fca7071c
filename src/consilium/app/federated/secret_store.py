"""The SecretStore of a participant on its own disk: encrypted, and what is over is erased."""

import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from consilium.app.federated.record_log import RecordLog
from consilium.domain import ArtefactRefused, DataProblem, OutputProblem
from consilium.domain.files import private_folder, whole_file
from consilium.federated.primitives import KEY_SIZE, derive, seal, unseal
from consilium.federated.secure_sum.secrets import Attempt

KEY_FILE: Final = "store.key"
RECORDS_FILE: Final = "records.log"
_ATTEMPT: Final = struct.Struct("<HII")
_SALT: Final = 16
ALL: Final = 2**32 - 1
"""Number of an attempt after which a round has no other."""
_ENDED: Final = "ended:"
_KEPT: Final = "kept:"


class FileSecretStore:
    """Keeps what a participant must remember and nobody else may read.

    Each record is sealed by AES-256-GCM under a key of its own, derived from the key file, the record's
    number and a random salt before it: records cannot be swapped, repeated or left out without notice. The
    key file lies beside the records, readable by its owner alone; whoever takes the whole folder has both,
    but no key of a round that is over: of those only the number stays, so that none is begun again.

    Parameters
    ----------
    folder
        Where it lies; made at first use.

    Raises
    ------
    ArtefactRefused
        Records without their key, or under another one.
    DataProblem
        Damaged records.
    OutputProblem
        The folder cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp()) / "desk"
    >>> with FileSecretStore(folder) as store:
    ...     store.append(("s", 1, 0), b"keys")
    >>> with FileSecretStore(folder) as store:
    ...     store.records(("s", 1, 0)), store.latest("s")
    ([b'keys'], (1, 0))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = _key_of(folder)
        self._log = RecordLog(folder / RECORDS_FILE)
        self._records: dict[Attempt, list[bytes]] = {}
        try:
            for place, sealed in enumerate(self._log.records):
                attempt, record = self._opened(place, sealed)
                self._records.setdefault(attempt, []).append(record)
        except BaseException:
            self._log.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"FileSecretStore({str(self.folder)!r})"

    def append(self, attempt: Attempt, record: bytes) -> None:
        """Keep a record, durably.

        Raises
        ------
        OutputProblem
            The disk does not take it; it is not kept then.
        """
        self._log.append(self._sealed(len(self._log.records), attempt, record))
        self._records.setdefault(attempt, []).append(record)

    def end(self, session: str, number: int) -> None:
        """Erase what belongs to the rounds of a session up to one that is over; none of them is begun again.

        Raises
        ------
        OutputProblem
            The disk does not take it; everything stays as it is.
        """
        if number <= self.ended(session):
            return
        left = {
            attempt: records
            for attempt, records in self._records.items()
            if attempt[0] not in (session, _ENDED + session)
            or (attempt[0] == session and attempt[1] > number)
        }
        self._rewrite(left | {(_ENDED + session, number, ALL): [b""]})

    def ended(self, session: str) -> int:
        """Return the last round of a session that is over, as `end` was told; 0 for none."""
        return max((number for name, number, _ in self._records if name == _ENDED + session), default=0)

    def put(self, name: str, content: bytes) -> None:
        """Keep something under a name, in the place of what was there.

        Raises
        ------
        OutputProblem
            The disk does not take it; what was there stays.
        """
        self._rewrite(self._records | {(_KEPT + name, 0, 0): [content]})

    def get(self, name: str) -> bytes | None:
        """Return what is kept under a name, or None."""
        found = self._records.get((_KEPT + name, 0, 0))
        return None if found is None else found[0]

    def _rewrite(self, records: dict[Attempt, list[bytes]]) -> None:
        rows = [(attempt, record) for attempt, kept in records.items() for record in kept]
        self._log.rewrite([self._sealed(place, *row) for place, row in enumerate(rows)])
        self._records = records

    def records(self, attempt: Attempt) -> list[bytes]:
        """Return the records of an attempt in order."""
        return list(self._records.get(attempt, ()))

    def counter(self, attempt: Attempt) -> int:
        """Return how many records of an attempt were ever appended."""
        return len(self._records.get(attempt, ()))

    def latest(self, session: str) -> tuple[int, int] | None:
        """Return the last round and attempt of a session that was begun, or None."""
        names = (session, _ENDED + session)
        return max(((number, tried) for name, number, tried in self._records if name in names), default=None)

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()

    def _key_of_record(self, place: bytes, salt: bytes) -> bytes:
        return derive(self._key, b"consilium secret store" + place, salt=salt)

    def _sealed(self, index: int, attempt: Attempt, record: bytes) -> bytes:
        name = attempt[0].encode()
        place, salt = _place(index), secrets.token_bytes(_SALT)
        plain = _ATTEMPT.pack(len(name), *attempt[1:]) + name + record
        # A place is used again: without the salt its key would seal two records.
        return salt + seal(self._key_of_record(place, salt), plain, place)

    def _opened(self, place: int, record: bytes) -> tuple[Attempt, bytes]:
        salt, sealed = record[:_SALT], record[_SALT:]
        try:
            plain = unseal(self._key_of_record(_place(place), salt), sealed, _place(place))
        except ValueError as error:
            raise ArtefactRefused(
                f"record {place + 1} of {self._log.path} must open with {KEY_FILE}",
                "it does not",
                "put the key file of these records back, or leave the session",
            ) from error
        size, number, tried = _ATTEMPT.unpack_from(plain)
        end = _ATTEMPT.size + size
        return (plain[_ATTEMPT.size : end].decode(), number, tried), plain[end:]


def _place(place: int) -> bytes:
    return place.to_bytes(8, "little")


def _key_of(folder: Path) -> bytes:
    """Return the key of a store, made at its first use."""
    path = folder / KEY_FILE
    try:
        private_folder(folder)
        if not path.exists() and (folder / RECORDS_FILE).exists():
            raise ArtefactRefused(
                f"the records of {folder} need their {KEY_FILE}",
                "it is gone",
                "put it back, or use another folder for a new session",
            )
        if not path.exists():
            with whole_file(path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(secrets.token_bytes(KEY_SIZE))
        key = path.read_bytes()
    except OSError as error:
        raise OutputProblem(
            f"secrets must be kept in {folder}",
            error.strerror or error,
            "choose a folder of your own: --store",
        ) from error
    with suppress(OSError):
        path.chmod(0o600)
    if len(key) != KEY_SIZE:
        raise DataProblem(f"{path} must have {KEY_SIZE} bytes", len(key), "put the right key file back")
    return key
