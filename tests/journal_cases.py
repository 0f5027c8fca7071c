"""Events for journals."""

from consilium.domain import Event


def event(number: int, *, topic: str = "model.predicted", stream: str = "BTCUSDT", wide: int = 0) -> Event:
    """The same number is always the same event, as big as a prediction and ``wide`` more letters."""
    return Event(
        event_id=f"{number:032x}",
        topic=topic,
        stream=stream,
        ts_event=number,
        ts_recorded=1_000 + number,
        trace_id=f"{number:016x}",
        payload={
            "model": "xgboost",
            "symbol": stream,
            "ts_event": number,
            "horizon_ns": 3_600_000_000_000,
            "probabilities": [0.25, 0.25, 0.5],
            "confidence": 0.5 + (number % 100) / 1_000,
            "note": "x" * wide,
        },
    )
