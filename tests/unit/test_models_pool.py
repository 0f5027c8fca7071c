"""The pool: histories, what is left out and why, deadlines, and models that change while they serve."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain import ArtefactRefused, InvalidValue
from consilium.models.pool import ModelPool
from consilium.models.runtime import Runtime
from consilium.models.serving.export import export_graph
from consilium.models.serving.graph import GraphForecaster
from serving_cases import Floats, dense, fitted, served

NAMES = ("a", "b", "c")


class Asleep:
    """A model that takes its time, until it is told to go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.wake = threading.Event()

    def predict_proba(self, X: Floats) -> Floats:
        self.begun.set()
        self.wake.wait(10.0)
        return np.tile([0.2, 0.2, 0.6], (len(X), 1))


class Broken:
    def predict_proba(self, _X: Floats) -> Floats:
        raise RuntimeError("no such\nthing")


class Senseless:
    def predict_proba(self, X: Floats) -> Floats:
        return np.full((len(X), 3), np.nan)


def rows(n: int = 40, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, 3))


@pytest.fixture
def pools() -> Iterator[list[ModelPool]]:
    made: list[ModelPool] = []
    yield made
    for pool in made:
        pool.close()


def _tree(width: int = 3) -> GraphForecaster:
    exported = export_graph(fitted("xgboost", width=width))
    return GraphForecaster(exported.graphs[0], exported.form, "xgboost")


@pytest.mark.promise("002", "N-HiTS agent: a history buffer per symbol, 120 timesteps minimum")
def test_each_symbol_has_its_history_and_a_model_says_how_many_bars_are_missing(
    pools: list[ModelPool],
) -> None:
    window = dense(8, 3)
    pool = ModelPool([served("tree", _tree()), served("net", window, window=8)])
    pools.append(pool)
    X = rows()
    for t in range(20):
        for symbol, shift in (("BTCUSDT", 0.0), ("ETHUSDT", 1.0)):
            found = pool.decide(symbol, X[t] + shift, ts_event=t)
            if t < 7:
                assert [p.model for p in found.predictions] == ["tree"]
                assert found.left_out == {"net": f"needs 8 bars of history and has {t + 1}: {7 - t} missing"}
                assert found.coverage == "none"
            else:
                assert found.coverage == "full"
                expected = window.predict_proba((X[t - 7 : t + 1] + shift)[None])[0]
                assert found.predictions[1].probabilities == tuple(expected)
    assert pool.counters()["net"]["short_history"] == 14


def test_a_model_reads_its_own_columns_in_its_own_order_and_units(pools: list[ModelPool]) -> None:
    graph = dense(4, 2)
    model = served("net", graph, window=4, names=("c", "a"), scale=lambda X: 10.0 * X)
    pool = ModelPool([served("tree", _tree()), model])
    pools.append(pool)
    X = rows()
    for t in range(10):
        found = pool.decide("S", X[t], ts_event=t)
    expected = graph.predict_proba(10.0 * X[6:10][None, :, [2, 0]])[0]
    assert found.predictions[1].probabilities == tuple(expected)


def test_nan_in_a_window_is_refused_for_the_models_that_read_it_and_counted(pools: list[ModelPool]) -> None:
    pool = ModelPool(
        [served("tree", _tree()), served("net", dense(4, 2), window=4, names=("a", "c"))], feature_names=NAMES
    )
    pools.append(pool)
    X = rows()
    X[5, 2] = np.nan
    X[12, 1] = np.inf
    spoke: dict[str, list[int]] = {"tree": [], "net": []}
    for t in range(20):
        found = pool.decide("S", X[t], ts_event=t)
        for prediction in found.predictions:
            spoke[prediction.model].append(t)
        if t == 7:
            assert found.left_out == {"net": "c is not a finite number 2 bars ago"}
        if t == 12:
            assert found.left_out == {"tree": "b is not a finite number in the newest bar"}
    assert spoke == {"tree": [t for t in range(20) if t not in (5, 12)], "net": [3, 4, *range(9, 20)]}
    counted = {name: figures.get("not_finite") for name, figures in pool.counters().items()}
    assert counted == {"tree": 2, "net": 4}


def test_a_masked_book_is_no_missing_number(pools: list[ModelPool]) -> None:
    masked = replace(served("net", dense(1, 3)), maskable=np.array([False, True, True]), scale=np.nan_to_num)
    pool = ModelPool([masked])
    pools.append(pool)
    assert pool.decide("S", np.array([1.0, np.nan, np.nan]), ts_event=0).coverage == "full"
    found = pool.decide("S", np.array([1.0, np.inf, np.nan]), ts_event=1)
    assert found.left_out == {"net": "b is not a finite number in the newest bar"}
    assert not pool.decide("S", np.array([np.nan, 1.0, 1.0]), ts_event=2).predictions


