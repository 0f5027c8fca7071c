"""What a served model did: forecasts, failures by kind, and how long it took."""

from collections import Counter
from threading import Lock

import numpy as np

KEPT = 1024
_OLDEST = 64
"""Latencies that the quantiles are taken of, the newest."""

FAILED, TOO_SLOW, NOT_FINITE, SHORT, BUSY = "failed", "too_slow", "not_finite", "short_history", "busy"


class Counters:
    """Counters of one model; several threads may add to them.

    Examples
    --------
    >>> counters = Counters()
    >>> counters.served(2_000_000)
    >>> counters.failed(TOO_SLOW)
    >>> counters.summary()
    {'served': 1, 'p50_ms': 2.0, 'p99_ms': 2.0, 'too_slow': 1}
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._latency = np.zeros(KEPT)
        self._served = 0
        self._failures: Counter[str] = Counter()
        self._median, self._median_due = 0.0, 1

    def served(self, nanoseconds: int) -> None:
        """Count a forecast and keep its latency."""
        with self._lock:
            self._latency[self._served % KEPT] = nanoseconds / 1e6
            self._served += 1

    def failed(self, kind: str) -> None:
        """Count a failure."""
        with self._lock:
            self._failures[kind] += 1

    @property
    def failures(self) -> dict[str, int]:
        """Failures by kind."""
        with self._lock:
            return dict(self._failures)

    def median_ms(self) -> float:
        """Return the median latency in milliseconds, at most 64 forecasts old; 0 before the first."""
        if self._served >= self._median_due:
            self._median, self._median_due = self._quantile(0.5), self._served + _OLDEST
        return self._median

    def _quantile(self, share: float) -> float:
        with self._lock:
            kept = self._latency[: min(self._served, KEPT)].copy()
        return float(np.quantile(kept, share)) if len(kept) else 0.0

    def summary(self) -> dict[str, float]:
        """Return all figures as plain numbers."""
        figures: dict[str, float] = {"served": self._served}
        if self._served:
            figures |= {"p50_ms": self._quantile(0.5), "p99_ms": self._quantile(0.99)}
        return figures | dict(sorted(self.failures.items()))
