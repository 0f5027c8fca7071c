"""The pool and a model of books: each encoded once, none from after the close, silence without one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.models import make_forecaster
from consilium.models.pool import ModelPool
from consilium.models.served import ServedModel
from consilium.models.serving.export import export_graph
from consilium.models.serving.split import SplitForecaster, open_graphs
from serving_cases import Floats, dense, served

SMALL: dict[str, Any] = {
    "window": 6,
    "num_levels": 2,
    "spatial_channels": (4, 8),
    "temporal_hidden": 8,
    "num_temporal_layers": 1,
    "num_heads": 2,
    "aux_features": 2,
}
BOOKS, FEATURES = 8, ("a", "b")
STEP = 100_000_000
Make = Callable[..., ModelPool]


@pytest.fixture
def pools() -> Iterator[Make]:
    made: list[ModelPool] = []

    def make(*models: ServedModel) -> ModelPool:
        made.append(ModelPool(models))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def fitted(variant: str = "spatial_cnn", seed: int = 0) -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    columns = BOOKS + (2 if variant == "spatial_cnn" else 0)
    model = make_forecaster("tlob", seed=seed, epochs=1, **{**SMALL, "variant": variant})
    X = np.random.default_rng(0).standard_normal((64, 6, columns))
    return model.fit(X, np.arange(64) % 3)


class Counting(SplitForecaster):
    encoded = 0

    def encode(self, rows: Any) -> Any:
        self.encoded += len(rows)
        return super().encode(rows)


def of_books(model: Any, engine: Any = None, name: str = "tlob") -> ServedModel:
    names = tuple(f"book_{i}" for i in range(BOOKS))
    names += FEATURES if model.n_features_in_ > BOOKS else ()
    exported = export_graph(model)
    graph = engine or open_graphs(exported.graphs, exported.form, "tlob")
    return replace(served(name, graph, window=6, names=names), book_columns=BOOKS)


def stream(n: int = 60, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, BOOKS))


def joined(books: Floats, features: Floats) -> Floats:
    return np.concatenate([books, np.tile(features, (len(books), 1))], axis=1)[np.newaxis]


@pytest.mark.promise("004", "TLOB: the part of each snapshot is computed once, when the snapshot comes")
def test_between_two_bars_each_book_is_encoded_once_as_it_comes(pools: Make) -> None:
    model = fitted()
    exported = export_graph(model)
    engine = Counting(exported.graphs[0], exported.graphs[1], exported.form, "tlob")
    engine.encoded = 0
    pool = pools(of_books(model, engine), served("tree", dense(1, 2), names=FEATURES))
    books, bars = stream(), np.random.default_rng(2).standard_normal((6, 2))
    for bar in range(6):
        for t in range(10 * bar, 10 * bar + 10):
            pool.see("S", books[t : t + 1], [t * STEP])
        found = pool.decide("S", bars[bar], ts_event=(10 * bar + 9) * STEP)
        assert found.coverage == "full"
        expected = model.predict_proba(joined(books[10 * bar + 4 : 10 * bar + 10], bars[bar]))[0]
        assert np.abs(np.array(found.predictions[0].probabilities) - expected).max() <= 1e-5
    # and once more at each decision, for the newest book with the features of its bar; without them the very
    # last one waits for the next
    assert engine.encoded == 59 + 6


def test_the_book_of_a_decision_is_encoded_by_its_worker_and_kept_for_the_next(pools: Make) -> None:
    model = fitted()
    exported = export_graph(model)
    engine = Counting(exported.graphs[0], exported.graphs[1], exported.form, "tlob")
    pool = pools(of_books(model, engine))
    books, bars = stream(20), np.random.default_rng(2).standard_normal((20, 2))
    pool.see("S", books[:9], [t * STEP for t in range(9)])
    pool.decide("S", bars[8], ts_event=8 * STEP)
    for t in range(9, 20):
        engine.encoded = 0
        pool.see("S", books[t : t + 1], [t * STEP])
        assert engine.encoded == 0
        found = pool.decide("S", bars[t], ts_event=t * STEP)
        assert engine.encoded == 2
        expected = model.predict_proba(joined(books[t - 5 : t + 1], bars[t]))[0]
        assert np.abs(np.array(found.predictions[0].probabilities) - expected).max() <= 1e-5


def test_the_published_variant_reads_its_books_whole(pools: Make) -> None:
    model = fitted("dual_attention")
    pool = pools(of_books(model))
    books = stream(9)
    pool.see("S", books, [t * STEP for t in range(9)])
    found = pool.decide("S", np.empty(0), ts_event=8 * STEP)
    expected = model.predict_proba(books[np.newaxis, 3:])[0]
    assert np.abs(np.array(found.predictions[0].probabilities) - expected).max() <= 1e-5


def test_a_book_from_after_the_close_is_not_read(pools: Make) -> None:
    model = fitted()
    pool = pools(of_books(model))
    books, bar = stream(10), np.array([0.3, -1.0])
    pool.see("S", books, [t * STEP for t in range(10)])
    found = pool.decide("S", bar, ts_event=7 * STEP + 1)
    expected = model.predict_proba(joined(books[2:8], bar))[0]
    assert np.abs(np.array(found.predictions[0].probabilities) - expected).max() <= 1e-5


def test_a_model_of_books_is_silent_without_a_fresh_whole_window(pools: Make) -> None:
    pool = pools(of_books(fitted()), served("tree", dense(1, 2), names=FEATURES))
    books, bar = stream(30), np.zeros(2)

    def why(ts_event: int) -> str:
        found = pool.decide("S", bar, ts_event=ts_event)
        assert [p.model for p in found.predictions] == ["tree"]
        assert found.coverage == "partial" or found.coverage == "none"
        return found.left_out["tlob"]

    assert why(0) == "needs 6 books of one session and has 0: 6 missing"
    pool.see("S", books[:4], [1, 2, 3, 4])
    assert why(5) == "needs 6 books of one session and has 4: 2 missing"
    pool.see("S", books[4:8], [6, 7, 8, 9])
    assert why(10**9 + 10) == "needs a book at most 1 s old, and the newest is 1.0 s old"
    pool.see("S", books[8:10], [2 * 10**9, 2 * 10**9 + 1], resynchronised=True)
    assert why(2 * 10**9 + 2) == "needs 6 books of one session and has 2: 4 missing"
    assert pool.counters()["tlob"]["short_history"] == 4
    assert pool.decide("T", bar, ts_event=1).left_out["tlob"].startswith("needs 6 books")


def test_a_masked_feature_silences_the_model_of_books(pools: Make) -> None:
    pool = pools(of_books(fitted()))
    pool.see("S", stream(6), range(6))
    found = pool.decide("S", np.array([0.0, np.nan]), ts_event=5)
    assert found.left_out == {"tlob": "b is not a finite number in the newest bar"}


def test_a_model_that_takes_over_encodes_the_kept_books_anew(pools: Make) -> None:
    first, second = fitted(), fitted(seed=1)
    pool = pools(of_books(first))
    books, bar = stream(9), np.zeros(2)
    pool.see("S", books, range(9))
    pool.decide("S", bar, ts_event=8)
    pool.put(of_books(second))
    found = pool.decide("S", bar, ts_event=9)
    expected = second.predict_proba(joined(books[3:9], bar))[0]
    assert np.abs(np.array(found.predictions[0].probabilities) - expected).max() <= 1e-5


def test_an_engine_that_fails_on_books_stops_no_other_model(pools: Make) -> None:
    model = fitted()
    exported = export_graph(model)

    class Failing(SplitForecaster):
        broken = False

        def encode(self, rows: Any) -> Any:
            if self.broken:
                raise RuntimeError("out of order")
            return super().encode(rows)

    engine = Failing(exported.graphs[0], exported.graphs[1], exported.form, "tlob")
    engine.broken = True
    pool = pools(of_books(model, engine), served("tree", dense(1, 2), names=FEATURES))
    pool.see("S", stream(8), range(8))
    found = pool.decide("S", np.zeros(2), ts_event=7)
    assert found.left_out == {"tlob": "out of order"}
    assert [p.model for p in found.predictions] == ["tree"]
    engine.broken = False
    assert not pool.decide("S", np.zeros(2), ts_event=8).left_out


def test_books_that_are_late_or_broken_are_refused(pools: Make) -> None:
    pool = pools(of_books(fitted()))
    pool.see("S", stream(2), [5, 6])
    with pytest.raises(InvalidValue, match="books of S must come in the order of time; got 4"):
        pool.see("S", stream(1), [4])
    with pytest.raises(InvalidValue, match="must be finite and have 8 columns"):
        pool.see("S", np.full((1, BOOKS), np.nan), [7])
    with pytest.raises(InvalidValue, match="must be finite and have 8 columns"):
        pool.see("S", np.zeros((1, 5)), [7])


def test_a_pool_without_a_model_of_books_needs_none(pools: Make) -> None:
    pool = pools(served("tree", dense(1, 2), names=FEATURES))
    pool.see("S", stream(3), [1, 2, 3])
    assert pool.decide("S", np.zeros(2), ts_event=3).coverage == "full"
