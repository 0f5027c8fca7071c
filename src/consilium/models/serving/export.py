"""From a fitted forecaster to an ONNX graph that was held to its native forecasts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Forecaster, InvalidValue, missing_package
from consilium.models.serving.graph import GraphForecaster, GraphForm
from consilium.models.serving.parity import Parity, fixed_rows, measure_parity

Floats = NDArray[np.float64]

PARITY_BOUND = 1e-5
"""Largest difference of a served probability from the native one."""

ABSENT = -1e30
"""Logit of a class that the training rows did not hold; its probability is exactly 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A graph, how to read it, and what it is held to."""

    data: bytes
    form: GraphForm
    parity: Parity


def can_export(forecaster: Forecaster) -> bool:
    """Tell whether a forecaster has an ONNX form."""
    return hasattr(forecaster, "to_onnx") or forecaster.name in _WRITERS


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
    form, data = _written(forecaster)
    graph = GraphForecaster(data, form, f"the graph of {forecaster.name}")
    fixed = fixed_rows(form.shape)
    difference = largest_difference(graph, forecaster, fixed)
    if rows is not None and len(rows):
        difference = max(difference, largest_difference(graph, forecaster, rows))
    if not difference <= PARITY_BOUND:
        raise InvalidValue(
            f"the graph of {forecaster.name} must forecast as the model does, within {PARITY_BOUND:g}",
            f"a difference of {difference:.3g}",
            "report it; the model itself is sound",
        )
    return Exported(data=data, form=form, parity=measure_parity(graph.predict_proba, fixed, difference))


def largest_difference(graph: GraphForecaster, forecaster: Forecaster, rows: Floats) -> float:
    """Return the largest difference of any probability between graph and forecaster."""
    return float(np.abs(graph.predict_proba(rows) - forecaster.predict_proba(rows)).max())


def _written(forecaster: Any) -> tuple[GraphForm, bytes]:
    try:
        if hasattr(forecaster, "to_onnx"):
            output, data = _by_itself(forecaster)
        else:
            output, data = "logits", _writer(forecaster)(forecaster)
    except ModuleNotFoundError as error:
        raise missing_package("writing a model for service", error) from None
    prior, share = getattr(forecaster, "prior_", None), 0.0
    if prior is not None:
        from consilium.models.layers.forecaster import PRIOR_SHARE

        share = PRIOR_SHARE
        prior = tuple(float(v) for v in prior)
    form = GraphForm(
        window=forecaster.window,
        n_features=forecaster.n_features_in_,
        output=output,
        form="probabilities" if output == "probabilities" else "logits",
        prior=prior,
        prior_share=share,
    )
    return form, data


def _by_itself(forecaster: Any) -> tuple[str, bytes]:
    """Let a forecaster write its own graph; its first output is read."""
    from consilium.models.serving.graph import open_session

    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        forecaster.to_onnx(path)
        data = path.read_bytes()
    return open_session(data, f"the graph of {forecaster.name}").get_outputs()[0].name, data


def _writer(forecaster: Any) -> Callable[[Any], bytes]:
    return _constant if len(forecaster.present_) < 2 else _WRITERS[forecaster.name]


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
    """Return the graph of a model whose training rows held one class: it says the prior."""
    from consilium.models.serving.graphs import linear_graph

    width = forecaster.n_features_in_
    return linear_graph(np.zeros(width), np.ones(width), np.zeros((3, width)), np.log(forecaster.prior_))


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "logistic": _logistic,
    "prior": _constant,
}
