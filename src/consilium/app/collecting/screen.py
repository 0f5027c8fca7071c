"""What a collection says on a terminal: a live line, plain lines elsewhere, a summary, a status."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from consilium.app.collecting.amounts import bytes_text, seconds_text
from consilium.domain.time import to_iso

PLAIN_EVERY_S = 10.0
MOST_SYMBOLS_TOLD = 20

Status = Mapping[str, Any]


class Listener(Console):
    """A console whose closed end is no reason to stop: nobody reads on, and the recording goes on."""

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True


@contextmanager
def screen(*, quiet: bool) -> Iterator[tuple[Callable[[Status], None], Callable[[str], None]]]:
    """Yield who shows the status and who tells a line, both on standard error.

    On a terminal the status is one line that changes; elsewhere a line every ten seconds. Quiet shows none,
    and still tells what is wrong. Where standard error is closed nothing is said, and nothing fails.
    """
    console = Listener(stderr=True, soft_wrap=True, highlight=False)

    def tell(line: str) -> None:
        with suppress(OSError):
            console.print(line, markup=False)

    if quiet:
        yield _nothing, tell
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield (
                (lambda status: live.update(Text(live_line(status), overflow="ellipsis", no_wrap=True))),
                tell,
            )
    else:
        yield _seldom(lambda status: tell(live_line(status))), tell


def _nothing(_: Status) -> None:
    pass


def _seldom(show: Callable[[Status], None]) -> Callable[[Status], None]:
    shown = float("-inf")

    def show_seldom(status: Status) -> None:
        nonlocal shown
        if time.monotonic() - shown >= PLAIN_EVERY_S:
            shown = time.monotonic()
            show(status)

    return show_seldom


def live_line(status: Status) -> str:
    """Say in one line how a collection is doing."""
    symbols = status["symbols"].values()
    readable = sum(told["readable"] for told in symbols)
    rates = [sum(told[f"{kind}_a_second"] for told in symbols) for kind in ("books", "trades")]
    parts = [
        f"{seconds_text(status['up_s'])} {readable}/{len(symbols)} books readable",
        f"{rates[0]:,.1f} books/s {rates[1]:,.1f} trades/s",
        f"lag {_lag(status)}",
        f"{sum(status['gaps']['by_cause'].values()):,} gaps ({status['gaps']['open']} open)",
        f"{bytes_text(sum(status['bytes'].values()))} written{_a_day(status)}",
        f"{status['buffered_rows']:,} rows wait",
        f"memory {bytes_text(status['memory']['bytes'])}",
    ]
    if not status["writing"]:
        parts.append("NOT WRITING")
    return " | ".join(parts)


def summary_lines(status: Status, folder: str) -> list[str]:
    """Say what a collection brought, when it has ended."""
    names = list(status["symbols"])
    told = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    gaps = status["gaps"]["by_cause"]
    lines = [
        f"Collected {told} of {status['venue']} for {seconds_text(status['up_s'])} into {folder}",
        f"{status['books']:,} books and {status['trades']:,} trades from {status['messages']:,} messages; "
        f"lag {_lag(status)}",
        f"{sum(gaps.values()):,} gaps{_listed(gaps)}; {status['connections']:,} connections, "
        f"{status['disconnects']:,} lost, {status['restarts']:,} restarts",
        f"{status['files']:,} files, {bytes_text(sum(status['bytes'].values()))}{_a_day(status)}; "
        f"{status['buffered_rows']:,} rows not written, {sum(status['dropped'].values()):,} dropped",
    ]
    connections, requests = status["connections_refused"], status["requests_refused"]
    if connections or requests:
        lines.append(
            f"refused: {connections:,} connections, {requests:,} requests; last trouble: {status['trouble']}"
        )
    refused = {name: count for name, count in status["messages_refused"].items() if count}
    if refused:
        lines.append(f"messages that could not be used{_listed(refused)}")
    return lines


def status_lines(status: Status, *, holder: str | None, age_s: float) -> list[str]:
    """Say how the collector of a folder is doing, from its status file."""
    alive = f"runs (process {holder})" if holder else "does not run"
    lines = [
        f"The collector of {status['venue']} {alive}; its status is {seconds_text(age_s)} old "
        f"({to_iso(status['ts'])}, {status['state']})",
        live_line(status),
    ]
    if status["problem"]:
        lines.append(f"not written: {status['problem']}")
    if status["last_failure"]:
        lines.append(f"{status['restarts']:,} restarts, the last one after {status['last_failure']}")
    symbols = status["symbols"]
    some = {name: told for name, told in symbols.items() if not told["readable"]}
    if len(symbols) <= MOST_SYMBOLS_TOLD:
        some = symbols
    for name in list(some)[:MOST_SYMBOLS_TOLD]:
        told = some[name]
        readable = "readable" if told["readable"] else f"not readable: {told['cause']}"
        lines.append(
            f"  {name:<16} {readable}; {told['books']:,} books ({told['books_a_second']:.1f}/s), "
            f"{told['trades']:,} trades, {told['gaps']:,} gaps"
        )
    if len(some) > MOST_SYMBOLS_TOLD:
        lines.append(f"  and {len(some) - MOST_SYMBOLS_TOLD} more that are not readable")
    return lines


def _lag(status: Status) -> str:
    half, most = (status["lag"][name] for name in ("p50_s", "p99_s"))
    if half is None:
        return "not known yet"
    return f"{half * 1e3:,.0f} ms (p99 {most * 1e3:,.0f} ms)"


def _a_day(status: Status) -> str:
    a_day = status["disk"]["bytes_a_day"]
    return "" if a_day is None else f" ({bytes_text(a_day)} a day)"


def _listed(counts: Mapping[str, int]) -> str:
    found = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f" ({found})" if found else ""
