"""Which page is due to whom: the outbox. What has arrived is in the journal; what has not is due again."""

from collections.abc import Mapping
from dataclasses import dataclass

from consilium.app.council.alerts import AlertBook, Standing
from consilium.app.council.pages import Page
from consilium.domain.time import DAY_NS, SECOND_NS

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
PAGING = frozenset({"frozen", "emergency"})
"""Kinds of which somebody is reminded until it is acknowledged."""


@dataclass(slots=True)
class Trouble:
    """How often a page failed, why, and when it is tried again (monotonic seconds)."""

    failed: int = 0
    why: str = ""
    again_at: float = 0.0

    def fail(self, why: str, now: float, after_s: float) -> None:
        """Note a failure: the next try comes 1, 2, 4, ... 300 s later, or when the other side says."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.failed, 16))
        self.failed += 1
        self.why = why
        self.again_at = now + max(pause, after_s)


def due(
    book: AlertBook,
    sender: str,
    now_ns: int,
    every_s: float,
    troubles: Mapping[str, Trouble],
    now: float,
) -> Page | None:
    """Return the page that a sender should carry now, the worst first; None if there is none.

    Parameters
    ----------
    now_ns
        By the wall clock.
    every_s
        From one reminder to the next.
    troubles
        By page, of those that failed.
    now
        Monotonic seconds.
    """
    for standing in book.newest():
        number = _number(book, standing, sender, now_ns, every_s)
        if number:
            page = page_of(standing, number)
            trouble = troubles.get(page.page_id)
            if trouble is None or trouble.again_at <= now:
                return page
    return None


def waiting(book: AlertBook, sender: str, now_ns: int, every_s: float) -> int:
    """Count the pages that a sender has still to carry."""
    return sum(bool(_number(book, standing, sender, now_ns, every_s)) for standing in book.newest())


def _number(book: AlertBook, standing: Standing, sender: str, now_ns: int, every_s: float) -> int:
    """Return the number of the page that is due; 0 for none."""
    number, ts_sent = book.sent.get(standing.alert.alert_id, {}).get(sender, (0, 0))
    if number == 0:
        # What nobody could be told for a day is told by what stands now, not by old news.
        return int(now_ns - standing.ts_raised <= DAY_NS or not standing.over)
    if standing.over or standing.acknowledged_by or standing.alert.kind not in PAGING:
        return 0
    return number + 1 if now_ns - ts_sent >= every_s * SECOND_NS else 0


def page_of(standing: Standing, number: int) -> Page:
    """Return a page about an alert."""
    found = standing.alert
    return Page(
        alert_id=found.alert_id,
        number=number,
        kind=found.kind,
        severity=found.severity,
        title=found.title,
        text=found.text,
        ts_event=found.ts_event,
        decision=dict(found.decision),
    )
