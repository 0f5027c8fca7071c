"""Small fitted forecasters, hand-made graphs and served models for the tests of serving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from consilium.models import make_forecaster
from consilium.models.served import Engine, ServedModel
from consilium.models.serving.graph import GraphForecaster, GraphForm

Floats = NDArray[np.float64]

SERVABLE = ("xgboost", "lightgbm", "logistic", "prior")
OPTIONS: dict[str, dict[str, Any]] = {"xgboost": {"rounds": 25}, "lightgbm": {"rounds": 25}}


def signal(n: int = 900, width: int = 6, seed: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, width))
    return X, np.digitize(X[:, 0] - 0.5 * X[:, 1] + 0.7 * rng.standard_normal(n), [-0.6, 0.6])


def fitted(name: str, n: int = 900, width: int = 6, **options: Any) -> Any:
    X, y = signal(n, width)
    return make_forecaster(name, **(OPTIONS.get(name, {}) | options)).fit(X, y)


def dense_graph(window: int, width: int, seed: int = 0, hidden: int = 64) -> bytes:
    """Return a float32 network of two layers on a flattened window, three logits."""
    rng = np.random.default_rng(seed)
    size = window * width

    def tensor(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.standard_normal(shape) / np.sqrt(shape[0])
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Flatten", ["windows"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "W"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "V"], ["direction"]),
    ]
    shape = ["n", width] if window == 1 else ["n", window, width]
    return graph_of(nodes, [tensor("W", size, hidden), tensor("V", hidden, 3)], shape, "direction")


def graph_of(
    nodes: list[Any], held: list[Any], shape: list[Any], output: str, reads: str = "windows", out: Any = 3
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info(reads, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", out])],
        held,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def form_of(window: int, width: int, output: str = "direction") -> GraphForm:
    return GraphForm(
        window=window, n_features=width, output=output, form="logits", prior=(0.3, 0.4, 0.3), prior_share=1e-3
    )


def dense(window: int, width: int, seed: int = 0) -> GraphForecaster:
    return GraphForecaster(dense_graph(window, width, seed), form_of(window, width), f"dense {seed}")


class HandMadeNetwork:
    """A forecaster that writes its own graph, as the networks do; its native form is NumPy."""

    def __init__(self, window: int = 8, width: int = 3, seed: int = 0) -> None:
        self.name, self.window, self.n_features_in_ = "hand_made", window, width
        self.prior_ = np.array([0.3, 0.4, 0.3])
        self.seed = seed

    def to_onnx(self, path: Path) -> None:
        path.write_bytes(dense_graph(self.window, self.n_features_in_, self.seed))

    def predict_proba(self, X: Floats) -> Floats:
        model = onnx.load_from_string(dense_graph(self.window, self.n_features_in_, self.seed))
        W, V = (numpy_helper.to_array(held).astype(np.float64) for held in model.graph.initializer)
        logits = np.tanh(X.reshape(len(X), -1) @ W) @ V
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        p: Floats = (1 - 1e-3) * q / q.sum(axis=1, keepdims=True) + 1e-3 * self.prior_
        return p


def served(
    name: str,
    engine: Engine | None,
    *,
    window: int = 1,
    names: tuple[str, ...] = ("a", "b", "c"),
    version: str = "1",
    scale: Callable[[Floats], Floats] | None = None,
) -> ServedModel:
    def finish(raw: Floats | None, n: int) -> tuple[Floats, Floats]:
        p = np.tile([0.3, 0.4, 0.3], (n, 1)) if raw is None else raw
        return p, p[:, 2] - p[:, 0]

    return ServedModel(
        name=name,
        version=version,
        kind="fp32",
        window=window,
        feature_names=names,
        interval_ns=60,
        horizon_ns=60,
        label_id="label",
        engine=engine,
        scale=scale,
        finish=finish,
    )
