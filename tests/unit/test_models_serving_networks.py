"""Networks as graphs: the same forecasts without torch, eight bits behind a gate, books encoded once."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from consilium.domain import ArtefactRefused
from consilium.models import make_forecaster
from consilium.models.pool import ModelPool
from consilium.models.serving.export import Exported, export_graph, largest_difference
from consilium.models.serving.graph import WINDOWS_A_CALL, GraphForecaster
from consilium.models.serving.parity import fixed_rows, measure_parity
from consilium.models.serving.quantise import quantise
from consilium.models.serving.split import SplitForecaster, open_graphs
from serving_cases import Floats, dense, dense_graph, form_of, graph_of, served

SMALL: dict[str, dict[str, Any]] = {
    "nhits": {"window": 12, "hidden_size": 16},
    "patchtst": {"window": 12, "patch_len": 4, "d_model": 8, "num_heads": 2, "num_layers": 1, "ff_dim": 8},
    "cnn_lstm": {"window": 12, "input_features": 5, "channels": (4, 4), "lstm_hidden": 6},
    "mpd_transformer": {"window": 20, "input_features": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2},
    "tlob": {
        "window": 8,
        "num_levels": 2,
        "spatial_channels": (4, 8),
        "temporal_hidden": 8,
        "num_temporal_layers": 1,
        "num_heads": 2,
        "aux_features": 3,
    },
}


def _fitted(name: str, labels: Any = None, width: int | None = None) -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    columns = width or {"tlob": 11, "mpd_transformer": 14}.get(name, 5)
    model = make_forecaster(name, seed=0, epochs=1, **SMALL[name])
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, model.window, columns))
    return model.fit(X, np.arange(64) % 3 if labels is None else labels)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_is_served_without_torch_as_it_forecasts(name: str) -> None:
    model = _fitted(name)
    exported = export_graph(model)
    graph = open_graphs(exported.graphs, exported.form, name)
    rows = np.random.default_rng(1).standard_normal((20, *exported.form.shape)) * 3.0
    assert largest_difference(graph, model, rows) <= 1e-5
    assert exported.parity.holds(graph.predict_proba, exported.form.shape)
    assert isinstance(graph, SplitForecaster) == (name == "tlob")


@pytest.mark.parametrize("name", SMALL)
def test_a_network_that_saw_one_class_says_the_prior(name: str) -> None:
    model = _fitted(name, labels=np.full(64, 2))
    exported = export_graph(model)
    graph = open_graphs(exported.graphs, exported.form, name)
    assert largest_difference(graph, model, fixed_rows(exported.form.shape, 4)) <= 1e-9


@pytest.mark.parametrize("columns", [8, 11])
def test_books_with_and_without_auxiliary_features_are_encoded_once(columns: int) -> None:
    model = _fitted("tlob", width=columns)
    exported = export_graph(model)
    graph = open_graphs(exported.graphs, exported.form, "tlob")
    assert isinstance(graph, SplitForecaster)
    rows = np.random.default_rng(1).standard_normal((30, columns))
    pool = ModelPool([served("tlob", graph, window=8, names=tuple(f"f{i}" for i in range(columns)))])
    for t in range(30):
        found = pool.decide("S", rows[t], ts_event=t)
        if t >= 7:
            whole = model.predict_proba(rows[None, t - 7 : t + 1])[0]
            assert np.abs(np.array(found.predictions[0].probabilities) - whole).max() <= 1e-5
    pool.close()


def test_the_published_variant_of_tlob_reads_its_books_together_and_is_one_graph() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    model = make_forecaster("tlob", seed=0, epochs=1, **{**SMALL["tlob"], "variant": "dual_attention"})
    X = np.random.default_rng(0).standard_normal((64, 8, 8))
    exported = export_graph(model.fit(X, np.arange(64) % 3))
    assert len(exported.graphs) == 1
    assert largest_difference(open_graphs(exported.graphs, exported.form, "tlob"), model, X) <= 1e-5


def _split(seed: int = 0, window: int = 4, width: int = 3, codes: int = 5) -> tuple[bytes, bytes]:
    rng = np.random.default_rng(seed)

    def held(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    nodes = [
        helper.make_node("MatMul", ["rows", "W"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["codes"]),
    ]
    encoder = graph_of(nodes, [held("W", width, codes)], ["n", width], "codes", reads="rows", out=codes)
    nodes = [
        helper.make_node("Flatten", ["codes"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "V"], ["direction"]),
    ]
    decider = graph_of(
        nodes, [held("V", window * codes, 3)], ["n", window, codes], "direction", reads="codes"
    )
    return encoder, decider


class Counting(SplitForecaster):
    """Counts the rows that it encodes."""

    encoded = 0

    def encode(self, rows: Any) -> Any:
        self.encoded += len(rows)
        return super().encode(rows)


@pytest.mark.promise("004", "TLOB: the part of each snapshot is computed once, when the snapshot comes")
def test_of_each_new_row_only_its_own_encoding_is_computed() -> None:
    made = [Counting(*_split(seed), form_of(4, 3), "split") for seed in range(2)]
    for engine in made:
        engine.encoded = 0
    pool = ModelPool([served("net", made[0], window=4)])
    rows = np.random.default_rng(1).standard_normal((30, 3))
    whole = [SplitForecaster(*_split(seed), form_of(4, 3), "whole") for seed in range(2)]

    def expect(t: int, seed: int, found: Any) -> None:
        expected = whole[seed].predict_proba(rows[None, t - 3 : t + 1])[0]
        assert np.allclose(found.predictions[0].probabilities, expected, rtol=0.0, atol=1e-7)

    for t in range(10):
        found = pool.decide("S", rows[t], ts_event=t)
        if t >= 3:
            expect(t, 0, found)
    assert made[0].encoded == 4 + 6
    pool.put(served("net", made[1], window=4, version="2"))
    for t in range(10, 15):
        expect(t, 1, pool.decide("S", rows[t], ts_event=t))
    assert made[1].encoded == 4 + 4
    # A row that no model may read breaks the chain of encodings; it is built anew behind it.
    bad = rows[15].copy()
    bad[0] = np.nan
    pool.decide("S", bad, ts_event=15)
    for t in range(16, 25):
        found = pool.decide("S", rows[t], ts_event=t)
        assert bool(found.predictions) == (t >= 19)
        if t >= 19:
            expect(t, 1, found)
    pool.close()


def test_an_encoder_that_does_not_fit_is_refused() -> None:
    encoder, _ = _split(codes=5)
    _, decider = _split(codes=6)
    wrong = SplitForecaster(encoder, decider, form_of(4, 3), "split")
    with pytest.raises(Exception, match=r"Got invalid dimensions|INVALID_ARGUMENT"):
        wrong.predict_proba(np.zeros((1, 4, 3)))
    with pytest.raises(ArtefactRefused, match="must encode rows; got"):
        SplitForecaster(encoder, decider, form_of(4, 7), "split")


def _exported(data: bytes, window: int = 8, width: int = 3) -> Exported:
    form = form_of(window, width)
    graph = GraphForecaster(data, form, "graph")
    return Exported(
        graphs=(data,), form=form, parity=measure_parity(graph.predict_proba(fixed_rows(form.shape)), 0.0)
    )


def _held_out(n: int = 600, sure: float = 1.0) -> tuple[Floats, Any]:
    X = np.random.default_rng(2).standard_normal((n, 8, 3)) * sure
    p = dense(8, 3).predict_proba(X)
    return X, (np.random.default_rng(3).uniform(size=n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)


@pytest.mark.promise("004", "int8 is used only where the direction and the log-loss stay")
def test_int8_is_used_where_directions_and_loss_stay() -> None:
    exported = _exported(dense_graph(8, 3))
    found = quantise(exported, *_held_out(sure=3.0))
    assert found.exported is not None, found.reason
    assert found.agreement is not None
    assert found.agreement >= 0.99
    assert found.loss_moved is not None
    assert found.loss_moved < 0.005
    assert "int8 is used" in found.reason
    assert len(found.exported.graphs[0]) < len(exported.graphs[0])
    graph = open_graphs(found.exported.graphs, exported.form, "int8")
    assert found.exported.parity.holds(graph.predict_proba, exported.form.shape)
    assert not exported.parity.holds(graph.predict_proba, exported.form.shape)
    rows = np.random.default_rng(5).standard_normal((9, 8, 3)) * np.arange(1, 10)[:, None, None]
    alone = [graph.predict_proba(rows[i : i + 1])[0].tobytes() for i in range(9)]
    assert alone == [p.tobytes() for p in graph.predict_proba(rows)]


def test_int8_is_refused_where_directions_move_and_the_report_says_so() -> None:
    # One huge weight a column leaves the others a few of the 256 steps.
    model = onnx.load_from_string(dense_graph(8, 3))
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights[0] = 300.0
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "W"))
    X, y = _held_out()
    X[:, 0, 0] = 0.0
    found = quantise(_exported(model.SerializeToString()), X, y)
    assert found.exported is None
    assert found.reason.startswith("fp32 is kept: direction kept on")
    assert found.state()["kept"] is False


def test_too_few_held_out_rows_cannot_judge_int8() -> None:
    X, y = _held_out(199)
    found = quantise(_exported(dense_graph(8, 3)), X, y)
    assert found.reason == "fp32 is kept: 199 held-out rows cannot judge int8, 200 can"


def test_stacked_weights_stay_in_full_width() -> None:
    rng = np.random.default_rng(0)
    deep = numpy_helper.from_array(rng.standard_normal((8, 3, 4)).astype(np.float32), "D")
    flat = numpy_helper.from_array(rng.standard_normal((32, 3)).astype(np.float32), "V")
    axes = numpy_helper.from_array(np.array([2], dtype=np.int64), "axes")
    nodes = [
        helper.make_node("Unsqueeze", ["windows", "axes"], ["tall"]),
        helper.make_node("MatMul", ["tall", "D"], ["each"], name="stacked"),
        helper.make_node("Flatten", ["each"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "V"], ["direction"], name="plain"),
    ]
    data = graph_of(nodes, [deep, flat, axes], ["n", 8, 3], "direction")
    exported = _exported(data)
    found = quantise(exported, *_held_out(sure=0.5))
    assert found.agreement is not None, found.reason
    assert found.agreement > 0.9


def test_a_graph_for_one_row_is_asked_row_by_row() -> None:
    model = onnx.load_from_string(dense_graph(8, 3))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    one = GraphForecaster(model.SerializeToString(), form_of(8, 3), "one")
    X = fixed_rows((8, 3), 7)
    assert np.allclose(one.predict_proba(X), dense(8, 3).predict_proba(X), rtol=0.0, atol=1e-6)
    assert one.predict_proba(X[:0]).shape == (0, 3)


def test_a_graph_of_windows_for_any_number_of_rows_is_asked_a_few_at_a_time() -> None:
    many, asked = dense(8, 3), []
    sound = many._session._asked
    many._session._asked = lambda given: (asked.append(len(given)), sound(given))[1]  # type: ignore[method-assign,func-returns-value]
    X = fixed_rows((8, 3), 2 * WINDOWS_A_CALL + 1)
    apart = np.concatenate([dense(8, 3).predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(many.predict_proba(X), apart, rtol=0.0, atol=1e-6)
    assert asked == [WINDOWS_A_CALL, WINDOWS_A_CALL, 1]
    assert many.predict_proba(X[:0]).shape == (0, 3)
