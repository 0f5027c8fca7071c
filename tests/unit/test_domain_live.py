import dataclasses
import inspect
from typing import Any

import pytest

import consilium.domain as domain
from consilium.domain import (
    InvalidValue,
    ModelConfigured,
    PerformanceReported,
    RuleChanged,
    SignalReceived,
    StepDone,
)

FIELDS = {
    "RuleChanged": "rule by ts_event",
    "ModelConfigured": "model enabled allocation min_confidence by ts_event",
    "PerformanceReported": "model accuracy profit_factor by ts_event",
    "SignalReceived": "model symbol ts_event horizon_ns label_id probabilities confidence source ts_received",
    "StepDone": "feed ts_event digest candles",
}
SIGNAL: dict[str, Any] = {
    "model": "nhits",
    "symbol": "BTCUSDT",
    "ts_event": 5,
    "horizon_ns": 10,
    "label_id": "l1",
    "probabilities": (0.65, 0.175, 0.175),
    "confidence": 0.65,
    "source": "key",
    "ts_received": 7,
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_live_message_is_frozen_slotted_and_keyword_only(name: str) -> None:
    kind = getattr(domain, name)
    assert [f.name for f in dataclasses.fields(kind)] == FIELDS[name].split()
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(kind).parameters.values())
    assert "__slots__" in vars(kind)
    assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (RuleChanged, {"rule": "", "by": "a", "ts_event": 0}, "rule must not be empty"),
        (RuleChanged, {"rule": "adaptive", "by": "", "ts_event": 0}, "by must not be empty"),
        (ModelConfigured, {"model": "a", "by": "a", "ts_event": 0}, "setting changed"),
        (ModelConfigured, {"model": "a", "by": "a", "ts_event": 0, "allocation": -0.1}, "allocation"),
        (ModelConfigured, {"model": "a", "by": "a", "ts_event": 0, "allocation": float("inf")}, "allocation"),
        (ModelConfigured, {"model": "a", "by": "a", "ts_event": 0, "min_confidence": 1.1}, "min_confidence"),
        (PerformanceReported, {"model": "a", "by": "a", "ts_event": 0}, "must have a figure"),
        (PerformanceReported, {"model": "a", "by": "a", "ts_event": 0, "accuracy": 73.0}, "accuracy"),
        (
            PerformanceReported,
            {"model": "a", "by": "a", "ts_event": 0, "profit_factor": -1.0},
            "profit_factor",
        ),
        (SignalReceived, SIGNAL | {"source": ""}, "source must not be empty"),
        (SignalReceived, SIGNAL | {"probabilities": (0.5, 0.5, 0.5)}, "must sum to 1"),
        (SignalReceived, SIGNAL | {"confidence": float("nan")}, "confidence"),
        (SignalReceived, SIGNAL | {"horizon_ns": 0}, "horizon_ns"),
        (StepDone, {"feed": "f", "ts_event": 0, "digest": ""}, "digest must not be empty"),
        (StepDone, {"feed": "f", "ts_event": -1, "digest": "d"}, "ts_event"),
    ],
)
def test_a_live_message_outside_its_bounds_is_refused(kind: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        kind(**given)


def test_a_signal_carries_its_prediction() -> None:
    said = SignalReceived(**SIGNAL).prediction
    assert (said.model, said.ts_event, said.direction.name, said.confidence) == ("nhits", 5, "DOWN", 0.65)
