"""Models for service: trained on all data and stored; loaded again to forecast the newest bar."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from consilium import __version__
from consilium.app.bootstrap import ForecasterFactory, SystemClock, factories, teaching_of
from consilium.app.history import measured
from consilium.app.labelling import labelled
from consilium.app.membership import unfed, with_windows
from consilium.app.observe import Observed
from consilium.app.openings import open_outcomes
from consilium.app.searching import Search
from consilium.app.settings import Settings, Training
from consilium.app.stages import ProgressCall, silent
from consilium.app.stored_models import Desk, graphs_of, require_young, served_folder
from consilium.domain import ArtefactRefused, ConsiliumError, UnknownName, UsageError, digest
from consilium.domain.wording import counted
from consilium.ensemble import coverage
from consilium.training.artefacts import Artefact, load_artefact
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.registry import ModelRegistry
from consilium.training.runs import Run, RunTable
from consilium.training.serving import BEST
from consilium.training.teaching import Lap, Teaching
from consilium.training.walkforward import NothingTrained, cut_folds, train_final, walk_forward

WEIGHTED = (
    "test_log_loss",
    "climatology_log_loss",
    "test_half_brier",
    "climatology_half_brier",
    "test_accuracy",
)


class TrainingInterrupted(ConsiliumError):
    """A training was stopped when some of its models, or all, were already stored.

    Parameters
    ----------
    stored
        By model, with the ``folder`` of its artefact; at least one.
    models
        All that were to be trained.

    Examples
    --------
    >>> print(TrainingInterrupted({"xgboost": {"folder": "models/xgboost"}}, ["xgboost", "lightgbm"]))
    a training must not be interrupted; got Ctrl-C after 1 of 2 models were stored (models/xgboost):
    run it again for lightgbm
    """

    def __init__(self, stored: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> None:
        left = [name for name in models if name not in stored]
        places = ", ".join(str(found["folder"]) for found in stored.values())
        super().__init__(
            "a training must not be interrupted",
            f"Ctrl-C after {len(stored)} of {len(models)} models were stored ({places})",
            f"run it again for {', '.join(left)}" if left else "nothing more is needed but its report",
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
    skipped
        By model, why these data cannot train it; that is no failure.
    checkpoints
        Where states of networks are kept that did not come to their end; None if there are none.
    """

    models: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]
    skipped: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Path | None = None

    @property
    def summary(self) -> str:
        """FULL, PARTIAL or FAILED."""
        if not self.models:
            return "FAILED"
        return "PARTIAL" if self.failures else "FULL"


def train(
    settings: Settings,
    observed: Observed,
    models: Sequence[str],
    *,
    features: str,
    horizon: int,
    folder: Path,
    progress: ProgressCall = silent,
    tell: Callable[[Lap], None] | None = None,
) -> TrainingResult:
    """Judge each model walk-forward, then train it on all rows and store it.

    A model that fails, or whose library is missing, does not stop the others; an artefact is replaced only
    when the new one is whole. The run table is told that all outcomes of the data are read. The same training
    after a kill goes on from the checkpoints of its networks.

    Parameters
    ----------
    settings, observed, features, horizon
        What decides the result.
    models
        Their names.
    folder
        Where the artefacts are put.
    progress
        Called after each model and fold.
    tell
        Called as networks advance.

    Raises
    ------
    TrainingInterrupted
        Ctrl-C came after at least one model was stored; it says which.
    ConsiliumError
        Data too short for the folds, or a parameter that a model has not got.
    """
    training = settings.training
    skipped = unfed(models, observed)
    asked = [name for name in models if name not in skipped]
    missing = without_library(asked)
    observed = with_windows(observed, asked, progress)
    observed, dataset = _rows(training, observed, features, horizon)
    chosen = factories([name for name in asked if name not in missing], dataset.feature_names, training)
    config = {
        "models": list(models),
        "features": features,
        "horizon": horizon,
        "universe": list(dataset.symbols),
        "training": training.model_dump(mode="json"),
    }
    data_digest = observed.digest()
    states = settings.data_dir / "checkpoints" / _key(config, data_digest)
    table = RunTable(settings.data_dir / "runs.db", SystemClock())
    stored: dict[str, Mapping[str, Any]] = {}
    failures = dict(missing)
    try:
        with table.start(
            "train", config, seed=training.seed, data_digest=data_digest, code_version=__version__
        ) as row:
            open_outcomes(row, observed, seed=training.seed)
            desk = Desk(ModelRegistry(folder), observed, dataset)
            teaching = teaching_of(training, checkpoints=states, tell=tell)
            tuned: dict[str, Mapping[str, Any]] = {}
            if chosen and training.tune:
                search = Search(
                    table=table,
                    dataset=dataset,
                    data_digest=data_digest,
                    training=training,
                    teaching=teaching,
                    progress=progress,
                )
                chosen, tuned, in_vain = search.of(chosen)
                failures |= in_vain
            if chosen:
                service = _Service(desk=desk, stored=stored, row=row, tuned=tuned, progress=progress)
                failures |= service.train(training, dataset, chosen, teaching)
            row.record({"models": stored, "failures": failures, "skipped": skipped})
    except KeyboardInterrupt:
        if not stored:
            raise
        raise TrainingInterrupted(stored, models) from None
    return TrainingResult(
        models=stored, failures=failures, skipped=skipped, checkpoints=_swept(states, failures)
    )


