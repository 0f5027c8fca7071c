"""``consilium explain``: a consensus of a run, or a forecast of a stored model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

Run = Annotated[
    str | None,
    typer.Option(
        "--run", help="A run's id, its beginning or its number; `last` is the newest with consensuses."
    ),
]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Which symbol.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="Close of the bar: ISO time (UTC) or nanoseconds. Between two bars the earlier one counts.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Instead of a run: a stored model, whose features are told by their weight."
    ),
]
Data = Annotated[
    str | None, typer.Option("--data", help="With --model: where the candles come from, as in predict.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Folder of the models (default: models in the data folder)."),
]


@guarded
def explain(
    run: Run = None,
    symbol: Symbol = None,
    at: At = None,
    model: Model = None,
    data: Data = None,
    books: options.Books = None,
    models_dir: Folder = None,
    json_file: options.JsonFile = None,
) -> None:
    """Say who said what at one bar of a run, or which features moved a stored model.

    Of a run: who said what, what each gate found, and which change of one vote would have turned it. Of a
    model: contributions of its features that add up to its margin (the newest bar if no time is given).
    """
    from consilium.app.files import is_standard_output, require_writable, write_json

    if json_file is not None:
        require_writable(json_file)
    told = _told(run, symbol, at, model, data, books, models_dir)
    console = options.told_beside(json_file)
    if json_file is not None:
        write_json(json_file, told.as_dict())
        if not is_standard_output(json_file):
            console.print(f"Written: {json_file}", highlight=False)
    for line in told.lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _told(
    run: str | None,
    symbol: str | None,
    at: str | None,
    model: str | None,
    data: str | None,
    books: list[str] | None,
    models_dir: Path | None,
) -> Any:
    from consilium.app.settings import load_settings
    from consilium.domain import UsageError

    settings = load_settings()
    if (run is None) == (model is None):
        given = "neither" if run is None else "both"
        raise UsageError("explain needs --run or --model", given, "name one of them")
    if run is not None:
        from consilium.app.explaining import tell

        if symbol is None or at is None:
            missing = "--symbol" if symbol is None else "--at"
            raise UsageError("explain --run needs --symbol and --at", f"no {missing}", f"add {missing}")
        return tell(settings.data_dir, run, symbol, at)
    from consilium.app.explaining_model import tell_model
    from consilium.app.observe import observe

    if data is None or model is None:
        raise UsageError("explain --model needs --data", "none", "name the candles, as in predict")
    symbols = None if symbol is None else (symbol,)
    observed = observe(data, symbols, seed=settings.training.seed, books=tuple(books or ()))
    return tell_model(models_dir or settings.data_dir / "models", model, observed, symbol, at)
