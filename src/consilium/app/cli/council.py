"""``consilium council``: what is in force and why, and what an operator asks of the council of a service."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.asking import STRANGER, NoAnswer, Refused, Url, asking
from consilium.app.cli.guard import guarded
from consilium.app.cli.journal import Database
from consilium.domain import ConsiliumError, UnknownName

if TYPE_CHECKING:
    from pydantic import BaseModel

    from consilium.app.client.waiting import Client

Reason = Annotated[str, typer.Option("--reason", help="Why, in one line; it is journaled.")]
DecisionId = Annotated[str, typer.Argument(help="As `consilium council decisions` shows it.")]


@guarded
def status(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show mode, profile, who sits, and what waits for somebody."""
    from consilium.app.cli.council_tables import show_status

    _show(url, json_file, lambda client: client.council_status(), show_status)


@guarded
def policy(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show the limits in force."""
    from consilium.app.cli.council_tables import show_policy

    _show(url, json_file, lambda client: client.council_policy(), show_policy)


@guarded
def holds(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show the restrictions in force: who holds what, why, and until when."""
    from consilium.app.cli.council_tables import show_holds

    _show(url, json_file, lambda client: client.holds(), show_holds)


@guarded
def approvals(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show the loosenings that wait for another person."""
    from consilium.app.cli.council_tables import show_approvals

    _show(url, json_file, lambda client: client.approvals(), show_approvals)


@guarded
def alerts(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show what somebody should know, the worst that nobody has seen first."""
    from consilium.app.cli.council_tables import show_alerts

    _show(url, json_file, lambda client: client.alerts(), show_alerts)


@guarded
def decisions(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many.")] = 10,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Before this place.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Such as FREEZE or MODE_CHANGE.")] = None,
    role: Annotated[str | None, typer.Option("--role", help="Such as cro, or operator.")] = None,
    url: Url = None,
    json_file: options.JsonFile = None,
) -> None:
    """Show decisions, newest first."""
    from consilium.app.cli.council_tables import show_decisions

    chosen = None if kind is None else kind.upper()
    _show(url, json_file, lambda client: client.decisions(limit, before, chosen, role), show_decisions)


@guarded
def explain(
    decision: DecisionId, url: Url = None, database: Database = None, json_file: options.JsonFile = None
) -> None:
    """Tell what led to a decision and what would release it; from the journal if no service answers."""
    from consilium.app.cli.council_tables import show_explained
    from consilium.app.council.recall import recalled

    if database is None:
        try:
            _show(url, json_file, lambda client: client.explain_decision(decision), show_explained)
        except NoAnswer as error:
            if url is not None:
                raise
            typer.echo(f"{error.bound}; got {error.value}: the journal is read", err=True)
        else:
            return
    from consilium.app.cli.journal import opened, url_of

    with opened(url_of(database)) as journal:
        found = recalled(journal, decision)
    _told(found, json_file, show_explained)


@guarded
def freeze(reason: Reason, url: Url = None, json_file: options.JsonFile = None) -> None:
    """Stop trading at once; it ends only by review. Unless confirmed, a note in the data folder says so."""
    from consilium.app.cli.council_tables import show_halted

    try:
        _show(url, json_file, lambda client: client.freeze(reason), show_halted, timeout_s=2.0)
    except NoAnswer as error:
        if url is not None:
            raise
        _leave_note(reason, error)
    except Refused as error:
        if url is None and error.status not in STRANGER:
            _leave_note(reason, error)  # it is there and has not done it: the note does not ask it
        raise


def _leave_note(reason: str, error: ConsiliumError) -> None:
    path = _noted(reason, error)
    typer.echo(f"{error.bound}; got {error.value}", err=True)
    typer.echo(f"a note is left: {path}", err=True)
    typer.echo("a service of this data folder halts when it next looks, or when it starts", err=True)


def _noted(reason: str, error: ConsiliumError) -> Path:
    """Leave a note that a service of the data folder acts on.

    Raises
    ------
    ConsiliumError
        There is no data folder here: nobody would read it.
    """
    from getpass import getuser

    from consilium.app.council.kill_switch import note_of, write_note
    from consilium.app.settings import load_settings

    settings = load_settings()
    if not settings.data_dir.is_dir():
        raise error
    return write_note(settings.data_dir, note_of(" ".join(reason.split()) or "no reason given", getuser()))


@guarded
def review(
    reason: Reason,
    what: Annotated[str, typer.Option("--what", help="freeze, reduce_only or rebase.")] = "freeze",
    url: Url = None,
    json_file: options.JsonFile = None,
) -> None:
    """Say that you have looked at a freeze; it ends when its rule and the reviews allow."""
    from consilium.app.cli.council_tables import show_done

    known = ("freeze", "reduce_only", "rebase")
    if what not in known:
        raise UnknownName("--what", what, known)
    _show(url, json_file, lambda client: client.review(what, reason), show_done(f"{what} is reviewed"))


@guarded
def approve(
    approval: Annotated[str, typer.Argument(help="As `consilium council approvals` shows it.")],
    reason: Reason,
    url: Url = None,
    json_file: options.JsonFile = None,
) -> None:
    """Complete a loosening that another person has asked for."""
    from consilium.app.cli.council_tables import show_done

    _show(url, json_file, lambda client: client.approve(approval, reason), show_done("approved"))


@guarded
def acknowledge(
    alert: Annotated[str, typer.Argument(help="As `consilium council alerts` shows it.")],
    url: Url = None,
    json_file: options.JsonFile = None,
) -> None:
    """Say that you have seen an alert: nobody is reminded of it any more."""
    from consilium.app.cli.council_tables import show_done

    _show(url, json_file, lambda client: client.acknowledge(alert), show_done("acknowledged"))


def _show(
    url: str | None,
    json_file: Any,
    ask: Callable[["Client"], "BaseModel"],
    show: Callable[[Mapping[str, Any], Any], None],
    timeout_s: float = 10.0,
) -> None:
    """Ask the service, and show its answer."""
    if json_file is not None:
        from consilium.app.files import require_writable

        require_writable(json_file)
    with asking(url, timeout_s) as client:
        found = ask(client).model_dump(mode="json")
    _told(found, json_file, show)


def _told(found: Mapping[str, Any], json_file: Any, show: Callable[[Mapping[str, Any], Any], None]) -> None:
    if json_file is not None:
        from consilium.app.files import write_json

        write_json(json_file, found)
    show(found, options.told_beside(json_file, soft_wrap=True))
