"""What a training shows while it goes on: a live table on a terminal, plain lines elsewhere."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress, TaskID
from rich.table import Table

from consilium.app.cli.progress import columns, progress_bar
from consilium.app.stages import ProgressCall, silent
from consilium.training.teaching import Lap

HEADINGS = ("model", "part", "epochs", "loss", "early stop", "left", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Whom a training tells how far it is.

    Parameters
    ----------
    progress
        Called after each model and fold.
    tell
        Called as a network advances; None where nobody listens.
    """

    progress: ProgressCall
    tell: Callable[[Lap], None] | None


@contextmanager
def training_table(models: Sequence[str], *, quiet: bool) -> Iterator[Watch]:
    """Yield a watch that keeps one line a model, and a bar for each stage, on standard error.

    Off a terminal each stage is one plain line when it begins, and each epoch of a network one when it ends.
    """
    console = Console(stderr=True)
    if quiet:
        yield Watch(progress=silent, tell=None)
    elif not console.is_terminal:
        with progress_bar(quiet=False) as progress:
            yield Watch(progress=progress, tell=_Lines(console))
    else:
        with _Shown(models, console) as shown:
            yield Watch(progress=shown.progress, tell=shown.tell)


class _Lines:
    """One plain line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last: tuple[str, str, int] | None = None

    def __call__(self, lap: Lap) -> None:
        told = (lap.model, lap.part, lap.over)
        if told != self.last and lap.over:
            self.console.print(lap_line(lap), highlight=False, markup=False, soft_wrap=True)
        self.last = told


class _Shown:
    """A table under the bars of the stages."""

    def __init__(self, models: Sequence[str], console: Console) -> None:
        self.laps: dict[str, Lap] = {}
        self.done: dict[str, str] = dict.fromkeys(models, "")
        self.bars = Progress(*columns(), console=console)
        self.tasks: dict[str, TaskID] = {}
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=2)

    def __enter__(self) -> "_Shown":
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def progress(self, stage: str, done: int, total: int, text: str = "") -> None:
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total, note=text)
        self.bars.update(self.tasks[stage], completed=done, total=total, note=text)
        model, comma, part = text.partition(", ")
        if comma and model in self.done:
            self.done[model] = f"{part} done"

    def tell(self, lap: Lap) -> None:
        self.laps[lap.model] = lap

    def render(self) -> Group:
        table = Table(*HEADINGS)
        for model, done in self.done.items():
            table.add_row(model, *_cells(self.laps.get(model)), done)
        return Group(self.bars.get_renderable(), table)


def _cells(lap: Lap | None) -> tuple[str, str, str, str, str]:
    if lap is None:
        return "", "", "", "", ""
    return (
        lap.part,
        f"{lap.over}/{lap.epochs}",
        _number(lap.loss),
        _number(lap.validation),
        "" if lap.share == 1.0 else clock(lap.seconds_left),
    )


def lap_line(lap: Lap) -> str:
    """Tell a lap in one line.

    Examples
    --------
    >>> nothing = float("nan")
    >>> lap_line(Lap(model="nhits", part="fold 1", over=2, epochs=5, share=0.5, loss=1.0,
    ...     validation=nothing, seconds_left=61.0))
    'nhits, fold 1: epoch 2 of 5, loss 1.0000, at most 0:01:01 left'
    """
    heard = "" if math.isnan(lap.validation) else f", early stop {lap.validation:.4f}"
    left = "" if lap.share == 1.0 else f", at most {clock(lap.seconds_left)} left"
    return f"{lap.model}, {lap.part}: epoch {lap.over} of {lap.epochs}, loss {lap.loss:.4f}{heard}{left}"


def clock(seconds: float) -> str:
    """Tell a length of time.

    Examples
    --------
    >>> clock(3_725.4), clock(float("nan"))
    ('1:02:05', '-')
    """
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
