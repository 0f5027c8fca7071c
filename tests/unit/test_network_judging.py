"""The coordinator's own judgement of models, and tasks that a session cannot carry."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from consilium.app.cli.root import app
from consilium.app.federated.desk import NetworkDesk
from consilium.app.federated.judging import Judge
from consilium.app.federated.key_files import make_key
from consilium.app.federated.local_task import local_task
from consilium.domain import ConsiliumError, UsageError
from consilium.federated.owners import write_owners
from consilium.federated.session import Terms
from federated_cases import Desk

NAMES = ("a", "b", "c")


class Still:
    def now_ns(self) -> int:
        return 1


def created(folder: Path, task: str, dimension: int, **given: Any) -> NetworkDesk:
    from consilium.federated.entropy import SystemEntropy
    from consilium.federated.primitives import new_signing_key

    admission, desk = new_signing_key(SystemEntropy()), NetworkDesk(folder, Still())
    text = Desk(NAMES).owners.signed(admission.private)
    desk.create(Terms(session="s1", task=task), text, admission.public, np.zeros(dimension), **given)
    return desk


def test_digits_are_judged_on_images_that_nobody_learned_from() -> None:
    task = local_task("digits", {"seed": 3}, NAMES, owner="a")
    judge = Judge("digits", {"seed": 3}, NAMES)
    assert judge(task.initial()) == task.evaluate(task.initial())
    assert set(judge(task.initial())) == {"accuracy", "log_loss"}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("synthetic", "a model must learn something to be judged; got task synthetic"),
        ("candles", "the coordinator must have candles to judge by; got none: name a file on its machine"),
    ],
)
def test_what_cannot_be_judged_says_why(task: str, said: str) -> None:
    with pytest.raises(ConsiliumError, match=said):
        Judge(task, {}, NAMES)(np.zeros(4))


def test_a_model_of_another_size_is_told_and_no_round_is_lost_for_it() -> None:
    with pytest.raises(ConsiliumError, match=r"parameters of digits must have shape"):
        Judge("digits", {}, NAMES)(np.zeros(4))


def test_candles_to_judge_by_are_tried_before_a_session_begins(tmp_path: Path) -> None:
    with pytest.raises(ConsiliumError, match="nowhere"):
        created(tmp_path, "candles", 4, judge_data=str(tmp_path / "nowhere.parquet"))
    with pytest.raises(UsageError, match="candles to judge by go with the task candles; got task digits"):
        created(tmp_path, "digits", 4, judge_data="x.parquet")
    assert not (tmp_path / "s1").exists()


@pytest.mark.parametrize(
    ("task", "options"), [("bagging", {}), ("xgboost", {}), ("candles", {"model": "lightgbm"})]
)
def test_trees_are_refused_with_what_can_be_done(task: str, options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"trees are bagged; got .*: train a network .*, or unite trees"):
        created(tmp_path, task, 4, options=options)
    with pytest.raises(UsageError, match="trees are bagged"):
        local_task(task, options, NAMES, owner="a")


def test_the_command_refuses_trees_in_one_line(tmp_path: Path) -> None:
    admission = make_key(tmp_path / "admission.key")
    write_owners(tmp_path / "owners.json", Desk(NAMES).owners, admission.private)
    given = ["--owners", str(tmp_path / "owners.json"), "--admission-key", admission.public.hex()]
    command = ["federate", "sessions", "create", "s1", *given, "--task", "bagging"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "trees are bagged" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.shared
def test_candles_are_judged_on_a_file_of_the_coordinator(candles_1h: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path, options = tmp_path / "own.parquet", {"sizes": {"window": 8, "hidden_size": 16, "num_blocks": 1}}
    own = pl.scan_parquet(candles_1h).filter(pl.col("symbol") == "BTCUSDT").head(1_200)
    own.collect().write_parquet(path)
    judge = Judge("candles", options, NAMES, data=str(path))
    task = local_task("candles", options, NAMES, owner="coordinator", data=path)
    figures = judge(task.initial())
    assert figures == task.evaluate(task.initial())
    assert 0.9 < figures["log_loss"] < 1.5
    desk = created(tmp_path / "net", "candles", task.dimension, options=options, judge_data=str(path))
    desk.stop()
    again = NetworkDesk(tmp_path / "net", Still()).of("s1")
    assert again.folder.load()[1]["judge_data"] == str(path)
