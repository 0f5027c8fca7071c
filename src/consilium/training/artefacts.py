"""A trained model on disk: one folder, written whole or not at all, and refused when it is not what it says.

``manifest.json`` says what the model is and holds the SHA-256 of every file under ``model/``, where the
forecaster's native files are. Never pickle.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, ConsiliumError, OutputProblem, digest, plain
from consilium.market.features import features_hash
from consilium.models import load_forecaster, model_names
from consilium.training.calibration import Calibration, Calibrator
from consilium.training.labels import spec_from_dict
from consilium.training.scaler import Scaler
from consilium.training.trainer import ClassMeans, TrainedModel

FORMAT_NAME = "consilium-model"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model"
AGAIN = "train the model again"


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
        with _locked(folder, exclusive=True):
            _recover(folder)
            fresh = _sibling(folder, "new")
            shutil.rmtree(fresh, ignore_errors=True)
            _write(fresh, model, ts_created, code_version, metrics or {})
            _swap(folder, fresh)
    except OSError as error:
        raise OutputProblem(
            "a model needs a writable folder",
            f"{folder} ({error.strerror or error})",
            "choose another folder, or free space",
        ) from None
    return folder


def load_artefact(folder: Path, *, expect_features: Sequence[str] | None = None) -> Artefact:
    """Load a model; refuse what is damaged, foreign, newer, or made for other features.

    Parameters
    ----------
    folder
        What `save_artefact` wrote.
    expect_features
        The features that the caller computes, in order; None for whatever the model reads.

    Raises
    ------
    ArtefactRefused
        With the reason in one line.
    """
    with _locked(folder, exclusive=False):
        place = folder if folder.exists() else _sibling(folder, "old")
        manifest = _read_manifest(place if place.exists() else folder)
        _check_identity(folder, manifest)
        _check_files(place, manifest)
        if expect_features is not None:
            _check_features(manifest, tuple(expect_features))
        return _restore(place, manifest)


def _sibling(folder: Path, role: str) -> Path:
    return folder.parent / f".{folder.name}.{role}"


@contextmanager
def _locked(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock file beside the folder; a reader goes without where there is none (a copied folder)."""
    path = _sibling(folder, "lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY, 0o644)
    except OSError:
        if exclusive:
            raise
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _recover(folder: Path) -> None:
    """Finish what a killed writer left: give the old version its name back, or drop it."""
    old = _sibling(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _swap(folder: Path, fresh: Path) -> None:
    old = _sibling(folder, "old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(
    fresh: Path, model: TrainedModel, ts_created: int, code_version: str, metrics: Mapping[str, Any]
) -> None:
    (fresh / MODEL).mkdir(parents=True)
    model.forecaster.save(fresh / MODEL)
    content = plain(_manifest(model, ts_created, code_version, metrics))
    content["files"] = _digests(fresh)
    content["digest"] = _digest(content)
    (fresh / MANIFEST).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for path in sorted(fresh.rglob("*")):
        _sync(path)
    _sync(fresh)


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


def _digest(content: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in content.items() if name != "digest"})


def _digests(place: Path) -> dict[str, str]:
    files = sorted(path for path in place.rglob("*") if not path.is_dir() and path != place / MANIFEST)
    return {path.relative_to(place).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def _read_manifest(place: Path) -> dict[str, Any]:
    path = place / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"no {MANIFEST}" if place.is_dir() else "no folder"
        raise ArtefactRefused(f"{place} must hold a trained model", what, AGAIN) from None
    except (OSError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        raise ArtefactRefused(f"{path} must be readable JSON", text, AGAIN) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT_NAME:
        raise ArtefactRefused(f"{path} must be a {FORMAT_NAME}", "another kind of manifest", AGAIN)
    return content


def _check_identity(folder: Path, manifest: Mapping[str, Any]) -> None:
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtefactRefused(
            f"{folder} must have format version <= {FORMAT_VERSION}",
            version,
            "update consilium or train again",
        )
    if manifest.get("digest") != _digest(manifest):
        raise ArtefactRefused(f"{folder / MANIFEST} must match its digest", "changed content", AGAIN)
    if manifest.get("model") not in model_names():
        raise ArtefactRefused(
            f"{folder} must hold one of the models {', '.join(sorted(model_names()))}",
            f"'{manifest.get('model')}'",
            "install the package that brings it",
        )


def _check_files(place: Path, manifest: Mapping[str, Any]) -> None:
    expected = manifest["files"]
    try:
        found = _digests(place)
    except OSError as error:
        raise ArtefactRefused(f"{place} must be readable", error.strerror, AGAIN) from None
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            problem = "a missing file"
        elif name not in expected:
            problem = "a file that the manifest does not know"
        elif found[name] != expected[name]:
            problem = f"other bytes (SHA-256 {found[name][:12]} instead of {expected[name][:12]})"
        else:
            continue
        raise ArtefactRefused(f"{place / name} must be as it was written", problem, AGAIN)


def _check_features(manifest: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    names = tuple(manifest["feature_names"])
    if names != expected:
        raise ArtefactRefused(
            f"model {manifest['name']} reads {_told(names)}",
            _told(expected),
            "train it on these features, or give it its own",
        )
    if manifest["features_hash"] != features_hash(expected):
        raise ArtefactRefused(
            f"model {manifest['name']} reads features with formulas {manifest['features_hash']}",
            features_hash(expected),
            AGAIN,
        )


def _told(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} features ({shown}{', ...' if len(names) > 3 else ''})"


def _restore(place: Path, manifest: Mapping[str, Any]) -> Artefact:
    try:
        forecaster = load_forecaster(place / MODEL)
        calibration, means = manifest["calibration"], manifest["class_means"]
        down, flat, up = means["prior"]
        model = TrainedModel(
            name=manifest["name"],
            forecaster=forecaster,
            scaler=None if manifest["scaler"] is None else Scaler.from_state(manifest["scaler"]),
            calibration=Calibration(
                calibrator=Calibrator.from_state(calibration["calibrator"]),
                skilled=calibration["skilled"],
                judged_loss=calibration["judged_loss"],
                judged_climatology=calibration["judged_climatology"],
            ),
            means=ClassMeans(prior=(down, flat, up), down=means["down"], flat=means["flat"], up=means["up"]),
            feature_names=tuple(manifest["feature_names"]),
            features_hash=manifest["features_hash"],
            spec=spec_from_dict(manifest["label"]),
            label_id=manifest["label_id"],
            interval_ns=manifest["interval_ns"],
            seed=manifest["seed"],
            figures=manifest["figures"],
        )
    except (ConsiliumError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArtefactRefused):
            raise
        text = " ".join(str(error).split())
        raise ArtefactRefused(f"{place} must hold a complete model", text, AGAIN) from None
    return Artefact(
        model=model,
        metrics=manifest["metrics"],
        ts_created=manifest["ts_created"],
        code_version=manifest["code_version"],
    )
