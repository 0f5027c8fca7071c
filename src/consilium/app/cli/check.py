"""``consilium check``: whether a service can start with these settings."""

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from consilium.app.check.finding import Finding
    from consilium.app.settings import Settings

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red", "wrong": "red"}


@guarded
def check(
    beside: Annotated[
        bool,
        typer.Option("--beside", help="A service runs with these settings: leave its host and port out."),
    ] = False,
    json_file: options.JsonFile = None,
) -> None:
    """Check settings and machine for a service, all at once; nothing is made or changed.

    Ends with 0 if a service can start, with 2 if a setting is wrong, with 1 if only the machine is at fault.
    """
    from consilium.app.check.finding import exit_code
    from consilium.app.check.given import read_settings
    from consilium.app.check.run import inspect_settings
    from consilium.app.files import require_writable, write_json

    logging.getLogger("consilium").addHandler(logging.NullHandler())  # the findings tell it
    settings, findings = read_settings()
    findings += inspect_settings(settings, port=not beside)
    code = exit_code(findings)
    if json_file is not None:
        require_writable(json_file)
        rows = [{"setting": f.setting, "level": f.level, "text": f.text} for f in findings]
        write_json(json_file, {"exit_code": code, "findings": rows})
    _show(findings, options.told_beside(json_file, soft_wrap=True))
    if code:
        raise typer.Exit(code)


def sound_settings(*, listens: bool = True, **given: Any) -> "tuple[Settings, list[Finding]]":
    """Return the settings of a service with the warnings about them.

    Parameters
    ----------
    listens
        Whether it does, so that its port must be free.
    given
        Settings of the command line, as of `load_settings`.

    Raises
    ------
    typer.Exit
        It cannot start with them; all faults were written to standard error, a line each.
    """
    from consilium.app.check.finding import exit_code
    from consilium.app.check.given import read_settings
    from consilium.app.check.run import check_settings

    logging.getLogger("consilium").addHandler(logging.NullHandler())  # the findings tell it
    settings, findings = read_settings(**given)
    findings += check_settings(settings, port=listens)
    fatal = [found for found in findings if found.fatal]
    if fatal:
        for found in fatal:
            sys.stderr.write(f"error: {found.setting}: {found.text}\n")
        raise typer.Exit(exit_code(fatal))
    return settings, findings


def _show(findings: "Iterable[Finding]", console: "Console") -> None:
    from rich.markup import escape

    findings = list(findings)
    width = max(len(found.setting) for found in findings)
    for found in findings:
        style = _STYLES[found.level]
        level = f"[{style}]{found.level:<7}[/{style}]"
        console.print(f"{level}  {found.setting:<{width}}  {escape(found.text)}", highlight=False)
    fatal = sum(found.fatal for found in findings)
    warnings = sum(found.level == "warning" for found in findings)
    verdict = "a service cannot start" if fatal else "a service can start"
    console.print(f"{verdict}; faults: {fatal}, warnings: {warnings}", highlight=False)
