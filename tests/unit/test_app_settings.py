from pathlib import Path

import pytest

from consilium.app.cli.options import settings_with
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[trainig]\nfolds = 2\n", "got 'trainig' in consilium.toml: did you mean 'training'?"),
        ("[training]\nfold = 2\n", "training.fold: no such setting, did you mean 'training.folds'?"),
        ("[ensemble]\nper_regimes = true\n", "did you mean 'ensemble.per_regime'?"),
        ("[costs]\nzzz = 1\n", "costs has maker_fee, taker_fee"),
        ("[ensemble]\nconformal = 1.0\n", "ensemble.conformal: Input should be less than 1"),
        ("[ensemble]\nmeta = 3\n", "ensemble.meta"),
        (
            "[ensemble.trust_options]\nalpha = 'x'\n",
            "ensemble.trust_options.alpha: Input should be a valid number",
        ),
        ("[ensemble.trust_options]\nalpha = inf\n", "ensemble.trust_options.alpha: Input should be a finite"),
    ],
)
def test_a_misspelt_setting_names_the_nearest_and_a_wrong_one_its_bound(text: str, told: str) -> None:
    Path("consilium.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CONSILIUM_TRAINING__FOLD", "training.fold: no such setting, did you mean 'training.folds'?"),
        ("CONSILIUM_TRAINIG__FOLDS", "got CONSILIUM_TRAINIG__FOLDS: did you mean 'training'?"),
        ("consilium_trainig__folds", "got consilium_trainig__folds: did you mean 'training'?"),
    ],
)
def test_a_misspelt_variable_names_the_nearest_setting(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "2")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert told in str(caught.value)


def test_a_variable_of_another_that_only_begins_like_ours_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONSILIUM_TOKEN", "x")
    monkeypatch.setenv("CONSILIUMS__TOKEN", "x")
    assert load_settings().training.folds == 5


def test_options_of_the_ensemble_can_be_set_by_file_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("consilium.toml").write_text("[ensemble]\nconformal = 0.1\n[ensemble.trust_options]\nalpha = 0.01\n")
    monkeypatch.setenv("CONSILIUM_ENSEMBLE__TRUST_OPTIONS__INTERLEAVE", "2")
    monkeypatch.setenv("CONSILIUM_ENSEMBLE__META", "false")
    ensemble = load_settings().ensemble
    assert (ensemble.conformal, ensemble.meta, ensemble.per_regime) == (0.1, False, False)
    assert ensemble.trust_options == {"alpha": 0.01, "interleave": 2}


def test_the_command_line_prevails_over_file_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("consilium.toml").write_text("[ensemble]\nconformal = 0.1\nper_regime = true\nmeta = false\n")
    monkeypatch.setenv("CONSILIUM_TRAINING__FOLDS", "9")
    nothing = settings_with(folds=None, seed=None, jobs=None)
    assert nothing == load_settings()
    given = settings_with(folds=3, seed=None, jobs=None, meta="on", per_regime=False, conformal="off")
    assert given.training.folds == 3
    assert (given.ensemble.meta, given.ensemble.per_regime, given.ensemble.conformal) == (True, False, None)


@pytest.mark.parametrize("alpha", ["0", "1", "-0.1", "nan", "inf", "much"])
def test_a_share_of_misses_that_is_none_is_refused(alpha: str) -> None:
    with pytest.raises(UsageError, match="--conformal"):
        settings_with(folds=None, seed=None, jobs=None, conformal=alpha)


def test_nobody_starts_in_the_profile_that_is_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_COUNCIL__START_PROFILE", "AGGRESSIVE")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert "council.start_profile" in str(refused.value)
    assert "start with NORMAL, rule P3 raises it" in str(refused.value)
    monkeypatch.setenv("CONSILIUM_COUNCIL__START_PROFILE", "NORMAL")
    assert load_settings().council.start_profile == "NORMAL"