def _rows(training: Training, observed: Observed, features: str, horizon: int) -> tuple[Observed, Dataset]:
    """Build what is learned from, and refuse a history that is too short for the folds asked for."""
    cut = partial(cut_folds, folds=training.folds, first_fraction=training.first_fraction)
    what = f"a training in {counted(training.folds, 'fold')}"
    with measured(observed.panel, features, horizon, cut, what):
        observed, spec = labelled(training, observed, horizon)
        dataset = observed.dataset(features, spec)
        cut(dataset)
    return observed, dataset


def _key(config: Mapping[str, Any], data_digest: str) -> str:
    """Name a training by all that decides its result; in how many processes it runs does not."""
    training = {name: value for name, value in config["training"].items() if name != "jobs"}
    return digest([{**config, "training": training}, data_digest, __version__])[:16]


def without_library(models: Iterable[str]) -> dict[str, str]:
    """Return the models whose library is not installed, and which extra brings it."""
    missing = {}
    for name in models:
        try:
            factories([name], ())
        except UnknownName:
            raise
        except UsageError as error:
            missing[name] = str(error)
    return missing


def _swept(states: Path, failures: Mapping[str, str]) -> Path | None:
    """Forget the checkpoints of a training that failed nowhere; say where those of another are, if any."""
    if not states.exists():
        return None
    if failures and any(states.glob("*/*.json")):
        return states
    shutil.rmtree(states, ignore_errors=True)
    with suppress(OSError):
        states.parent.rmdir()  # unless another training keeps states there
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """Trains models and stores them, one by one, so that an interrupted run knows what it left."""

    desk: Desk
    stored: dict[str, Mapping[str, Any]]
    row: Run
    tuned: Mapping[str, Mapping[str, Any]]
    progress: ProgressCall

    def train(
        self,
        training: Training,
        dataset: Dataset,
        chosen: Mapping[str, ForecasterFactory],
        teaching: Teaching,
    ) -> dict[str, str]:
        """Fill ``stored``; return the failures."""
        try:
            forecasts = walk_forward(
                dataset,
                chosen,
                folds=training.folds,
                first_fraction=training.first_fraction,
                seed=training.seed,
                jobs=training.jobs,
                teaching=teaching,
                progress=lambda done, total, text: self.progress("train walk-forward", done, total, text),
            )
        except NothingTrained as nothing:
            return {failure.model: failure.error for failure in nothing.failures}
        failures = {f.model: f.error for f in forecasts.failures}
        for done, name in enumerate(forecasts.probabilities):
            self.progress("train for service", done, len(forecasts.probabilities), name)
            figures = walk_forward_figures(forecasts, name) | last_calls(forecasts)
            if name in self.tuned:
                figures["tuned"] = self.tuned[name]
            try:
                final = train_final(dataset, chosen[name], name=name, seed=training.seed, teaching=teaching)
                serving = graphs_of(dataset, final)
            except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the others
                failures[name] = " ".join(str(error).split()) or type(error).__name__
                continue
            self.stored[name] = {
                **figures,
                "skilled_now": final.skilled,
                **self.desk.store(name, final, figures, serving),
            }
            self.row.record({"models": self.stored, "failures": failures})
        self.progress("train for service", len(self.stored), len(self.stored))
        return failures


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

    @property
    def feature_names(self) -> tuple[str, ...]:
        """All features that the models read, each once."""
        names = (name for artefact in self.artefacts.values() for name in artefact.model.feature_names)
        return tuple(dict.fromkeys(names))


def load_pool(
    folder: Path,
    models: Sequence[str] | None = None,
    *,
    now_ns: int = 0,
    max_age_ns: int = 0,
    kind: str = BEST,
) -> Pool:
    """Load the served version of each model of a registry.

    Parameters
    ----------
    folder
        What `train` wrote; a missing folder is an empty pool.
    models
        Which to load; None means all that are there.
    now_ns, max_age_ns
        UTC nanoseconds, and the age from which a model is refused; 0 for any age.
    kind
        As in `load_artefact`.

    Raises
    ------
    ArtefactRefused
        Models were asked for or found, and every one is refused.
    """
    registry = ModelRegistry(folder)
    artefacts: dict[str, Artefact] = {}
    refused: dict[str, str] = {}
    first: ArtefactRefused | None = None
    for name in models or registry.models():
        try:
            artefact = _named(name, load_artefact(served_folder(registry, name), kind=kind))
            require_young(name, artefact, now_ns, max_age_ns)
            artefacts[name] = artefact
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
