"""Models for service: trained on all data and stored; loaded again to forecast the newest bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from consilium import __version__
from consilium.app.bootstrap import SystemClock, factories
from consilium.app.observe import Observed
from consilium.app.settings import Settings
from consilium.app.stages import ProgressCall, silent
from consilium.domain import (
    ArtefactRefused,
)
from consilium.ensemble import coverage
from consilium.training.artefacts import Artefact, load_artefact, save_artefact
from consilium.training.dataset import build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.labels import LabelSpec
from consilium.training.runs import RunTable
from consilium.training.walkforward import train_final, walk_forward

WEIGHTED = (
    "test_log_loss",
    "climatology_log_loss",
    "test_half_brier",
    "climatology_half_brier",
    "test_accuracy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training left behind.

    Parameters
    ----------
    models
        By model: figures over all test parts, folds without skill, and the folder of the artefact.
    failures
        By model, why it failed.
    """

    models: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]

    @property
    def summary(self) -> str:
        """FULL, PARTIAL or FAILED."""
        if not self.failures:
            return "FULL"
        return "PARTIAL" if self.models else "FAILED"


def train(
    settings: Settings,
    observed: Observed,
    models: Sequence[str],
    *,
    features: str,
    horizon: int,
    folder: Path,
    progress: ProgressCall = silent,
) -> TrainingResult:
    """Judge each model walk-forward, then train it on all rows and store it.

    A failing model does not stop the others; an artefact is replaced only when the new one is whole.

    Raises
    ------
    ConsiliumError
        Data too short for the folds, or no model could be trained.
    """
    chosen = factories(models, ())
    dataset = build_dataset(observed.panel, features, LabelSpec(horizon=horizon))
    chosen = factories(models, dataset.feature_names)
    training = settings.training
    config = {
        "models": list(models),
        "features": features,
        "horizon": horizon,
        "universe": list(dataset.symbols),
        "training": training.model_dump(mode="json"),
    }
    clock = SystemClock()
    table = RunTable(settings.data_dir / "runs.db", clock)
    with table.start(
        "train", config, seed=training.seed, data_digest=observed.digest(), code_version=__version__
    ) as row:
        forecasts = walk_forward(
            dataset,
            chosen,
            folds=training.folds,
            first_fraction=training.first_fraction,
            seed=training.seed,
            jobs=training.jobs,
            progress=lambda done, total, text: progress("train walk-forward", done, total, text),
        )
        failures = {f.model: f.error for f in forecasts.failures}
        stored: dict[str, Mapping[str, Any]] = {}
        for done, name in enumerate(forecasts.probabilities):
            progress("train for service", done, len(forecasts.probabilities), name)
            figures = walk_forward_figures(forecasts, name) | last_calls(forecasts)
            try:
                final = train_final(dataset, chosen[name], name=name, seed=training.seed)
            except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the other models
                failures[name] = " ".join(str(error).split()) or type(error).__name__
                continue
            place = save_artefact(
                folder / name, final, ts_created=clock.now_ns(), code_version=__version__, metrics=figures
            )
            stored[name] = {**figures, "skilled_now": final.skilled, "folder": str(place)}
        progress("train for service", len(stored), len(stored))
        row.record({"models": stored, "failures": failures})
    return TrainingResult(models=stored, failures=failures)


def walk_forward_figures(forecasts: Forecasts, name: str) -> dict[str, Any]:
    """Return a model's figures over all test parts, weighted by their rows."""
    rows = np.array([fold.test_rows for fold in forecasts.folds], dtype=np.float64)
    figures: dict[str, Any] = {}
    for key in WEIGHTED:
        values = np.array([fold.models[name].get(key, np.nan) for fold in forecasts.folds])
        known = np.isfinite(values)
        figures[key] = float(np.average(values[known], weights=rows[known])) if known.any() else None
    figures["no_skill_folds"] = sum(not fold.models[name]["skilled"] for fold in forecasts.folds)
    figures["folds"] = len(forecasts.folds)
    return figures


def last_calls(forecasts: Forecasts) -> dict[str, float]:
    """Return the mean gain and loss of the pool's calls in the newest fold, for the edge gates."""
    gain, loss = forecasts.folds[-1].mean_calls(tuple(forecasts.probabilities))
    return {"mean_gain": gain, "mean_loss": loss}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The artefacts that could be loaded, and why the others could not."""

    artefacts: Mapping[str, Artefact]
    refused: Mapping[str, str]

    @property
    def coverage(self) -> str:
        """How many of the models that were there could be loaded: full, partial or none."""
        return coverage(len(self.artefacts), len(self.artefacts) + len(self.refused))


def load_pool(folder: Path, models: Sequence[str] | None = None) -> Pool:
    """Load the models of a folder, one sub-folder each.

    Parameters
    ----------
    folder
        What `train` wrote; a missing folder is an empty pool.
    models
        Which to load; None means all that are there.

    Raises
    ------
    ArtefactRefused
        Models were asked for or found, and every one is refused.
    """
    found = (
        sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        if folder.is_dir()
        else []
    )
    artefacts: dict[str, Artefact] = {}
    refused: dict[str, str] = {}
    first: ArtefactRefused | None = None
    for name in models or found:
        try:
            artefacts[name] = _named(name, load_artefact(folder / name))
        except ArtefactRefused as error:
            first = first or error
            refused[name] = str(error)
    if first is not None and not artefacts:
        raise first
    return Pool(artefacts=artefacts, refused=refused)


def _named(name: str, artefact: Artefact) -> Artefact:
    """Refuse a model under another's name: it would count as two heads."""
    if artefact.model.name != name:
        raise ArtefactRefused(
            f"the folder {name} must hold the model {name}", artefact.model.name, "train it again"
        )
    return artefact
