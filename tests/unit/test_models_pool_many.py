"""Many symbols asked at once: what is said of each is what is said of it alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from onnx.helper import make_node

from consilium.domain import InvalidValue
from consilium.models.pool import ModelPool, PoolForecast
from consilium.models.runtime import Runtime
from consilium.models.serving.export import export_graph
from consilium.models.serving.graph import GraphForecaster
from consilium.models.serving.split import SplitForecaster
from serving_cases import Floats, dense, fitted, form_of, graph_of, served

SYMBOLS = tuple(f"S{i:02}" for i in range(20))


class Picky:
    """Says a third each, and breaks on some rows or on more rows than it can take."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.calls: list[int] = []

    def predict_proba(self, X: Floats) -> Floats:
        self.calls.append(len(X))
        if len(X) > self.most or (X == 13.0).any():
            raise RuntimeError("cannot take these rows")
        p = np.full((len(X), 3), 1.0 / 3.0)
        p[(X == 14.0).any(axis=1)] = np.nan
        p[(X == 15.0).any(axis=1)] = 0.9
        return p


@pytest.fixture
def pools() -> Iterator[list[ModelPool]]:
    made: list[ModelPool] = []
    yield made
    for pool in made:
        pool.close()


def tree(name: str) -> GraphForecaster:
    exported = export_graph(fitted(name, width=3))
    return GraphForecaster(exported.graphs[0], exported.form, name)


def split(window: int = 4, hidden: int = 5) -> SplitForecaster:
    rng = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    encoder = graph_of(
        [make_node("MatMul", ["rows", "E"], ["codes"])],
        [weights("E", 3, hidden)],
        ["n", 3],
        "codes",
        "rows",
        hidden,
    )
    decider = graph_of(
        [make_node("Flatten", ["windows"], ["flat"], axis=1), make_node("MatMul", ["flat", "V"], ["logits"])],
        [weights("V", window * hidden, 3)],
        ["n", window, hidden],
        "logits",
    )
    return SplitForecaster(encoder, decider, form_of(window, 3, "logits"), "split")


def rows_at(t: int) -> dict[str, Floats]:
    X = np.random.default_rng(t).standard_normal((len(SYMBOLS), 3))
    return dict(zip(SYMBOLS, X, strict=True))


def both_ways(models: list[Any], steps: int, pools: list[ModelPool]) -> Iterator[tuple[Any, Any]]:
    together, apart = (ModelPool(models, runtime=Runtime(workers=2)) for _ in range(2))
    pools += [together, apart]
    for t in range(steps):
        many = together.decide_many(rows_at(t), ts_event=t)
        for symbol, row in rows_at(t).items():
            yield many[symbol], apart.decide(symbol, row, ts_event=t)


def test_trees_say_of_many_what_they_say_of_each_to_the_bit(pools: list[ModelPool]) -> None:
    models = [served(name, tree(name)) for name in ("xgboost", "lightgbm")]
    for together, apart in both_ways(models, 5, pools):
        assert together == apart
        assert len(together.predictions) == 2


def test_windows_say_of_many_what_they_say_of_each(pools: list[ModelPool]) -> None:
    models = [served("a", dense(4, 3, seed=1), window=4), served("split", split(), window=4)]
    for together, apart in both_ways(models, 9, pools):
        assert together.left_out == apart.left_out
        assert together.versions == apart.versions
        p, q = ([x.probabilities for x in found.predictions] for found in (together, apart))
        np.testing.assert_allclose(p, q, rtol=0.0, atol=1e-6)


def test_of_many_windows_only_the_newest_rows_are_encoded(pools: list[ModelPool]) -> None:
    engine, counted = split(), []
    encode = engine.encode
    engine.encode = lambda rows: (counted.append(len(rows)), encode(rows))[1]  # type: ignore[method-assign,func-returns-value]
    pool = ModelPool([served("split", engine, window=4)])
    pools.append(pool)
    for t in range(6):
        found = pool.decide_many(rows_at(t), ts_event=t)
    assert sum(counted) == len(SYMBOLS) * (4 + 2)
    assert max(counted) == 8
    assert all(one.coverage == "full" for one in found.values())


def asked(pool: ModelPool, bad: float, *, ts_event: int = 0) -> dict[str, PoolForecast]:
    rows = rows_at(0)
    rows["S03"][1] = bad
    return pool.decide_many(rows, ts_event=ts_event)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (13.0, "cannot take these rows"),
        (14.0, "three finite probabilities"),
        (15.0, "probabilities"),
        (np.nan, "is not a finite number in the newest bar"),
    ],
)
def test_what_fails_for_one_symbol_costs_no_other(pools: list[ModelPool], bad: float, why: str) -> None:
    pool = ModelPool([served("picky", Picky()), served("a", dense(1, 3))])
    pools.append(pool)
    found = asked(pool, bad)
    assert why in found["S03"].left_out["picky"]
    for symbol in set(SYMBOLS) - {"S03"}:
        assert [p.model for p in found[symbol].predictions] == ["picky", "a"]
    assert pool.counters()["picky"]["served"] == len(SYMBOLS) - 1


def test_a_model_that_takes_one_row_at_a_time_speaks_of_all(pools: list[ModelPool]) -> None:
    engine = Picky(most=1)
    pool = ModelPool([served("picky", engine)])
    pools.append(pool)
    assert all(found.coverage == "full" for found in asked(pool, 0.0).values())
    assert engine.calls == [len(SYMBOLS), *[1] * len(SYMBOLS)]


def test_all_rows_go_through_a_model_in_one_call(pools: list[ModelPool]) -> None:
    engine = Picky()
    pool = ModelPool([served("picky", engine)])
    pools.append(pool)
    asked(pool, 0.0)
    assert engine.calls == [len(SYMBOLS)]


def test_where_one_row_is_refused_none_is_taken(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", dense(1, 3))])
    pools.append(pool)
    pool.decide("S05", np.zeros(3), ts_event=7)
    with pytest.raises(InvalidValue, match="rows of S05 must come in the order of time"):
        asked(pool, 0.0, ts_event=7)
    assert all(found.coverage == "full" for found in asked(pool, 0.0, ts_event=8).values())
    assert len(pool.decide("S00", np.zeros(3), ts_event=9).predictions) == 1
    with pytest.raises(InvalidValue, match="a row must have 3 features"):
        pool.decide_many({"S00": np.zeros(3), "S01": np.zeros(2)}, ts_event=10)
    assert pool.decide("S00", np.zeros(3), ts_event=10).coverage == "full"


def test_nobody_asked_is_nothing_said(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", dense(1, 3))])
    pools.append(pool)
    assert pool.decide_many({}, ts_event=0) == {}
