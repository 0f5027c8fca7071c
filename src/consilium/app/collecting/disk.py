"""What a folder holds and what its disk has left, looked at seldom and reckoned in between."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 30.0
LOOK_FOR_ROOM_S = 2.0
PAUSE_PER_LOOK = 20.0


class FolderSize:
    """Bytes in a folder: counted by a walk, and between two walks by what is said to be written.

    Parameters
    ----------
    folder
        Which.
    clock
        Returns seconds that only go forward.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._seen = self._written_then = self._written = 0
        self._looked, self._took = float("-inf"), 0.0

    @property
    def used(self) -> int:
        """Bytes in the folder."""
        return self._seen + self._written - self._written_then

    def wrote(self, total: int) -> None:
        """Say how many bytes were written in all by now."""
        self._written = total

    def due(self, *, for_room: bool = False) -> bool:
        """Whether to `look`: every 30 s, every 2 s for room, and at most a twentieth of the time."""
        pause = LOOK_FOR_ROOM_S if for_room else LOOK_EVERY_S
        return self._clock() - self._looked >= max(pause, PAUSE_PER_LOOK * self._took)

    def look(self) -> None:
        """Walk through the folder; may run in a thread."""
        begun, written = self._clock(), self._written
        self._seen = folder_bytes(self._folder)
        self._written_then = written
        self._looked = self._clock()
        self._took = self._looked - begun


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder; what vanishes meanwhile does not count."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def free_bytes(folder: Path) -> int:
    """Return what the disk of a folder has left."""
    return shutil.disk_usage(folder).free
