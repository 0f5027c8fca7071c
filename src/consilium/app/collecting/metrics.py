"""The status of a collector as Prometheus reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

from consilium.app.exposition import Sample, families, text_of

PREFIX = "consilium_collect_"

METRICS: dict[str, tuple[str, str]] = {
    "up_seconds": ("gauge", "Seconds since the collector began."),
    "status_time_seconds": ("gauge", "Unix time at which this was written."),
    "messages_total": ("counter", "Messages of all streams, by symbol."),
    "books_total": ("counter", "Readable books handed over to be written, by symbol."),
    "trades_total": ("counter", "Trades handed over to be written, by symbol."),
    "book_readable": ("gauge", "1 if the book of a symbol can be read now, else 0."),
    "gaps_total": ("counter", "Gaps that opened, by cause."),
    "gaps_open": ("gauge", "Books that cannot be read now and could before."),
    "lag_seconds": ("summary", "Arrival minus the exchange's time; quantiles of the last 10,000 books."),
    "connections_total": ("counter", "Connections that were opened."),
    "disconnects_total": ("counter", "Connections that were lost."),
    "connections_refused_total": ("counter", "Connections that did not open."),
    "restarts_total": ("counter", "Runs begun again after a failure nobody foresaw."),
    "requests_total": ("counter", "Snapshots asked for."),
    "requests_refused_total": ("counter", "Requests that the exchange did not answer."),
    "messages_refused_total": ("counter", "Messages that could not be used, by reason."),
    "files_total": ("counter", "Files written."),
    "bytes_written_total": ("counter", "Bytes written, by kind."),
    "buffered_rows": ("gauge", "Rows taken and not yet written."),
    "dropped_rows_total": ("counter", "Rows lost because the disk or the folder was full, by kind."),
    "write_failures_total": ("counter", "Times that writing failed."),
    "writing": ("gauge", "1 if rows are written, 0 while the disk or the folder is full."),
    "disk_bytes_a_day": ("gauge", "Bytes that a day takes at this pace."),
    "folder_bytes": ("gauge", "Bytes in the folder."),
    "folder_limit_bytes": ("gauge", "Bytes that the folder may hold."),
    "disk_free_bytes": ("gauge", "Bytes that the disk has left."),
    "memory_bytes": ("gauge", "Resident memory of the process."),
    "memory_limit_bytes": ("gauge", "Memory that the process may use."),
}
"""Name without its prefix: type and help. docs/book.md lists them."""


def metrics_text(status: Mapping[str, Any]) -> str:
    """Write a status in the text format; figures that are not known yet are left out."""
    venue = {"venue": str(status["venue"])}
    samples = ((name, suffix, {**venue, **labels}, value) for name, suffix, labels, value in _samples(status))
    return text_of(families(PREFIX, METRICS, samples)).decode()


def _samples(status: Mapping[str, Any]) -> Iterator[Sample]:
    single = {
        "up_seconds": status["up_s"],
        "status_time_seconds": status["ts"] / 1e9,
        "gaps_open": status["gaps"]["open"],
        "connections_total": status["connections"],
        "disconnects_total": status["disconnects"],
        "connections_refused_total": status["connections_refused"],
        "restarts_total": status["restarts"],
        "requests_total": status["requests"],
        "requests_refused_total": status["requests_refused"],
        "files_total": status["files"],
        "buffered_rows": status["buffered_rows"],
        "write_failures_total": status["write_failures"],
        "writing": float(status["writing"]),
        "disk_bytes_a_day": status["disk"]["bytes_a_day"],
        "folder_bytes": status["disk"]["folder_bytes"],
        "folder_limit_bytes": status["disk"]["folder_limit_bytes"],
        "disk_free_bytes": status["disk"]["free_bytes"],
        "memory_bytes": status["memory"]["bytes"],
        "memory_limit_bytes": status["memory"]["limit_bytes"],
    }
    for name, value in single.items():
        yield name, "", {}, value
    for name, label, values in (
        ("gaps_total", "cause", status["gaps"]["by_cause"]),
        ("messages_refused_total", "reason", status["messages_refused"]),
        ("bytes_written_total", "kind", status["bytes"]),
        ("dropped_rows_total", "kind", status["dropped"]),
    ):
        for key, value in values.items():
            yield name, "", {label: key}, value
    lag = status["lag"]
    for quantile in ("0.5", "0.99"):
        yield "lag_seconds", "", {"quantile": quantile}, lag[f"p{float(quantile) * 100:g}_s"]
    yield "lag_seconds", "_sum", {}, lag["sum_s"]
    yield "lag_seconds", "_count", {}, lag["count"]
    for symbol, told in status["symbols"].items():
        of = {"symbol": symbol}
        yield "messages_total", "", of, told["messages"]
        yield "books_total", "", of, told["books"]
        yield "trades_total", "", of, told["trades"]
        yield "book_readable", "", of, float(told["readable"])
