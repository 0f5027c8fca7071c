"""What the council should compute from reports: each figure anew from all that was ever accepted."""

from collections.abc import Mapping, Sequence

from consilium.domain import AccountReported, Figure, Missing
from council_oracle import DAY, SECOND


def nav_of(report: AccountReported) -> float:
    """Return the unitised value of a report; its equity where it says none."""
    return report.equity if report.nav is None else report.nav


def drawdown(reports: Sequence[AccountReported], now: int, window: int = 30 * DAY) -> float:
    """Return one source's drawdown from the peak of nav in a window that ends now."""
    last = reports[-1]
    if last.drawdown is not None:
        return last.drawdown
    return fall(reports, now, window)


def fall(reports: Sequence[AccountReported], now: int, window: int) -> float:
    """Return one source's loss from the highest nav of a window that ends now."""
    last = peak = nav_of(reports[-1])
    for report in reversed(reports):
        if report.ts_event < now - window:
            break
        peak = max(peak, nav_of(report))
    return max(0.0, 1.0 - last / peak)


def fall_of_marks(reports: Sequence[AccountReported], now: int, window: int) -> float:
    """As `fall`; every nav counts that stood at any time of the window, until the next one was told."""
    last = highest = nav_of(reports[-1])
    until = now + 1
    for report in reversed(reports):
        if until <= now - window:
            break
        highest, until = max(highest, nav_of(report)), report.ts_event
    return max(0.0, 1.0 - last / highest)


def daily_loss(reports: Sequence[AccountReported], now: int) -> Figure:
    """Return one source's loss since the last mark before 00:00 UTC, or what it says itself."""
    midnight = now - now % DAY
    last = reports[-1]
    before = [nav_of(r) for r in reports if r.ts_event < midnight]
    if before:
        return max(0.0, 1.0 - nav_of(last) / before[-1])
    if last.realized_pnl_today is not None and last.drawdown is not None:
        opened = last.equity - last.realized_pnl_today
        return max(0.0, -last.realized_pnl_today / opened) if opened > 0 else Missing.UNKNOWN
    return Missing.UNKNOWN


def lateness(accounts: Mapping[str, AccountReported], health: Sequence[int], now: int) -> tuple[bool, bool]:
    """Return (late, lost): a source silent beyond max(60 s, 2 intervals), beyond max(300 s, 5 intervals).

    Intervals are a day at most; health has that of the slowest account.
    """
    slowest = max(report.interval_ns for report in accounts.values())
    waits = [(now - report.ts_event, report.interval_ns) for report in accounts.values()]
    waits += [(now - ts, slowest) for ts in health]
    late = any(age > max(60 * SECOND, 2 * min(every, DAY)) for age, every in waits)
    return late, any(age > max(300 * SECOND, 5 * min(every, DAY)) for age, every in waits)
