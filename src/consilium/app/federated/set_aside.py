"""Sessions that cannot go on for now: why, when to look again, and that it is said once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAUSE_S: Final = 1.0
"""Between two tries to go on where a disk did not take what must be kept."""
SAY_AGAIN_S: Final = 300.0

Look = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class _Aside:
    why: str
    look: Look | None
    at: float


class SetAside:
    """Keeps which sessions wait, and says when one may be tried again.

    A folder that cannot be read is not read again before something in it has changed; where writing failed,
    the session is tried every second.

    Parameters
    ----------
    clock
        Seconds that only grow.

    Examples
    --------
    >>> aside = SetAside()
    >>> aside.put("s-1", "no space left", Path("sessions/s-1"), damaged=False)
    True
    >>> aside.why, aside.due("s-1", Path("sessions/s-1"))
    ({'s-1': 'no space left'}, False)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._aside: dict[str, _Aside] = {}
        self._said: dict[str, tuple[str, float]] = {}

    @property
    def why(self) -> dict[str, str]:
        """Why a session waits, by its name."""
        return {name: one.why for name, one in list(self._aside.items())}

    def put(self, name: str, why: str, folder: Path, *, damaged: bool) -> bool:
        """Set a session aside; return whether that is news.

        Parameters
        ----------
        name
            Of the session.
        why
            In one line.
        folder
            Where it is kept.
        damaged
            Whether it cannot be read; else it could not be written.
        """
        now = self._clock()
        self._aside[name] = _Aside(why, _look(folder) if damaged else None, now + PAUSE_S)
        said, at = self._said.get(name, ("", now))
        if said != why or now - at > SAY_AGAIN_S:
            self._said[name] = (why, now)
            return True
        return False

    def take_back(self, name: str) -> None:
        """A session goes on."""
        self._aside.pop(name, None)

    def due(self, name: str, folder: Path) -> bool:
        """Return whether a session is to be tried again."""
        one = self._aside.get(name)
        if one is None:
            return False
        if one.look is None:
            return self._clock() >= one.at
        return _look(folder) != one.look


def _look(folder: Path) -> Look:
    """Return names, times and sizes of all that is in a folder: what mends it changes one of them."""
    found = []
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return tuple(found)
