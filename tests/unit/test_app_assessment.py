"""How much of a gain is about direction."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.assessment import Judged, told_of_direction
from consilium.domain import HOUR_NS

T = 2_000
PRIOR = np.array([0.3, 0.4, 0.3])


def told(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> str:
    dataset = SimpleNamespace(y=y, ts_event=np.arange(T) * HOUR_NS)
    judged = Judged(
        places=np.arange(T),
        rows=np.arange(T),
        probabilities={"consensus": probabilities},
        spoke={"consensus": np.ones(T, dtype=bool)},
        climatology=np.tile(PRIOR, (T, 1)),
    )
    return told_of_direction(cast("Any", dataset), judged, horizon=1, seed=1).text


def drawn(truth: NDArray[np.float64]) -> NDArray[np.int64]:
    chance = np.random.default_rng(4).uniform(size=T)
    return np.asarray((chance[:, None] > truth.cumsum(axis=1)).sum(axis=1), dtype=np.int64)


def test_who_knows_only_how_far_gains_nothing_by_direction() -> None:
    flat = np.where(np.arange(T) % 2 == 0, 0.1, 0.7)
    truth = np.column_stack([(1 - flat) / 2, flat, (1 - flat) / 2])
    y = drawn(truth)
    assert "it says nothing of which way" in told(truth, y)
    wavering = np.where(np.arange(T) % 3 == 0, 0.03, -0.015)[:, None] * np.array([-1.0, 0.0, 1.0])
    text = told(truth + wavering, y)
    assert "0 % comes from which way prices move and 100 % from how far" in text
    assert text.endswith("which is not distinguishable.")


def test_who_knows_only_which_way_gains_all_by_direction() -> None:
    up = np.where(np.arange(T) % 2 == 0, 0.5, 0.1)
    truth = np.column_stack([0.6 - up, np.full(T, 0.4), up])
    text = told(truth, drawn(truth))
    assert "100 % comes from which way prices move and 0 % from how far" in text
    assert text.endswith("which is better.")


def test_where_nothing_was_gained_nothing_is_split() -> None:
    prior = np.tile(PRIOR, (T, 1))
    assert told(prior, drawn(prior)) == ""
    assert told(prior[:, ::-1] * 0.5 + np.array([0.5, 0.0, 0.0]), drawn(prior)) == ""
