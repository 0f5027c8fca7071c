"""API keys: only their digests are kept, in a file that its owner alone can read."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from threading import Lock
from typing import Any

from consilium.domain import Clock, InvalidValue, OutputProblem, UnknownName, UsageError
from consilium.domain.files import private_folder

SCOPES = ("read", "publish", "decide", "override", "vote", "admin")
"""What a key may do; admin includes all others."""

ADMIN, ENVIRONMENT = "admin", "environment"
FILE, GENERATED = "keys.json", "admin.key"
FORMAT = 1
LONGEST_NAME, SHORTEST_KEY = 64, 16
PREFIX = "csl_"

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is kept of a key.

    Parameters
    ----------
    key_id
        Names it in lists and logs; it is no secret.
    digest
        SHA-256 of the key, in hex. The key has 256 random bits, so that a slow hash would gain nothing.
    person
        Who acts with it: commands are journaled under this name.
    scopes
        Of SCOPES.
    limited
        Whether the rate limits hold for it.
    ts_created
        UTC nanoseconds.
    """

    key_id: str
    digest: str
    person: str
    scopes: tuple[str, ...]
    limited: bool = True
    ts_created: int = 0

    def may(self, scope: str) -> bool:
        """Tell whether the key has a scope.

        Examples
        --------
        >>> record = KeyRecord(key_id="a", digest="", person="ann", scopes=("read",))
        >>> record.may("read"), record.may("admin")
        (True, False)
        """
        return scope in self.scopes or ADMIN in self.scopes


def digest_of(key: str) -> str:
    """Return the digest under which a key is kept."""
    return sha256(key.encode()).hexdigest()


def require_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return scopes in the order of SCOPES; refuse unknown ones, and none.

    Examples
    --------
    >>> require_scopes(["admin", "read"])
    ('read', 'admin')
    """
    chosen = set(scopes)
    for scope in sorted(chosen - set(SCOPES)):
        raise UnknownName("scope", scope, SCOPES)
    if not chosen:
        raise InvalidValue("a key needs at least one scope", "none", f"choose of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in chosen)


def require_person(person: str) -> str:
    """Return a name; refuse one that could not stand in a line of a log."""
    name = person.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidValue(
            f"person must be 1 to {LONGEST_NAME} printable characters", repr(person[:80]), "name who acts"
        )
    return name


class KeyStore:
    """The keys of a data folder, and the admin key of the environment.

    A change by another process is seen within half a second. A damaged file refuses every key of it and
    says so, rather than forgetting who was revoked. Where the file cannot be read at all, as when no file can
    be opened any more, the keys that were known stay good until it can. `trouble` says either.

    Parameters
    ----------
    folder
        The data folder; the file is ``keys.json`` in it.
    clock
        Dates new keys.
    admin_key
        That of CONSILIUM_API_KEY; it is never written.

    Raises
    ------
    UsageError
        The admin key is shorter than 16 characters.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from consilium.app.bootstrap import SystemClock
    >>> store = KeyStore(Path(mkdtemp()), SystemClock())
    >>> key, record = store.create("ann", ["read"])
    >>> store.find(key).person, store.find("another") is None
    ('ann', True)
    >>> store.revoke(record.key_id)
    >>> store.find(key) is None
    True
    """

    def __init__(self, folder: Path, clock: Clock, admin_key: str | None = None) -> None:
        if admin_key is not None and len(admin_key) < SHORTEST_KEY:
            raise UsageError(
                f"CONSILIUM_API_KEY must have at least {SHORTEST_KEY} characters",
                f"{len(admin_key)}",
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        self.path = folder / FILE
        self._clock = clock
        self._environment: tuple[KeyRecord, ...] = ()
        if admin_key is not None:
            self._environment = (_record(ENVIRONMENT, admin_key, ADMIN, (ADMIN,), limited=True, ts=0),)
        self._lock = Lock()
        self._seen: tuple[int, ...] | None = None
        self._looked = 0.0
        self._known = tuple((bytes.fromhex(record.digest), record) for record in self._environment)
        self._problem = ""
        self._look(force=True)

    def find(self, key: str) -> KeyRecord | None:
        """Return whose key this is; every kept digest is compared, in constant time."""
        self._look()
        presented = sha256(key.encode("utf-8", "surrogateescape")).digest()
        found: KeyRecord | None = None
        for digest, record in self._known:
            if compare_digest(digest, presented):
                found = record
        return found

    def holds(self, key_id: str) -> bool:
        """Tell whether a key is still good."""
        self._look()
        return any(record.key_id == key_id for _, record in self._known)

    def trouble(self) -> str:
        """Return why the file cannot be used, nothing where it can."""
        self._look()
        return self._problem

    def records(self) -> tuple[KeyRecord, ...]:
        """Return the keys of the file, oldest first.

        Raises
        ------
        OutputProblem
            The file is damaged.
        """
        return _read(self.path)

    def create(self, person: str, scopes: Iterable[str], *, limited: bool = True) -> tuple[str, KeyRecord]:
        """Make a key of 256 random bits; it is returned once and kept by nobody.

        Raises
        ------
        UnknownName, InvalidValue
            No such scope, none at all, or no name.
        OutputProblem
            The file is damaged or cannot be written.
        """
        key = PREFIX + secrets.token_urlsafe(32)
        record = _record(
            secrets.token_hex(4),
            key,
            require_person(person),
            require_scopes(scopes),
            limited=limited,
            ts=self._clock.now_ns(),
        )
        with _held(self.path):
            _write(self.path, (*_read(self.path), record))
        self._look(force=True)
        return key, record

    def revoke(self, key_id: str) -> None:
        """Forget a key; open event streams of it end with their next heartbeat.

        Raises
        ------
        UnknownName
            No such key.
        OutputProblem
            The file is damaged or cannot be written.
        """
        with _held(self.path):
            records = _read(self.path)
            kept = tuple(record for record in records if record.key_id != key_id)
            if len(kept) == len(records):
                raise UnknownName("key", key_id, [record.key_id for record in records])
            _write(self.path, kept)
        self._look(force=True)

    def ensure_admin(self) -> Path | None:
        """Make an admin key where there is none at all; return the file, readable by its owner only.

        Raises
        ------
        OutputProblem
            The folder cannot be written.
        """
        if self._environment or any(record.may(ADMIN) for record in self.records()):
            return None
        key, _ = self.create(ADMIN, [ADMIN])
        path = self.path.with_name(GENERATED)
        _write_private(path, key.encode() + b"\n")
        return path

    def _look(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._looked < _LOOK_SECONDS:
            return
        with self._lock:
            self._looked = now
            try:
                seen = self._state()
                if seen == self._seen:
                    return
                records = _read(self.path)
                self._seen, self._problem = seen, ""
            except _Unreadable as error:
                # What it says is not known: who was let in stays so, and it is read again soon.
                self._seen, self._problem = None, str(error)
                return
            except OutputProblem as error:
                records, self._seen, self._problem = (), None, str(error)
            known = (*self._environment, *records)
            self._known = tuple((bytes.fromhex(record.digest), record) for record in known)

    def _state(self) -> tuple[int, ...]:
        """Return what changes whenever the file does, its permissions included."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return (0, 0, 0, 0)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