@pytest.mark.promise("002", "mode full, partial or none by the number of loaded models")
@pytest.mark.parametrize(
    ("missing", "coverage"), [(0, "full"), (1, "partial"), (2, "partial"), (3, "none"), (4, "none")]
)
def test_coverage_tells_how_many_models_speak_and_the_rest_carry_on(
    pools: list[ModelPool], missing: int, coverage: str
) -> None:
    models = [served(f"m{i}", dense(1, 3, seed=i) if i >= missing else Broken()) for i in range(4)]
    pool = ModelPool(models)
    pools.append(pool)
    found = pool.decide("S", np.zeros(3), ts_event=0)
    assert found.coverage == coverage
    assert [p.model for p in found.predictions] == [f"m{i}" for i in range(missing, 4)]
    assert found.left_out == dict.fromkeys([f"m{i}" for i in range(missing)], "no such thing")


def test_a_model_that_could_not_be_loaded_counts_in_the_coverage_and_is_told(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", dense(1, 3)), served("b", dense(1, 3))], missing={"c": "files are damaged"})
    pools.append(pool)
    found = pool.decide("S", np.zeros(3), ts_event=0)
    assert (found.coverage, found.left_out) == ("partial", {"c": "files are damaged"})
    pool.put(served("c", dense(1, 3)))
    found = pool.decide("S", np.zeros(3), ts_event=1)
    assert (found.coverage, dict(found.left_out)) == ("full", {})
    pool.remove("a", "too old")
    assert pool.decide("S", np.zeros(3), ts_event=2).left_out == {"a": "too old"}


def test_what_is_no_distribution_is_left_out(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", dense(1, 3)), served("b", Senseless())])
    pools.append(pool)
    found = pool.decide("S", np.zeros(3), ts_event=0)
    assert "three finite probabilities" in found.left_out["b"]
    assert pool.counters()["b"] == {"served": 0, "failed": 1}


def test_a_model_without_skill_says_climatology(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", None)])
    pools.append(pool)
    found = pool.decide("S", np.zeros(3), ts_event=0)
    assert found.predictions[0].probabilities == (0.3, 0.4, 0.3)


def test_a_model_that_is_too_slow_is_left_out_and_the_others_come_in_time(pools: list[ModelPool]) -> None:
    slow = Asleep()
    models = [served("slow", slow), *(served(f"m{i}", dense(1, 3, seed=i)) for i in range(3))]
    pool = ModelPool(models, runtime=Runtime(workers=2, deadline_ns=200_000_000))
    pools.append(pool)
    begun = time.monotonic()
    found = pool.decide("S", np.zeros(3), ts_event=0)
    assert time.monotonic() - begun < 2.0
    assert found.left_out == {"slow": "was not done after 200 ms"}
    assert [p.model for p in found.predictions] == ["m0", "m1", "m2"]
    for t in range(1, 4):
        found = pool.decide("S", np.zeros(3), ts_event=t)
        assert found.left_out == {"slow": "is still busy with an earlier row"}
        assert len(found.predictions) == 3
    slow.wake.set()
    while pool.decide("S", np.zeros(3), ts_event=(t := t + 1)).left_out:
        assert time.monotonic() - begun < 10.0
    figures = pool.counters()["slow"]
    assert figures["too_slow"] == 1
    assert figures["busy"] >= 3
    assert figures["served"] == 1


def test_many_hanging_models_do_not_take_the_workers_from_the_rest(pools: list[ModelPool]) -> None:
    hanging = [Asleep() for _ in range(4)]
    models = [served(f"h{i}", engine) for i, engine in enumerate(hanging)] + [served("m", dense(1, 3))]
    pool = ModelPool(models, runtime=Runtime(workers=2, deadline_ns=100_000_000))
    pools.append(pool)
    found = [pool.decide("S", np.zeros(3), ts_event=t) for t in range(6)]
    assert [p.model for p in found[-1].predictions] == ["m"]
    for engine in hanging:
        engine.wake.set()


def test_rows_come_in_the_order_of_time_and_with_all_columns(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("a", dense(1, 3))])
    pools.append(pool)
    pool.decide("S", np.zeros(3), ts_event=5)
    with pytest.raises(InvalidValue, match=r"rows of S must come in the order of time, after 5; got 5"):
        pool.decide("S", np.zeros(3), ts_event=5)
    with pytest.raises(InvalidValue, match=r"a row must have 3 features; got \(2,\)"):
        pool.decide("S", np.zeros(2), ts_event=6)
    pool.decide("T", np.zeros(3), ts_event=1)


def test_a_window_does_not_straddle_an_outage(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("net", dense(4, 3), window=4)], max_step_ns=60)
    pools.append(pool)
    times = [0, 60, 120, 180, 300, 360, 420, 480]
    spoke = [bool(pool.decide("S", np.zeros(3), ts_event=t).predictions) for t in times]
    assert spoke == [False, False, False, True, False, False, False, True]


def test_a_history_can_be_filled_without_forecasting(pools: list[ModelPool]) -> None:
    graph = dense(8, 3)
    pool, slow = (ModelPool([served("net", graph, window=8)]) for _ in range(2))
    pools += [pool, slow]
    X = rows()
    pool.warm("S", X[:30], range(30))
    for t in range(31):
        by_steps = slow.decide("S", X[t], ts_event=t)
    assert pool.decide("S", X[30], ts_event=30).predictions == by_steps.predictions


def test_a_new_version_with_a_longer_window_finds_what_history_there_is(pools: list[ModelPool]) -> None:
    pool = ModelPool([served("net", dense(4, 3), window=4)])
    pools.append(pool)
    X = rows()
    for t in range(6):
        pool.decide("S", X[t], ts_event=t)
    longer = dense(8, 3)
    pool.put(served("net", longer, window=8, version="2"))
    found = pool.decide("S", X[6], ts_event=6)
    assert found.left_out == {"net": "needs 8 bars of history and has 5: 3 missing"}
    for t in range(7, 11):
        found = pool.decide("S", X[t], ts_event=t)
    assert found.predictions[0].probabilities == tuple(longer.predict_proba(X[None, 3:11])[0])


def test_a_version_that_reads_unknown_features_is_refused_and_the_old_one_goes_on(
    pools: list[ModelPool],
) -> None:
    pool = ModelPool([served("a", dense(1, 3))])
    pools.append(pool)
    with pytest.raises(ArtefactRefused, match="must read features that the rows have; got z"):
        pool.put(served("a", dense(1, 2), names=("a", "z"), version="2"))
    assert pool.decide("S", np.zeros(3), ts_event=0).versions == {"a": "1"}
    with pytest.raises(InvalidValue, match="a pool needs models of different names"):
        ModelPool([served("a", None), served("a", None)])


@pytest.mark.promise("002", "models are reloaded while they serve, without a dropped prediction")
def test_a_model_is_exchanged_under_load_without_a_dropped_or_mixed_prediction(
    pools: list[ModelPool],
) -> None:
    versions = [dense(4, 3, seed=seed) for seed in range(2)]
    models = [served(f"m{i}", dense(4, 3, seed=10 + i), window=4) for i in range(3)]
    pool = ModelPool([served("net", versions[0], window=4, version="0"), *models])
    pools.append(pool)
    X, n = rows(400), 400
    spoken: dict[str, list[Any]] = {"S": [], "T": [], "U": []}
    stop, swaps = threading.Event(), [0]

    def stream(symbol: str) -> None:
        for t in range(n):
            spoken[symbol].append(pool.decide(symbol, X[t], ts_event=t))

    def swap() -> None:
        while not stop.is_set():
            swaps[0] += 1
            turn = swaps[0] % 2
            pool.put(served("net", versions[turn], window=4, version=str(turn)))

    threads = [threading.Thread(target=stream, args=(symbol,)) for symbol in spoken]
    swapper = threading.Thread(target=swap)
    swapper.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    stop.set()
    swapper.join(10.0)
    assert swaps[0] > 20
    seen = set()
    for found in spoken.values():
        assert len(found) == n
        for t in range(3, n):
            assert len(found[t].predictions) == 4, found[t].left_out
            by = found[t].versions["net"]
            seen.add(by)
            expected = versions[int(by)].predict_proba(X[None, t - 3 : t + 1])[0]
            assert found[t].predictions[0].probabilities == tuple(expected)
    assert seen == {"0", "1"}


def test_one_and_two_workers_say_the_same_to_the_last_bit() -> None:
    X = rows()

    def run(workers: int) -> list[Any]:
        models = [served(f"m{i}", dense(4, 3, seed=i), window=4) for i in range(7)]
        pool = ModelPool(models, runtime=Runtime(workers=workers))
        found = [pool.decide("S", X[t], ts_event=t) for t in range(40)]
        pool.close()
        return found

    assert run(1) == run(2) == run(2) == run(3)


def test_latencies_are_counted_and_a_closed_runtime_says_so() -> None:
    pool = ModelPool([served("a", dense(1, 3))], timer=iter(range(0, 10**9, 1_000_000)).__next__)
    for t in range(5):
        pool.decide("S", np.zeros(3), ts_event=t)
    assert pool.counters() == {"a": {"served": 5, "p50_ms": 1.0, "p99_ms": 1.0}}
    pool.close()
    with pytest.raises(InvalidValue, match="a runtime must be open"):
        pool.decide("S", np.zeros(3), ts_event=9)


@pytest.mark.parametrize(("workers", "deadline"), [(0, None), (1, 0)])
def test_a_runtime_without_workers_or_time_is_refused(workers: int, deadline: int | None) -> None:
    with pytest.raises(InvalidValue):
        Runtime(workers=workers, deadline_ns=deadline)
