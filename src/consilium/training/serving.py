"""From a trained model to what the pool serves: graphs beside the native files, and how they are read again.

A decision needs neither the learner's library nor torch: scaler and calibration are plain arithmetic around
an ONNX graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, ConsiliumError, Forecaster, InvalidValue, UsageError, digest
from consilium.market.book.rows import levels_in, row_names
from consilium.market.features import of_books
from consilium.models import load_forecaster
from consilium.models.served import Engine, ServedModel
from consilium.models.serving.export import Exported, can_export, export_graph
from consilium.models.serving.graph import GraphForm
from consilium.models.serving.memory import return_free_memory
from consilium.models.serving.parity import Parity
from consilium.models.serving.quantise import quantise
from consilium.models.serving.split import open_graphs
from consilium.training.calibration import Calibration, Calibrator
from consilium.training.class_means import ClassMeans
from consilium.training.definitions import spec_from_dict
from consilium.training.manifest import AGAIN, MODEL, SERVING, check_features, checked_manifest
from consilium.training.scaler import Scaler
from consilium.training.trained import read_by

Floats = NDArray[np.float64]

FP32, INT8, NATIVE, CLIMATOLOGY = "fp32", "int8", "native", "climatology"
BEST = "best"
"""int8 where it passed its gate and holds here, else fp32, else the native model."""
KINDS = (BEST, FP32, INT8, NATIVE)

COMPARED = 128
"""Held-out rows on which the graph is compared with the native model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingFiles:
    """Graphs to be stored with a model, by file name, and what its manifest says of them."""

    files: Mapping[str, bytes]
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestParts:
    """What stands between raw features and the graph, and between the graph and a forecast."""

    scaler: Scaler | None
    calibration: Calibration
    means: ClassMeans


def manifest_parts(manifest: Mapping[str, Any]) -> ManifestParts:
    """Read scaler, calibration and class means of a manifest.

    Raises
    ------
    KeyError, TypeError, ValueError, InvalidValue
        Something is missing or not what it should be.
    """
    calibration, means = manifest["calibration"], manifest["class_means"]
    down, flat, up = means["prior"]
    return ManifestParts(
        scaler=None if manifest["scaler"] is None else Scaler.from_state(manifest["scaler"]),
        calibration=Calibration(
            calibrator=Calibrator.from_state(calibration["calibrator"]),
            skilled=calibration["skilled"],
            judged_loss=calibration["judged_loss"],
            judged_climatology=calibration["judged_climatology"],
        ),
        means=ClassMeans(prior=(down, flat, up), down=means["down"], flat=means["flat"], up=means["up"]),
    )


