"""Worker processes end with the one that asked for them, also when nobody could tell them to."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from consilium.training.workers import spread

# Two workers: one computes for minutes, the other has nothing to do and waits for a call that never comes.
KILLED = """
import sys
from functools import partial
sys.path.insert(0, sys.argv[1])
from training_panels import momentum_panel
from consilium.models import make_forecaster
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.walkforward import walk_forward

slow = partial(make_forecaster, "lightgbm", rounds=20_000, early_stopping_rounds=20_000)
models = {"logistic": partial(make_forecaster, "logistic"), "slow": slow}
dataset = build_dataset(momentum_panel(2, 3_000), "core14", LabelSpec())
walk_forward(dataset, models, folds=1, seed=1, jobs=2, progress=lambda *step: print(step, flush=True))
"""


def running_in(session: int) -> list[int]:
    """Return the processes of a session, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_workers_of_a_killed_process_end_and_leave_no_file(tmp_path: Path) -> None:
    tests, scratch = Path(__file__).resolve().parents[1], tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tests)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"JOBLIB_TEMP_FOLDER": str(scratch)},
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert "logistic" in parent.stdout.readline()
        time.sleep(0.5)
        # The parent, its two workers, and the process that cleans up behind them.
        assert len(running_in(parent.pid)) >= 4
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=10)
        deadline = time.monotonic() + 15
        while running_in(parent.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        left = running_in(parent.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_where_that_is_asked_for(jobs: int) -> None:
    calls = [partial(pow, k, 2) for k in range(12)]
    assert list(spread(calls, jobs, ordered=True)) == [k * k for k in range(12)]
    assert sorted(spread(calls, jobs)) == [k * k for k in range(12)]


def test_an_error_in_a_worker_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread([partial(divmod, 1, k) for k in (1, 0)], 2))
