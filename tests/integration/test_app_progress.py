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


TRAINING = """
import time
from consilium.app.cli.training_table import training_table
from consilium.training.teaching import Lap
with training_table(["xgboost", "nhits"], quiet={quiet}) as watch:
    watch.progress("train walk-forward", 1, 4, "xgboost, fold 1 of 2")
    for over, left in ((1, 8.0), (2, 4.0)):
        lap = Lap(model="nhits", part="fold 1", over=over, epochs=4, share=over / 4, loss=1.0625,
                  validation=1.125, seconds_left=left)
        if watch.tell:
            watch.tell(lap)
            watch.tell(lap)
"""


@pytest.mark.promise("004", "training status: current epoch of total epochs, current loss")
def test_a_terminal_shows_a_table_of_models_with_epochs_losses_and_the_time_left() -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(TRAINING.format(quiet=False)))
    rows = [line.split("│") for line in re.split(r"[\r\n]+", shown) if "│" in line]
    told = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in rows}
    assert told["nhits"] == ["fold 1", "2/4", "1.0625", "1.1250", "0:00:04", ""]
    assert told["xgboost"][-1] == "fold 1 of 2 done"
    assert "train walk-forward" in shown


def test_off_a_terminal_each_epoch_of_a_training_is_one_plain_line() -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    command = [sys.executable, "-c", TRAINING.format(quiet=False)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stderr.splitlines() == [
        "train walk-forward ...",
        "nhits, fold 1: epoch 1 of 4, loss 1.0625, early stop 1.1250, at most 0:00:08 left",
        "nhits, fold 1: epoch 2 of 4, loss 1.0625, early stop 1.1250, at most 0:00:04 left",
    ]
    assert on_a_terminal(TRAINING.format(quiet=True)) == ""


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
