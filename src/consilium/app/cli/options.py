"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from consilium.app.settings import Settings, Training, load_settings
from consilium.domain import UsageError

Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="A parquet, feather or csv file, a folder of them, `sample` (real bars of one stock) or "
        "`simulate` (a seeded market).",
    ),
]
Symbols = Annotated[
    str | None, typer.Option("--symbols", help="Symbols, separated by commas; all of the data if not given.")
]
Models = Annotated[str, typer.Option("--models", help="Models, separated by commas, or `all`.")]
Features = Annotated[
    str | None,
    typer.Option("--features", help="candle62 or core14; candle62 where the data are long enough."),
]
Horizon = Annotated[int | None, typer.Option("--horizon", help="Bars ahead (default 1).")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random (default 7).")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Processes to train in (default 1).")]
Folds = Annotated[int | None, typer.Option("--folds", help="Walk-forward folds (default 5).")]
Preset = Annotated[
    str | None, typer.Option("--preset", help="small (core14, for 500 bars a symbol) or full (candle62).")
]
Repair = Annotated[bool, typer.Option("--repair", help="Mend what can be mended, and say what was done.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result to this JSON file as well.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write the report to this HTML file as well.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Split a comma-separated list; None stays None.

    Raises
    ------
    UsageError
        The list is empty or names something twice.

    Examples
    --------
    >>> split_names(" BTCUSDT, ETHUSDT")
    ('BTCUSDT', 'ETHUSDT')
    """
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise UsageError("a list needs at least one name", repr(text), "give names separated by commas")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError("each name may stand once", f"'{twice}' twice", "remove one of them")
    return names


def settings_with(*, folds: int | None, seed: int | None, jobs: int | None) -> Settings:
    """Read the settings and let the options given on the command line prevail.

    Raises
    ------
    UsageError
        An option outside its bound.
    """
    settings = load_settings()
    given = {"folds": folds, "seed": seed, "jobs": jobs}
    merged = settings.training.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    try:
        training = Training(**merged)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(
            f"--{fault['loc'][0]}: {fault['msg'].lower()}", fault["input"], "correct the option"
        ) from None
    return settings.model_copy(update={"training": training})
