"""``consilium judge``."""

from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.report import show
from consilium.app.cli.request import with_request

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest

Controls = Annotated[
    str,
    typer.Option("--controls", help="Controls on worlds whose truth is known: on, or off to save time."),
]


@guarded
@with_request
def judge(
    request: "BacktestRequest",
    controls: Controls = "on",
    json_file: options.JsonFile = None,
    html_file: options.HtmlFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Judge forecasts and trades by the whole protocol, on a lock-box that is opened once."""
    controlled = options.on_or_off("controls", controls)
    from consilium.app.judge.run import judge as judged

    show(
        lambda progress: judged(request, controls=controlled, progress=progress),
        json_file,
        html_file,
        quiet=quiet,
    )