def make_serving(
    forecaster: Forecaster, scaler: Scaler | None, X: Floats, y: NDArray[np.int64], *, int8: bool = True
) -> ServingFiles | None:
    """Write the graphs of a fitted forecaster and judge the int8 one on held-out rows.

    Parameters
    ----------
    forecaster, scaler
        Of the trained model.
    X, y
        Held-out unscaled rows (n, F) or windows (n, window, F), and outcomes (n,).
    int8
        Whether int8 is tried.

    Returns
    -------
    The files, or None for a forecaster without an ONNX form: it serves by its own library.

    Raises
    ------
    InvalidValue
        The graph differs from the model.
    """
    if not can_export(forecaster):
        return None
    rows = read_by(scaler, X)
    exported = export_graph(forecaster, rows[:: max(1, len(rows) // COMPARED)])
    files: dict[str, bytes] = {}
    state: dict[str, Any] = {"form": exported.form.state(), FP32: _stored(exported, FP32, files)}
    if int8:
        short = quantise(exported, rows, y)
        state["int8_gate"] = short.state()
        if short.exported is not None:
            state[INT8] = _stored(short.exported, INT8, files)
    return ServingFiles(files=files, state=state)


def _stored(exported: Exported, kind: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Add the graphs to the files; return what the manifest says of them."""
    roles = ("graph",) if len(exported.graphs) == 1 else ("encode", "decide")
    names = [f"{role}.{kind}.onnx" for role in roles]
    files.update(zip(names, exported.graphs, strict=True))
    return {"files": names, "parity": exported.parity.state()}


def load_served(folder: Path, *, kind: str = BEST, version: str = "", ask_all: bool = False) -> ServedModel:
    """Load a stored model for service.

    Its graph must say of the fixed rows what it said when it was written; one that does not is refused (an
    int8 graph gives way to the fp32 one, because eight-bit sums differ between processors).

    Parameters
    ----------
    folder
        What `save_artefact` wrote.
    kind
        ``best``, ``fp32``, ``int8`` or ``native``.
    version
        To be told with each forecast.
    ask_all
        Whether a model without skill is asked too, to measure it; in service it says climatology unasked.

    Raises
    ------
    ArtefactRefused
        The files are damaged, foreign or forecast otherwise than they did, or there is no such kind.
    UsageError
        No such kind is known.
    """
    if kind not in KINDS:
        raise UsageError(f"a served kind must be one of {', '.join(KINDS)}", f"'{kind}'", "use best")
    with checked_manifest(folder) as (place, manifest):
        check_features(manifest, tuple(manifest["feature_names"]))
        try:
            parts = manifest_parts(manifest)
            names = tuple(manifest["feature_names"])
            levels = levels_in(names)
            # A model of books forecasts only where all is known.
            maskable = of_books(names) & (levels == 0)
            skilled = ask_all or parts.calibration.skilled
            engine, found, note = _engine(place, manifest, kind, skilled=skilled)
            return_free_memory()
            return ServedModel(
                name=manifest["name"],
                version=version or str(manifest["ts_created"]),
                kind=found,
                window=int(manifest["window"]),
                feature_names=names,
                book_columns=len(row_names(levels)),
                interval_ns=int(manifest["interval_ns"]),
                horizon_ns=spec_from_dict(manifest["label"]).span_ns(int(manifest["interval_ns"])),
                label_id=manifest["label_id"],
                engine=engine,
                scale=partial(read_by, parts.scaler),
                maskable=maskable if maskable.any() else None,
                finish=_Finish(parts),
                digest=manifest["digest"],
                note=note,
                scaling=digest({"features": names, "scaler": manifest["scaler"]}),
            )
        except ArtefactRefused:
            raise
        except (ConsiliumError, KeyError, TypeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise ArtefactRefused(f"{place} must hold a complete model", text, AGAIN) from None


class GraphModel:
    """A stored forecaster of which only the forecasts are needed: what it reads, and `predict_proba`."""

    def __init__(self, name: str, window: int, columns: tuple[str, ...], engine: Engine | None) -> None:
        self.name = name
        self.window = window
        self.book_levels = levels_in(columns)
        self.reads_features = len(columns) > len(row_names(self.book_levels))
        self._engine = engine

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities (n, 3) of scaled rows.

        Raises
        ------
        InvalidValue
            The model has no skill and is not asked.
        """
        if self._engine is None:
            raise InvalidValue(f"{self.name} must have skill to be asked", "no_skill", "use climatology")
        return self._engine.predict_proba(X)


def served_forecaster(place: Path, manifest: Mapping[str, Any], kind: str, *, skilled: bool) -> Forecaster:
    """Return a stored forecaster: the native one, or its graph.

    Raises
    ------
    ArtefactRefused
        As in `load_served`.
    """
    if kind == NATIVE:
        return load_forecaster(place / MODEL)
    engine, _, _ = _engine(place, manifest, kind, skilled=skilled)
    return cast(
        "Forecaster",
        GraphModel(manifest["model"], int(manifest["window"]), tuple(manifest["feature_names"]), engine),
    )


class _Finish:
    """Calibrates, and turns probabilities into an expected return."""

    def __init__(self, parts: ManifestParts) -> None:
        self._parts = parts

    def __call__(self, raw: Floats | None, n: int) -> tuple[Floats, Floats]:
        means = self._parts.means
        p = means.climatology(n) if raw is None else self._parts.calibration.calibrator.apply(raw)
        return p, means.expected_return(p)


def _engine(
    place: Path, manifest: Mapping[str, Any], kind: str, *, skilled: bool
) -> tuple[Engine | None, str, str]:
    """Return the engine, its kind, and what is to be told about the choice."""
    if not skilled:
        return None, CLIMATOLOGY, "no_skill: climatology is served"
    serving = manifest.get("serving") or {}
    if kind == NATIVE or (FP32 not in serving and kind == BEST):
        why = serving.get("problem", "the model serves by its own library")
        return load_forecaster(place / MODEL), NATIVE, "" if kind == NATIVE else f"no graph is stored: {why}"
    if kind != BEST and kind not in serving:
        gate = serving.get("int8_gate", {}).get("reason", "none was written")
        raise ArtefactRefused(
            f"{place} must hold an {kind} graph", gate, "serve another kind, or train again"
        )
    form = GraphForm.from_state(serving["form"])
    if kind in (BEST, INT8) and INT8 in serving:
        try:
            return _held(place, serving[INT8], form), INT8, ""
        except ArtefactRefused as refused:
            if kind == INT8:
                raise
            return _held(place, serving[FP32], form), FP32, f"fp32 is served: {refused}"
    return _held(place, serving[FP32], form), FP32, serving.get("int8_gate", {}).get("reason", "")


def _held(place: Path, stored: Mapping[str, Any], form: GraphForm) -> Engine:
    """Open a graph, or an encoder and a decider, and hold it to its parity digest."""
    paths = [place / SERVING / name for name in stored["files"]]
    graph = open_graphs([path.read_bytes() for path in paths], form, str(paths[-1]))
    if not Parity.from_state(stored["parity"]).holds(graph.predict_proba, form.shape):
        raise ArtefactRefused(
            f"{paths[-1]} must forecast the fixed rows as it did when it was written",
            "other forecasts",
            AGAIN,
        )
    return graph
