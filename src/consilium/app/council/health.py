"""The health of this service as the council hears it: worse at once, better only after a while."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from consilium.app.collecting.disk import free_bytes
from consilium.domain import HOUR_NS, MINUTE_NS, SECOND_NS
from consilium.domain.time import length_text
from consilium.models.serving.counters import BUSY, FAILED, TOO_SLOW

STATUSES = ("HEALTHY", "DEGRADED", "CRITICAL", "EMERGENCY")
HEALTHY, DEGRADED, CRITICAL, EMERGENCY = range(4)

BETTER_AFTER_NS = MINUTE_NS
"""A part counts as better only when it has been so for this long."""

WORSE_AFTER_NS: Mapping[str, int] = {"bus": 30 * SECOND_NS, "models": 5 * SECOND_NS}
"""Parts that may hiccup: they count as worse only when they have been so for this long."""

LAG_DEGRADED, LAG_CRITICAL = 10_000, 100_000
"""Rows of the journal that the bus has not been sent."""

FEED_LATE, FEED_LOST = 2.0, 5.0
"""Intervals without a candle, where the feed is a venue's."""

MARGIN_NS = MINUTE_NS
"""What a venue may need beyond that to have its candles ready."""

JOURNAL_GONE_NS = 5 * MINUTE_NS
"""A journal that has not written for so long is an emergency: nothing that is concluded would be known."""

FAILING_NS = 5 * MINUTE_NS
FEWEST_FAILURES = 3
"""Forecasts that a model must have failed to give in the last minutes, before it is said to fail."""

TREND_NS = HOUR_NS
SOON_NS = 6 * HOUR_NS
"""A limit that the line through the last hour meets earlier than this is told before it is met."""

_SAMPLE_NS = 30 * SECOND_NS
_FEWEST_SAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is seen of a service at one instant.

    Parameters
    ----------
    now
        UTC nanoseconds, by the machine's clock.
    journal
        Why the journal does not write; empty if it does.
    bus
        Why the bus does not answer; empty if it does, or if there is none.
    lag
        Rows of the journal that the bus has not been sent.
    feed
        What the feed says is wrong; empty for nothing.
    feed_age_ns, interval_ns
        Since the newest close, and the length of a candle; 0 where the feed is none of a venue.
    failures, served
        Forecasts by model that it did not give, and that it gave, since its start.
    models, silent
        Loaded models, and those of them that cannot be asked.
    disk_free, disk_wanted
        Bytes that are left, and below which the service is degraded.
    """

    now: int
    journal: str = ""
    bus: str = ""
    lag: int = 0
    feed: str = ""
    feed_age_ns: int = 0
    interval_ns: int = 0
    failures: Mapping[str, float] = field(default_factory=dict)
    served: Mapping[str, float] = field(default_factory=dict)
    models: int = 0
    silent: tuple[str, ...] = ()
    disk_free: int = 0
    disk_wanted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the council is told.

    Parameters
    ----------
    status
        HEALTHY, DEGRADED, CRITICAL, EMERGENCY, or UNKNOWN where it could not be judged.
    detail
        Why, part by part; empty if healthy.
    faults
        What demands a freeze: ``journal``.
    alerts
        What will be wrong soon, by part.
    """

    status: str
    detail: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, str] = field(default_factory=dict)


UNKNOWN = "UNKNOWN"
"""Health that nobody could judge: for the council a required fact is unknown then."""


def unjudged(error: Exception) -> Assessment:
    """Return what is told where a look at the health failed: never what an earlier one saw.

    Examples
    --------
    >>> unjudged(OSError("no such disk"))
    Assessment(status='UNKNOWN', detail='it cannot be judged: no such disk', faults={}, alerts={})
    """
    why = " ".join(str(error).split()) or type(error).__name__
    return Assessment(status=UNKNOWN, detail=f"it cannot be judged: {why}"[:500])


