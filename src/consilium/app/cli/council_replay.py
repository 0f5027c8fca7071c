"""``consilium council replay``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.request import with_request

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="Take the forecasts of this stored run: its id, the beginning of it, its number, or `last`. "
        "Without it an equal stored backtest is taken, or a new one is run.",
    ),
]
Signals = Annotated[
    Path | None,
    typer.Option("--signals", help="Your own signals in place of forecasts, as in `backtest --signals`."),
]
Without = Annotated[
    str | None,
    typer.Option(
        "--without", help="Rules to leave out one by one, such as R1,F2; all that fired if not given."
    ),
]
Review = Annotated[
    float | None,
    typer.Option("--review-hours", min=0.0, help="Hours from a freeze to its review by two persons."),
]
NoReviews = Annotated[bool, typer.Option("--no-reviews", help="Nobody reviews: a freeze lasts to the end.")]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", help="Write the tables to this Markdown file as well.")
]


@guarded
@with_request
def replay(
    request: "BacktestRequest",
    run: Run = None,
    signals: Signals = None,
    without: Without = None,
    review_hours: Review = 4.0,
    no_reviews: NoReviews = False,
    json_file: options.JsonFile = None,
    html_file: options.HtmlFile = None,
    markdown_file: Markdown = None,
    quiet: options.Quiet = False,
) -> None:
    """Play a historical paper run with the council, without it, and without each of its rules.

    Account, books and council are those of `serve`. Says when each rule fired, how long trading was halted,
    what drawdown and return were with and without it, and whether that is more than luck.
    """
    from consilium.app.cli.progress import progress_bar
    from consilium.app.council_replay import report
    from consilium.app.council_replay.run import replay as play
    from consilium.app.files import is_standard_output, require_writable, write_json, write_text
    from consilium.domain import UsageError

    if run is not None and signals is not None:
        raise UsageError("--run and --signals exclude each other", "both", "leave one of them out")
    outputs = [path for path in (json_file, html_file, markdown_file) if path is not None]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UsageError("each output needs a file of its own", "one named twice", "give another name")
    for path in outputs:
        require_writable(path)
    with progress_bar(quiet=quiet) as progress:
        found = play(
            request,
            run=run,
            signals=signals,
            without=options.split_names(without) or (),
            review_hours=None if no_reviews else review_hours,
            progress=progress,
        )
    if json_file is not None:
        write_json(json_file, found)
    if html_file is not None:
        report.write_html(found, html_file)
    if markdown_file is not None:
        write_text(markdown_file, report.markdown(found))
    console = options.told_beside(json_file)
    for path in outputs:
        if not is_standard_output(path):
            console.print(f"Written: {path}", highlight=False)
    report.print_replay(found, console)
