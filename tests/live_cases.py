"""Stored models and settings for the tests of the living system."""

from functools import partial
from pathlib import Path
from typing import Any

from consilium.app.settings import Live, Serving, Settings
from consilium.domain import HOUR_NS
from consilium.market.simulator import START_TS, simulate
from consilium.models import make_forecaster
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.registry import ModelRegistry
from consilium.training.serving import make_serving
from consilium.training.trainer import held_out, train_final

TREES = ("xgboost", "lightgbm")
BARS = 900
FEED = "simulate:symbols=3,bars=1100,seed=5"


def store_models(
    folder: Path,
    names: tuple[str, ...] = TREES,
    *,
    features: str = "core14",
    horizon: int = 1,
    rounds: int = 12,
    start_ts: int = START_TS,
) -> ModelRegistry:
    """Train small models on a market with a signal, and store them as versions that are served.

    They learn from bars before ``start_ts``, by default before the first one of a simulated feed.
    """
    panel = simulate(symbols=2, bars=BARS, seed=3, signal_ic=0.3, start_ts=start_ts - BARS * HOUR_NS).series
    dataset = build_dataset(panel, features, LabelSpec(horizon=horizon))
    registry = ModelRegistry(folder)
    for name in names:
        made = train_final(dataset, partial(make_forecaster, name, rounds=rounds), name=name, seed=1)
        rows = held_out(dataset, made)
        serving = make_serving(made.forecaster, made.scaler, dataset.inputs(rows), dataset.y[rows])
        registry.add(name, made, ts_created=1, code_version="test", serving=serving)
    return registry


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Return settings of a quick replay whose consensuses trade, without a council to restrain them."""
    given: dict[str, Any] = {
        "data_dir": folder,
        "live": Live(feed=FEED, speed=0.0),
        "serving": Serving(max_age_days=0.0, workers=1),
        "council": {"enabled": False},
    }
    given["ensemble"] = {"gates": "seed", "rule": "weighted_voting"}
    return Settings(**(given | changes))
