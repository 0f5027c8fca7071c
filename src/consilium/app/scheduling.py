"""Work that is done again and again at times of day, one after the other; extra ``schedule``."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from consilium.domain import Clock, ConsiliumError, UsageError, missing_package, to_iso

NAP_SECONDS = 30.0
"""Longest sleep at one go: a clock that is set while we sleep is noticed."""


def cron(expression: str) -> Any:
    """Read five fields as cron has them: minute, hour, day of month, month, day of week; times are UTC.

    Raises
    ------
    UsageError
        It is no such expression, or the extra is not installed.
    """
    try:
        from apscheduler.triggers.cron import CronTrigger
    except ModuleNotFoundError as error:
        raise missing_package("--schedule", error) from None
    try:
        return CronTrigger.from_crontab(expression, timezone=UTC)
    except ValueError as error:
        raise UsageError(
            "--schedule must be five fields of cron, in UTC",
            f"'{expression}' ({error})",
            'write "0 3 * * *" for every night at three',
        ) from None


def repeat(
    expression: str,
    work: Callable[[], None],
    *,
    clock: Clock,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Do some work at the times of a cron expression, until interrupted or until there is no further time.

    One piece of work at a time: a time that passes while it goes on is left out. Work that fails is told, and
    the next is done all the same. An interrupt while waiting ends it; one while working passes on.

    Parameters
    ----------
    expression
        As for `cron`.
    work
        What is done.
    clock
        Where the time comes from.
    tell
        Called with each line that a person should see.
    sleep
        How to wait, in seconds.

    Raises
    ------
    UsageError
        The expression cannot be read.
    """
    trigger = cron(expression)
    while True:
        due = trigger.get_next_fire_time(None, _after(clock))
        if due is None:
            tell("no further time in the schedule")
            return
        due_ns = int(due.timestamp()) * 1_000_000_000
        try:
            tell(f"next training at {to_iso(due_ns)}")
            while (left := due_ns - clock.now_ns()) > 0:
                sleep(min(left / 1e9, NAP_SECONDS))
        except KeyboardInterrupt:
            tell("the schedule has ended; what was stored stays")
            return
        _work(work, tell)


def _after(clock: Clock) -> datetime:
    """Return the next whole second, so that the time that has just been worked on is over."""
    return datetime.fromtimestamp(clock.now_ns() // 1_000_000_000, tz=UTC) + timedelta(seconds=1)


def _work(work: Callable[[], None], tell: Callable[[str], None]) -> None:
    try:
        work()
    except ConsiliumError as error:
        tell(f"error: {error}")
    except Exception as error:  # noqa: BLE001 - tomorrow's training must not fall to today's bug
        text = " ".join(f"{type(error).__name__}: {error}".split())
        tell(f"error: unexpected {text}")
