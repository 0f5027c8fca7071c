"""A trained model on disk: one folder, written whole or not at all, and refused when it is not what it says.

``manifest.json`` says what the model is and holds the SHA-256 of every file under ``model/``, where the
forecaster's native files are. Never pickle.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, ConsiliumError, OutputProblem, plain
from consilium.training.definitions import spec_from_dict
from consilium.training.manifest import (
    AGAIN,
    FORMAT_NAME,
    FORMAT_VERSION,
    MANIFEST,
    MODEL,
    SERVING,
    check_features,
    checked_manifest,
    file_digests,
    locked,
    manifest_digest,
    sibling,
    sync_folder,
)
from consilium.training.serving import NATIVE, ServingFiles, manifest_parts, served_forecaster
from consilium.training.trained import TrainedModel

__all__ = ["MANIFEST", "Artefact", "load_artefact", "save_artefact"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Artefact:
    """A loaded model and what its manifest says.

    Parameters
    ----------
    model
        The trained model.
    metrics
        Figures that were stored with it.
    ts_created
        UTC nanoseconds, as the writer gave them.
    code_version
        Of the program that wrote it.
    """

    model: TrainedModel
    metrics: Mapping[str, Any]
    ts_created: int
    code_version: str

    def predict(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forecast from unscaled features; see `TrainedModel.predict`."""
        return self.model.predict(X)


def save_artefact(
    folder: Path,
    model: TrainedModel,
    *,
    ts_created: int,
    code_version: str,
    metrics: Mapping[str, Any] | None = None,
    serving: ServingFiles | None = None,
) -> Path:
    """Write a model into a folder, replacing the version that is there.

    Everything is written into a hidden sibling and synced; only then does it take the name, and only then
    does the old version go. A kill at any instant leaves the old version or the new one, never half of
    either. A lock file beside the folder keeps two writers apart.

    Parameters
    ----------
    folder
        Where the model shall be; its parent is created.
    model
        The trained model.
    ts_created
        UTC nanoseconds for the manifest.
    code_version
        Of this program.
    metrics
        Figures to keep with it, as JSON can hold them.
    serving
        Graphs for service, from `make_serving`; without them the model serves by its own library.

    Returns
    -------
    The folder.

    Raises
    ------
    OutputProblem
        The place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, exclusive=True):
            _recover(folder)
            fresh = sibling(folder, "new")
            shutil.rmtree(fresh, ignore_errors=True)
            content = _manifest(model, ts_created, code_version, metrics or {})
            _write(fresh, model, content, serving)
            _swap(folder, fresh)
    except OSError as error:
        raise OutputProblem(
            "a model needs a writable folder",
            f"{folder} ({error.strerror or error})",
            "choose another folder, or free space",
        ) from None
    return folder


def load_artefact(
    folder: Path, *, expect_features: Sequence[str] | None = None, kind: str = NATIVE
) -> Artefact:
    """Load a model; refuse what is damaged, foreign, newer, or made for other features.

    Parameters
    ----------
    folder
        What `save_artefact` wrote.
    expect_features
        The features that the caller computes, in order; None for whatever the model reads.
    kind
        ``native`` for the forecaster itself, which needs its library; ``best``, ``fp32`` or ``int8`` for a
        model that forecasts by its stored graph, and can do nothing else.

    Raises
    ------
    ArtefactRefused
        With the reason in one line.
    """
    with checked_manifest(folder) as (place, manifest):
        check_features(manifest, tuple(expect_features or manifest["feature_names"]))
        return _restore(place, manifest, kind)


def _recover(folder: Path) -> None:
    """Finish what a killed writer left: give the old version its name back, or drop it."""
    old = sibling(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _swap(folder: Path, fresh: Path) -> None:
    old = sibling(folder, "old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _write(
    fresh: Path, model: TrainedModel, manifest: Mapping[str, Any], serving: ServingFiles | None
) -> None:
    (fresh / MODEL).mkdir(parents=True)
    model.forecaster.save(fresh / MODEL)
    content = plain(manifest)
    if serving is not None:
        (fresh / SERVING).mkdir()
        for name, data in serving.files.items():
            (fresh / SERVING / name).write_bytes(data)
        content["serving"] = plain(serving.state)
    content["files"] = file_digests(fresh)
    content["digest"] = manifest_digest(content)
    (fresh / MANIFEST).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for path in sorted(fresh.rglob("*")):
        sync_folder(path)
    sync_folder(fresh)


def _manifest(
    model: TrainedModel, ts_created: int, code_version: str, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    calibration, means = model.calibration, model.means
    return {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "model": model.forecaster.name,
        "params": model.forecaster.get_params(deep=False),
        "window": model.window,
        "feature_names": list(model.feature_names),
        "features_hash": model.features_hash,
        "scaler": None if model.scaler is None else model.scaler.state(),
        "calibration": {
            "calibrator": calibration.calibrator.state(),
            "skilled": bool(calibration.skilled),
            "judged_loss": calibration.judged_loss,
            "judged_climatology": calibration.judged_climatology,
        },
        "label": dict(model.spec.as_dict()),
        "label_id": model.label_id,
        "interval_ns": int(model.interval_ns),
        "class_means": {"prior": list(means.prior), "down": means.down, "flat": means.flat, "up": means.up},
        "seed": int(model.seed),
        "figures": dict(model.figures),
        "metrics": metrics,
        "code_version": code_version,
        "ts_created": int(ts_created),
    }


def _restore(place: Path, manifest: Mapping[str, Any], kind: str) -> Artefact:
    try:
        parts = manifest_parts(manifest)
        model = TrainedModel(
            name=manifest["name"],
            forecaster=served_forecaster(place, manifest, kind, skilled=parts.calibration.skilled),
            scaler=parts.scaler,
            calibration=parts.calibration,
            means=parts.means,
            feature_names=tuple(manifest["feature_names"]),
            features_hash=manifest["features_hash"],
            spec=spec_from_dict(manifest["label"]),
            label_id=manifest["label_id"],
            interval_ns=manifest["interval_ns"],
            seed=manifest["seed"],
            figures=manifest["figures"],
        )
    except (ConsiliumError, KeyError, TypeError, ValueError) as error:
        raise _incomplete(place, error) from None
    return Artefact(
        model=model,
        metrics=manifest["metrics"],
        ts_created=manifest["ts_created"],
        code_version=manifest["code_version"],
    )


def _incomplete(place: Path, error: Exception) -> ArtefactRefused:
    if isinstance(error, ArtefactRefused):
        return error
    text = " ".join(str(error).split())
    return ArtefactRefused(f"{place} must hold a complete model", text, AGAIN)
