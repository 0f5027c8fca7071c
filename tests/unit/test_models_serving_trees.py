"""Trees as ONNX graphs: the same side of every threshold, the same probabilities."""

import numpy as np
import pytest

from consilium.models import make_forecaster
from consilium.models.serving.export import PARITY_BOUND, export_graph, largest_difference
from consilium.models.serving.forest import Forest, forest_of_lightgbm, forest_of_xgboost
from consilium.models.serving.graph import GraphForecaster
from serving_cases import SERVABLE, Floats, fitted, signal

BOUND = 1e-6
"""Trees are held to less than the bound of all graphs."""


def _graph(forecaster: object) -> GraphForecaster:
    exported = export_graph(forecaster)  # type: ignore[arg-type]
    return GraphForecaster(exported.graphs[0], exported.form, "graph")


def _near(forest: Forest, rows: Floats) -> Floats:
    """Return rows on, just below and just above thresholds, in float64 and in float32 steps."""
    made = []
    rng = np.random.default_rng(5)
    for place in rng.integers(0, len(forest.feature), 400):
        feature, threshold = forest.feature[place], forest.threshold[place]
        for step in (np.float64, np.float32):
            at = step(threshold)
            for value in (at, np.nextafter(at, step(-np.inf)), np.nextafter(at, step(np.inf))):
                row = rows[int(rng.integers(len(rows)))].copy()
                row[feature] = value
                made.append(row)
    return np.array(made)


@pytest.mark.parametrize("name", SERVABLE)
def test_a_graph_forecasts_as_the_native_model(name: str) -> None:
    forecaster = fitted(name)
    assert (
        largest_difference(_graph(forecaster), forecaster, signal(2_000, seed=9)[0]) <= BOUND < PARITY_BOUND
    )


@pytest.mark.promise("002", "tree models decide in the served form as in their own library")
@pytest.mark.parametrize(("name", "read"), [("xgboost", forest_of_xgboost), ("lightgbm", forest_of_lightgbm)])
def test_rows_on_and_beside_thresholds_take_the_same_side(name: str, read: object) -> None:
    forecaster = fitted(name, n=2_000)
    forest: Forest = read(forecaster.booster_)  # type: ignore[operator]
    rows = _near(forest, signal(500, seed=1)[0])
    assert largest_difference(_graph(forecaster), forecaster, rows) <= BOUND
    # The rows do matter: a step of one float32 beside a threshold moves some forecast.
    moved = np.abs(np.diff(forecaster.predict_proba(rows), axis=0)).max()
    assert moved > 1e-3


def test_thresholds_read_as_decimal_numbers_would_be_seen_by_this_test() -> None:
    forecaster = fitted("xgboost", n=2_000)
    forest = forest_of_xgboost(forecaster.booster_)
    rows = _near(forest, signal(500, seed=1)[0])
    from consilium.models.serving.graphs import forest_graph

    # What the JSON prints, taken as a float64, is the shortest decimal and not the number compared.
    forest.threshold = [float(str(np.float32(value))) for value in forest.threshold]
    naive = GraphForecaster(forest_graph(forest), export_graph(forecaster).form, "naive")
    assert largest_difference(naive, forecaster, rows) > 1e-3


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "logistic", "prior"])
def test_two_classes_one_class_and_constant_features_are_served(name: str) -> None:
    X, y = signal(600)
    for labels in (np.where(y == 1, 0, y), np.full(600, 2)):
        forecaster = make_forecaster(name).fit(X, labels)
        assert largest_difference(_graph(forecaster), forecaster, X) <= BOUND
    flat = make_forecaster(name).fit(np.ones((600, 2)), y)
    assert largest_difference(_graph(flat), flat, np.ones((5, 2))) <= BOUND


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e12, 1e25])
def test_features_of_any_size_are_served(scale: float) -> None:
    X, y = signal(600)
    for name in ("xgboost", "lightgbm"):
        forecaster = make_forecaster(name, rounds=10).fit(X * scale, y)
        assert largest_difference(_graph(forecaster), forecaster, X * scale) <= BOUND


def test_a_row_alone_and_among_others_gives_the_same_bits() -> None:
    X = signal(50, seed=4)[0]
    for name in SERVABLE:
        graph = _graph(fitted(name))
        together = graph.predict_proba(X)
        assert all(graph.predict_proba(X[i : i + 1]).tobytes() == together[i].tobytes() for i in range(50))


def test_serving_trees_imports_neither_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, consilium.models.pool, consilium.training.serving, onnxruntime;"
        "print([m for m in ('torch','xgboost','lightgbm','sklearn','scipy','onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
