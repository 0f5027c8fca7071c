"""The tree of commands."""

from typing import Annotated

import typer

from consilium import __version__
from consilium.app.cli import (
    backtest,
    backup,
    check,
    collect,
    council,
    council_replay,
    data,
    explain,
    features,
    federate,
    journal,
    judge,
    keys,
    learn,
    models,
    network,
    replay,
    serve,
    worker,
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
journal_app = typer.Typer(help="Look into the journal, and keep copies of it.", no_args_is_help=True)
app.add_typer(journal_app, name="journal")
council_app = typer.Typer(
    help="What is in force and why, and what operators ask of the council.", no_args_is_help=True
)
app.add_typer(council_app, name="council")
audit_app = typer.Typer(help="Check that nothing was changed behind our back.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
federate_app = typer.Typer(help="Learn among participants who keep their data.", no_args_is_help=True)
app.add_typer(federate_app, name="federate")
owners_app = typer.Typer(help="Who may take part: keys, and the signed list.", no_args_is_help=True)
federate_app.add_typer(owners_app, name="owners")
sessions_app = typer.Typer(help="Sessions of a service.", no_args_is_help=True)
federate_app.add_typer(sessions_app, name="sessions")

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
app.command("worker")(worker.worker)
app.command("check")(check.check)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
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
journal_app.command("show")(journal.show)
journal_app.command("backup")(journal.backup)
journal_app.command("export")(journal.export)
journal_app.command("restore")(journal.restore)
journal_app.command("import")(journal.restore)
journal_app.command("archive")(journal.archive)
council_app.command("status")(council.status)
council_app.command("policy")(council.policy)
council_app.command("holds")(council.holds)
council_app.command("decisions")(council.decisions)
council_app.command("explain")(council.explain)
council_app.command("alerts")(council.alerts)
council_app.command("acknowledge")(council.acknowledge)
council_app.command("freeze")(council.freeze)
council_app.command("review")(council.review)
council_app.command("approvals")(council.approvals)
council_app.command("approve")(council.approve)
council_app.command("replay")(council_replay.replay)
audit_app.command("verify")(journal.verify)
federate_app.command("simulate")(federate.simulate)
federate_app.command("participant")(network.participant)
owners_app.command("new")(network.owners_new)
owners_app.command("sign")(network.owners_sign)
owners_app.command("show")(network.owners_show)
sessions_app.command("list")(network.sessions_list)
sessions_app.command("show")(network.sessions_show)
sessions_app.command("reports")(network.sessions_reports)
sessions_app.command("create")(network.sessions_create)
sessions_app.command("start")(network.sessions_start)
sessions_app.command("pause")(network.sessions_pause)
sessions_app.command("resume")(network.sessions_resume)
sessions_app.command("cancel")(network.sessions_cancel)


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
