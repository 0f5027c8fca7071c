"""The kill switch's note: written beside the journal and forced to the disk, read at each start and tick."""

import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import Any
from uuid import uuid4

import orjson

from consilium.domain import ConsiliumError, CouncilCommanded

NAME = "FROZEN.json"
KILL = "kill-"
"""How the id of a halt by the kill switch begins."""


def note_of(reason: str, person: str, key_id: str = "") -> dict[str, Any]:
    """Return what is to be written: who wants trading to stop, why, and an id of its own."""
    return {"command_id": f"{KILL}{uuid4().hex}", "reason": reason, "person": person, "key_id": key_id}


def command_of(note: Mapping[str, Any], ts: int) -> CouncilCommanded:
    """Return a note as the council hears it: a freeze by an operator."""
    return CouncilCommanded(
        command_id=str(note["command_id"]),
        action="mode",
        payload={"mode": "FROZEN"},
        reason=str(note["reason"]),
        person=str(note["person"]),
        key_id=str(note.get("key_id", "")),
        ts_event=ts,
    )


def path_of(data_dir: Path) -> Path:
    """Return where the note of a data folder lies."""
    return data_dir / "live" / NAME


def write_note(data_dir: Path, note: Mapping[str, Any]) -> Path:
    """Write a note whole or not at all, and have it on the disk when this returns.

    It needs neither journal nor bus, nor a service that runs: one that does acts on it at its next tick.
    """
    path = path_of(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}-{get_ident()}")
    with beside.open("wb") as file:
        file.write(orjson.dumps(dict(note)))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return path


def read_note(data_dir: Path) -> dict[str, Any] | None:
    """Return the note that is there; a torn or foreign one still means that somebody wanted a halt."""
    path = path_of(data_dir)
    found = (_read(place) for place in (path, *_asides(path)))
    return next((note for note in found if note is not None), None)


def _asides(path: Path) -> list[Path]:
    """Return the notes that were taken aside to be forgotten: a kill may leave one that nobody has read."""
    with suppress(OSError):
        return sorted(path.parent.glob(f"{path.stem}.over-*"))
    return []


def _read(path: Path) -> dict[str, Any] | None:
    written = 0
    try:
        written = path.stat().st_mtime_ns
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unreadable(str(error), f"-{written}" if written else "")
    try:
        note = orjson.loads(text)
        command_of(note, 0)
    except (ValueError, KeyError, TypeError, ConsiliumError) as error:
        # another one later is another halt, also where it says the same
        mark = sha256(b"%d:%s" % (written, text)).hexdigest()[:16]
        return _unreadable(f"{type(error).__name__} in {NAME}", f"-{mark}")
    return dict(note)


def _unreadable(why: str, mark: str = "") -> dict[str, Any]:
    return {
        "command_id": f"{KILL}unreadable{mark}",
        "reason": f"a halt was asked for: {why}",
        "person": "operator",
    }


def drop_note(data_dir: Path, note: Mapping[str, Any]) -> None:
    """Forget a note: the freeze it asked for is in the journal, and over. One left since then stays."""
    path = path_of(data_dir)
    with suppress(OSError):
        path.rename(path.with_suffix(f".over-{os.getpid()}-{get_ident()}"))
    for aside in _asides(path):
        with suppress(OSError):
            found = _read(aside)
            if found is None or found["command_id"] == note["command_id"] or not _put_back(aside, path):
                aside.unlink(missing_ok=True)


def _put_back(aside: Path, path: Path) -> bool:
    """Have a note where it is looked for; return whether it is gone from where it was."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False  # a later one is there, and is a halt as well
    except OSError:  # no links on this disk
        aside.replace(path)
        return True
    return False
