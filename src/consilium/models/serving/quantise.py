"""Weights in eight bits, kept only where the forecasts stay what they were."""

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import log_loss, stated_directions
from consilium.models.serving.export import Exported
from consilium.models.serving.graph import one_line
from consilium.models.serving.parity import fixed_rows, measure_parity
from consilium.models.serving.split import open_graphs

Floats = NDArray[np.float64]

LEAST_AGREEMENT = 0.99
"""Share of held-out rows on which the direction must stay."""
MOST_LOSS_MOVED = 0.005
"""Part of the log-loss by which it may move, up or down."""
LEAST_ROWS = 200
"""Held-out rows without which nothing is judged."""
OPERATORS = ("MatMul", "Gemm", "LSTM", "GRU")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """An int8 graph that passed its gate, or why there is none.

    Parameters
    ----------
    exported
        The graph, or None where fp32 is kept.
    reason
        One line: what the gate found.
    agreement, loss_moved
        Share of rows of one direction, and the part by which the log-loss moved; None where not measured.
    rows
        Held-out rows that were asked.
    """

    exported: Exported | None
    reason: str
    agreement: float | None = None
    loss_moved: float | None = None
    rows: int = 0

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "kept": self.exported is not None,
            "reason": self.reason,
            "agreement": self.agreement,
            "loss_moved": self.loss_moved,
            "rows": self.rows,
        }


def quantise(exported: Exported, rows: Floats, y: NDArray[np.int64]) -> Quantised:
    """Quantise the weights of a graph to int8 and let held-out rows decide whether it may be used.

    Parameters
    ----------
    exported
        The fp32 graph.
    rows
        Held-out scaled rows (n, F) or windows (n, window, F).
    y
        Their outcomes (n,).
    """
    whole = open_graphs(exported.graphs, exported.form, "the fp32 graph")
    if not whole.single or not any(map(_has_weights, exported.graphs)):
        return Quantised(exported=None, reason="no int8 form: there are no float32 matrices to shorten")
    if len(rows) < LEAST_ROWS:
        return Quantised(
            exported=None,
            reason=f"fp32 is kept: {len(rows)} held-out rows cannot judge int8, {LEAST_ROWS} can",
        )
    graphs = tuple(_shortened(data) if _has_weights(data) else data for data in exported.graphs)
    short = open_graphs(graphs, exported.form, "the int8 graph")
    before = whole.predict_proba(rows)
    try:
        after = short.predict_proba(rows)
    except Exception as error:  # noqa: BLE001 - the runtime raises classes of its own that it does not export
        return Quantised(exported=None, reason=f"fp32 is kept: int8 does not run, {one_line(error)}")
    agreement = float((stated_directions(before) == stated_directions(after)).mean())
    loss = float(log_loss(before, y).mean())
    moved = abs(float(log_loss(after, y).mean()) / loss - 1.0)
    told = f"direction kept on {agreement:.2%} of {len(rows)} rows, log-loss moved {moved:.3%}"
    passed = agreement >= LEAST_AGREEMENT and moved < MOST_LOSS_MOVED
    found: Exported | None = None
    if passed:
        fixed = fixed_rows(exported.form.shape)
        said = short.predict_proba(fixed)
        difference = float(np.abs(said - whole.predict_proba(fixed)).max())
        parity = measure_parity(said, difference)
        found = Exported(graphs=graphs, form=exported.form, parity=parity)
    return Quantised(
        exported=found,
        reason=f"int8 is used: {told}" if passed else f"fp32 is kept: {told}",
        agreement=agreement,
        loss_moved=moved,
        rows=len(rows),
    )


def _has_weights(data: bytes) -> bool:
    import onnx

    model = onnx.load_from_string(data)
    stacked = _stacked(model)
    return any(node.op_type in OPERATORS and node.name not in stacked for node in model.graph.node)


def _stacked(model: Any) -> set[str]:
    """Return nodes with a stack of matrices as weights: the runtime has no eight-bit form of them."""
    deep = {held.name for held in model.graph.initializer if len(held.dims) > 2}
    products = (node for node in model.graph.node if node.op_type == "MatMul")
    return {node.name for node in products if deep.intersection(node.input)}


def _shortened(data: bytes) -> bytes:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_from_string(data)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        level = logging.root.level
        # The tool warns on the root logger that graphs should be prepared by its own command line.
        logging.root.setLevel(logging.ERROR)
        try:
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=list(OPERATORS),
                weight_type=QuantType.QInt8,
                nodes_to_exclude=sorted(_stacked(model)),
                per_channel=True,
            )
        finally:
            logging.root.setLevel(level)
        return _for_one_row(onnx.load(path))


def _for_one_row(model: Any) -> bytes:
    """Fix the number of rows at one.

    The steps of a quantised graph follow the largest number of its input: a row would be told otherwise among
    others than alone, and in service it is alone.
    """
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return bytes(model.SerializeToString())
