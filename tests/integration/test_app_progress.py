"""The progress bar on a real terminal, and the plain lines off one."""

import os
import pty
import re
import subprocess
import sys

import pytest

PROGRAM = """
from consilium.app.cli.progress import progress_bar
with progress_bar(quiet={quiet}) as progress:
    for done, model in enumerate(["xgboost", "lightgbm", "nhits", "patchtst"]):
        progress("train for service", done, 4, model)
    progress("train for service", 4, 4, "")
"""


def on_a_terminal(program: str) -> str:
    """Run a program whose standard error is a terminal of 120 columns and return what it wrote there."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env=env)
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:
        pass  # Linux says so when the other side has closed
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return written.decode()


@pytest.mark.promise("002", "progress: i/4 models, with the model's name and the estimated time")
def test_a_terminal_shows_how_many_models_are_done_and_the_time_left() -> None:
    shown = on_a_terminal(PROGRAM.format(quiet=False))
    *_, last = (line for line in re.split(r"[\r\n]", shown) if "train for service" in line)
    assert "4/4" in last
    assert re.search(r"\d:\d\d:\d\d left \d:\d\d:\d\d", last)


def test_quiet_shows_nothing_on_a_terminal() -> None:
    assert on_a_terminal(PROGRAM.format(quiet=True)) == ""


def test_off_a_terminal_each_stage_is_one_plain_line() -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(quiet=False)],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    assert (done.stdout, done.stderr) == ("", "train for service ...\n")
