"""Graphs are recognised by what they say of fixed rows; foreign files and pickles are refused in one line."""

import io
import pickle
import zipfile
import zlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from consilium.domain import ArtefactRefused, InvalidValue
from consilium.models.serving.export import export_graph
from consilium.models.serving.foreign import refuse_pickle
from consilium.models.serving.graph import GraphForecaster
from consilium.models.serving.parity import Parity, fixed_rows, measure_parity
from serving_cases import HandMadeNetwork, dense, dense_graph, fitted, form_of


def test_fixed_rows_are_the_numbers_they_always_were() -> None:
    rows = fixed_rows((2, 3), 4_000)
    assert rows[0].round(6).tolist() == FIRST
    assert abs(rows.mean()) < 0.02
    assert abs(rows.std() - 1.0) < 0.02


FIRST = [[0.855595, 0.284478, 0.879634], [0.841355, 0.129159, -0.222559]]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "logistic", "prior"])
def test_the_digest_holds_for_the_graph_and_not_for_another(name: str) -> None:
    exported = export_graph(fitted(name))
    graph = GraphForecaster(exported.graphs[0], exported.form, name)
    assert exported.parity.holds(graph.predict_proba, exported.form.shape)
    assert Parity.from_state(exported.parity.state()) == exported.parity
    other = export_graph(fitted(name, n=700))
    changed = GraphForecaster(other.graphs[0], other.form, name)
    assert not exported.parity.holds(changed.predict_proba, exported.form.shape)


def test_the_digest_survives_the_last_digits_of_another_processor() -> None:
    graph = dense(8, 3)
    parity = measure_parity(graph.predict_proba(fixed_rows((8, 3))), 0.0)
    rng = np.random.default_rng(0)

    def elsewhere(X: np.ndarray) -> np.ndarray:
        p = graph.predict_proba(X)
        return p + rng.uniform(-9e-5, 9e-5, p.shape)

    assert all(parity.holds(elsewhere, (8, 3)) for _ in range(20))


def test_one_changed_weight_of_many_breaks_the_digest() -> None:
    data = dense_graph(8, 3)
    parity = measure_parity(dense(8, 3).predict_proba(fixed_rows((8, 3))), 0.0)
    model = onnx.load_from_string(data)
    weights = numpy_helper.to_array(model.graph.initializer[1]).copy()
    weights[0, 2] += 0.2
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights, "V"))
    changed = GraphForecaster(model.SerializeToString(), form_of(8, 3), "changed")
    assert not parity.holds(changed.predict_proba, (8, 3))


def test_a_forecaster_writes_its_own_graph_and_is_held_to_it() -> None:
    exported = export_graph(HandMadeNetwork())  # type: ignore[arg-type]
    assert 0.0 < exported.parity.difference < 1e-6

    class Lying(HandMadeNetwork):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.roll(super().predict_proba(X), 1, axis=1)

    with pytest.raises(InvalidValue, match="must forecast as the model does, within 1e-05"):
        export_graph(Lying())  # type: ignore[arg-type]


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weights": 1}))
    return buffer.getvalue()


def _objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.promise("002", "a model file is never a pickle")
@pytest.mark.parametrize(
    "data",
    [
        *(pickle.dumps({"model": [1.5, "x"]}, protocol=protocol) for protocol in range(6)),
        _zipped(),
        _objects(),
        zlib.compress(pickle.dumps([1, 2, 3])),
    ],
)
def test_a_pickle_is_refused_as_a_graph_whatever_it_is_packed_in(data: bytes) -> None:
    with pytest.raises(ArtefactRefused, match="must not be a pickle") as refused:
        GraphForecaster(data, form_of(8, 3), "model.onnx")
    assert "\n" not in str(refused.value)


def test_no_graph_is_taken_for_a_pickle() -> None:
    for name in ("xgboost", "lightgbm", "logistic"):
        refuse_pickle(export_graph(fitted(name)).graphs[0], name)
    refuse_pickle(dense_graph(8, 3), "dense")


@pytest.mark.parametrize("data", [b"", b"hello", dense_graph(8, 3)[:500], b'{"model": "xgboost"}'])
def test_a_foreign_or_cut_file_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ArtefactRefused, match="must be an ONNX graph that runs here") as refused:
        GraphForecaster(data, form_of(8, 3), "graph.onnx")
    assert "\n" not in str(refused.value)


def test_a_graph_without_the_named_output_is_refused() -> None:
    with pytest.raises(ArtefactRefused, match="return logits; got inputs"):
        GraphForecaster(dense_graph(8, 3), form_of(8, 3, output="logits"), "graph.onnx")


def test_another_shape_and_nan_are_refused() -> None:
    graph = dense(8, 3)
    with pytest.raises(InvalidValue, match=r"reads rows of shape \(8, 3\); got \(7, 3\)"):
        graph.predict_proba(np.zeros((1, 7, 3)))
    with pytest.raises(InvalidValue, match="reads finite numbers"):
        graph.predict_proba(np.full((1, 8, 3), np.nan))
