"""A network of one's own costs one file and one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.models import FORECASTERS, load_forecaster, make_forecaster
from consilium.models.layers.network.export import to_onnx
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.heads import THREE, Heads
from consilium.models.layers.network.learning import Plan
from consilium.models.layers.network.module import Network, Quantities


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanConfig:
    """One size."""

    window: int = 6

    def require(self) -> None:
        pass


class Mean(Network):
    names = THREE

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.heads = Heads(n_features, self.names)

    def quantities(self, windows: Any) -> Quantities:
        stated: Quantities = self.heads(windows.mean(dim=1))
        return stated

    def start_at(self, priors: Any) -> None:
        self.heads.start_at(priors)


class MeanForecaster(NetworkForecaster):
    name = "mean"
    config_type = MeanConfig
    plan = Plan(epochs=30, learning_rate=0.05)

    @classmethod
    def build(cls, config: MeanConfig, n_features: int) -> Mean:
        assert config.window == 6
        return Mean(n_features)


def test_one_class_and_one_line_are_a_model_that_learns_saves_and_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORECASTERS, "mean", f"{__name__}:MeanForecaster")
    model = make_forecaster("mean", seed=3)
    assert isinstance(model, MeanForecaster)
    rng = np.random.default_rng(0)
    y = np.arange(200) % 3
    X = (y - 1)[:, None, None] + rng.standard_normal((200, 6, 2))
    assert np.mean(model.fit(X, y).predict(X) == y) > 0.8
    model.save(tmp_path)
    np.testing.assert_array_equal(load_forecaster(tmp_path).predict_proba(X), model.predict_proba(X))
    assert to_onnx(model, tmp_path / "mean.onnx").difference <= 1e-5
