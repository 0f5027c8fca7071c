"""Rows are scaled once, shared by models that read them alike, and forecast as whole windows do."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.models.pool import ModelPool
from consilium.models.runtime import Runtime
from consilium.models.served import ServedModel
from serving_cases import Floats, dense, served

NAMES = ("a", "b", "c")


class Scale:
    """Standardises, and remembers how many rows it was given."""

    def __init__(self, shift: float = 0.5) -> None:
        self.rows, self.shift = 0, shift

    def __call__(self, X: Floats) -> Floats:
        self.rows += int(np.prod(X.shape[:-1]))
        return np.clip((X - self.shift) / 1.7, -8.0, 8.0)


@pytest.fixture
def rows() -> Floats:
    return np.random.default_rng(5).standard_normal((40, 3))


@pytest.fixture
def opened() -> Iterator[list[ModelPool]]:
    found: list[ModelPool] = []
    yield found
    for pool in found:
        pool.close()


def pool_of(opened: list[ModelPool], *models: ServedModel, **given: Any) -> ModelPool:
    opened.append(ModelPool(models, feature_names=NAMES, runtime=Runtime(workers=1), **given))
    return opened[-1]


def said(pool: ModelPool, row: Floats, ts: int) -> dict[str, tuple[float, ...]]:
    return {p.model: p.probabilities for p in pool.decide("S", row, ts_event=ts).predictions}


def whole(model: ServedModel, window: NDArray[Any]) -> tuple[float, ...]:
    p, _ = model.predict(window[np.newaxis] if model.window > 1 else window)
    return tuple(p[0].tolist())


def test_a_row_is_scaled_once_and_the_forecast_is_that_of_the_whole_window(
    rows: Floats, opened: list[ModelPool]
) -> None:
    scale = Scale()
    model = served("m", dense(8, 3), window=8, scale=scale)
    reference = served("m", dense(8, 3), window=8, scale=Scale())
    pool = pool_of(opened, model)
    pool.warm("S", rows[:10], range(10))
    for ts in range(10, 40):
        assert said(pool, rows[ts], ts)["m"] == whole(reference, rows[ts - 7 : ts + 1])
    assert scale.rows == 8 + 29  # the first window, then row by row


def test_models_of_one_scaling_share_scaled_rows_and_others_do_not(
    rows: Floats, opened: list[ModelPool]
) -> None:
    shared, own = Scale(), Scale(shift=0.0)
    one = replace(served("one", dense(8, 3), window=8, scale=shared), scaling="x")
    two = replace(served("two", dense(4, 3, seed=1), window=4, scale=shared), scaling="x")
    other = replace(served("other", dense(8, 3), window=8, scale=own), scaling="y")
    pool = pool_of(opened, one, two, other)
    pool.warm("S", rows[:20], range(20))
    for ts in range(20, 30):
        found = said(pool, rows[ts], ts)
        for model in (one, two, other):
            assert found[model.name] == whole(replace(model, scale=Scale(0.0 if model is other else 0.5)),
                                              rows[ts - model.window + 1 : ts + 1])  # fmt: skip
    assert shared.rows == own.rows == 8 + 9


def test_a_new_version_of_another_scaling_reads_its_own_rows(rows: Floats, opened: list[ModelPool]) -> None:
    pool = pool_of(opened, replace(served("m", dense(8, 3), window=8, scale=Scale()), scaling="x"))
    pool.warm("S", rows[:20], range(20))
    said(pool, rows[20], 20)
    newer = replace(served("m", dense(8, 3), window=8, scale=Scale(shift=-1.0), version="2"), scaling="y")
    pool.put(newer)
    assert said(pool, rows[21], 21)["m"] == whole(newer, rows[14:22])


def test_after_an_outage_no_scaled_row_of_before_is_read(rows: Floats, opened: list[ModelPool]) -> None:
    model = served("m", dense(4, 3), window=4, scale=Scale())
    pool = pool_of(opened, model, max_step_ns=5)
    for ts in range(8):
        pool.decide("S", rows[ts], ts_event=ts)
    # as many rows as before the outage: their number alone would not tell them apart
    pool.warm("S", rows[20:27], range(100, 107))
    assert said(pool, rows[27], 107)["m"] == whole(model, rows[24:28])


def test_a_row_that_cannot_be_read_keeps_a_model_silent_while_it_is_in_its_window(
    rows: Floats, opened: list[ModelPool]
) -> None:
    rows[12, 1] = np.nan
    short, long = served("short", dense(2, 3), window=2), served("long", dense(6, 3), window=6)
    pool = pool_of(opened, short, long)
    pool.warm("S", rows[:10], range(10))
    spoke = {ts: set(said(pool, rows[ts], ts)) for ts in range(10, 20)}
    assert [ts for ts, who in spoke.items() if "short" not in who] == [12, 13]
    assert [ts for ts, who in spoke.items() if "long" not in who] == list(range(12, 18))


def test_a_row_that_is_infinite_once_it_is_scaled_is_refused_and_the_others_are_not(
    rows: Floats, opened: list[ModelPool]
) -> None:
    def burst(X: Floats) -> Floats:
        return np.where(X > 100.0, np.inf, X)

    rows[12, 1] = 1e6
    pool = pool_of(
        opened, served("m", dense(3, 3), window=3, scale=burst), served("n", dense(3, 3), window=3)
    )
    pool.warm("S", rows[:10], range(10))
    found = {ts: pool.decide("S", rows[ts], ts_event=ts) for ts in range(10, 18)}
    assert [ts for ts, told in found.items() if "m" in told.left_out] == [12, 13, 14]
    assert "finite numbers" in found[12].left_out["m"]
    assert all(any(p.model == "n" for p in told.predictions) for told in found.values())
