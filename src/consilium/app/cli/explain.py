"""``consilium explain``."""

from typing import Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

Run = Annotated[
    str,
    typer.Option(
        "--run", help="A run's id, its beginning or its number; `last` is the newest with consensuses."
    ),
]
Symbol = Annotated[str, typer.Option("--symbol", help="Which symbol.")]
At = Annotated[
    str,
    typer.Option(
        "--at",
        help="Close of the bar: ISO time (UTC) or nanoseconds. Between two bars the earlier one counts.",
    ),
]


@guarded
def explain(
    run: Run,
    symbol: Symbol,
    at: At,
    json_file: options.JsonFile = None,
) -> None:
    """Say who said what, what each gate found, and which change of one vote would have turned it."""
    from consilium.app.explaining import tell
    from consilium.app.files import is_standard_output, require_writable, write_json
    from consilium.app.settings import load_settings

    if json_file is not None:
        require_writable(json_file)
    told = tell(load_settings().data_dir, run, symbol, at)
    console = options.told_beside(json_file)
    if json_file is not None:
        write_json(json_file, told.as_dict())
        if not is_standard_output(json_file):
            console.print(f"Written: {json_file}", highlight=False)
    for line in told.lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
