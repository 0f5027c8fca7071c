"""``consilium features``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.request import request_of
from consilium.domain import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from consilium.app.matrix import Matrix

Set = Annotated[str, typer.Option("--features", help="core14, candle62, book50 or full112.")]


@guarded
def features(
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="Parquet file of the matrix.")],
    books: options.Books = None,
    bar: options.Bar = None,
    symbols: options.Symbols = None,
    feature_set: Set = "full112",
    seed: options.Seed = None,
    repair: options.Repair = False,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Compute a feature set over all bars and write it as a file: a row for each symbol and close."""
    from consilium.app.cli.progress import progress_bar
    from consilium.app.files import is_standard_output, require_writable, write_json
    from consilium.app.matrix import Matrix

    if is_standard_output(out):
        raise UsageError("--out needs a file", "'-'", "give a name")
    request = request_of(
        data, books=books, bar=bar, symbols=symbols, features=feature_set, seed=seed, repair=repair
    )
    for path in (out, json_file):
        if path is not None:
            require_writable(path)
    with progress_bar(quiet=quiet) as progress:
        matrix = Matrix.of(request.observed(), request.features, progress)
        matrix.write(out)
    told = {
        "file": str(out),
        "features": matrix.features,
        "features_hash": matrix.features_hash,
        "columns": len(matrix.names),
        "rows": len(matrix),
        "interval_ns": matrix.interval_ns,
        "groups": matrix.groups(),
        "findings": list(matrix.findings),
    }
    if json_file is not None:
        write_json(json_file, told)
    console = options.told_beside(json_file)
    for finding in matrix.findings:
        typer.echo(f"data: {finding}", err=True)
    console.print(_table(matrix))
    console.print(f"Written: {out}", highlight=False)


def _table(matrix: "Matrix") -> "Table":
    from rich.table import Table

    table = Table(title=f"{matrix.features} {matrix.features_hash}: {len(matrix):,} rows", title_style="bold")
    for column in ("family", "features", "NaN", "min", "max"):
        table.add_column(column, justify="left" if column == "family" else "right")
    for row in matrix.groups():
        low, high = ("-" if row[key] is None else f"{row[key]:.4g}" for key in ("min", "max"))
        table.add_row(row["family"], f"{row['features']}", f"{100 * row['nan']:.1f} %", low, high)
    return table
