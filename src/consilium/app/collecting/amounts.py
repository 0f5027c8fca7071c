"""Sizes and lengths of time as people write them on a command line."""

import re
from math import isfinite

from consilium.domain import UsageError

SIZES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
LENGTHS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def read_bytes(option: str, text: str) -> int:
    """Read a size such as ``50GB`` or ``512MiB``.

    Raises
    ------
    UsageError
        No number with a unit of bytes, or less than one byte.

    Examples
    --------
    >>> read_bytes("--max-disk", "1.5GB"), read_bytes("--max-memory", "512 MiB")
    (1500000000, 536870912)
    """
    found = _AMOUNT.fullmatch(text.strip())
    unit = SIZES.get(found[2].upper()) if found else None
    amount = float(found[1]) * unit if found and unit else 0.0
    if not (isfinite(amount) and amount >= 1.0):
        raise UsageError(
            f"{option} must be a size > 0 with a unit (B, KB, MB, GB, TB, KiB, ...)",
            f"'{text}'",
            f"write for example {option} 50GB",
        )
    return int(amount)


def read_seconds(option: str, text: str) -> float:
    """Read a length of time such as ``10m`` or ``1.5h``.

    Raises
    ------
    UsageError
        No number with a unit of time, or 0.

    Examples
    --------
    >>> read_seconds("--for", "10m"), read_seconds("--for", "100ms")
    (600.0, 0.1)
    """
    found = _AMOUNT.fullmatch(text.strip())
    unit = LENGTHS.get(found[2].lower()) if found else None
    amount = float(found[1]) * unit if found and unit else 0.0
    if not (isfinite(amount) and amount > 0.0):
        raise UsageError(
            f"{option} must be a length of time > 0 with a unit (s, m, h, d)",
            f"'{text}'",
            f"write for example {option} 10m",
        )
    return amount


def bytes_text(size: float) -> str:
    """Write a size in the largest unit that leaves at least 1.

    Examples
    --------
    >>> bytes_text(0), bytes_text(1_234), bytes_text(86_400_000_000)
    ('0 B', '1.2 KB', '86.4 GB')
    """
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= SIZES[unit]:
            return f"{size / SIZES[unit]:.1f} {unit}"
    return f"{size:.0f} B"


def seconds_text(seconds: float) -> str:
    """Write a length of time as hours, minutes and seconds.

    Examples
    --------
    >>> seconds_text(59.6), seconds_text(3_600 * 25 + 61)
    ('0:01:00', '25:01:01')
    """
    whole = round(seconds)
    return f"{whole // 3_600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
