from pathlib import Path

import pytest

from consilium.app.settings import load_settings
from consilium.domain import UsageError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_prevails_over_the_file_and_the_file_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("consilium.toml").write_text("[training]\nfolds = 7\nhorizon = 4\n[paper]\nequity = 500.0\n")
    monkeypatch.setenv("CONSILIUM_TRAINING__FOLDS", "9")
    settings = load_settings()
    assert (settings.training.folds, settings.training.horizon, settings.paper.equity) == (9, 4, 500.0)
    assert settings.ensemble.rule == "smart_vote"


def test_all_faults_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_TRAINING__FOLDS", "0")
    monkeypatch.setenv("CONSILIUM_COSTS__TAKER_FEE", "nan")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert "training.folds" in str(caught.value)
    assert "costs.taker_fee" in str(caught.value)


@pytest.mark.parametrize("text", ["[trainig]\nfolds = 2\n", "[training]\nfold = 2\n", "[training\n"])
def test_a_mistake_in_the_file_is_one_clear_line(text: str) -> None:
    Path("consilium.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_paper_equity_is_ten_thousand_by_default() -> None:
    assert load_settings().paper.equity == 10_000.0
