"""Options that several commands share."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from consilium.app.files import is_standard_output
from consilium.app.settings import Book, Costs, Ensemble, Settings, Training, load_settings
from consilium.domain import UsageError

if TYPE_CHECKING:
    from rich.console import Console

Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="A parquet, feather or csv file, a folder of them, `sample` (real bars of one stock) or "
        "`simulate` (a seeded market); with --bar recorded trades.",
    ),
]
Books = Annotated[
    list[str] | None,
    typer.Option(
        "--books",
        metavar="PATH",
        help="Recorded order books: a parquet file, or a folder of them; give it again for more.",
    ),
]
Bar = Annotated[
    str | None,
    typer.Option(
        "--bar",
        metavar="LENGTH",
        help="Build bars of this length from the trades in --data: 100ms, 250ms, 1s, 5s, 1m, ...",
    ),
]
Symbols = Annotated[
    str | None, typer.Option("--symbols", help="Symbols, separated by commas; all of the data if not given.")
]
Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        help="Models, separated by commas, or `all` seven; without it the trees, which take seconds.",
    ),
]
Limits = Annotated[str, typer.Option("--limits", help="Risk limits: on or off.")]
Features = Annotated[
    str | None,
    typer.Option(
        "--features",
        help="core14, candle62 or full112 (with --books); candle62 where the data are long enough.",
    ),
]
Horizon = Annotated[int | None, typer.Option("--horizon", help="Bars ahead (default 1).")]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        help="candle (default), or book10, book30, book50: where the mid goes over so many books.",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random (default 7).")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Processes to train in (default 1).")]
Folds = Annotated[int | None, typer.Option("--folds", help="Walk-forward folds (default 5).")]
Preset = Annotated[
    str | None, typer.Option("--preset", help="small (core14, for 500 bars a symbol) or full (candle62).")
]
Repair = Annotated[bool, typer.Option("--repair", help="Mend what can be mended, and say what was done.")]
Rule = Annotated[str | None, typer.Option("--rule", help="Consensus rule (default smart_vote).")]
Trust = Annotated[
    str | None,
    typer.Option("--trust", help="How trust is earned (default fixed_share; uniform trusts all alike)."),
]
Gates = Annotated[str | None, typer.Option("--gates", help="Gate preset: edge (default) or seed.")]
Meta = Annotated[
    str | None,
    typer.Option(
        "--meta", help="on (default) or off: learn from outcomes how often a direction comes true and pays."
    ),
]
PerRegime = Annotated[
    bool | None,
    typer.Option(
        "--per-regime/--no-per-regime",
        help="Keep trust for calm, usual and stormy markets apart as well.",
        show_default="no",
    ),
]
Conformal = Annotated[
    str | None,
    typer.Option(
        "--conformal",
        metavar="ALPHA",
        help="Act only where all but one direction can be ruled out, being wrong in a share ALPHA of cases "
        "(0.2 for example); off is the default.",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write the result to this JSON file as well; - is the standard output."),
]
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


def on_or_off(option: str, value: str) -> bool:
    """Read a switch.

    Raises
    ------
    UsageError
        Another word than on or off.

    Examples
    --------
    >>> on_or_off("limits", "off")
    False
    """
    if value not in ("on", "off"):
        raise UsageError(f"{option} must be on or off", f"'{value}'", f"use --{option} on")
    return value == "on"


def settings_with(
    *,
    meta: str | None = None,
    per_regime: bool | None = None,
    conformal: str | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    **training_options: Any,
) -> Settings:
    """Read the settings and let the options given on the command line prevail.

    Parameters
    ----------
    meta, per_regime, conformal
        Of the ensemble, as they were given.
    parameters
        Of models, added to those of the settings.
    training_options
        Settings of the training by name; None is not given.

    Raises
    ------
    UsageError
        An option outside its bound.
    """
    settings = load_settings()
    of_models = dict(settings.training.parameters)
    for name, given in (parameters or {}).items():
        of_models[name] = {**of_models.get(name, {}), **given}
    training = merged(settings.training, parameters=of_models, **training_options)
    ensemble = merged(
        settings.ensemble, meta=None if meta is None else on_or_off("meta", meta), per_regime=per_regime
    )
    if conformal == "off":
        ensemble = ensemble.model_copy(update={"conformal": None})
    elif conformal is not None:
        ensemble = merged(ensemble, conformal=conformal)
    return settings.model_copy(update={"training": training, "ensemble": ensemble})


_Section = TypeVar("_Section", Training, Ensemble, Book, Costs)


def merged(section: _Section, **given: Any) -> _Section:
    """Return a section of the settings in which what was given prevails; None is not given.

    Raises
    ------
    UsageError
        A value outside its bound.
    """
    kept = {key: value for key, value in given.items() if value is not None}
    try:
        return type(section)(**(section.model_dump() | kept))
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(
            f"--{str(fault['loc'][0]).replace('_', '-')}: {fault['msg'].lower()}",
            fault["input"],
            "correct the option",
        ) from None


def told_beside(json_file: Path | None, *, soft_wrap: bool = False) -> "Console":
    """Return where a command talks to people: standard error if its JSON takes the standard output."""
    from rich.console import Console

    return Console(stderr=json_file is not None and is_standard_output(json_file), soft_wrap=soft_wrap)
