import json
import math
from typing import Any

import pytest

from consilium.domain import HOUR_NS, SECOND_NS, Direction
from consilium.ensemble.broker import REASONS, Reading, SignalBroker, model_of_key
from consilium.ensemble.publishing import metrics_body
from engine_cases import LABEL, START, pure_engine, signal

GOOD = {"action": "BUY", "confidence": 0.8, "timestamp": START // SECOND_NS}


def read(said: Any, *, now_ns: int = START, **settings: Any) -> Reading:
    broker = SignalBroker(symbol="BTCUSDT", horizon_ns=HOUR_NS, label_id=LABEL, **settings)
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return broker.read(raw, model="nhits", source="key", now_ns=now_ns)


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in GOOD.items() if field != name}


BAD: list[tuple[str, Any]] = [
    ("not_json", b""),
    ("not_json", b"BUY"),
    ("not_json", b"\xff\xfe\x00"),
    ("not_json", b'{"action": "BUY", "confidence": NaN, "timestamp": 1700000000}'),
    ("not_json", b'{"action": "BUY", "confidence": Infinity, "timestamp": 1700000000}'),
    ("not_json", b"[" * 200_000),
    ("not_json", b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
    ("not_json", b'{"action":"BUY","confidence":0.8,"timestamp":' + b"9" * 5_000 + b"}"),
    ("too_large", b" " * 10_000_000),
    ("too_large", [GOOD] * 1_001),
    ("not_a_signal", "BUY"),
    ("not_a_signal", None),
    ("not_a_signal", [[GOOD]]),
    ("no_action", without("action")),
    ("unknown_action", GOOD | {"action": "SHORT"}),
    ("unknown_action", GOOD | {"action": 1}),
    ("unknown_action", GOOD | {"action": {"BUY": 1}}),
    ("no_confidence", without("confidence")),
    ("bad_confidence", GOOD | {"confidence": 1.0001}),
    ("bad_confidence", GOOD | {"confidence": -0.1}),
    ("bad_confidence", GOOD | {"confidence": "0.8"}),
    ("bad_confidence", GOOD | {"confidence": True}),
    ("bad_confidence", b'{"action":"BUY","confidence":1e999,"timestamp":1700000000}'),
    ("bad_confidence", GOOD | {"confidence": 10**400}),
    ("no_timestamp", without("timestamp")),
    ("bad_timestamp", GOOD | {"timestamp": "2023-11-14"}),
    ("bad_timestamp", GOOD | {"timestamp": -1}),
    ("bad_timestamp", b'{"action":"BUY","confidence":0.8,"timestamp":-1e999}'),
    ("future", GOOD | {"timestamp": START // SECOND_NS + 6}),
    ("future", GOOD | {"timestamp": START}),
    ("stale", GOOD | {"timestamp": START // SECOND_NS - 61}),
    ("stale", GOOD | {"timestamp": 1234567890}),
    ("bad_symbol", GOOD | {"symbol": ""}),
    ("bad_symbol", GOOD | {"symbol": "BTC USDT"}),
    ("bad_symbol", GOOD | {"symbol": "A" * 33}),
    ("bad_symbol", GOOD | {"symbol": "BTC\n"}),
    ("bad_symbol", GOOD | {"symbol": 5}),
    ("bad_horizon", GOOD | {"horizon": 0}),
    ("bad_horizon", GOOD | {"horizon": 10**12}),
    ("bad_horizon", GOOD | {"horizon": "1h"}),
    ("bad_probabilities", GOOD | {"probabilities": [0.1, 0.9]}),
    ("bad_probabilities", GOOD | {"probabilities": [0.5, 0.5, 0.5]}),
    ("bad_probabilities", GOOD | {"probabilities": [0.8, 0.1, 0.1]}),
    ("bad_probabilities", GOOD | {"probabilities": {"up": 1}}),
    ("bad_probabilities", GOOD | {"probabilities": [10**400, 0, 0]}),
    ("bad_probabilities", GOOD | {"probabilities": [None, 0, 1]}),
]


@pytest.mark.promise("000", "the broker validates signal structure and filters invalid data")
@pytest.mark.parametrize(("reason", "said"), BAD)
def test_a_bad_signal_is_rejected_with_its_reason(reason: str, said: Any) -> None:
    signals, rejected = read(said)
    assert not signals
    assert rejected[0] == reason
    assert reason in REASONS


@pytest.mark.parametrize("action", ["BUY", "SELL", "HOLD", "buy"])
def test_action_and_confidence_are_enough(action: str) -> None:
    (signal,), rejected = read(GOOD | {"action": action})
    assert not rejected
    said = signal.prediction
    word = {"BUY": Direction.UP, "SELL": Direction.DOWN, "HOLD": Direction.FLAT}[action.upper()]
    assert said.direction is word
    assert said.confidence == 0.8
    assert math.isclose(said.probabilities[word], 0.8)
    assert (said.symbol, said.horizon_ns, said.label_id) == ("BTCUSDT", HOUR_NS, LABEL)
    assert (signal.source, signal.ts_received) == ("key", START)


def test_a_timestamp_is_read_in_seconds_or_milliseconds() -> None:
    second = START // SECOND_NS
    for given, ns in (
        (second, START),
        (second + 0.25, START + SECOND_NS // 4),
        (second * 1_000, START),
        (second * 1_000 + 7, START + 7_000_000),
        (float(second * 1_000), START),
    ):
        (signal,), _ = read(GOOD | {"timestamp": given})
        assert signal.ts_event == ns


def test_the_window_of_freshness_ends_at_its_bounds() -> None:
    second = START // SECOND_NS
    assert read(GOOD | {"timestamp": second + 5}).signals
    assert read(GOOD | {"timestamp": second - 60}).signals
    assert read(GOOD | {"timestamp": second - 600}, freshness_ns=600 * SECOND_NS).signals


def test_symbol_horizon_and_probabilities_may_be_given() -> None:
    said = {"symbol": "ETH/USDT", "horizon": 2.5, "probabilities": [0.2, 0.1, 0.7], "extra": {"a": 1}}
    (signal,), _ = read(GOOD | said)
    assert (signal.symbol, signal.horizon_ns, signal.label_id) == ("ETH/USDT", 2_500_000_000, LABEL)
    assert signal.probabilities == (0.2, 0.1, 0.7)
    assert read(GOOD | dict.fromkeys(said)).signals[0].symbol == "BTCUSDT"


def test_one_bad_signal_of_a_list_does_not_spoil_the_others() -> None:
    signals, rejected = read([GOOD, 5, GOOD | {"symbol": "ETHUSDT"}, without("action")])
    assert [signal.symbol for signal in signals] == ["BTCUSDT", "ETHUSDT"]
    assert rejected == ("not_a_signal", "no_action")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("xgb", "xgboost"),
        ("xgboost", "xgboost"),
        ("lgbm", "lightgbm"),
        ("mpd", "mpd_transformer"),
        ("mpd_transformer", "mpd_transformer"),
        ("nhits", "nhits"),
    ],
)
def test_a_key_names_its_model_by_any_of_its_names(name: str, model: str) -> None:
    assert model_of_key(f"quantum:model:{name}:signal") == model
    assert model_of_key(f"quantum:model:{name}:state") is None


def test_rejections_are_counted_once_however_long_the_values_lie_there() -> None:
    engine = pure_engine()
    lies = {
        "quantum:model:nhits:signal": b"x",
        "quantum:model:gpt:signal": signal(),
        "quantum:model:xgb:signal": signal(at=START - 100 * SECOND_NS),
        "quantum:model:tlob:state": b"not a signal key",
    }
    first, second = engine.cycle(START, lies), engine.cycle(START + SECOND_NS, lies)
    assert first.rejected == second.rejected == {"unknown_model": 1, "stale": 1, "not_json": 1}
    assert first.rejected_new == first.rejected
    assert second.rejected_new == {}
    assert metrics_body(first, 0.1)["rejected"] == first.rejected
    assert metrics_body(second, 0.1)["rejected"] == {}
    assert first.messages == ()
