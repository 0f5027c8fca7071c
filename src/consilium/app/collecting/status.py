"""How a collector is doing: one plain dictionary, written beside the data once a second."""

import os
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from consilium.app.collecting.disk import FolderSize, free_bytes
from consilium.app.collecting.memory import used_memory
from consilium.app.collecting.metrics import metrics_text
from consilium.app.collecting.request import CollectRequest
from consilium.app.collecting.supervisor import Supervisor
from consilium.app.collecting.watch import Watch
from consilium.app.files import write_json, write_text
from consilium.market.collector.collector import Collector

STATUS, METRICS = "status.json", "metrics.prom"
FORMAT = 1
RATE_WINDOW_S = 10
DAY_S = 86_400.0
REFUSED = ("corrupt", "bad_level", "foreign")


class Reporter:
    """Looks at the parts of a running collector and says how they are.

    Parameters
    ----------
    request, venue
        What was asked for, and the exchange's name.
    collector, watch, supervisor, folder
        The parts.
    """

    def __init__(
        self,
        request: CollectRequest,
        venue: str,
        *,
        collector: Collector,
        watch: Watch,
        supervisor: Supervisor,
        folder: FolderSize,
    ) -> None:
        self._request, self._venue = request, venue
        self._collector, self._watch = collector, watch
        self._supervisor, self._folder = supervisor, folder
        self._begun, self._ts_begin = time.monotonic(), time.time_ns()
        self._seen: deque[tuple[float, Mapping[str, tuple[int, int, int]]]] = deque(maxlen=RATE_WINDOW_S + 1)
        self.state = "collecting"

    def status(self) -> dict[str, Any]:
        """Return the status now; call it about once a second, the rates are over the last ten calls."""
        counts, kept = self._collector.counts, self._watch.keeping.counts
        up = time.monotonic() - self._begun
        symbols = self._symbols(up)
        lag = self._watch.lag_s(0.5, 0.99)
        return {
            "format": FORMAT,
            "venue": self._venue,
            "state": self.state,
            "pid": os.getpid(),
            "ts": time.time_ns(),
            "ts_begin": self._ts_begin,
            "up_s": up,
            "levels": self._request.levels,
            "interval": self._request.interval,
            "books": kept["books"],
            "trades": kept["trades"],
            "messages": counts["messages"],
            "lag": {
                "p50_s": lag[0],
                "p99_s": lag[1],
                "sum_s": self._watch.lag_sum_ns / 1e9,
                "count": self._watch.lag_count,
            },
            "gaps": {
                "open": sum(not told["readable"] and told["books"] > 0 for told in symbols.values()),
                "by_cause": dict(self._watch.causes),
            },
            "connections": counts["connections"],
            "connections_refused": counts["connections_refused"],
            "disconnects": counts["disconnects"],
            "restarts": self._supervisor.restarts,
            "last_failure": self._supervisor.last_failure,
            "trouble": self._collector.trouble,
            "requests": counts["requests"],
            "requests_refused": counts["requests_refused"],
            "messages_refused": {name: counts[name] for name in REFUSED},
            "book_events": dict(self._book_events()),
            "recorder": dict(kept),
            "writing": not self._watch.problem,
            "problem": self._watch.problem,
            "files": kept["files"],
            "bytes": {"books": kept["bytes_books"], "trades": kept["bytes_trades"]},
            "buffered_rows": self._watch.keeping.buffered,
            "dropped": {
                kind: kept[f"dropped_{kind}"] + self._watch.held_back[kind] for kind in ("books", "trades")
            },
            "write_failures": kept["write_failures"],
            "disk": {
                "bytes_a_day": self._bytes_a_day(up),
                "folder_bytes": self._folder.used,
                "folder_limit_bytes": self._request.max_disk,
                "free_bytes": free_bytes(self._request.folder),
                "free_limit_bytes": self._request.min_free,
            },
            "memory": {"bytes": used_memory(), "limit_bytes": self._request.max_memory},
            "symbols": symbols,
        }

    def _symbols(self, up: float) -> dict[str, dict[str, Any]]:
        heard = self._collector.heard
        now = {
            symbol: (heard[symbol], self._watch.books[symbol], self._watch.trades[symbol]) for symbol in heard
        }
        self._seen.append((up, now))
        then, before = self._seen[0]
        if up == then:
            then, before = 0.0, dict.fromkeys(now, (0, 0, 0))
        told = {}
        for symbol, keeper in self._collector.keepers.items():
            rates = [(new - old) / (up - then) for new, old in zip(now[symbol], before[symbol], strict=True)]
            told[symbol] = {
                "readable": keeper.live,
                "cause": "" if keeper.live else keeper.cause or "no snapshot yet",
                "levels_certain": keeper.certain,
                "messages": now[symbol][0],
                "books": now[symbol][1],
                "trades": now[symbol][2],
                "messages_a_second": rates[0],
                "books_a_second": rates[1],
                "trades_a_second": rates[2],
                "gaps": self._watch.gaps[symbol],
            }
        return told

    def _book_events(self) -> Counter[str]:
        return sum((keeper.counts for keeper in self._collector.keepers.values()), Counter[str]())

    def _bytes_a_day(self, up: float) -> float | None:
        """Return bytes of a written row times the pace at which rows come; None before the first file."""
        kept = self._watch.keeping.counts
        rows = kept["books"] + kept["trades"]
        written = rows - self._watch.keeping.buffered - kept["dropped_books"] - kept["dropped_trades"]
        if written <= 0 or up <= 0.0:
            return None
        return (kept["bytes_books"] + kept["bytes_trades"]) / written * rows / up * DAY_S


def write_status(request: CollectRequest, status: Mapping[str, Any]) -> None:
    """Write ``status.json`` and ``metrics.prom``, each whole.

    Raises
    ------
    OutputProblem
        The folder is full or cannot be written to.
    """
    write_json(request.folder / STATUS, status)
    write_text(request.folder / METRICS, metrics_text(status))
