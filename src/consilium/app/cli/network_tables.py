"""How sessions of learning together are shown on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from consilium.federated.report import BEING_JUDGED


def show_sessions(found: Mapping[str, Any], console: Console) -> None:
    """Show all sessions."""
    if not found["sessions"] and not found["waiting"]:
        console.print("no sessions: begin one with consilium federate sessions create")
        return
    table = Table(box=None)
    for head in ("session", "state", "task", "rounds", "joined", "numbers", "now"):
        table.add_column(head, no_wrap=True)
    for one in found["sessions"]:
        table.add_row(
            one["session"],
            one["state"],
            one["task"],
            f"{one['done']} of {one['rounds']}",
            f"{one['joined']} of {one['admitted']}",
            f"{one['dimension']:,}",
            _now(one),
        )
    console.print(table)
    for name, why in found["waiting"].items():
        console.print(f"{name} waits: {why}", markup=False, highlight=False)


def show_session(found: Mapping[str, Any], console: Console) -> None:
    """Show one session."""
    terms, local = found["terms"], found["terms"]["local"]
    lines = [
        f"{found['session']} is {found['state']}; {found['done']} of {terms['rounds']} rounds; {_now(found)}",
        f"task {found['task']} {found['options'] or ''}; {found['dimension']:,} numbers",
        f"{terms['optimizer']}; {local['epochs']} epochs in batches of {local['batch_size']}",
        f"{found['joined']} of {found['admitted']} owners joined",
        _mode(terms),
        f"coordinator {found['coordinator']['name']} {found['coordinator']['key']}",
        f"model {found['version']}",
        f"terms {found['terms_digest']}",
        f"owner list {found['owners_digest']}",
        *found["threats"],
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _mode(terms: Mapping[str, Any]) -> str:
    """Say what a mode does with updates."""
    if terms["mode"] == "visible":
        waits = terms["buffering"]
        rounds = f"of the first {waits['size']} that come" if waits else "of all who are asked"
        return f"mode visible: updates are seen and checked, clip {terms['clip']:g}; rounds {rounds}"
    return (
        f"mode {terms['mode']}: clip {terms['clip']:g}, as each says; withstands {terms['gamma']:.0%} "
        f"colluding owners and {terms['delta']:.0%} dropouts a round"
    )


def show_moved(found: Mapping[str, Any], console: Console) -> None:
    """Show where a session stands after a command."""
    console.print(f"session {found['session']} is {found['state']}", markup=False, highlight=False)


def show_reports(found: Mapping[str, Any], console: Console) -> None:
    """Show the rounds of a session."""
    if not found["reports"]:
        console.print("no round is over yet")
        return
    for report in found["reports"]:
        part = report["participation"]
        told = f"failed: {report['failed']}" if report["failed"] else f"model {report['version'][:16]}"
        console.print(
            f"round {report['number']}: {part['survivors']} of {part['chosen']} counted, "
            f"{f'{tries} attempts; ' if (tries := part['attempts']) else ''}{told}{_judged(report)}",
            markup=False,
            highlight=False,
        )
        for one in report["excluded"]:
            console.print(f"  without {one['participant']}: {one['reason']}", markup=False, highlight=False)


def _judged(report: Mapping[str, Any]) -> str:
    if report.get("performance_note") == BEING_JUDGED:
        return "; being judged"
    figures = report.get("performance") or {}
    return "".join(f"; {name} {value:.4f}" for name, value in sorted(figures.items()))


def _now(one: Mapping[str, Any]) -> str:
    on = one["round"]
    if on is None:
        return str(one["reason"] or "between rounds")
    waits = f", waits for {', '.join(on['waits_for'][:3])}" if on["waits_for"] else ""
    return f"round {on['number']}, attempt {on['attempt']}: {on['stage']}{waits}"
