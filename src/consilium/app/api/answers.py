"""Bodies of answers, in the words that the outside uses."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TOLD = ConfigDict(extra="allow", protected_namespaces=())
"""Answers may carry more than is promised."""


class Done(BaseModel):
    """A command that was carried out, and its place in the journal's events."""

    model_config = TOLD

    success: Literal[True]
    event_id: str


class TrainingStatus(BaseModel):
    """How far the training is, or how the last one ended."""

    model_config = TOLD

    is_training: bool
    current_epoch: int = Field(ge=0)
    total_epochs: int = Field(ge=0)
    current_loss: float | None = Field(description="Mean loss of this epoch so far; null before the first.")
    best_loss: float | None
    architecture: str | None
    progress_percent: float = Field(ge=0, le=100)
    error: str = Field(default="", description="Why the last one failed.")


class ModelShown(BaseModel):
    """One model of the ensemble."""

    model_config = TOLD

    enabled: bool
    weight: float
    accuracy: float | None = None


class ModelKnown(ModelShown):
    """All that is known of one model."""

    model_type: str


class EnsembleStatus(BaseModel):
    """The ensemble at this moment."""

    model_config = TOLD

    strategy: str
    total_models: int
    enabled_models: int
    models: dict[str, ModelShown]
    last_prediction: dict[str, Any] | None


class Published(BaseModel):
    """Where an outside event stands in the journal."""

    model_config = TOLD

    success: Literal[True]
    event_id: str
    topic: str


class Alive(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """Whether the service can do its work, part by part."""

    status: str
    checks: dict[str, str]
    warnings: list[str]


class ConsensusShown(BaseModel):
    """The newest consensus, as other services read it."""

    model_config = TOLD

    action: str
    confidence: float
    models_used: int


class ModelFederation(BaseModel):
    """The ensemble, as other services read it."""

    model_config = TOLD

    status: str
    consensus_signal: ConsensusShown | None
    trusted_weights: dict[str, float]


class Health(BaseModel):
    """How the service is."""

    model_config = TOLD

    status: str
    service: str
    version: str
    roles_active: int
    model_federation: ModelFederation


class MarketStatus(BaseModel):
    """What is followed, and how far."""

    model_config = TOLD


class Candles(BaseModel):
    """Candles of one symbol, oldest first."""

    model_config = ConfigDict(extra="forbid")

    symbol: str
    candles: list[dict[str, Any]]


class Account(BaseModel):
    """What the account is worth and holds."""

    model_config = TOLD


class Positions(BaseModel):
    """What is held."""

    model_config = ConfigDict(extra="forbid")

    positions: list[dict[str, Any]]


class ConsensusRow(BaseModel):
    """A consensus as it is in the journal."""

    model_config = TOLD

    offset: int = Field(description="Its place in the journal.")
    symbol: str
    direction: int = Field(ge=0, le=2, description="0 is DOWN, 1 is FLAT, 2 is UP.")
    probabilities: list[float] = Field(default=[], description="Of DOWN, FLAT and UP, in this order.")


class Page(BaseModel):
    """Some rows in the order of the journal, and where to go on."""

    model_config = ConfigDict(extra="forbid")

    items: list[dict[str, Any]]
    next: int | None = Field(description="`after` of the next page; null where this is the last.")


class ConsensusPage(Page):
    """Some consensuses in the order of the journal, and where to go on."""

    items: list[ConsensusRow]  # type: ignore[assignment]  # rows of one kind
