"""Times are UTC nanoseconds since the epoch, in fields named ``ts_*``."""

import re
from datetime import UTC, datetime

from consilium.domain.errors import UsageError

MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS


def to_iso(ts: int) -> str:
    """Write a time as ISO 8601 in UTC, to the second.

    Examples
    --------
    >>> to_iso(1_704_067_200_000_000_000)
    '2024-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(ts // SECOND_NS, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_iso(text: str) -> int:
    """Read an ISO 8601 time; one without a zone is UTC.

    Examples
    --------
    >>> from_iso("2024-01-01") == from_iso("2024-01-01T00:00:00Z") == 1_704_067_200 * SECOND_NS
    True
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_NS + moment.microsecond * 1_000


def length_text(length_ns: int) -> str:
    """Write a length of time in the largest unit that fits it whole.

    Examples
    --------
    >>> length_text(HOUR_NS), length_text(90 * MINUTE_NS), length_text(250 * MS_NS), length_text(7)
    ('1 h', '90 min', '250 ms', '7 ns')
    """
    units = {"d": DAY_NS, "h": HOUR_NS, "min": MINUTE_NS, "s": SECOND_NS, "ms": MS_NS, "ns": 1}
    unit = next(name for name, size in units.items() if length_ns % size == 0)
    return f"{length_ns // units[unit]} {unit}"


def length_ns(text: str) -> int:
    """Read a length of time such as 250ms, 1s, 5m, 1h or 1d.

    Raises
    ------
    UsageError
        No such length, or 0.

    Examples
    --------
    >>> length_ns("250ms"), length_ns("1m") == MINUTE_NS
    (250000000, True)
    """
    units = {"ms": MS_NS, "s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}
    found = re.fullmatch(r"([1-9][0-9]{0,8})(ms|s|m|h|d)", text)
    if found is None:
        raise UsageError(
            "a length must be a whole number and ms, s, m, h or d", f"'{text}'", "write for example 1s"
        )
    return int(found[1]) * units[found[2]]
