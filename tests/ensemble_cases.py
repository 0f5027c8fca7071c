"""Signals written short, for the tests of the ensemble."""

from collections.abc import Iterable, Sequence

import numpy as np

from consilium.domain import (
    HOUR_NS,
    Consensus,
    Direction,
    FeatureWindow,
    Outcome,
    Prediction,
    signal_probabilities,
)
from consilium.ensemble import EnsembleService
from consilium.ensemble.trust.uniform import Uniform

WORDS = {"SELL": Direction.DOWN, "HOLD": Direction.FLAT, "BUY": Direction.UP}


def forecast(
    model: str,
    probabilities: tuple[float, float, float],
    *,
    symbol: str = "BTCUSDT",
    ts_event: int = 0,
    horizon_ns: int = HOUR_NS,
    label_id: str = "l1",
    confidence: float = -1.0,
    expected_return: float = 0.0,
) -> Prediction:
    return Prediction(
        model=model,
        symbol=symbol,
        ts_event=ts_event,
        horizon_ns=horizon_ns,
        label_id=label_id,
        probabilities=probabilities,
        confidence=confidence,
        expected_return=expected_return,
    )


def says(model: str, signal: str, *, symbol: str = "BTCUSDT", ts_event: int = 0) -> Prediction:
    """Read ``BUY 76``: 76 % on UP, the rest split evenly."""
    word, percent = signal.split()
    p = signal_probabilities(WORDS[word], float(percent) / 100)
    return forecast(model, p, symbol=symbol, ts_event=ts_event)


def signals(**said: str) -> list[Prediction]:
    """Read ``xgboost="BUY 76", nhits="HOLD 68"``."""
    return [says(model, signal) for model, signal in said.items()]


class Recorder(Uniform):
    """A policy that remembers its lessons, so that a test can see what the service teaches."""

    def __init__(self, models: Iterable[str]) -> None:
        super().__init__(models)
        self.lessons: list[tuple[int, list[str], list[str]]] = []
        self.consensuses = 0

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        if consensus is not None:
            self.consensuses += 1
        if isinstance(outcome, list):
            spoken = sorted(f"{p.symbol}:{p.model}" for p in predictions)
            self.lessons.append((predictions[0].ts_event, spoken, sorted(o.symbol for o in outcome)))


FOUR = ("xgboost", "lightgbm", "nhits", "patchtst")


def window(volatility: float, *, symbol: str = "BTCUSDT", ts_event: int = 0) -> FeatureWindow:
    return FeatureWindow(symbol=symbol, ts_event=ts_event, features=np.zeros((1, 1)), volatility=volatility)


def outcome(symbol: str = "BTCUSDT", ts_event: int = 0) -> Outcome:
    return Outcome(
        symbol=symbol,
        ts_event=ts_event,
        horizon_ns=HOUR_NS,
        label_id="l1",
        ts_matured=ts_event + HOUR_NS,
        direction=Direction.UP,
        realised_return=0.01,
    )


def run(service: EnsembleService, messages: Iterable[object]) -> list[Consensus]:
    return [consensus for message in messages for consensus in service.handle(message)]


def came(
    direction: Direction,
    ts: int = 0,
    symbol: str = "BTCUSDT",
    horizon_ns: int = HOUR_NS,
    label_id: str = "l1",
) -> Outcome:
    return Outcome(
        symbol=symbol,
        ts_event=ts,
        ts_matured=ts + HOUR_NS,
        direction=direction,
        realised_return=0.0,
        horizon_ns=horizon_ns,
        label_id=label_id,
    )
