"""Skill is judged on a later half that the calibrator of the earlier one knew nothing of."""

import numpy as np
import pytest

from consilium.training.calibration import calibrate

HALF = 60
PRIOR = np.array([0.3, 0.4, 0.3])


def judged_loss(flipped: int | None, lag: int = 1) -> float:
    """The loss on the later half, where the outcome of one time of the earlier half is another one."""
    rng = np.random.default_rng(11)
    ts = np.arange(2 * HALF)
    p = rng.dirichlet([6.0, 8.0, 6.0], 2 * HALF)
    y = rng.integers(0, 3, 2 * HALF)
    if flipped is not None:
        y[flipped] = (y[flipped] + 1) % 3
    return calibrate(p, y, ts, ts + lag, PRIOR).judged_loss


@pytest.mark.parametrize("lag", [1, 4])
def test_an_outcome_known_only_at_the_border_does_not_calibrate_what_is_judged_after_it(lag: int) -> None:
    untouched = judged_loss(None, lag)
    for late in range(HALF - lag, HALF):
        assert judged_loss(late, lag) == untouched
    assert judged_loss(HALF - lag - 1, lag) != untouched
