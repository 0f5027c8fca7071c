"""What the council answers, as tables for people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200
"""Columns where nobody looks at a terminal: what reads on finds a row on a line."""
_WHOLE = ("decision", "hold", "approval", "alert", "time", "since")
"""Columns that no line breaks: what stands in them is given to other commands."""
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def show_status(found: Mapping[str, Any], console: Console) -> None:
    """Show how the council stands."""
    detail = found["detail"] if found["detail"] != found["mode"] else ""
    rows = [
        ("mode", f"{found['mode']}{f' ({detail})' if detail else ''}"),
        ("profile", found["profile"]),
        ("roles", ", ".join(f"{n}{'' if on else ' (out)'}" for n, on in found["roles"].items()) or "none"),
        ("decisions", f"{found['total_decisions']:,}"),
        ("newest", found["last_update"] or "none"),
        ("holds", str(found.get("holds", 0))),
        ("approvals", str(found.get("approvals", 0))),
    ]
    if found.get("frozen_at"):
        rows.append(("frozen", found["frozen_at"]))
        rows.append(("at the earliest", found.get("release_at") or "not known"))
        reviews = ", ".join(f"{what}: {', '.join(who)}" for what, who in found.get("reviews", {}).items())
        rows.append(("reviews", reviews or "none"))
    _pairs(rows, console)


def show_policy(found: Mapping[str, Any], console: Console) -> None:
    """Show the limits in force."""
    _pairs(((name, _value(value)) for name, value in found.items()), console)


def show_holds(found: Mapping[str, Any], console: Console) -> None:
    """Show the restrictions."""
    rows = [
        (h.get("hold_id"), h.get("value"), h.get("timestamp"), h.get("expires") or _end(h), h.get("reason"))
        for h in found["holds"]
    ]
    _table(("hold", "value", "since", "until", "why"), rows, console, "Nothing is held.")


def _end(hold: Mapping[str, Any]) -> str:
    """Tell what ends a hold that has no time."""
    return "released" if hold.get("owner") == "operator" else "by rule"


def show_approvals(found: Mapping[str, Any], console: Console) -> None:
    """Show what waits for another person."""
    rows = [
        (w.get("approval_id"), w.get("action"), w.get("payload"), w.get("person"), w.get("reason"))
        for w in found["approvals"]
    ]
    _table(("approval", "action", "what", "asked by", "why"), rows, console, "Nothing waits for anybody.")


def show_alerts(found: Mapping[str, Any], console: Console) -> None:
    """Show alerts."""
    table = _made(("alert", "severity", "time", "what", "seen by"))
    for one in found["alerts"]:
        seen = "over" if one["over"] else one["acknowledged_by"] or "nobody"
        severity = Text(one["severity"], style=_COLOURS[one["severity"]])
        table.add_row(Text(one["alert_id"]), severity, one["timestamp"], Text(one["title"]), Text(seen))
    if found["alerts"]:
        console.print(table, width=None if console.is_terminal else _WIDE)
    else:
        console.print("There was no alert.")
    waiting = {sender: count for sender, count in found["waiting"].items() if count}
    if waiting:
        console.print(f"Still to be sent: {_value(waiting)}", markup=False)


def show_decisions(found: Mapping[str, Any], console: Console) -> None:
    """Show decisions."""
    rows = [
        (d["decision_id"], d["timestamp"], d["role_source"], d.get("rule"), d["decision_type"], d["reason"])
        for d in found["decisions"]
    ]
    _table(("decision", "time", "role", "rule", "type", "why"), rows, console, "Nothing was decided.")
    if found["next"] is not None:
        console.print(f"older ones: --before {found['next']}", style="dim")


def show_explained(found: Mapping[str, Any], console: Console) -> None:
    """Show a decision, what led to it, what it holds, and what would release that."""
    decision, cause = found["decision"], found.get("cause")
    rows = [
        ("decision", f"{decision['decision_id']}: {decision['decision_type']}"),
        ("by", f"{decision['role_source']}, rule {decision.get('rule') or '–'}"),
        ("time", decision["timestamp"]),
        ("why", decision["reason"]),
        ("says", _value(decision["payload"])),
    ]
    if cause is not None:
        rows.append(("cause", f"row {cause['offset']}, {cause['topic']}: {_value(cause['payload'])}"))
    parts = [part for part in ("figures", "conflicts", "overridden_by") if found.get(part)]
    rows += [(part.replace("_", " "), _value(found[part])) for part in parts]
    if found.get("in_force") is None:
        rows.append(("holds", "not known: it is not among the newest, or no service answers"))
    elif found["in_force"]:
        rows.append(("holds", ", ".join(f"{h['hold_id']} {_value(h['value'])}" for h in found["holds"])))
        rows.append(("released by", found["released_by"]))
        rows.append(("at the earliest", found.get("earliest_at") or "not known"))
    else:
        rows.append(("holds", "nothing any more"))
    _pairs(rows, console)


def show_done(told: str) -> Callable[[Mapping[str, Any], Console], None]:
    """Return what shows that a command was taken, or waits for another person."""

    def show(found: Mapping[str, Any], console: Console) -> None:
        if not found["success"]:
            console.print(f"{found['detail']}", markup=False, highlight=False)
            return
        named = found.get("decision_id") or found.get("event_id")
        console.print(f"{told}: {named}", markup=False, highlight=False)

    return show


def show_halted(found: Mapping[str, Any], console: Console) -> None:
    """Show that trading is frozen, or why it is not yet."""
    detail = found.get("detail", "FROZEN")
    show_done("trading is frozen" if detail == "FROZEN" else str(detail))(found, console)


def _pairs(rows: Iterable[tuple[str, Any]], console: Console) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(str(value)))
    console.print(table, width=None if console.is_terminal else _WIDE)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], console: Console, empty: str) -> None:
    table = _made(heads)
    for row in rows:
        table.add_row(*(Text(_value(value)) for value in row))
    if rows:
        console.print(table, width=None if console.is_terminal else _WIDE)
    else:
        console.print(empty)


def _made(heads: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head in _WHOLE)
    return table


def _value(value: Any) -> str:
    """Return a value for people.

    Examples
    --------
    >>> _value({"mode": "LIVE", "symbols": ["A", "B"]}), _value(None), _value(0.05)
    ('mode LIVE, symbols [A, B]', '–', '0.05')
    """
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items()) or "–"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(inner) for inner in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
