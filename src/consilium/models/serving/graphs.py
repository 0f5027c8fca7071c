"""ONNX graphs of forests and of linear scores; the only place that writes ONNX by hand."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from consilium.models.serving.forest import CLASSES, Forest

OPSET = 17
TREES_OPSET = 5
IR_VERSION = 10
INPUT = "X"
LOGITS = "logits"


def forest_graph(forest: Forest) -> bytes:
    """Return the graph of a forest: rows (n, F) in float64 to logits (n, 3) in float64.

    Examples
    --------
    >>> forest = Forest(n_features=1, mode=0, single=False, base=(0.0, 1.0, 0.0))
    >>> forest.add_stump(0.5, 2)
    >>> len(forest_graph(forest)) > 100
    True
    """
    nodes = []
    compared = INPUT
    if forest.single:
        nodes = [
            helper.make_node("Cast", [INPUT], ["rounded"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["rounded"], ["compared"], to=TensorProto.DOUBLE),
        ]
        compared = "compared"
    modes = np.full(len(forest.feature), forest.mode, dtype=np.uint8)
    trees = helper.make_node(
        "TreeEnsemble",
        [compared],
        ["grown"],
        domain="ai.onnx.ml",
        aggregate_function=1,
        post_transform=0,
        n_targets=CLASSES,
        tree_roots=forest.roots,
        nodes_featureids=forest.feature,
        nodes_splits=_tensor(forest.threshold),
        nodes_modes=numpy_helper.from_array(modes),
        nodes_truenodeids=forest.child[0],
        nodes_falsenodeids=forest.child[1],
        nodes_trueleafs=forest.is_leaf[0],
        nodes_falseleafs=forest.is_leaf[1],
        leaf_targetids=forest.target,
        leaf_weights=_tensor(forest.leaf),
    )
    nodes += [trees, helper.make_node("Add", ["grown", "base"], [LOGITS])]
    return _model("trees", nodes, (forest.n_features,), {"base": _tensor(forest.base)})


def linear_graph(
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    coef: NDArray[np.float64],
    intercept: NDArray[np.float64],
) -> bytes:
    """Return the graph of ``W (x - m) / s + b``: rows (n, F) to logits (n, 3), in float64.

    Parameters
    ----------
    mean, scale
        Shape (F,).
    coef
        Shape (3, F).
    intercept
        Shape (3,).
    """
    nodes = [
        helper.make_node("Sub", [INPUT, "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standard"]),
        helper.make_node("MatMul", ["standard", "coef"], ["weighed"]),
        helper.make_node("Add", ["weighed", "intercept"], [LOGITS]),
    ]
    held = {
        "mean": _tensor(mean),
        "scale": _tensor(scale),
        "coef": _tensor(np.ascontiguousarray(coef.T)),
        "intercept": _tensor(intercept),
    }
    return _model("linear", nodes, (len(mean),), held)


def constant_graph(logits: NDArray[np.float64], shape: tuple[int, ...]) -> bytes:
    """Return the graph that says the same of every row: rows (n, *shape) to logits (n, 3), in float64."""
    size = int(np.prod(shape))
    nodes = [
        helper.make_node("Flatten", [INPUT], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "coef"], ["weighed"]),
        helper.make_node("Add", ["weighed", "intercept"], [LOGITS]),
    ]
    held = {"coef": _tensor(np.zeros((size, CLASSES))), "intercept": _tensor(logits)}
    return _model("constant", nodes, shape, held)


def _tensor(values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=np.float64))


def _model(name: str, nodes: list[Any], shape: tuple[int, ...], held: dict[str, onnx.TensorProto]) -> bytes:
    for key, tensor in held.items():
        tensor.name = key
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, ["n", *shape])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.DOUBLE, ["n", CLASSES])],
        list(held.values()),
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="consilium")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
