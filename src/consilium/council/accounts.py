"""What one source said about an account, and what follows from it: drawdowns and losses over time."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from consilium.council.windows import Extreme, InForce
from consilium.domain import AccountReported
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

PEAK_DAYS = 30
RECENT_MINUTES = 15
LONG_RUN = 5
"""Losing closes in a row that are too many."""
RATIO_DIGITS = 12
"""Of computed ratios, so that 9,500 of 10,000 is a loss of 5 %, and not a last bit more."""
_BELIEVED = ("exposure", "leverage", "margin_ratio", "positions", "unprotected", "profit")
_COUNTED = ("win_rate", "sharpe", "consecutive_losses", "winning_days", "losing_days")
SAID = (*_BELIEVED, *_COUNTED)
"""Figures that are taken from a source as they are."""


def _peak() -> Extreme:
    return Extreme(span_ns=PEAK_DAYS * DAY_NS, bucket_ns=HOUR_NS)


class Account:
    """One source's account.

    Memory stays small: a bucket an hour for 30 days, a minute for 24 hours, 15 s for 15 minutes, and of each
    only what can still be an extreme.
    """

    def __init__(self, report: AccountReported) -> None:
        self.report = report
        self.peak = _peak()
        self.deepest = _peak()
        self.shallowest = InForce(span_ns=DAY_NS, bucket_ns=MINUTE_NS, highest=False)
        self.high = InForce(span_ns=DAY_NS, bucket_ns=MINUTE_NS)
        self.recent = InForce(span_ns=RECENT_MINUTES * MINUTE_NS, bucket_ns=15 * SECOND_NS)
        self.rebased: tuple[Extreme, Extreme] | None = None
        self.rebased_at = 0
        self.day = -1
        self.day_open: float | None = None
        self.run, self.long_losses = 0, 0
        self.closes: int | None = None
        self.hear(report)

    @property
    def nav(self) -> float:
        """Unitised value; equity where the source says none."""
        report = self.report
        return report.equity if report.nav is None else report.nav

    def hear(self, report: AccountReported) -> None:
        """Take what the source says now; its times never fall."""
        ts, day = report.ts_event, report.ts_event // DAY_NS
        if self.day < 0:
            self.day = day
        elif day > self.day:
            self.day, self.day_open = day, self.nav
        self.report = report
        self._count_losses()
        nav = self.nav
        for window in (self.peak, self.high, self.recent):
            window.add(ts, nav)
        drawdown = self._drawdown(ts)
        self.deepest.add(ts, drawdown)
        self.shallowest.add(ts, drawdown)
        if self.rebased is not None:
            peak, deepest = self.rebased
            peak.add(ts, nav)
            deepest.add(ts, _below(nav, peak.value(ts)))
            # The old peak is forgotten after 30 days, the falls measured from it after 30 more.
            # A source's own drawdown may be from any peak: where it is given, the rebase stands for good.
            if report.drawdown is None and ts - self.rebased_at > 2 * PEAK_DAYS * DAY_NS:
                self.rebased = None

    def _count_losses(self) -> None:
        """Count the losing closes since the last report that made, or prolonged, a run of five or more."""
        run, told = self.report.consecutive_losses, self.report.losing_closes
        if run is None:
            return
        lost = run - self.run if told is None or self.closes is None else told - self.closes
        self.run, self.closes = run, told
        if run >= LONG_RUN:
            self.long_losses += max(0, min(int(lost), int(run) - LONG_RUN + 1))

    def rebase(self, now: int) -> None:
        """Measure drawdowns anew from here, beside those that go on."""
        self.rebased, self.rebased_at = (_peak(), _peak()), now
        ts = self.report.ts_event
        self.rebased[0].add(ts, self.nav)
        self.rebased[1].add(ts, 0.0)

    def _drawdown(self, now: int) -> float:
        if self.report.drawdown is not None:
            return self.report.drawdown
        return _below(self.nav, self.peak.value(now))

    def figures(self, now: int) -> dict[str, float | None]:
        """Return what is known at an instant, by the names of `AccountFigures`."""
        report, nav = self.report, self.nav
        drawdown = self._drawdown(now)
        deepest = max(drawdown, self.deepest.value(now) or 0.0)
        if report.max_drawdown is not None:
            deepest = max(drawdown, report.max_drawdown)
        least = self.shallowest.value(now)
        figures: dict[str, float | None] = {
            "equity": report.equity,
            "nav": nav,
            "drawdown": drawdown,
            "max_drawdown": deepest,
            "drawdown_rebased": drawdown,
            "max_drawdown_rebased": deepest,
            "drawdown_rise": 0.0 if least is None else max(0.0, round(drawdown - least, RATIO_DIGITS)),
            "daily_loss": self._daily_loss(now),
            "ess_loss": _below(nav, self.high.value(now)),
            "loss_15m": _below(nav, self.recent.value(now)),
            "long_losses": float(self.long_losses),
            "reserve": round(report.reserve / report.equity, RATIO_DIGITS) if report.equity > 0 else None,
        }
        if self.rebased is not None:
            fallen = _below(nav, self.rebased[0].value(now))
            figures["drawdown_rebased"] = fallen
            figures["max_drawdown_rebased"] = max(fallen, self.rebased[1].value(now) or 0.0)
        for name in SAID:
            figures[name] = getattr(report, name)
        return figures

    def _daily_loss(self, now: int) -> float | None:
        """Return the loss since the day's open, the last mark before 00:00 UTC."""
        report = self.report
        if now // DAY_NS > self.day:
            return 0.0
        if self.day_open is not None:
            return _below(self.nav, self.day_open)
        realised = report.realized_pnl_today
        if report.drawdown is not None and realised is not None:
            start = report.equity - realised
            return max(0.0, round(-realised / start, RATIO_DIGITS)) if start > 0 else 1.0
        return _below(self.nav, self.peak.value(now))

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "report": asdict(self.report),
            "peak": self.peak.state(),
            "deepest": self.deepest.state(),
            "shallowest": self.shallowest.state(),
            "high": self.high.state(),
            "recent": self.recent.state(),
            "rebased": None if self.rebased is None else [window.state() for window in self.rebased],
            "rebased_at": self.rebased_at,
            "day": self.day,
            "day_open": self.day_open,
            "losses": [self.run, self.closes, self.long_losses],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Account":
        """Return an account as ``state`` told it."""
        account = cls(AccountReported(**state["report"]))
        for name in ("peak", "deepest", "shallowest", "high", "recent"):
            getattr(account, name).restore(state[name])
        if state["rebased"] is not None:
            account.rebased = _peak(), _peak()
            for window, saved in zip(account.rebased, state["rebased"], strict=True):
                window.restore(saved)
        account.rebased_at = int(state["rebased_at"])
        account.run, account.closes, account.long_losses = state["losses"]
        account.day, account.day_open = int(state["day"]), state["day_open"]
        return account


def _below(value: float, high: float | None) -> float:
    """Return the loss from a high, as a fraction of it."""
    return 0.0 if high is None or high <= 0 else max(0.0, round(1.0 - value / high, RATIO_DIGITS))
