"""A round: what one consensus is about, and how its messages are written down."""

from dataclasses import fields
from typing import Any, NamedTuple

from consilium.domain import Consensus, Direction, Outcome, Prediction


class RoundKey(NamedTuple):
    """What one consensus is about, ordered by time."""

    ts_event: int
    symbol: str
    horizon_ns: int
    label_id: str

    @classmethod
    def of(cls, message: Prediction | Outcome | Consensus) -> "RoundKey":
        """Return the round that a message belongs to."""
        return cls(message.ts_event, message.symbol, message.horizon_ns, message.label_id)


def write_prediction(p: Prediction) -> list[Any]:
    """Write a prediction as JSON values.

    Examples
    --------
    >>> said = Prediction(model="a", symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                   probabilities=(0.1, 0.3, 0.6))
    >>> read_prediction(write_prediction(said)) == said
    True
    """
    return [*RoundKey.of(p), p.model, list(p.probabilities), p.confidence, p.expected_return]


def read_prediction(written: list[Any]) -> Prediction:
    """Read what `write_prediction` wrote."""
    ts_event, symbol, horizon_ns, label_id, model, probabilities, confidence, expected_return = written
    return Prediction(
        model=model,
        symbol=symbol,
        ts_event=ts_event,
        horizon_ns=horizon_ns,
        label_id=label_id,
        probabilities=tuple(probabilities),
        confidence=confidence,
        expected_return=expected_return,
    )


def write_outcome(o: Outcome) -> list[Any]:
    """Write an outcome as JSON values.

    Examples
    --------
    >>> came = Outcome(symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l", ts_matured=1,
    ...                direction=Direction.UP, realised_return=0.01)
    >>> read_outcome(write_outcome(came)) == came
    True
    """
    return [*RoundKey.of(o), o.ts_matured, int(o.direction), o.realised_return]


def read_outcome(written: list[Any]) -> Outcome:
    """Read what `write_outcome` wrote."""
    ts_event, symbol, horizon_ns, label_id, ts_matured, direction, realised_return = written
    return Outcome(
        symbol=symbol,
        ts_event=ts_event,
        horizon_ns=horizon_ns,
        label_id=label_id,
        ts_matured=ts_matured,
        direction=Direction(direction),
        realised_return=realised_return,
    )


def write_consensus(c: Consensus) -> dict[str, Any]:
    """Write a consensus as JSON values.

    Examples
    --------
    >>> came = Consensus(symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l", rule="majority",
    ...                  level="split", direction=Direction.UP, probabilities=(0.1, 0.3, 0.6),
    ...                  p_direction=0.6, confidence=0.6, score=0.5, agreement=0.5, support=0.5,
    ...                  meta_confidence=0.6, weights={"a": 1.0})
    >>> read_consensus(write_consensus(came)) == came
    True
    """
    written = {field.name: getattr(c, field.name) for field in fields(c)}
    return written | {
        "direction": int(c.direction),
        "probabilities": list(c.probabilities),
        "weights": dict(c.weights),
        "gates": dict(c.gates),
    }


def read_consensus(written: dict[str, Any]) -> Consensus:
    """Read what `write_consensus` wrote."""
    return Consensus(**{**written, "direction": Direction(written["direction"])})
