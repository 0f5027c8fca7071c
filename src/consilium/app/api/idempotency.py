"""Answers to POST requests that carry an Idempotency-Key, kept on the disk so that a kill forgets none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from consilium.app.api.problems import ApiProblem
from consilium.domain import Clock, OutputProblem
from consilium.domain.files import private_file, private_folder
from consilium.domain.time import DAY_NS

FILE = "answers.sqlite"
KEPT_NS = DAY_NS
LONGEST = 255

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    place BLOB PRIMARY KEY, said BLOB NOT NULL, ts INTEGER NOT NULL,
    status INTEGER, body BLOB, media_type TEXT
) WITHOUT ROWID
"""


class Kept(NamedTuple):
    """An answer that was given before."""

    status: int
    body: bytes
    media_type: str


def require_idempotency_key(key: str) -> None:
    """Refuse a key that is empty, too long, or not visible ASCII."""
    if not (0 < len(key) <= LONGEST and all("!" <= letter <= "~" for letter in key)):
        raise ApiProblem(
            422,
            f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters; got {len(key)}: use a UUID",
        )


class Answers:
    """What was answered within the last day.

    Parameters
    ----------
    folder
        The data folder.
    clock
        Dates answers.

    Raises
    ------
    OutputProblem
        The folder cannot be written.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        try:
            private_folder(folder)
            private_file(folder / FILE)
            self._db = sqlite3.connect(
                folder / FILE, isolation_level=None, check_same_thread=False, timeout=5
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_TABLE)
            self._db.execute("CREATE INDEX IF NOT EXISTS answers_ts ON answers (ts)")
        except (OSError, sqlite3.Error) as error:
            raise OutputProblem(f"{FILE} must be writable", error, "check the data folder") from None

    def begin(self, place: bytes, said: bytes) -> Kept | None:
        """Return the answer that was given, or None where this is the first time, which is then noted.

        Raises
        ------
        ApiProblem
            409: another body under the same key, or the first request has not been answered: it still runs,
            or the service was killed in it and its outcome is in the journal.
        OutputProblem
            It cannot be noted: nothing may be begun.
        """
        now = self._clock.now_ns()
        with self._writing():
            self._db.execute("DELETE FROM answers WHERE ts < ?", (now - KEPT_NS,))
            cursor = self._db.execute(
                "INSERT INTO answers (place, said, ts) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (place, said, now),
            )
            if cursor.rowcount == 1:
                return None
            with closing(
                self._db.execute(
                    "SELECT said, status, body, media_type FROM answers WHERE place = ?", (place,)
                )
            ) as found:
                first_said, status, body, media_type = found.fetchone()
        if first_said != said:
            raise ApiProblem(409, "an Idempotency-Key belongs to one body; got another body: use a new key")
        if status is None:
            raise ApiProblem(
                409,
                "the first request of this Idempotency-Key has no answer yet: look whether it took effect",
            )
        return Kept(status, body, media_type)

    def keep(self, place: bytes, answer: Kept) -> None:
        """Keep the answer to a request that was begun; OutputProblem where that cannot be."""
        with self._writing():
            self._db.execute(
                "UPDATE answers SET status = ?, body = ?, media_type = ? WHERE place = ?", (*answer, place)
            )

    def forget(self, place: bytes) -> None:
        """Forget a request that was refused; OutputProblem where that cannot be."""
        with self._writing():
            self._db.execute("DELETE FROM answers WHERE place = ?", (place,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise OutputProblem(
                    f"{FILE} must be writable", error, "check the disk of the data folder"
                ) from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
