"""The single model that the consensus is compared with is chosen before each fold."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from consilium.app.backtest.assessment import Judged, best_single

ROWS = np.arange(6)
NOBODY = np.zeros((6, 3))


def chosen(
    a: list[float], b: list[float], judged_a: float, judged_b: float, span: int = 0
) -> tuple[list[str], str]:
    """Which model is followed on each of six rows, three a fold, and the name of the last choice."""
    folds = [
        SimpleNamespace(
            start=start,
            stop=start + 3,
            ts_test=start,
            models={"a": {"judged_loss": judged_a}, "b": {"judged_loss": judged_b}},
        )
        for start in (0, 3)
    ]
    judged = Judged(places=ROWS, rows=ROWS, probabilities={}, spoke={}, climatology=NOBODY)
    losses = {"a": np.array(a), "b": np.array(b)}
    followed, name = best_single(cast("Any", SimpleNamespace(folds=folds)), judged, losses, ROWS + span)
    return ["a" if loss == losses["a"][i] else "b" for i, loss in enumerate(followed)], name


def test_a_fold_follows_who_was_better_in_all_folds_before_it() -> None:
    # b is better in the first fold, a so much better in the second that both folds together favour it
    a, b = [0.5, 0.5, 0.5, 0.1, 0.1, 0.1], [0.4, 0.4, 0.4, 0.9, 0.9, 0.9]
    assert chosen(a, b, judged_a=1.0, judged_b=1.1) == (["a"] * 3 + ["b"] * 3, "b")


def test_the_first_fold_follows_who_was_better_on_the_calibration_part() -> None:
    a, b = [0.5] * 6, [0.4] * 6
    assert chosen(a, b, judged_a=1.1, judged_b=1.0)[0] == ["b"] * 6
    assert chosen(a, b, judged_a=1.0, judged_b=1.1)[0] == ["a"] * 3 + ["b"] * 3


def test_an_outcome_not_known_when_the_fold_began_does_not_choose() -> None:
    a, b = [0.5, 0.5, 0.0, 0.1, 0.1, 0.1], [0.4, 0.4, 0.9, 0.9, 0.9, 0.9]
    assert chosen(a, b, judged_a=1.0, judged_b=1.1, span=0)[0][3:] == ["a"] * 3
    assert chosen(a, b, judged_a=1.0, judged_b=1.1, span=1)[0][3:] == ["b"] * 3
