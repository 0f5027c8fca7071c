"""The command that trains: without torch, killed in the middle, on a schedule, asked for what cannot be."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from command_line import consilium, environment, fails_in_one_line, started

DATA = "simulate:symbols=2,bars=900,kind=garch"
TRAIN = ("train", "--data", DATA, "--features", "core14", "--folds", "1", "--stride", "3")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra torch")


@pytest.mark.promise("002", "unified training: one command trains all models, and goes on where one fails")
def test_without_torch_the_networks_name_the_extra_and_the_trees_are_trained(tmp_path: Path) -> None:
    # What Python does where it is not installed, in an environment where it may be.
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    done = consilium(*TRAIN, "--models", "all", cwd=tmp_path, PYTHONPATH=_path(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    for name in ("nhits", "patchtst", "cnn_lstm", "mpd_transformer"):
        assert (
            f"{name} failed: model {name} needs the package torch; got nothing installed: "
            "pip install 'consilium[torch]'"
        ) in lines
    assert any(
        line.startswith("tlob is left out: it reads windows of order-book snapshots") for line in lines
    )
    assert lines[-1].startswith("PARTIAL, without tlob: 2 of 6 models trained; the ensemble will run in")


def _path(first: Path) -> str:
    return os.pathsep.join([str(first), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--set", "nhits"), "--set must be MODEL.NAME=VALUE; got 'nhits'"),
        (("--set", "xgboost.max_depth=1", "--set", "xgb.max_depth=2"), "each parameter may be set once"),
        (("--set", "xgboost.depth=1"), "parameter of xgboost must be one of"),
        (("--stride", "0"), "--stride: input should be greater than or equal to 1; got 0"),
        (("--epochs", "0"), "--epochs: input should be greater than or equal to 1; got 0"),
        (("--tune", "-1"), "--tune: input should be greater than or equal to 0; got -1"),
        (("--precision", "half"), "--precision: input should be 'auto', 'fp32', 'bf16' or 'fp16'"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_one_line(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    line = fails_in_one_line(consilium(*TRAIN, "--models", "xgboost", "--quiet", *arguments, cwd=tmp_path), 2)
    assert told in line


@needs_torch
def test_a_network_that_cannot_learn_as_asked_fails_alone_with_what_to_do(tmp_path: Path) -> None:
    done = consilium(*TRAIN, "--models", "nhits,lightgbm", "--epochs", "1", "--device", "gpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "nhits failed: device must be auto, cpu, cuda or cuda:<number>; got 'gpu': use auto" in done.stdout
    assert "PARTIAL: 1 of 2 models trained" in done.stdout


@pytest.mark.long
@needs_torch
@pytest.mark.promise("004", "checkpoint_dir: a killed training is taken up again by the same command")
def test_a_training_that_is_killed_goes_on_by_the_same_command_to_the_same_result(tmp_path: Path) -> None:
    small = [
        f"--set=nhits.{name}={value}"
        for name, value in {"hidden_size": 64, "epochs": 60, "patience": 60}.items()
    ]
    command = (*TRAIN, "--models", "nhits", *small)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert consilium(*command, "--json", "out.json", cwd=whole).returncode == 0
    process = started(*command, cwd=killed)
    while not list(killed.glob("runs/checkpoints/*/nhits-final/*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = consilium(*command, "--json", "out.json", cwd=killed)
    assert again.returncode == 0
    # The fold was over before the kill: no epoch of it is learnt again.
    assert "nhits, fold 1: epoch" not in again.stderr
    assert figures(killed) == figures(whole)
    assert weights(killed) == weights(whole)
    assert not list(killed.glob("runs/checkpoints/*"))


def figures(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out.json").read_text())["models"]
    return found


def weights(folder: Path) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(folder.glob("runs/models/**/weights.safetensors"))]
    assert len(found) == 1
    return found


def test_a_schedule_waits_and_ends_cleanly_by_a_request_to_end(tmp_path: Path) -> None:
    pytest.importorskip("apscheduler", reason="needs the extra schedule")
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium", *TRAIN, "--models", "lightgbm", "--schedule", "0 3 1 1 *"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("next training at 20"), first
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "the schedule has ended; what was stored stays\n")


def test_a_schedule_that_is_none_is_bad_usage(tmp_path: Path) -> None:
    pytest.importorskip("apscheduler", reason="needs the extra schedule")
    line = fails_in_one_line(consilium(*TRAIN, "--schedule", "at night", cwd=tmp_path), 2)
    assert "five fields of cron" in line
