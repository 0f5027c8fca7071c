"""Windows and recursions against plain sums over each window, and what they keep of the past."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.market.features import folds
from consilium.market.features.operation import Operation
from consilium.market.features.recursive import Adaptive, ParabolicStop, Smooth
from consilium.market.features.rolling import Fold, Lag, MeanDeviation, Weighted, Window

Floats = NDArray[np.float64]
WIDTHS = (1, 2, 3, 7, 16, 20, 55, 63)


def _third(x: Floats) -> float:
    return float(((x - x.mean()) ** 3).sum())


def _age(x: Floats) -> float:
    return float(np.argmax(x[::-1]))


REFERENCES: list[tuple[str, Fold, int | None, Callable[[Floats], float]]] = [
    ("sum", folds.SUM, None, lambda x: float(x.sum())),
    ("highest", folds.HIGHEST, None, lambda x: float(x.max())),
    ("lowest", folds.LOWEST, None, lambda x: float(x.min())),
    ("age of the highest", folds.AGE_OF_HIGHEST, 1, _age),
    ("mean", folds.SPREAD, 0, lambda x: float(x.mean())),
    ("squared deviations", folds.SPREAD, 1, lambda x: float(x.var() * len(x))),
    ("cubed deviations", folds.ASYMMETRY, 2, _third),
]


@pytest.mark.parametrize("bars", WIDTHS)
@pytest.mark.parametrize(
    ("fold", "position", "expected"), [row[1:] for row in REFERENCES], ids=[r[0] for r in REFERENCES]
)
def test_a_window_equals_the_plain_formula(
    fold: Fold, position: int | None, expected: Callable[[Floats], float], bars: int
) -> None:
    x = np.random.default_rng(bars).integers(-9, 9, 150).astype(np.float64)
    found = Window(fold, bars).block(x)
    found = found if position is None else found[position]
    plain = [expected(x[i - bars + 1 : i + 1]) for i in range(bars - 1, len(x))]
    np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-8)


@pytest.mark.parametrize("bars", WIDTHS)
def test_products_of_deviations_equal_the_plain_formula(bars: int) -> None:
    rng = np.random.default_rng(bars)
    x, y = rng.normal(size=120), rng.normal(size=120)
    found = Window(folds.TOGETHER, bars).block(x, y)[2]
    plain = [
        ((x[i : i + bars] - x[i : i + bars].mean()) * (y[i : i + bars] - y[i : i + bars].mean())).sum()
        for i in range(len(x) - bars + 1)
    ]
    np.testing.assert_allclose(found, plain, atol=1e-12)


def test_only_bars_that_count_enter_a_counted_spread() -> None:
    rng = np.random.default_rng(5)
    counts = (rng.random(100) < 0.4).astype(np.float64)
    x = rng.normal(5, 1, 100) * counts
    number, mean, squares = Window(folds.COUNTED, 13).block(counts, x)
    for i in range(12, 100):
        chosen = x[i - 12 : i + 1][counts[i - 12 : i + 1] == 1]
        assert number[i - 12] == len(chosen)
        if len(chosen):
            assert mean[i - 12] == pytest.approx(chosen.mean(), abs=1e-12)
            assert squares[i - 12] == pytest.approx(chosen.var() * len(chosen), abs=1e-12)


@pytest.mark.parametrize("bars", WIDTHS)
def test_a_value_that_left_the_window_leaves_nothing_behind(bars: int) -> None:
    x = np.random.default_rng(0).normal(size=200)
    spoiled = x.copy()
    spoiled[40] = 1e15
    for fold in (folds.SUM, folds.SPREAD, folds.ASYMMETRY, folds.HIGHEST, folds.AGE_OF_HIGHEST):
        clean, dirty = Window(fold, bars).block(x), Window(fold, bars).block(spoiled)
        for one, other in zip(
            clean if fold.several else [clean], dirty if fold.several else [dirty], strict=True
        ):
            np.testing.assert_array_equal(other[41:], one[41:])


@pytest.mark.parametrize("value", [0.1, 1e-8, 1e6, 123.456])
def test_the_spread_of_a_constant_is_exactly_zero(value: float) -> None:
    _, squares, cubes = Window(folds.ASYMMETRY, 55).block(np.full(100, value))
    assert (squares == 0).all()
    assert (cubes == 0).all()


def _inputs(operation: Operation) -> int:
    if isinstance(operation, Adaptive):
        return 3
    pairs = isinstance(operation, Window) and operation.fold in (folds.TOGETHER, folds.COUNTED)
    return 2 if pairs or isinstance(operation, ParabolicStop) else 1


OPERATIONS: list[Operation] = [
    *(Window(row[1], bars) for row in REFERENCES for bars in (1, 2, 20, 63)),
    Window(folds.TOGETHER, 20),
    Window(folds.COUNTED, 48),
    Lag(1),
    Lag(17),
    Weighted((0.5, -1.0, 2.0)),
    MeanDeviation(20),
    Smooth(1, 0.4),
    Smooth(14, 1 / 14),
    Adaptive(5),
    ParabolicStop(),
]


@pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[f"{type(o).__name__}-{number}" for number, o in enumerate(OPERATIONS)]
)
def test_a_restored_stepper_goes_on_as_if_nothing_had_happened(operation: Operation) -> None:
    rng = np.random.default_rng(3)
    rows = 100 + rng.random((400, _inputs(operation)))
    rows = np.sort(rows)[:, ::-1] if isinstance(operation, ParabolicStop) else rows
    rows = rows * [1, 1, 0.005] if isinstance(operation, Adaptive) else rows
    whole, found = operation.stepper(), []
    stepper: Any = operation.stepper()
    for i, row in enumerate(rows.tolist()):
        if i in (1, 5, 21, 150, 333):
            written = json.dumps(stepper.state())
            stepper = operation.stepper()
            stepper.restore(json.loads(written))
        found.append(stepper(*row))
        assert found[-1] == whole(*row)
    block = operation.block(*rows.T)
    if isinstance(block, tuple):
        np.testing.assert_array_equal(np.array(found[operation.extra :]).T, np.array(block))
    else:
        np.testing.assert_allclose(found[operation.extra :], block, rtol=1e-13)


def test_an_exponential_mean_starts_from_the_mean_of_its_first_values() -> None:
    x = np.arange(1.0, 21.0)
    step = Smooth(4, 0.5).stepper()
    found = [step(v) for v in x]
    assert found[3] == 2.5
    assert found[4] == 3.75
    assert Smooth(4, 0.5).block(x).tolist() == found[19:]
