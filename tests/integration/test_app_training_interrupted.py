"""A training that is stopped late says what it has stored; one stopped early leaves nothing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from consilium.app.cli import training_summary
from consilium.app.cli.root import app
from consilium.app.deploy import TrainingInterrupted, load_pool, train
from consilium.app.observe import observe
from consilium.app.settings import Settings
from consilium.training.runs import RunTable

DATA = "simulate:symbols=2,bars=900"


class _Clock:
    def now_ns(self) -> int:
        return 0


def stopped_at(folder: Path, stage: str, at: int) -> None:
    wanted = stage

    def progress(stage: str, done: int, total: int, text: str = "") -> None:
        if (stage, done) == (wanted, at):
            raise KeyboardInterrupt

    train(
        Settings.model_validate({"data_dir": folder, "training": {"folds": 1}}),
        observe(DATA, None),
        ["xgboost", "lightgbm"],
        features="core14",
        horizon=1,
        folder=folder / "models",
        progress=progress,
    )


def test_stopped_between_two_models_it_says_which_is_stored_and_which_to_train(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted) as told:
        stopped_at(tmp_path, "train for service", 1)
    assert f"1 of 2 models were stored ({tmp_path / 'models' / 'xgboost'})" in str(told.value)
    assert "run it again for lightgbm" in str(told.value)
    assert set(load_pool(tmp_path / "models").artefacts) == {"xgboost"}
    (row,) = RunTable(tmp_path / "runs.db", _Clock()).rows()
    assert (row.status, set(row.figures["models"])) == ("aborted", {"xgboost"})


def test_stopped_after_the_last_model_it_says_that_nothing_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted, match=r"2 of 2 models were stored .* nothing more is needed"):
        stopped_at(tmp_path, "train for service", 2)
    assert set(load_pool(tmp_path / "models").artefacts) == {"xgboost", "lightgbm"}


def test_stopped_before_any_model_it_is_a_plain_interruption_that_has_read_the_outcomes(
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped_at(tmp_path, "train walk-forward", 1)
    table = RunTable(tmp_path / "runs.db", _Clock())
    (earlier,) = table.start("judge", {}).open_slice(
        market="simulate:bars=900,seed=7,symbols=2", interval_ns=1, first=0, last=2**62, symbols=["SIM01"]
    )
    assert (earlier.kind, earlier.symbols) == ("train", ("SIM00", "SIM01"))
    assert table.rows("train")[0].status == "aborted"


def test_stopped_while_it_reports_the_command_says_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_summary, "tell_training", interrupted)
    arguments = ("--data", DATA, "--features", "core14", "--folds", "1", "--models", "lightgbm", "--quiet")
    done = CliRunner().invoke(app, ["train", *arguments])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "Ctrl-C after 1 of 1 models were stored (runs/models/lightgbm)" in line
