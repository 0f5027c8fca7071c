"""Made-up forecasts for the tests and the benchmark of trust: planted models, copies, switches."""

from collections.abc import Iterator, Mapping

import numpy as np

from consilium.domain import HOUR_NS, Direction, Outcome, Prediction, signal_probabilities

HORIZON_NS, LABEL = HOUR_NS, "l1"
Round = tuple[list[Prediction], Outcome]


def outcome(y: int, ts: int, symbol: str = "BTCUSDT") -> Outcome:
    return Outcome(
        symbol=symbol,
        ts_event=ts,
        horizon_ns=HORIZON_NS,
        label_id=LABEL,
        ts_matured=ts + HORIZON_NS,
        direction=Direction(y),
        realised_return=0.01 * (y - 1),
    )


def prediction(model: str, p: tuple[float, float, float], ts: int, symbol: str = "BTCUSDT") -> Prediction:
    return Prediction(
        model=model,
        symbol=symbol,
        ts_event=ts,
        horizon_ns=HORIZON_NS,
        label_id=LABEL,
        probabilities=p,
    )


def copies(rng: np.random.Generator, accuracy: Mapping[str, float], same: frozenset[str], ts: int) -> Round:
    """One round of two-sided signals with confidence .8; the models in ``same`` say the same thing."""
    up = bool(rng.random() < 0.5)
    shared = rng.random()
    spoken = []
    for model, share in accuracy.items():
        right = (shared if model in same else rng.random()) < share
        stated = Direction.UP if right == up else Direction.DOWN
        spoken.append(prediction(model, signal_probabilities(stated, 0.8), ts))
    return spoken, outcome(2 if up else 0, ts)


def herd_and_one(seed: int, rounds: int) -> Iterator[Round]:
    """A model that is right 60 % of the time beside eight copies of one that is right half the time."""
    rng = np.random.default_rng(seed)
    herd = tuple(f"copy{i}" for i in range(8))
    accuracy = {"good": 0.6} | dict.fromkeys(herd, 0.5)
    for ts in range(rounds):
        yield copies(rng, accuracy, frozenset(herd), ts)


def switching(seed: int, before: int, after: int) -> Iterator[Round]:
    """Nine independent models; the best is right 60 % of the time, then another 75 %."""
    rng = np.random.default_rng(seed)
    accuracy = {"old": 0.6, "new": 0.5} | {f"m{i}": 0.5 for i in range(7)}
    for ts in range(before + after):
        if ts == before:
            accuracy |= {"old": 0.5, "new": 0.75}
        yield copies(rng, accuracy, frozenset(), ts)


def generated(rng: np.random.Generator, models: int, rounds: int) -> Iterator[tuple[np.ndarray, int]]:
    """Forecasts of shape (models, 3) of changing worth and sharpness, and what came."""
    worth = rng.random(models)
    sharp = rng.choice([0.3, 1.0, 5.0], models)
    for t in range(rounds):
        if t % 97 == 96:
            worth = rng.permutation(worth)
        y = int(rng.integers(3))
        p = np.array([rng.dirichlet(np.full(3, s)) for s in sharp])
        helped = rng.random(models) < worth
        p[helped] = np.sort(p[helped], axis=1)
        p[helped] = np.roll(p[helped], y - 2, axis=1)
        yield p / p.sum(axis=1, keepdims=True), y
