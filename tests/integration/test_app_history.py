"""A history that is too short is refused with the bars it has and the bars it takes; that many are enough."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import run
from consilium.app.history import measured
from consilium.app.judge.interruption import LockboxLeftOpen
from consilium.app.judge.run import judge
from consilium.app.settings import Settings, Training
from consilium.domain import DataProblem, InvalidValue
from consilium.market.simulator import simulate
from consilium.training.walkforward import cut_folds


def request(folder: Path, symbols: int, bars: int, folds: int = 5, **changes: Any) -> BacktestRequest:
    chosen: dict[str, Any] = {
        "settings": Settings(data_dir=folder, training=Training(folds=folds)),
        "data": f"simulate:symbols={symbols},bars={bars}",
        "models": ("prior",),
        "baselines": (),
        "features": "core14",
    }
    return BacktestRequest(**(chosen | changes))


def needed(told: str) -> int:
    found = re.search(r"needs ([\d,]+) bars of", told)
    assert found is not None, told
    return int(found.group(1).replace(",", ""))


@pytest.mark.parametrize(
    ("symbols", "changes"),
    [(1, {}), (2, {"folds": 8}), (3, {"horizon": 6}), (2, {"features": "candle62", "folds": 2})],
)
def test_a_backtest_names_the_bars_it_needs_and_one_bar_less_is_refused(
    symbols: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(DataProblem) as refused:
        run(request(tmp_path, symbols, 300, **changes))
    assert "got 300" in str(refused.value)
    enough = needed(str(refused.value))
    with pytest.raises(DataProblem, match=f"needs {enough:,} bars.*got {enough - 1:,}"):
        run(request(tmp_path, symbols, enough - 1, **changes))
    assert run(request(tmp_path, symbols, enough, **changes))["schema"] == "consilium.backtest/1"


def test_a_judgement_needs_more_because_its_lockbox_is_kept_out_and_says_how_many(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match=r"a judgement in 5 \+ 4 folds with core14") as refused:
        judge(request(tmp_path, 2, 420), controls=False)
    enough = needed(str(refused.value))
    with pytest.raises(DataProblem, match=f"needs {enough:,} bars"):
        judge(request(tmp_path, 2, enough - 1), controls=False)

    def both_parts_are_forecast(stage: str, done: int, total: int, text: str = "") -> None:
        if stage.startswith("consensus"):
            raise KeyboardInterrupt

    with pytest.raises(LockboxLeftOpen):
        judge(request(tmp_path, 2, enough), progress=both_parts_are_forecast)
    with pytest.raises(DataProblem) as shorter:
        run(request(tmp_path, 2, 420))
    assert needed(str(shorter.value)) < enough


def test_the_smaller_feature_set_is_offered_with_what_it_needs_itself(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match=r"or --features core14, which needs 625$"):
        run(request(tmp_path, 2, 700, features="candle62"))
    with pytest.raises(DataProblem, match=r"or --features core14, which still needs 625$"):
        run(request(tmp_path, 2, 400, features="candle62"))


def test_a_long_history_that_fails_for_another_reason_is_not_called_short() -> None:
    panel = simulate(symbols=1, bars=2_000, seed=1).series
    cut = partial(cut_folds, folds=3)
    with (
        pytest.raises(InvalidValue, match="fewer gaps"),
        measured(panel, "core14", 1, cut, "a backtest in 3 folds"),
    ):
        raise InvalidValue("each part needs rows", 0, "give fewer gaps")


def test_what_no_history_can_satisfy_passes_as_it_is() -> None:
    panel = simulate(symbols=1, bars=300, seed=1).series

    def never(_: object) -> None:
        raise InvalidValue("nothing is enough", 0, "give up")

    with pytest.raises(InvalidValue, match="give up"), measured(panel, "core14", 1, never, "a backtest"):
        never(None)
