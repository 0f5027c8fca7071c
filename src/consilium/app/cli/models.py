"""``consilium models``: what is stored, what is served, and how that is changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

if TYPE_CHECKING:
    from consilium.training.registry import ModelRegistry, Version

Folder = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Folder of the models (default: models in the data folder)."),
]
Name = Annotated[str, typer.Argument(help="A model.", metavar="MODEL")]


def _registry(folder: Path | None) -> "ModelRegistry":
    from consilium.app.settings import load_settings
    from consilium.training.registry import ModelRegistry

    return ModelRegistry(folder or load_settings().data_dir / "models")


def _now() -> int:
    from consilium.app.bootstrap import SystemClock

    return SystemClock().now_ns()


@guarded
def list_models(models_dir: Folder = None, json_file: options.JsonFile = None) -> None:
    """List the stored models: which version is served, how old it is, and how it did."""
    from rich.table import Table

    from consilium.app.shelved import overview

    rows = overview(_registry(models_dir), _now())
    _written(json_file, {"models": rows})
    console = options.told_beside(json_file, soft_wrap=True)
    if not rows:
        console.print("No model is stored: run consilium train.")
        return
    table = Table(title="Stored models")
    for column in ("model", "served", "of", "age", "log-loss", "climatology", "kind", "note"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            row["model"],
            "-" if row["version"] is None else str(row["version"]),
            str(row["versions"]),
            "-" if row["age_days"] is None else f"{row['age_days']:.1f} d",
            _number(row["metrics"].get("test_log_loss")),
            _number(row["metrics"].get("climatology_log_loss")),
            row["kind"],
            row["note"],
        )
    console.print(table)


@guarded
def show(model: Name, models_dir: Folder = None, json_file: options.JsonFile = None) -> None:
    """Show the versions of a model, their figures, and what happened to them."""
    from consilium.app.shelved import account_of

    told = account_of(_registry(models_dir), _canonical(model), _now())
    _written(json_file, told)
    console = options.told_beside(json_file, soft_wrap=True)
    for row in told["versions"]:
        loss, climatology = (
            _number(row["metrics"].get(key)) for key in ("test_log_loss", "climatology_log_loss")
        )
        console.print(
            f"{'*' if row['served'] else ' '} version {row['version']}, {row['time']}, "
            f"log-loss {loss} against {climatology}{': ' * bool(row['problem'])}{row['problem']}",
            highlight=False,
        )
    for line in told["serving"]:
        console.print(f"  {line}", highlight=False)
    for event in told["events"]:
        console.print(
            f"{event['time']} version {event['version']} {event['kind']}: {event['reason']}", highlight=False
        )


@guarded
def promote(
    model: Name,
    version: Annotated[int, typer.Argument(help="Its number.", metavar="VERSION")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Promote it only if it is not worse than the served one on the newest slice of these.",
        ),
    ] = None,
    symbols: options.Symbols = None,
    models_dir: Folder = None,
) -> None:
    """Serve a version from now on, by hand or, with --data, by the rule."""
    from consilium.app.stored_models import promote_by_rule

    registry, name = _registry(models_dir), _canonical(model)
    if data is None:
        done = registry.promote(name, version, ts=_now(), reason="by hand")
        _tell(done, "by hand")
        return
    found = promote_by_rule(registry, name, version, data, options.split_names(symbols), now_ns=_now())
    if not found.promoted:
        typer.echo(f"{name} version {version} is not served: {found.reason}")
        raise typer.Exit(1)
    _tell(registry.version(name, version), found.reason)


@guarded
def rollback(model: Name, models_dir: Folder = None) -> None:
    """Serve again the version that was served before."""
    done = _registry(models_dir).rollback(_canonical(model), ts=_now(), reason="by hand")
    _tell(done, "rolled back")


def _tell(version: "Version", reason: str) -> None:
    typer.echo(f"{version.model} version {version.number} is served: {reason}")


def _canonical(name: str) -> str:
    from consilium.domain import canonical_model

    return canonical_model(name)


def _written(json_file: Path | None, value: Any) -> None:
    if json_file is not None:
        from consilium.app.files import require_writable, write_json

        require_writable(json_file)
        write_json(json_file, value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
