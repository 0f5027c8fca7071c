"""What stands in a registry of models, read from its manifests alone: a start must not wait for more."""

from collections.abc import Mapping
from typing import Any

from consilium.domain import DAY_NS, ArtefactRefused, to_iso
from consilium.training.manifest import read_manifest
from consilium.training.registry import ModelRegistry, Version
from consilium.training.serving import CLIMATOLOGY, FP32, INT8, NATIVE


def overview(registry: ModelRegistry, now_ns: int) -> list[dict[str, Any]]:
    """Return one plain row a stored model: its served version, age and figures."""
    rows = []
    for name in registry.models():
        try:
            versions, served, note = registry.versions(name), registry.served(name), ""
        except ArtefactRefused as error:
            versions, served, note = (), None, str(error)
        state = {} if served is None or served.problem else _serving_state(served)
        rows.append(
            {
                "model": name,
                "version": None if served is None else served.number,
                "versions": len(versions),
                "age_days": None if served is None else (now_ns - served.ts_created) / DAY_NS,
                "metrics": {} if served is None else dict(served.metrics),
                "kind": _kind_told(state, served),
                "note": note or ("" if served is None else served.problem),
            }
        )
    return rows


def account_of(registry: ModelRegistry, name: str, now_ns: int) -> dict[str, Any]:
    """Return all versions and events of a model as plain JSON.

    Raises
    ------
    UnknownName
        No such model.
    """
    versions, served = registry.versions(name), registry.served(name)
    return {
        "model": name,
        "versions": [
            {
                "version": found.number,
                "served": found.served,
                "time": to_iso(found.ts_created),
                "age_days": (now_ns - found.ts_created) / DAY_NS,
                "metrics": dict(found.metrics),
                "problem": found.problem,
                "folder": str(found.folder),
            }
            for found in versions
        ],
        "serving": [] if served is None or served.problem else _serving_told(_serving_state(served)),
        "events": [
            {
                "time": to_iso(event.ts_event),
                "version": event.version,
                "kind": event.kind,
                "reason": event.reason,
                "figures": dict(event.figures),
            }
            for event in registry.events(name)
        ],
    }


def _serving_state(served: Version) -> Mapping[str, Any]:
    manifest = read_manifest(served.folder)
    state: dict[str, Any] = dict(manifest.get("serving") or {})
    return {**state, "skilled": manifest["calibration"]["skilled"]}


def _kind_told(state: Mapping[str, Any], served: Version | None) -> str:
    if served is None or served.problem:
        return "-"
    if not state["skilled"]:
        return CLIMATOLOGY
    return next((kind for kind in (INT8, FP32) if kind in state), NATIVE)


def _serving_told(state: Mapping[str, Any]) -> list[str]:
    told = [
        f"{kind} graph, parity digest {state[kind]['parity']['digest'][:16]}, largest difference "
        f"{state[kind]['parity']['difference']:.2g}"
        for kind in (FP32, INT8)
        if kind in state
    ]
    gate = state.get("int8_gate")
    return [*told, str(gate["reason"])] if gate else told or ["no graph: it serves by its own library"]