class _Unreadable(OutputProblem):
    """A file of keys that is there and cannot be read now."""


def _unreadable(path: Path, error: OSError) -> _Unreadable:
    return _Unreadable(f"{path.name} must be readable", error.strerror, "correct its owner")


def _record(
    key_id: str, key: str, person: str, scopes: tuple[str, ...], *, limited: bool, ts: int
) -> KeyRecord:
    return KeyRecord(
        key_id=key_id, digest=digest_of(key), person=person, scopes=scopes, limited=limited, ts_created=ts
    )


def _read(path: Path) -> tuple[KeyRecord, ...]:
    try:
        found = json.loads(path.read_bytes())
        return _from_file(found)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())[:120]
        raise OutputProblem(
            f"{path.name} must be a whole file of keys, format {FORMAT}", told, "restore it from a backup"
        ) from None


def _from_file(found: Mapping[str, Any]) -> tuple[KeyRecord, ...]:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}")
    return tuple(_from_json(entry) for entry in found["keys"])


def _from_json(entry: Mapping[str, Any]) -> KeyRecord:
    record = KeyRecord(**{**entry, "scopes": require_scopes(entry["scopes"])})
    if len(bytes.fromhex(record.digest)) != 32:
        raise ValueError(f"digest of key {record.key_id}")
    return record


def _write(path: Path, records: Iterable[KeyRecord]) -> None:
    body = {"format": FORMAT, "keys": [asdict(record) for record in records]}
    _write_private(path, json.dumps(body, indent=1).encode() + b"\n")


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can ever read: it has these permissions before it has any content."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        private_folder(path.parent)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputProblem(
            f"{path.name} must be written whole", error.strerror or error, "check the data folder"
        ) from None


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Let one process at a time change the file."""
    try:
        private_folder(path.parent)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputProblem(
            "the data folder must be writable", f"{path.parent}: {error.strerror}", "correct its permissions"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
