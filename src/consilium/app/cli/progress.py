"""A progress bar with the time left, on standard error so that results can be piped."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from consilium.app.stages import ProgressCall, silent


def columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar: stage, how much is done, how long it took and will take, and a note."""
    return (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[ProgressCall]:
    """Yield a callback ``(stage, done, total, text)`` that moves one bar a stage.

    Off a terminal each stage is one plain line when it begins.
    """
    console = Console(stderr=True)
    if quiet:
        yield silent
        return
    if not console.is_terminal:
        begun: set[str] = set()

        def tell(stage: str, done: int, total: int, text: str = "") -> None:
            del done, total, text
            if stage not in begun:
                begun.add(stage)
                console.print(f"{stage} ...", highlight=False)

        yield tell
        return
    with Progress(*columns(), console=console) as bar:
        tasks = {}

        def move(stage: str, done: int, total: int, text: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, note=text)
            bar.update(tasks[stage], completed=done, total=total, note=text)

        yield move
