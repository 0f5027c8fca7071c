"""How much of a gain is about direction."""

import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.assessment import Judged, told_of_direction
from consilium.domain import HOUR_NS, half_brier

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
    assert text.startswith(
        "All that it gains over climatology and more comes from how far prices move; which way cost 0.00045: "
        "against the same forecast blind to direction its half-Brier differs by 0.00045 ["
    )
    assert text.endswith("which is not distinguishable.")


def test_who_knows_only_which_way_gains_all_by_direction() -> None:
    up = np.where(np.arange(T) % 2 == 0, 0.5, 0.1)
    truth = np.column_stack([0.6 - up, np.full(T, 0.4), up])
    text = told(truth, drawn(truth))
    assert "100 % comes from which way prices move and 0 % from how far" in text
    assert text.endswith("which is better.")


def test_who_knows_which_way_and_misjudges_how_far_is_told_what_that_cost() -> None:
    up = np.where(np.arange(T) % 2 == 0, 0.5, 0.1)
    truth = np.column_stack([0.6 - up, np.full(T, 0.4), up])
    wrong = np.where(np.arange(T) % 3 == 0, 0.15, -0.15)
    said = truth * ((1 - 0.4 - wrong) / 0.6)[:, None]
    said[:, 1] = 0.4 + wrong
    y = drawn(truth)
    text = told(said, y)
    cost = float(np.mean(half_brier(blind_to_direction(said), y) - half_brier(np.tile(PRIOR, (T, 1)), y)))
    assert text.startswith(
        "All that it gains over climatology and more comes from which way prices move; "
        f"how far cost {cost:.5f}: against"
    )
    assert cost > 0.005


def blind_to_direction(p: NDArray[np.float64]) -> NDArray[np.float64]:
    moves = (1.0 - p[:, 1]) / 2.0
    return np.column_stack([moves, p[:, 1], moves])


def test_a_gain_from_both_is_split() -> None:
    up = np.where(np.arange(T) % 2 == 0, 0.8, 0.2)
    flat = np.where(np.arange(T) // 2 % 2 == 0, 0.15, 0.65)
    truth = np.column_stack([(1 - flat) * (1 - up), flat, (1 - flat) * up])
    found = re.search(
        r"gains over climatology, (\d+) % .* and (\d+) % from how far", told(truth, drawn(truth))
    )
    assert found
    way, far = (int(percent) for percent in found.groups())
    assert way + far == 100
    assert 10 < way < 90


def test_where_nothing_was_gained_nothing_is_split() -> None:
    prior = np.tile(PRIOR, (T, 1))
    assert told(prior, drawn(prior)) == ""
    assert told(prior[:, ::-1] * 0.5 + np.array([0.5, 0.0, 0.0]), drawn(prior)) == ""
