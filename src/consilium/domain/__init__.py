"""The vocabulary: frozen values, ports and errors. Needs only NumPy and the standard library."""

from consilium.domain.digest import canonical_json, digest
from consilium.domain.errors import (
    ArtefactRefused,
    ConsiliumError,
    DataProblem,
    InvalidValue,
    OutputProblem,
    UnknownName,
    UsageError,
)
from consilium.domain.event import Event, HandlerFailed
from consilium.domain.federation import Spend, Update
from consilium.domain.forecast import (
    Consensus,
    Direction,
    Outcome,
    Prediction,
    direction_of,
    signal_probabilities,
)
from consilium.domain.governance import Briefing, Decision, Policy
from consilium.domain.market import BookSnapshot, Candle, FeatureWindow, Funding, Instrument, PublicTrade
from consilium.domain.names import MODEL_NAMES, canonical_model, short_model
from consilium.domain.ports import (
    Aggregator,
    Broker,
    Clock,
    EnvFactory,
    Evaluator,
    Feed,
    Forecaster,
    TradingEnv,
)
from consilium.domain.scores import brier, expected_calibration_error, half_brier, log_loss
from consilium.domain.tables import lookup, missing_package, names_in
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, from_iso, to_iso
from consilium.domain.trading import (
    Fill,
    Liquidity,
    Order,
    OrderEvent,
    OrderKind,
    OrderStatus,
    PortfolioSnapshot,
    Position,
    Side,
)

__all__ = [
    "DAY_NS",
    "HOUR_NS",
    "MINUTE_NS",
    "MODEL_NAMES",
    "SECOND_NS",
    "Aggregator",
    "ArtefactRefused",
    "BookSnapshot",
    "Briefing",
    "Broker",
    "Candle",
    "Clock",
    "Consensus",
    "ConsiliumError",
    "DataProblem",
    "Decision",
    "Direction",
    "EnvFactory",
    "Evaluator",
    "Event",
    "FeatureWindow",
    "Feed",
    "Fill",
    "Forecaster",
    "Funding",
    "HandlerFailed",
    "Instrument",
    "InvalidValue",
    "Liquidity",
    "Order",
    "OrderEvent",
    "OrderKind",
    "OrderStatus",
    "Outcome",
    "OutputProblem",
    "Policy",
    "PortfolioSnapshot",
    "Position",
    "Prediction",
    "PublicTrade",
    "Side",
    "Spend",
    "TradingEnv",
    "UnknownName",
    "Update",
    "UsageError",
    "brier",
    "canonical_json",
    "canonical_model",
    "digest",
    "direction_of",
    "expected_calibration_error",
    "from_iso",
    "half_brier",
    "log_loss",
    "lookup",
    "missing_package",
    "names_in",
    "short_model",
    "signal_probabilities",
    "to_iso",
]
