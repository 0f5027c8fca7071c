"""What outside systems publish, as the council hears it."""

from collections.abc import Mapping
from typing import Any

from consilium.domain import (
    SECOND_NS,
    AccountReported,
    ConsiliumError,
    Event,
    HealthReported,
    ModelReported,
)

FUTURE_NS = 5 * SECOND_NS
"""How far ahead of our clock another's may be."""

_ACCOUNT = {
    "total_equity": "equity",
    "nav": "nav",
    "drawdown_pct": "drawdown",
    "max_drawdown_pct": "max_drawdown",
    "realized_pnl_today": "realized_pnl_today",
    "exposure_pct": "exposure",
    "leverage": "leverage",
    "margin_ratio": "margin_ratio",
    "open_positions": "positions",
    "win_rate": "win_rate",
    "sharpe_ratio": "sharpe",
    "consecutive_losses": "consecutive_losses",
    "losing_closes": "losing_closes",
    "winning_days": "winning_days",
    "losing_days": "losing_days",
    "locked": "locked",
    "reserve": "reserve",
}
_HEALTH = {"system_status": "system_status", "ess_state": "ess_state", "detail": "detail"}
_MODEL = {
    "model_name": "model",
    "sharpe_ratio": "sharpe",
    "win_rate": "win_rate",
    "trades": "trades",
    "staleness_days": "staleness_days",
}
_TOPICS: Mapping[str, tuple[Any, Mapping[str, str]]] = {
    "portfolio.snapshot_updated": (AccountReported, _ACCOUNT),
    "system.health_updated": (HealthReported, _HEALTH),
    "model.performance_updated": (ModelReported, _MODEL),
}
Report = AccountReported | HealthReported | ModelReported


def report_of(event: Event, now: int, *, wall_clock: bool) -> Report | None:
    """Return what an outside event tells the council; None where it tells it nothing.

    Parameters
    ----------
    event
        Of a stream ``outside:NAME``; its sequence ends its trace.
    now
        By the council's clock.
    wall_clock
        Whether that clock is the machine's. In a market's time an event is dated with ``now``, unless it came
        from the future.

    Examples
    --------
    >>> event = Event(event_id="e", topic="system.health_updated", stream="outside:ops", version=1,
    ...               ts_event=7, ts_recorded=8, cause_id="", trace_id="desk:ops:3",
    ...               payload={"system_status": "HEALTHY"})
    >>> report = report_of(event, 8, wall_clock=True)
    >>> report.source, report.sequence, report.system_status
    ('outside:ops', 3, 'HEALTHY')
    """
    if event.topic not in _TOPICS or not isinstance(event.payload, Mapping):
        return None
    kind, names = _TOPICS[event.topic]
    told = {
        names[name]: value for name, value in event.payload.items() if name in names and value is not None
    }
    ahead = event.ts_event - event.ts_recorded
    ts = event.ts_event if wall_clock else now + (ahead if ahead > FUTURE_NS else 0)
    try:
        found: Report = kind(
            source=event.stream, sequence=sequence_of(event), ts_event=max(ts, 0), received_at=now, **told
        )
    except (ConsiliumError, TypeError, ValueError):
        return None
    return found


def sequence_of(event: Event) -> int:
    """Return the running number that the source gave an event."""
    return int(event.trace_id.rpartition(":")[2])