class Trend:
    """A line through the last hour of a figure, and when it meets a limit.

    Examples
    --------
    >>> trend = Trend()
    >>> for minute in range(20):
    ...     trend.add(minute * MINUTE_NS, 1000.0 - 10.0 * minute)
    >>> round(trend.meets(510.0) / MINUTE_NS)
    30
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()

    def add(self, now: int, value: float) -> None:
        """Note a figure; more often than twice a minute is not needed."""
        if self._seen and now - self._seen[-1][0] < _SAMPLE_NS:
            return
        self._seen.append((now, value))
        while self._seen[0][0] < now - TREND_NS:
            self._seen.popleft()

    def meets(self, limit: float) -> int | None:
        """Return the nanoseconds from the newest figure until the line is at a limit; None for never."""
        if len(self._seen) < _FEWEST_SAMPLES:
            return None
        last = self._seen[-1][0]
        hours = np.array([(ts - last) / HOUR_NS for ts, _ in self._seen])
        values = np.array([value for _, value in self._seen])
        centred = hours - hours.mean()
        slope = float(centred @ values / (centred @ centred))
        level = float(values.mean() - slope * hours.mean())
        if slope == 0.0 or (limit - level) / slope < 0.0:
            return None
        return int((limit - level) / slope * HOUR_NS)


class HealthWatch:
    """Judges signals part by part; the worst part is the health of the service.

    Examples
    --------
    >>> watch = HealthWatch()
    >>> watch.look(Signals(now=0, disk_free=10**10, disk_wanted=10**9)).status
    'HEALTHY'
    >>> watch.look(Signals(now=SECOND_NS, journal="disk full")).faults
    {'journal': 'disk full'}
    """

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}
        self._why: dict[str, str] = {}
        self._since: dict[str, tuple[int, int]] = {}
        self._journal_since: int | None = None
        self._disk, self._lag = Trend(), Trend()
        self._asked: dict[str, deque[tuple[int, float, float]]] = {}

    def look(self, signals: Signals) -> Assessment:
        """Judge what is seen now."""
        for part, (level, why) in self._found(signals).items():
            self._settle(part, level, why, signals.now)
        worst = max(self._levels.values(), default=HEALTHY)
        told = [f"{part}: {self._why[part]}" for part, level in self._levels.items() if level > HEALTHY]
        return Assessment(
            status=STATUSES[worst],
            detail="; ".join(told)[:500],
            faults={"journal": signals.journal} if signals.journal else {},
            alerts=self._soon(signals),
        )

    def _found(self, signals: Signals) -> dict[str, tuple[int, str]]:
        return {
            "journal": self._of_journal(signals),
            "bus": _of_bus(signals),
            "feed": _of_feed(signals),
            "models": self._of_models(signals),
            "disk": _of_disk(signals),
        }

    def _settle(self, part: str, level: int, why: str, now: int) -> None:
        """Take up a level when it has stood long enough: a worse one soon, a better one after a while."""
        current = self._levels.get(part, HEALTHY)
        since = self._since.get(part)
        if level == current:
            self._since.pop(part, None)
            self._why[part] = why
            return
        # a wait goes on while it stays on the same side
        if since is None or (since[0] > current) != (level > current):
            since = (level, now)
        self._since[part] = (level, since[1])
        wait = WORSE_AFTER_NS.get(part, 0) if level > current else BETTER_AFTER_NS
        if now - since[1] >= wait:
            self._levels[part], self._why[part] = level, why
            del self._since[part]

    def _of_journal(self, signals: Signals) -> tuple[int, str]:
        if not signals.journal:
            self._journal_since = None
            return HEALTHY, ""
        if self._journal_since is None:
            self._journal_since = signals.now
        gone = signals.now - self._journal_since >= JOURNAL_GONE_NS
        return EMERGENCY if gone else CRITICAL, signals.journal

    def _of_models(self, signals: Signals) -> tuple[int, str]:
        failing = {model for model in signals.failures if self._fails(model, signals)}
        wrong = sorted(failing.union(signals.silent))
        if not wrong:
            return HEALTHY, ""
        all_of_them = len(wrong) >= signals.models > 0
        return CRITICAL if all_of_them else DEGRADED, f"no forecast of {', '.join(wrong)}"

    def _fails(self, model: str, signals: Signals) -> bool:
        """Whether most forecasts that a model was asked for in the last minutes did not come."""
        seen = self._asked.setdefault(model, deque())
        seen.append((signals.now, signals.failures[model], signals.served.get(model, 0.0)))
        while seen[0][0] < signals.now - FAILING_NS:
            seen.popleft()
        failed, served = seen[-1][1] - seen[0][1], seen[-1][2] - seen[0][2]
        return failed >= FEWEST_FAILURES and failed > served

    def _soon(self, signals: Signals) -> dict[str, str]:
        told = {}
        self._disk.add(signals.now, float(signals.disk_free))
        self._lag.add(signals.now, float(signals.lag))
        for part, trend, limit, value in (
            ("disk", self._disk, 0.0, float(-signals.disk_free)),
            ("bus", self._lag, float(LAG_CRITICAL), float(signals.lag)),
        ):
            left = trend.meets(limit)
            if left is not None and 0 <= left < SOON_NS and value < limit:
                what = "full" if part == "disk" else f"{LAG_CRITICAL} rows behind"
                told[part] = f"{what} in {length_text(max(left // MINUTE_NS, 1) * MINUTE_NS)} at this pace"
        return told


def _of_bus(signals: Signals) -> tuple[int, str]:
    behind = f"{signals.lag} rows behind the journal"
    if signals.lag >= LAG_CRITICAL:
        return CRITICAL, behind
    if signals.lag >= LAG_DEGRADED:
        return DEGRADED, behind
    return (DEGRADED, signals.bus) if signals.bus else (HEALTHY, "")


def _of_feed(signals: Signals) -> tuple[int, str]:
    if signals.interval_ns <= 0:
        return HEALTHY, ""
    for bars, level in ((FEED_LOST, CRITICAL), (FEED_LATE, DEGRADED)):
        if signals.feed_age_ns > bars * signals.interval_ns + MARGIN_NS:
            told = signals.feed or "no candle"
            return level, f"{told}, for {length_text(signals.feed_age_ns // SECOND_NS * SECOND_NS)}"
    return HEALTHY, ""


def _of_disk(signals: Signals) -> tuple[int, str]:
    left = f"{signals.disk_free / 1e9:.2f} GB left"
    if signals.disk_free < signals.disk_wanted / 5:
        return CRITICAL, left
    return (DEGRADED, left) if signals.disk_free < signals.disk_wanted else (HEALTHY, "")


def signals_of(system: Any) -> Signals:
    """Look at a living system; called from a thread that may wait for the disk and the bus."""
    settings, pipeline, now = system.settings, system.pipeline, system.clock.now_ns()
    counters = pipeline.market.counters()
    venue = pipeline.terms.feed.startswith("exchange:") and pipeline.ts >= 0
    bus, lag = "", 0
    if settings.redis_url:
        bus = system.transport.healthy() or system.store.healthy()
        place = None if bus else system.transport.position()
        lag = 0 if place is None else max(system.journal.head().offset - place[0], 0)
    return Signals(
        now=now,
        journal=system.journal_trouble(),
        bus=bus,
        lag=lag,
        feed=system.troubles.get("feed", "") or system.feed.problem(),
        feed_age_ns=now - pipeline.ts if venue else 0,
        interval_ns=pipeline.terms.interval_ns if venue else 0,
        failures={name: _failures(figures) for name, figures in counters.items()},
        served={name: float(figures.get("served", 0.0)) for name, figures in counters.items()},
        models=len(pipeline.change.models),
        disk_free=free_bytes(settings.data_dir),
        disk_wanted=int(settings.council.disk_gb * 1e9),
    )


def signals_of_workers(
    settings: Any, journal: Any, transport: Any, *, now: int, terms: Any, ts: int, market: Mapping[str, Any]
) -> Signals:
    """Look at workers of their own, from the one in which the council sits; it may wait for disk and bus.

    Parameters
    ----------
    now
        By the machine's clock.
    terms, ts
        What is followed, and the newest close that the council knows; below 0 before the first.
    market
        What the market worker said last of its models and feed; empty where it gives no sign of life.
    """
    venue = terms.feed.startswith("exchange:") and ts >= 0
    bus = transport.healthy()
    place = None if bus else transport.position()
    counters: Mapping[str, Mapping[str, float]] = market.get("counters", {})
    return Signals(
        now=now,
        journal=journal.failed,
        bus=bus,
        lag=0 if place is None else max(journal.head().offset - place[0], 0),
        feed=str(market.get("feed", "")) if market else "no sign of life from the market worker",
        feed_age_ns=now - ts if venue else 0,
        interval_ns=terms.interval_ns if venue else 0,
        failures={name: _failures(figures) for name, figures in counters.items()},
        served={name: float(figures.get("served", 0.0)) for name, figures in counters.items()},
        models=int(market.get("models", 0)),
        disk_free=free_bytes(settings.data_dir),
        disk_wanted=int(settings.council.disk_gb * 1e9),
    )


def _failures(figures: Mapping[str, float]) -> float:
    # a window that is not full yet is no fault of the model's
    return sum(float(figures.get(name, 0.0)) for name in (FAILED, TOO_SLOW, BUSY))
