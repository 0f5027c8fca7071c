"""Walk-forward in several processes."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

from consilium.models import make_forecaster
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.walkforward import walk_forward
from training_panels import momentum_panel


def test_two_processes_give_the_bits_of_one() -> None:
    dataset = build_dataset(momentum_panel(2, 1_200, persistence=0.3), "core14", LabelSpec())
    models = {
        "lightgbm": partial(make_forecaster, "lightgbm", rounds=10),
        "logistic": partial(make_forecaster, "logistic"),
        "persistence": partial(make_forecaster, "persistence"),
    }
    steps: list[int] = []
    one = walk_forward(dataset, models, folds=2, seed=3)
    two = walk_forward(
        dataset, models, folds=2, seed=3, jobs=2, progress=lambda done, _total, _text: steps.append(done)
    )
    for model in models:
        assert one.probabilities[model].tobytes() == two.probabilities[model].tobytes()
        assert np.array_equal(one.skilled[model], two.skilled[model])
    assert one.folds == two.folds
    assert steps == [1, 2, 3, 4, 5, 6]


INTERRUPTED = """
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
walk_forward(dataset, models, seed=1, jobs=2, progress=lambda *step: print(step, flush=True))
"""


def test_an_interrupt_ends_all_processes_at_once(tmp_path: Path) -> None:
    tests = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tests)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert "logistic, fold 1 of 5" in running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        # Reading to the end of both pipes waits for every worker: each holds them open while it lives.
        _, errors = running.communicate(timeout=30)
    assert running.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert list(tmp_path.iterdir()) == []
