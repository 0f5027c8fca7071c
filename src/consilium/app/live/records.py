"""The messages of a step as events: in which stream each travels, and what caused it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from consilium.bus.codec import envelope, register
from consilium.domain import (
    Consensus,
    Event,
    FeatureWindow,
    Fill,
    Order,
    OrderEvent,
    Outcome,
    PoolChanged,
    PortfolioSnapshot,
    Prediction,
    StepDone,
)
from consilium.trading.causes import CONSENSUS

PERFORMANCE = "model.performance_updated"
POOL_CHANGED = "model.pool_changed"
STEP_DECIDED = "ensemble.step_decided"
STEP_DONE = "market.step_done"
PREDICTED = "model.predicted"
CONSENSUS_REACHED = "ensemble.consensus_reached"
ORDER_SENT = "trading.order_sent"
STEP_TRACE = "step-"
ACCOUNT = "account:paper"
FEED = "feed"

register(POOL_CHANGED, PoolChanged, 1)
register(STEP_DECIDED, dict, 1)


class Recorder:
    """Turns messages into events whose ids say what is in them: a step done again gives the same events.

    Parameters
    ----------
    ts_recorded
        When they are written down.
    trace_id
        Of what led to them; a step's names its feed and close.
    """

    def __init__(self, *, ts_recorded: int, trace_id: str) -> None:
        self._ts_recorded = ts_recorded
        self._trace_id = trace_id
        self._seen: Counter[str] = Counter()
        self._causes: dict[str, str] = {}

    def events(self, messages: Iterable[Any], cause_id: str = "") -> list[Event]:
        """Return one event a message, in their order."""
        return [self.event(message, cause_id) for message in messages]

    def event(self, message: Any, cause_id: str = "") -> Event:
        """Return the event of a message."""
        event = self._enveloped(message, cause_id or self._cause(message), 0)
        said = self._seen[event.event_id]
        self._seen[event.event_id] += 1
        if said:
            event = self._enveloped(message, event.cause_id, said)
        self._remember(message, event.event_id)
        return event

    def _enveloped(self, message: Any, cause_id: str, occurrence: int) -> Event:
        return envelope(
            message,
            stream=stream_of(message),
            ts_recorded=self._ts_recorded,
            cause_id=cause_id,
            trace_id=self._trace_id,
            topic=PERFORMANCE if isinstance(message, Mapping) else None,
            occurrence=occurrence,
        )

    def _cause(self, message: Any) -> str:
        if isinstance(message, Prediction | Consensus):
            return self._causes.get(f"window:{message.symbol}", "")
        if isinstance(message, Order):
            why, _, rest = message.cause_id.partition(":")
            return self._causes.get(f"consensus:{rest}", "") if why == CONSENSUS else ""
        if isinstance(message, OrderEvent | Fill):
            return self._causes.get(f"order:{message.order_id}", "")
        return ""

    def _remember(self, message: Any, event_id: str) -> None:
        if isinstance(message, FeatureWindow):
            self._causes[f"window:{message.symbol}"] = event_id
        elif isinstance(message, Consensus):
            self._causes[f"consensus:{message.symbol}:{message.ts_event}"] = event_id
        elif isinstance(message, Order):
            self._causes[f"order:{message.order_id}"] = event_id


def stream_of(message: Any) -> str:
    """Name what a message belongs to.

    Examples
    --------
    >>> stream_of(StepDone(feed="simulate", ts_event=1, digest="d"))
    'feed'
    """
    if isinstance(message, FeatureWindow | Prediction | Consensus | Outcome):
        return message.symbol
    if isinstance(message, Order | OrderEvent | Fill | PortfolioSnapshot):
        return ACCOUNT
    if isinstance(message, Mapping):
        return f"model:{message['model_name']}"
    return FEED if isinstance(message, StepDone) else "ensemble"
