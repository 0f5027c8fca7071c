"""What every command that ends in a report does with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from consilium.app.cli import options
from consilium.app.stages import ProgressCall
from consilium.domain import UsageError

MakeReport = Callable[[ProgressCall], dict[str, Any]]


def show(make: MakeReport, json_file: Path | None, html_file: Path | None, *, quiet: bool) -> None:
    """Refuse files that cannot be written, make the report under a progress bar, write and print it.

    Raises
    ------
    UsageError
        HTML for the standard output, or one file for both.
    OutputProblem
        A file that cannot be written; said before the work is done.
    """
    from consilium.app.cli.progress import progress_bar
    from consilium.app.files import is_standard_output, require_writable
    from consilium.app.report import print_report, write_html, write_json

    if html_file is not None and is_standard_output(html_file):
        raise UsageError("--html needs a file", "'-'", "give a name; --json - writes to the standard output")
    if json_file is not None and html_file is not None and json_file.resolve() == html_file.resolve():
        raise UsageError("--json and --html need a file each", f"{json_file} twice", "give another name")
    for path in (json_file, html_file):
        if path is not None:
            require_writable(path)
    with progress_bar(quiet=quiet) as progress:
        report = make(progress)
    if json_file is not None:
        write_json(report, json_file)
    if html_file is not None:
        write_html(report, html_file)
    console = options.told_beside(json_file)
    for path in (json_file, html_file):
        if path is not None and not is_standard_output(path):
            console.print(f"Written: {path}", highlight=False)
    print_report(report, console)
