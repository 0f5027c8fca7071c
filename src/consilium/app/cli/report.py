"""What every command that ends in a report does with it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from consilium.app.cli import options
from consilium.app.stages import ProgressCall
from consilium.domain import ConsiliumError, UsageError

MakeReport = Callable[[ProgressCall], dict[str, Any]]


def show(make: MakeReport, json_file: Path | None, html_file: Path | None, *, quiet: bool) -> None:
    """Refuse files that cannot be written, make the report under a progress bar, write and print it.

    Raises
    ------
    UsageError
        HTML for the standard output, or one file for both.
    OutputProblem
        A file that cannot be written; said before the work is done.
    ReportInterrupted
        Ctrl-C or SIGTERM came when the report was made and not yet delivered.
    """
    from consilium.app.cli.progress import progress_bar
    from consilium.app.files import is_standard_output, require_writable

    if html_file is not None and is_standard_output(html_file):
        raise UsageError("--html needs a file", "'-'", "give a name; --json - writes to the standard output")
    if json_file is not None and html_file is not None and json_file.resolve() == html_file.resolve():
        raise UsageError("--json and --html need a file each", f"{json_file} twice", "give another name")
    for path in (json_file, html_file):
        if path is not None:
            require_writable(path)
    with progress_bar(quiet=quiet) as progress:
        report = make(progress)
    try:
        _deliver(report, json_file, html_file)
    except KeyboardInterrupt:
        raise ReportInterrupted(report) from None


def _deliver(report: Mapping[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    from consilium.app.files import is_standard_output
    from consilium.app.report import print_report, write_html, write_json

    if json_file is not None:
        write_json(report, json_file)
    if html_file is not None:
        write_html(report, html_file)
    console = options.told_beside(json_file)
    for path in (json_file, html_file):
        if path is not None and not is_standard_output(path):
            console.print(f"Written: {path}", highlight=False)
    print_report(report, console)


class ReportInterrupted(ConsiliumError):
    """A run was whole, and was stopped while its report was written or printed.

    Parameters
    ----------
    report
        The report.

    Examples
    --------
    >>> print(ReportInterrupted({"schema": "consilium.judge/1", "run": {"id": "000007-1f3a9c2e"}}))
    a report must not be interrupted while it is written; got Ctrl-C or SIGTERM when run 000007-1f3a9c2e was
    whole: its verdict is in the run table, the lock-box of these data is open now and this opening counts;
    run the command again for the report
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        judged = str(report.get("schema", "")).startswith("consilium.judge/")
        opened = "the lock-box of these data is open now and this opening counts; " if judged else ""
        super().__init__(
            "a report must not be interrupted while it is written",
            f"Ctrl-C or SIGTERM when run {report['run']['id']} was whole",
            f"its verdict is in the run table, {opened}run the command again for the report",
        )
