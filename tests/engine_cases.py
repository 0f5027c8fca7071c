"""A living ensemble made short, for the tests of the engine."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.settings import Ensemble, Settings
from consilium.bus.state_store import Set, StateStore
from consilium.domain import HOUR_NS, SECOND_NS, Consensus, Direction, FeatureWindow, Outcome, Prediction
from consilium.ensemble import EnsembleService
from consilium.ensemble.broker import SignalBroker
from consilium.ensemble.engine import Engine
from ensemble_cases import forecast

START = 1_700_000_000 * SECOND_NS
LABEL = "l1"


class Hand:
    """A clock moved by hand."""

    def __init__(self, now_ns: int = START) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * SECOND_NS)


def pure_engine(
    models: Sequence[str] = ("xgboost", "lightgbm", "nhits", "tlob"),
    *,
    loaded: Sequence[str] = (),
    horizon_ns: int = HOUR_NS,
    engine: Mapping[str, Any] | None = None,
    **service: Any,
) -> Engine:
    broker = SignalBroker(symbol="BTCUSDT", horizon_ns=horizon_ns, label_id=LABEL)
    given = {"rule": "trust_weighted", "trust": "agreement"} | service
    return Engine(EnsembleService(models, loaded=loaded, **given), broker, **(engine or {}))


def live_engine(
    store: StateStore | None, clock: Hand, *, loaded: Sequence[str] = (), publish: Any = None, **ensemble: Any
) -> EnsembleEngine:
    settings = Settings(ensemble=Ensemble(**{"rule": "trust_weighted", **ensemble}))
    service = make_live_ensemble(settings, loaded)
    return EnsembleEngine(service, store, settings=settings, clock=clock, publish=publish, label_id=LABEL)


def signal(action: str = "BUY", confidence: float = 0.8, *, at: int = START, **more: Any) -> bytes:
    said = {"action": action, "confidence": confidence, "timestamp": at // SECOND_NS} | more
    return json.dumps(said).encode()


def key(model: str) -> str:
    return f"quantum:model:{model}:signal"


def put(store: StateStore, **signals: bytes) -> None:
    store.write([Set(key(model), raw) for model, raw in signals.items()])


def read(store: StateStore, name: str) -> dict[str, Any]:
    raw = store.get(name)
    assert raw is not None, name
    body: dict[str, Any] = json.loads(raw)
    return body


def window(symbol: str, ts_event: int, volatility: float = 0.02) -> FeatureWindow:
    import numpy as np

    return FeatureWindow(
        symbol=symbol, ts_event=ts_event, features=np.zeros((1, 1)), volatility=volatility, regime=""
    )


BUY = (0.1, 0.1, 0.8)
THREE = {
    key("xgb"): signal("BUY", 0.85),
    key("nhits"): signal("SELL", 0.65),
    key("lgbm"): signal("BUY", 0.78),
}


def own(model: str, ts_event: int, probabilities: tuple[float, float, float] = BUY) -> Prediction:
    return forecast(model, probabilities, ts_event=ts_event, label_id=LABEL)


def outcome(ts_event: int, direction: Direction = Direction.UP) -> Outcome:
    return Outcome(
        symbol="BTCUSDT",
        ts_event=ts_event,
        horizon_ns=HOUR_NS,
        label_id=LABEL,
        ts_matured=ts_event + HOUR_NS,
        direction=direction,
        realised_return=0.01,
    )


def main(engine: Engine, now_ns: int, signals: dict[str, bytes]) -> Consensus:
    consensus = engine.cycle(now_ns, signals).main
    assert consensus is not None
    return consensus
