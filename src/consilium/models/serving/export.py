"""From a fitted forecaster to an ONNX graph that was held to its native forecasts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Forecaster, InvalidValue, missing_package
from consilium.models.served import Engine
from consilium.models.serving.graph import GraphForm, open_session
from consilium.models.serving.parity import Parity, fixed_rows, measure_parity
from consilium.models.serving.split import open_graphs

Floats = NDArray[np.float64]

PARITY_BOUND = 1e-5
"""Largest difference of a served probability from the native one."""

PROBABILITIES, LOGITS = "probabilities", "logits"

ABSENT = -1e30
"""Logit of a class that the training rows did not hold; its probability is exactly 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One graph, or an encoder and a decider; how to read them, and what they are held to."""

    graphs: tuple[bytes, ...]
    form: GraphForm
    parity: Parity


def can_export(forecaster: Forecaster) -> bool:
    """Tell whether a forecaster has an ONNX form."""
    writes = any(hasattr(forecaster, by) for by in ("to_onnx", "network_")) or forecaster.name in _WRITERS
    return writes or _knows_one_class(forecaster)


def _knows_one_class(forecaster: Any) -> bool:
    """Tell whether the training rows held a single class: whatever the model, it says the prior."""
    return hasattr(forecaster, "present_") and len(forecaster.present_) < 2


def export_graph(forecaster: Forecaster, rows: Floats | None = None) -> Exported:
    """Write a fitted forecaster as an ONNX graph and hold it to the native forecasts.

    Parameters
    ----------
    forecaster
        Fitted; one that `can_export` knows.
    rows
        Scaled rows of the data, on which the graph is compared too; the fixed rows always are.

    Raises
    ------
    InvalidValue
        The forecaster has no ONNX form, or the graph differs from it by more than `PARITY_BOUND`.
    UsageError
        The package onnx is not installed.
    """
    if not can_export(forecaster):
        raise InvalidValue(
            "a served model needs an ONNX form", forecaster.name, "give it a method to_onnx(path)"
        )
    form, graphs = _written(forecaster)
    graph = open_graphs(graphs, form, f"the graph of {forecaster.name}")
    fixed = fixed_rows(form.shape)
    said = graph.predict_proba(fixed)
    difference = float(np.abs(said - forecaster.predict_proba(fixed)).max())
    if rows is not None and len(rows):
        difference = max(difference, largest_difference(graph, forecaster, rows))
    if not difference <= PARITY_BOUND:
        raise InvalidValue(
            f"the graph of {forecaster.name} must forecast as the model does, within {PARITY_BOUND:g}",
            f"a difference of {difference:.3g}",
            "report it; the model itself is sound",
        )
    return Exported(graphs=graphs, form=form, parity=measure_parity(said, difference))


def largest_difference(graph: Engine, forecaster: Engine, rows: Floats) -> float:
    """Return the largest difference of any probability between two forecasters of the same rows."""
    return float(np.abs(graph.predict_proba(rows) - forecaster.predict_proba(rows)).max())


def _written(forecaster: Any) -> tuple[GraphForm, tuple[bytes, ...]]:
    try:
        graphs, output = _graphs(forecaster)
    except ModuleNotFoundError as error:
        raise missing_package("writing a model for service", error) from None
    prior, share = getattr(forecaster, "prior_", None), 0.0
    if output == PROBABILITIES:
        # A graph that gives probabilities has mixed the prior in itself.
        prior = None
    if prior is not None:
        from consilium.models.layers.forecaster import PRIOR_SHARE

        share = PRIOR_SHARE
        prior = tuple(float(v) for v in prior)
    form = GraphForm(
        window=forecaster.window,
        n_features=forecaster.n_features_in_,
        output=output,
        form=PROBABILITIES if output == PROBABILITIES else "logits",
        prior=prior,
        prior_share=share,
    )
    return form, graphs


def _graphs(forecaster: Any) -> tuple[tuple[bytes, ...], str]:
    """Return the graphs of a forecaster and the name of the output that is read."""
    if hasattr(forecaster, "to_onnx"):
        data = _to_file(forecaster.to_onnx)
        return (data,), open_session(data, f"the graph of {forecaster.name}").get_outputs()[0].name
    if _knows_one_class(forecaster):
        return (_constant(forecaster),), LOGITS
    if hasattr(forecaster, "network_"):
        return _network(forecaster), PROBABILITIES
    return (_WRITERS[forecaster.name](forecaster),), LOGITS


def _to_file(write: Callable[[Path], Any]) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        write(path)
        return path.read_bytes()


def _network(forecaster: Any) -> tuple[bytes, ...]:
    from consilium.models.layers.network.export import to_onnx
    from consilium.models.layers.network.split import is_split, split_onnx

    if is_split(forecaster.network_):
        return split_onnx(forecaster)
    return (_to_file(lambda path: to_onnx(forecaster, path, batch=None)),)


def _xgboost(forecaster: Any) -> bytes:
    from consilium.models.serving.forest import forest_of_xgboost
    from consilium.models.serving.graphs import forest_graph

    return forest_graph(forest_of_xgboost(forecaster.booster_))


def _lightgbm(forecaster: Any) -> bytes:
    from consilium.models.serving.forest import forest_of_lightgbm
    from consilium.models.serving.graphs import forest_graph

    return forest_graph(forest_of_lightgbm(forecaster.booster_))


def _logistic(forecaster: Any) -> bytes:
    from consilium.models.serving.graphs import linear_graph

    coef = np.zeros((3, forecaster.n_features_in_))
    intercept = np.full(3, ABSENT)
    coef[forecaster.present_] = forecaster.coef_
    intercept[forecaster.present_] = forecaster.intercept_
    return linear_graph(forecaster.mean_, forecaster.scale_, coef, intercept)


def _constant(forecaster: Any) -> bytes:
    """Return the graph of a model that saw one class, whatever it reads: it says the prior."""
    from consilium.models.serving.graphs import constant_graph

    shape: tuple[int, ...] = (forecaster.n_features_in_,)
    if forecaster.window > 1:
        shape = (forecaster.window, *shape)
    return constant_graph(np.log(forecaster.prior_), shape)


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "logistic": _logistic,
    "prior": _constant,
}
