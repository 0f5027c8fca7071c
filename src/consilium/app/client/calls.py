"""What can be asked of the API: one function for each route, which sends nothing yet."""

from collections.abc import Mapping, Sequence
from typing import Any

from consilium.app.api.answers import (
    Account,
    Alive,
    Candles,
    Done,
    EnsembleStatus,
    Health,
    MarketStatus,
    ModelKnown,
    Page,
    Positions,
    Published,
    Readiness,
    TrainingStatus,
)
from consilium.app.client.call import Call, get, post


def livez() -> Call[Alive]:
    """Whether the process answers."""
    return get("/livez", Alive)


def readyz() -> Call[Readiness]:
    """Whether the service can do its work; a service that cannot is an answer, no error."""
    return get("/readyz", Readiness, (503,))


def health() -> Call[Health]:
    """How the service is."""
    return get("/health", Health)


def metrics() -> Call[str]:
    """Figures in Prometheus' text form."""
    return get("/metrics", str)


def ensemble_status() -> Call[EnsembleStatus]:
    """Rule, models, newest consensus."""
    return get("/api/ensemble/status", EnsembleStatus)


def ensemble_models() -> Call[list[ModelKnown]]:
    """All that is known of each model."""
    return get("/api/ensemble/models", list[ModelKnown])


def enable_model(model_type: str, enabled: bool) -> Call[Done]:
    """Let a model take part, or not."""
    return post("/api/ensemble/models/enable", Done, {"model_type": model_type, "enabled": enabled})


def weigh_model(model_type: str, weight: float) -> Call[Done]:
    """Set the share of a model before experience."""
    return post("/api/ensemble/models/weight", Done, {"model_type": model_type, "weight": weight})


def choose_strategy(strategy: str) -> Call[Done]:
    """Choose the consensus rule."""
    return post("/api/ensemble/strategy", Done, {"strategy": strategy})


def report_performance(model_type: str, accuracy: float, profit_factor: float) -> Call[Done]:
    """Keep what was measured of a model."""
    body = {"model_type": model_type, "accuracy": accuracy, "profit_factor": profit_factor}
    return post("/api/ensemble/performance/update", Done, body)


def start_training(
    architecture: str, symbol: str, epochs: int = 100, batch_size: int = 32
) -> Call[TrainingStatus]:
    """Begin to train a model."""
    body = {"architecture": architecture, "symbol": symbol, "epochs": epochs, "batch_size": batch_size}
    return post("/api/ensemble/training/start", TrainingStatus, body)


def training_status() -> Call[TrainingStatus]:
    """How far the training is."""
    return get("/api/ensemble/training/status", TrainingStatus)


def cancel_training() -> Call[TrainingStatus]:
    """End the training that runs."""
    return post("/api/ensemble/training/cancel", TrainingStatus)


def consensus(symbol: str | None = None, after: int = 0, limit: int = 100) -> Call[Page]:
    """Return consensuses, in the order of the journal."""
    return get("/api/consensus", Page, symbol=symbol, after=after, limit=limit)


def market_status() -> Call[MarketStatus]:
    """What is followed, and how far."""
    return get("/api/market/status", MarketStatus)


def candles(symbol: str, limit: int = 100) -> Call[Candles]:
    """Return the newest candles of a symbol."""
    return get("/api/market/candles", Candles, symbol=symbol, limit=limit)


def predictions(symbol: str | None = None, after: int = 0, limit: int = 100) -> Call[Page]:
    """Forecasts, in the order of the journal."""
    return get("/api/market/predictions", Page, symbol=symbol, after=after, limit=limit)


def trading_status() -> Call[Account]:
    """What the account is worth and holds."""
    return get("/api/trading/status", Account)


def positions() -> Call[Positions]:
    """What is held."""
    return get("/api/trading/positions", Positions)


def orders(after: int = 0, limit: int = 100) -> Call[Page]:
    """Orders and what became of them."""
    return get("/api/trading/orders", Page, after=after, limit=limit)


def fills(after: int = 0, limit: int = 100) -> Call[Page]:
    """Return fills, in the order of the journal."""
    return get("/api/trading/fills", Page, after=after, limit=limit)


def event_history(
    topics: Sequence[str] | None = None, after: int = 0, before: int | None = None, limit: int = 100
) -> Call[Page]:
    """Events of the journal, page by page; newest first where ``before`` is given."""
    chosen = ",".join(topics) if topics else None
    return get("/api/events/history", Page, topics=chosen, after=after, before=before, limit=limit)


def publish(
    topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any]
) -> Call[Published]:
    """Publish an event of an outside system; the same source and sequence again changes nothing."""
    body = {"source": source, "sequence": sequence, "ts_event": ts_event, "payload": dict(payload)}
    return post(f"/api/events/{topic}", Published, body)
