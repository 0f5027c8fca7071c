"""Runs the real command in a process of its own, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

SMALL = "simulate:symbols=3,bars=1000,kind=garch"
"""Enough rows for two folds of core14, few enough for a test."""


def environment(**changes: str) -> dict[str, str]:
    """Return the process's environment without settings of the user, and with ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CONSILIUM_")}
    return kept | {"COLUMNS": "200"} | changes


def consilium(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "consilium", *arguments],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def started(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start the command and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-m", "consilium", *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fails_in_one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Assert an exit code and a single error line without a traceback; return the line."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0]
