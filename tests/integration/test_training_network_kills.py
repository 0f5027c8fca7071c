"""Trainings of a network that are killed with SIGKILL at random instants, and taken up again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")

from consilium.training.network.checkpoint import STATE

SEED = 20260
KILLS = 100 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8

# The driver imports once. Each line on its input names a folder, how often a state is written, and when the
# training is killed; it answers with the digest of the final weights, or with a dash if it killed it before.
DRIVER = """
import os, select, signal, sys, time
from hashlib import sha256
from pathlib import Path
from consilium.training.network.checkpoint import Checkpoint
from consilium.training.network.loop import TrainingLoop
from consilium.training.teaching import Teaching
from loop_cases import small, weights, windows

X, y = windows(400)

def digest(model):
    total = sha256()
    for name, value in sorted(weights(model).items()):
        total.update(name.encode() + value.tobytes())
    return total.hexdigest()

def train(folder, every):
    loop = TrainingLoop(Teaching(every_seconds=every), Checkpoint(folder, {"model": "patchtst"}))
    options = {"epochs": 4, "d_model": 16, "batch_size": 10}
    return small(**options).fit(X[:320], y[:320], validation=(X[320:], y[320:]), loop=loop)

train(Path(sys.argv[1]), 0.0)  # what torch makes at its first use is made before the fork
for line in sys.stdin:
    folder, every, seconds = line.split()
    ours, theirs = os.pipe()
    trainer = os.fork()
    if trainer == 0:
        os.write(theirs, digest(train(Path(folder), float(every))).encode())
        os._exit(0)
    os.close(theirs)
    finished, _, _ = select.select([ours], [], [], float(seconds))
    if not finished:
        os.kill(trainer, signal.SIGKILL)
    _, status = os.waitpid(trainer, 0)
    told = os.read(ours, 64).decode()
    os.close(ours)
    print(told or "-" * (os.WTERMSIG(status) == signal.SIGKILL), flush=True)
"""


class Trainer:
    """Talks with the driver."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def train(self, folder: Path, *, every: float, seconds: float) -> str | None:
        """Train until it is over or the time is; return the digest, or None for a killed one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{folder} {every} {seconds}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline().strip()
        assert told, "the driver must answer"
        return None if told == "-" else told


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    tests = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "warm")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
    ) as process:
        yield Trainer(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.long
@pytest.mark.promise(
    "004", "save_best_only, checkpoint_dir: a training that is killed resumes to the same bits"
)
def test_a_training_that_is_killed_at_any_instant_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, trainer: Trainer
) -> None:
    undisturbed = trainer.train(tmp_path / "whole", every=1e9, seconds=600)
    assert undisturbed is not None
    rng = np.random.default_rng(SEED)
    kills = resumed = finished = 0
    while kills < KILLS:
        folder = tmp_path / f"{finished}"
        # A state after each step, or only now and then, so that steps are repeated.
        every = (0.0, 0.03)[finished % 2]
        had_state = (folder / STATE).exists()
        told = trainer.train(folder, every=every, seconds=float(rng.uniform(0.02, 0.6)))
        resumed += had_state
        if told is None:
            kills += 1
            continue
        assert told == undisturbed
        finished += 1
    last = trainer.train(tmp_path / f"{finished}", every=0.0, seconds=600)
    assert last == undisturbed
    assert resumed > KILLS // 2
    assert sorted(path.suffix for path in (tmp_path / f"{finished}").iterdir()) == [
        "",
        ".json",
        ".safetensors",
    ]
