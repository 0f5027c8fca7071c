"""Networks as ONNX files: the same forecasts, for one row and for many."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from consilium.domain import InvalidValue, OutputProblem
from consilium.models import make_forecaster
from consilium.models.layers.network import export
from consilium.models.layers.network.export import to_onnx
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.serving.export import export_graph
from network_cases import SMALL_NETWORKS


def fitted(name: str, features: int = 4, **params: Any) -> tuple[NetworkForecaster, NDArray[np.float64]]:
    model = make_forecaster(name, **{**SMALL_NETWORKS[name], "epochs": 2, **params})
    assert isinstance(model, NetworkForecaster)
    rng = np.random.default_rng(0)
    y = np.arange(96) % 3
    X = (y - 1)[:, None, None] + rng.standard_normal((96, model.window, features))
    return model.fit(X, y), X


def run(path: Path, X: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"windows": X.astype(np.float32)}), strict=True))


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_a_file_says_what_the_forecaster_says_for_any_number_of_rows(name: str, tmp_path: Path) -> None:
    model, X = fitted(name)
    path = tmp_path / "model.onnx"
    made = to_onnx(model, path, batch=None)
    assert made.difference <= 1e-5
    assert made.inputs == (0, model.window, 4)
    for rows in (1, 7, 96):
        told = run(path, X[:rows])
        assert tuple(told) == made.outputs
        np.testing.assert_allclose(told["probabilities"], model.predict_proba(X[:rows]), atol=1e-5)
        for key, values in model.quantities(X[:rows]).items():
            np.testing.assert_allclose(told[key], values, atol=1e-5)
    assert export_graph(model, X).parity.difference <= 1e-5


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_a_file_for_one_decision_takes_one_row(name: str, tmp_path: Path) -> None:
    model, X = fitted(name)
    path = tmp_path / "model.onnx"
    made = to_onnx(model, path)
    assert made.inputs[0] == 1
    np.testing.assert_allclose(run(path, X[:1])["probabilities"], model.predict_proba(X[:1]), atol=1e-5)
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        run(path, X[:2])


@pytest.mark.parametrize(
    ("name", "features", "params"),
    [
        ("nhits", 4, {"inputs": "channels"}),
        ("patchtst", 4, {"revin": True, "patching": "conv", "embedding": "per_channel", "head": "flatten"}),
        ("patchtst", 4, {"norm": "post_batch", "positions": "sinusoidal", "stride": 3}),
        ("cnn_lstm", 3, {"lstm_layers": 2}),
        ("mpd_transformer", 4, {"use_cls_token": False}),
        ("tlob", 6, {"aux_features": 2}),
        ("tlob", 4, {"variant": "dual_attention"}),
    ],
)
def test_options_are_exported_too(name: str, features: int, params: dict[str, Any], tmp_path: Path) -> None:
    model, X = fitted(name, features, **params)
    made = to_onnx(model, tmp_path / "model.onnx", batch=None)
    told = run(made.path, X)["probabilities"]
    np.testing.assert_allclose(told, model.predict_proba(X), atol=1e-5)


def test_numbers_beyond_the_clip_are_clipped_in_the_file_as_well(tmp_path: Path) -> None:
    model, X = fitted("nhits")
    made = to_onnx(model, tmp_path / "model.onnx", batch=None)
    far = 1e7 * X[:5]
    np.testing.assert_allclose(run(made.path, far)["probabilities"], model.predict_proba(far), atol=1e-5)


def test_a_network_that_was_taught_one_class_has_nothing_to_export(tmp_path: Path) -> None:
    model, X = fitted("cnn_lstm")
    model.fit(X, np.ones(len(X), dtype=np.int64))
    with pytest.raises(InvalidValue, match="cnn_lstm must have learnt before it is exported"):
        to_onnx(model, tmp_path / "model.onnx")


def test_a_file_that_would_differ_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = fitted("nhits")
    monkeypatch.setattr(export, "PARITY", 0.0)
    monkeypatch.setattr(export, "PRIOR_SHARE", 0.5)
    sound = export._exported

    def spoilt(served: Any, shape: Any, batch: Any) -> bytes:
        served.prior += 0.1
        made = sound(served, shape, batch)
        served.prior -= 0.1
        return made

    monkeypatch.setattr(export, "_exported", spoilt)
    with pytest.raises(InvalidValue, match="must agree with its network"):
        to_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_and_an_old_file_stays(tmp_path: Path) -> None:
    model, _ = fitted("nhits")
    with pytest.raises(OutputProblem, match="writable folder"):
        to_onnx(model, tmp_path / "missing" / "model.onnx")
    assert not (tmp_path / "missing").exists()
