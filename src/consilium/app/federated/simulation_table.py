"""A simulated round as people read it."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_simulation(found: dict[str, Any], console: Console) -> None:
    """Print what a simulation cost, phase by phase, what came of it, and what is promised."""
    console.print(_heading(found), highlight=False)
    console.print(phase_table(found))
    for line in _lines(found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print("\nWhat this promises and what not:", highlight=False)
    for line in found["threats"]:
        console.print(f"- {line}", highlight=False, soft_wrap=True)


def _heading(found: dict[str, Any]) -> str:
    what = f"{found['participants']:,} participants x {found['params']:,} values, mode {found['mode']}"
    if found.get("neighbours") is None:
        return what
    groups = f", {found['groups']} groups" if found["groups"] > 1 else ""
    return (
        f"{what}: {found['neighbours']} neighbours, threshold {found['threshold']}, at least "
        f"{found['least_survivors']:,} survivors, ring of {found['ring_bits']} bits{groups}"
    )


def phase_table(found: dict[str, Any]) -> Table:
    """Return the table of phases, with their sum at the end."""
    table = Table(show_footer=True, caption="Server, members and their updates: processor seconds")
    names = ("wall_s", "server_cpu_s", "participant_cpu_s", "update_cpu_s", "upload_bytes", "download_bytes")
    heads = ("wall s", "server s", "members s", "updates s", "up MB", "down MB")
    sums = {name: sum(phase[name] for phase in found["phases"]) for name in names}
    table.add_column("phase", footer="all")
    for name, head in zip(names, heads, strict=True):
        table.add_column(head, justify="right", footer=_number(name, sums[name]))
    for phase in found["phases"]:
        table.add_row(phase["phase"], *(_number(name, phase[name]) for name in names))
    return table


def _number(name: str, value: float) -> str:
    return f"{value / 1e6:,.1f}" if name.endswith("bytes") else f"{value:,.2f}"


def _lines(found: dict[str, Any]) -> list[str]:
    n = found["participants"]
    each, served = (1e3 * found[f"{side}_cpu_s"] / n for side in ("participant", "server"))
    lines = [
        f"Wall {found['wall_s']:.1f} s; a participant {each:.1f} ms, the server {served:.2f} ms for each; "
        f"{found['peak_memory_mb']:,.0f} MB of memory."
    ]
    if found["failed"]:
        return [*lines, f"No sum: {found['failed']}"]
    error = found["max_abs_error"]
    lines.append(
        f"Survivors {found['survivors']:,} of {n:,}, {len(found['excluded']):,} without whom it went on."
    )
    if error is not None:
        lines.append(f"Decoded sum against the integer sum of what the survivors masked: error {error}.")
    if found["accuracy"] is not None:
        lines.append(
            f"Accuracy {found['accuracy']:.3f}; without secrecy and dropouts {found['clean_accuracy']:.3f}."
        )
    return lines
