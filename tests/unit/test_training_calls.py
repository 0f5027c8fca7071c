"""What a call gains and loses, on average: the odds that the edge gates weigh."""

from typing import Any

import pytest

from consilium.training.forecasts import PSEUDO_CALLS, FoldSummary

BORDERS = ("start", "stop", "ts_start", "ts_stop", "ts_calibration", "ts_test", "ts_end")
COUNTS = ("fit_rows", "stop_rows", "calibration_rows", "test_rows")
MEANS = ("mean_down", "mean_flat", "mean_up")


def fold(**models: tuple[float, float, float, float, float]) -> FoldSummary:
    """A fold of models given as (skilled, right, wrong, gained, lost), where the typical move is 0.01."""
    names = ("skilled", "right", "wrong", "gained", "lost")
    rest: dict[str, Any] = dict.fromkeys((*BORDERS, *COUNTS, *MEANS), 0)
    return FoldSummary(
        index=0,
        prior=(0.3, 0.4, 0.3),
        typical_move=0.01,
        models={name: dict(zip(names, values, strict=True)) for name, values in models.items()},
        **rest,
    )


def test_the_mean_call_is_that_of_all_calls_and_fifty_typical_ones() -> None:
    found = fold(a=(1, 30, 20, 0.9, 0.3), b=(1, 120, 80, 1.6, 2.0))
    gain, loss = found.mean_calls(["a", "b"])
    assert PSEUDO_CALLS == 50
    assert gain == pytest.approx((0.9 + 1.6 + 50 * 0.01) / (30 + 120 + 50))
    assert loss == pytest.approx((0.3 + 2.0 + 50 * 0.01) / (20 + 80 + 50))


def test_strangers_and_models_without_skill_move_nothing() -> None:
    found = fold(a=(1, 30, 20, 0.9, 0.3), mute=(0, 500, 500, 50.0, 50.0), stranger=(1, 500, 500, 50.0, 50.0))
    assert found.mean_calls(["a", "mute"]) == fold(a=(1, 30, 20, 0.9, 0.3)).mean_calls(["a"])


def test_without_a_call_both_are_the_typical_move() -> None:
    assert fold(mute=(0, 5, 5, 1.0, 1.0)).mean_calls(["mute"]) == pytest.approx((0.01, 0.01))
