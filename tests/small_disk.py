"""A file system that is really small."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(disk: Path, kibibytes: int) -> Iterator[Path]:
    """Mount one in memory; the test is skipped where mounting is not permitted."""
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def ballast(disk: Path, leave: int = 0) -> Path:
    """Fill the disk but for some bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"x" * 4_096)
    if leave:
        with filler.open("r+b") as out:
            out.truncate(filler.stat().st_size - leave)
    return filler
