"""Bodies of requests, in the words that the outside uses."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from consilium.domain import names_in
from consilium.ensemble.rules import RULES

LARGEST_INTEGER = 2**53 - 1
"""The largest that JavaScript reads exactly."""
LARGEST_MONEY = 1e15

SYMBOL = r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,31}$"
MODEL = r"^[a-z][a-z0-9_]{0,63}$"
TOPIC = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,4}$"
SOURCE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
REASON = r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
IN_WORDS = {
    SYMBOL: ("1 to 32 letters, digits or . _ / : -, a letter or digit first", "write it as the feed does"),
    MODEL: ("a small letter, then small letters, digits or _", "see GET /api/ensemble/models"),
    SOURCE: ("1 to 64 letters, digits or . _ -, a letter or digit first", "choose such a name"),
    REASON: ("one line that begins with no space", "say why, in a few words"),
}
"""What a pattern asks for, and the cure."""

Symbol = Annotated[str, Field(pattern=SYMBOL, description="As the feed names it.", examples=["BTCUSDT"])]
Model = Annotated[
    str,
    Field(
        pattern=MODEL,
        description="A model of the ensemble; xgb, lgbm and mpd are understood.",
        examples=["mpd_transformer"],
    ),
]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Money = Annotated[float, Field(ge=-LARGEST_MONEY, le=LARGEST_MONEY, allow_inf_nan=False)]


def _whole(value: object) -> object:
    """Take 2.0 for 2, as JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Count = Annotated[int, Field(ge=0, le=1_000_000_000), WHOLE]
# The last one that a double holds too: clients that count in doubles would go beyond 64 bits at the next.
LATEST_NS = 2**63 - 1024
# What is described is the bound; the few integers that a double cannot tell from it are taken as well.
Moment = Annotated[
    int,
    Field(
        ge=0,
        le=2**63 - 1,
        description="UTC nanoseconds since the epoch.",
        json_schema_extra={"maximum": LATEST_NS},
    ),
    WHOLE,
]

# A float that is no number, a text that reads as one: none of these is what somebody meant.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, protected_namespaces=())


class EnableModel(BaseModel):
    """Whether a model takes part."""

    model_config = STRICT | {
        "json_schema_extra": {"examples": [{"model_type": "mpd_transformer", "enabled": False}]}
    }

    model_type: Model
    enabled: bool


class WeighModel(BaseModel):
    """The share of a model before experience; shares count by their ratio."""

    model_config = STRICT | {"json_schema_extra": {"examples": [{"model_type": "cnn_lstm", "weight": 0.5}]}}

    model_type: Model
    weight: Annotated[float, Field(ge=0.0, le=1_000.0, allow_inf_nan=False)]


STRATEGIES = names_in(RULES, "consilium.rules")
"""All consensus rules, those of other packages too."""


class ChooseStrategy(BaseModel):
    """The consensus rule to use from now on."""

    model_config = STRICT | {"json_schema_extra": {"examples": [{"strategy": "adaptive"}]}}

    strategy: str = Field(json_schema_extra={"enum": list(STRATEGIES)}, max_length=64)


class StartTraining(BaseModel):
    """What to train, and how long."""

    model_config = STRICT | {
        "json_schema_extra": {
            "examples": [
                {"architecture": "mpd_transformer", "symbol": "BTCUSDT", "epochs": 100, "batch_size": 32}
            ]
        }
    }

    architecture: Model
    symbol: Symbol
    epochs: Annotated[int, Field(ge=1, le=100_000), WHOLE] = 100
    batch_size: Annotated[int, Field(ge=1, le=65_536), WHOLE] = 32


class ReportPerformance(BaseModel):
    """What somebody measured of a model: shown as reported, and never part of a weight."""

    model_config = STRICT | {
        "json_schema_extra": {
            "examples": [{"model_type": "cnn_lstm", "accuracy": 0.73, "profit_factor": 1.95}]
        }
    }

    model_type: Model
    accuracy: Fraction
    profit_factor: Annotated[float, Field(ge=0.0, le=1_000_000.0, allow_inf_nan=False)]


class PortfolioSnapshotUpdated(BaseModel):
    """Payload of portfolio.snapshot_updated; ratios are fractions."""

    model_config = STRICT

    total_equity: Annotated[float, Field(ge=0.0, le=LARGEST_MONEY)]
    drawdown_pct: Fraction
    max_drawdown_pct: Fraction
    realized_pnl_today: Money
    exposure_pct: Annotated[float, Field(ge=0.0, le=1_000.0)]
    open_positions: Count
    win_rate: Fraction | None
    sharpe_ratio: Annotated[float, Field(ge=-1_000.0, le=1_000.0)] | None
    consecutive_losses: Count
    winning_days: Count
    losing_days: Count
    nav: Money | None = None
    cash: Money | None = None
    locked: Money | None = None
    reserve: Money | None = None
    leverage: Annotated[float, Field(ge=0.0, le=1_000.0)] | None = None
    margin_ratio: (
        Annotated[
            float, Field(ge=0.0, le=1_000.0, description="Maintenance margin / equity; 1 is liquidation.")
        ]
        | None
    ) = None
    losing_closes: (
        Annotated[Count, Field(description="All closes that lost so far; tells of a run made again.")] | None
    ) = None


class SystemHealthUpdated(BaseModel):
    """Payload of system.health_updated."""

    model_config = STRICT

    system_status: Literal["HEALTHY", "DEGRADED", "CRITICAL", "EMERGENCY"]
    ess_state: Literal["NOMINAL", "CAUTION", "WARNING", "CRITICAL"]
    detail: Annotated[str, Field(max_length=500)] | None = None


class ModelPerformanceUpdated(BaseModel):
    """Payload of model.performance_updated."""

    model_config = STRICT

    model_name: Model
    sharpe_ratio: Annotated[float, Field(ge=-1_000.0, le=1_000.0)] | None
    win_rate: Fraction | None
    accuracy: Fraction | None = None
    profit_factor: Annotated[float, Field(ge=0.0, le=1_000_000.0)] | None = None
    trades: Count | None = None
    staleness_days: Annotated[float, Field(ge=0.0, le=100_000.0)] | None = None


PAYLOADS: dict[str, type[BaseModel]] = {
    "portfolio.snapshot_updated": PortfolioSnapshotUpdated,
    "system.health_updated": SystemHealthUpdated,
    "model.performance_updated": ModelPerformanceUpdated,
}
"""Topics that an outside system may publish; a later room adds its own here."""


P = TypeVar("P", bound=BaseModel)


class OutsideEvent(BaseModel, Generic[P]):
    """An event of an outside system; the same source and sequence again is the same event."""

    model_config = STRICT

    source: Annotated[str, Field(pattern=SOURCE)]
    sequence: Annotated[int, Field(ge=0, le=LARGEST_INTEGER), WHOLE]
    ts_event: Moment
    payload: P
