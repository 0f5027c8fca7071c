"""The tree of commands."""

from typing import Annotated

import typer

from consilium import __version__
from consilium.app.cli import (
    backtest,
    check,
    collect,
    data,
    explain,
    features,
    judge,
    keys,
    learn,
    models,
    replay,
    serve,
)

app = typer.Typer(
    name="consilium",
    help="From market data to a governed trading decision. Exit codes: 0 done, 1 failed, 2 bad usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at market data before using them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
models_app = typer.Typer(
    help="What models are stored, which are served, and how to change that.", no_args_is_help=True
)
app.add_typer(models_app, name="models")
keys_app = typer.Typer(help="Who may call the API, and what for.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

app.command("demo")(backtest.demo)
app.command("backtest")(backtest.backtest)
app.command("judge")(judge.judge)
app.command("explain")(explain.explain)
app.command("train")(learn.train)
app.command("predict")(learn.predict)
app.command("features")(features.features)
app.command("collect")(collect.collect)
app.command("collect-status")(collect.collect_status)
app.command("replay")(replay.replay)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("download-data")(data.download_data)
data_app.command("check")(data.check)
data_app.command("compact")(data.compact)
models_app.command("list")(models.list_models)
models_app.command("show")(models.show)
models_app.command("promote")(models.promote)
models_app.command("rollback")(models.rollback)
keys_app.command("create")(keys.create)
keys_app.command("list")(keys.list_keys)
keys_app.command("revoke")(keys.revoke)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"consilium {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take market data to a governed trading decision."""
