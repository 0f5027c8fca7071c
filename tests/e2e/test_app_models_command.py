"""``consilium models`` and ``consilium explain --model`` as a user runs them."""

import json
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_line import SMALL, consilium, fails_in_one_line

TRAIN = ("train", "--data", SMALL, "--models", "lightgbm", "--features", "core14", "--folds", "1", "--quiet")


def here(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process: twenty starts of Python would take longer than all else."""
    from consilium.app.cli.root import app

    with chdir(cwd):
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", **changes})
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models_command")
    for seed in ("7", "8"):
        done = here(*TRAIN, "--seed", seed, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert "lightgbm version 2 is" in done.stdout
    return folder


def test_versions_are_listed_promoted_and_rolled_back(trained: Path) -> None:
    listed = json.loads(here("models", "list", "--json", "-", cwd=trained).stdout)
    (row,) = listed["models"]
    assert (row["model"], row["versions"]) == ("lightgbm", 2)
    assert here("models", "promote", "lgbm", "1", cwd=trained).returncode == 0
    done = here("models", "promote", "lightgbm", "2", cwd=trained)
    assert done.stdout == "lightgbm version 2 is served: by hand\n"
    done = here("models", "rollback", "lightgbm", cwd=trained)
    assert done.stdout == "lightgbm version 1 is served: rolled back\n"
    told = here("models", "show", "lightgbm", cwd=trained).stdout
    assert "* version 1" in told
    assert "fp32 graph, parity digest" in told
    assert "version 1 rolled back: by hand" in told
    done = here("models", "promote", "lightgbm", "2", "--data", SMALL, cwd=trained)
    assert done.returncode in (0, 1), done.stderr
    assert "log-loss" in done.stdout


def test_what_is_not_there_is_told_in_one_line(trained: Path, tmp_path: Path) -> None:
    promote = here("models", "promote", "lightgbm", "9", cwd=trained)
    assert "version must be one of 1, 2; got '9'" in fails_in_one_line(promote, 2)
    show = consilium("models", "show", "nhits", cwd=trained)
    assert "stored model must be one of lightgbm; got 'nhits'" in fails_in_one_line(show, 2)
    assert "No model is stored" in here("models", "list", cwd=tmp_path).stdout


def test_an_old_model_is_told_and_not_served_unless_asked(trained: Path) -> None:
    predict = ("predict", "--data", SMALL, "--models", "lightgbm")
    limit = {"CONSILIUM_SERVING__MAX_AGE_DAYS": "1e-9"}
    line = fails_in_one_line(here(*predict, cwd=trained, **limit), 1)
    assert "lightgbm must be at most 1e-09 days old" in line
    assert "--old" in line
    assert here(*predict, "--old", cwd=trained, **limit).returncode == 0
    assert here(*predict, cwd=trained).returncode == 0


def test_a_model_explains_its_newest_forecast_and_the_parts_add_up(trained: Path) -> None:
    explain = ("explain", "--model", "lgbm", "--data", SMALL)
    done = here(*explain, "--symbol", "SIM00", "--json", "-", cwd=trained)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    total = sum(part["contribution"] for part in told["features"])
    assert abs(told["base"] + total - told["margin"]) < 1e-6
    assert len(told["features"]) == 14
    assert "tree_shap of the margin of" in done.stderr
    earlier = here(*explain, "--symbol", "SIM00", "--at", "2024-02-01", cwd=trained)
    assert "at 2024-02-01T00:00:00Z" in earlier.stdout
    assert "symbol must be one of" in fails_in_one_line(here(*explain, cwd=trained), 2)
    neither = here("explain", "--symbol", "SIM00", cwd=trained)
    assert "explain needs --run or --model; got neither" in fails_in_one_line(neither, 2)
    early = here(*explain, "--symbol", "SIM00", "--at", "2020-01-01", cwd=trained)
    assert "needs 1 bars of complete features" in fails_in_one_line(early, 1)
