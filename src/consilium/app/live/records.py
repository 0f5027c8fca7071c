"""The messages of a step as events: in which stream each travels, and what caused it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from consilium.bus.codec import UPCASTERS, envelope, register
from consilium.bus.payloads import encode
from consilium.council.wire import decision_body
from consilium.domain import (
    ConflictResolved,
    Consensus,
    CouncilCommanded,
    Decision,
    Event,
    FeatureWindow,
    Fill,
    HealthReported,
    Order,
    OrderEvent,
    OrderShadowed,
    Outcome,
    PolicyChanged,
    PoolChanged,
    PortfolioSnapshot,
    Prediction,
    ProfitSplit,
    ReportRefused,
    StepDone,
    TimePassed,
)
from consilium.trading.causes import CONSENSUS

PERFORMANCE = "model.performance_updated"
OUTCOME = "market.outcome_matured"
POOL_CHANGED = "model.pool_changed"
RESEARCH_ENDED = "research.ended"
STEP_DECIDED = "ensemble.step_decided"
STEP_DONE = "market.step_done"
PREDICTED = "model.predicted"
CONSENSUS_REACHED = "ensemble.consensus_reached"
ORDER_SENT = "trading.order_sent"
DECIDED = "ai.federation.decision_made"
HEALTH = "system.health_updated"
COMMANDED = "council.commanded"
TIME_PASSED = "council.time_passed"
POLICY_CHANGED = "council.policy_changed"
STEP_TRADED = "trading.step_traded"
"""Among workers: what the accounts tell the council of a close."""
STEP_RULED = "council.step_ruled"
"""Among workers: the council's last word on a close."""
STEP_OBEYED = "trading.step_obeyed"
"""Among workers: that word is in force, and these symbols are worth a forecast."""
COUNCIL_HEARD = "trading.council_heard"
"""Among workers: whether the trading worker hears the council."""
COMMAND_TAKEN = "council.command_taken"
"""Among workers: what became of an operator's command."""
HEARD_AT = "council.heard_at"
"""Among workers: when, by the council's own clock, it heard what others had written down."""
SHARES_CHANGED = "council.shares_changed"
"""Among workers: what the ensemble is to weigh models by."""
STEP_TRACE = "step-"
ACCOUNT = "account:paper"
FEED = "feed"
COUNCIL = "council"
SYSTEM = "system"
_OF_COUNCIL = (Decision, PolicyChanged, ConflictResolved, ReportRefused, CouncilCommanded, TimePassed)

register(POOL_CHANGED, PoolChanged, 2)
UPCASTERS[POOL_CHANGED, 1] = lambda old: {**old, "learned_until": {}}
register(STEP_DECIDED, dict, 1)
register(RESEARCH_ENDED, dict, 1)
for _topic in (STEP_TRADED, STEP_RULED, STEP_OBEYED, COUNCIL_HEARD, COMMAND_TAKEN, HEARD_AT, SHARES_CHANGED):
    register(_topic, dict, 1)


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
        body, topic = _told(message)
        return envelope(
            body,
            stream=stream_of(message),
            ts_recorded=self._ts_recorded,
            cause_id=cause_id,
            trace_id=self._trace_id,
            topic=topic,
            occurrence=occurrence,
        )

    def _cause(self, message: Any) -> str:
        if isinstance(message, Prediction | Consensus):
            return self._causes.get(f"window:{message.symbol}", "")
        if isinstance(message, Order):
            why, _, rest = message.cause_id.partition(":")
            return self._causes.get(f"consensus:{rest}" if why == CONSENSUS else COUNCIL, "")
        if isinstance(message, OrderEvent | Fill):
            return self._causes.get(f"order:{message.order_id}", self._causes.get(COUNCIL, ""))
        if isinstance(message, OrderShadowed):
            _, _, rest = message.order.cause_id.partition(":")
            return self._causes.get(f"consensus:{rest}", "")
        return self._causes.get(ACCOUNT, "") if isinstance(message, _OF_COUNCIL) else ""

    def _remember(self, message: Any, event_id: str) -> None:
        if isinstance(message, FeatureWindow):
            self._causes[f"window:{message.symbol}"] = event_id
        elif isinstance(message, Consensus):
            self._causes[f"consensus:{message.symbol}:{message.ts_event}"] = event_id
        elif isinstance(message, Order):
            self._causes[f"order:{message.order_id}"] = event_id
        elif isinstance(message, PortfolioSnapshot):
            self._causes[ACCOUNT] = event_id
        elif isinstance(message, PolicyChanged):
            self._causes[COUNCIL] = event_id


def _told(message: Any) -> tuple[Any, str | None]:
    """Return what travels, and its topic where the type does not say it."""
    if isinstance(message, Decision):
        return decision_body(message), DECIDED
    if isinstance(message, HealthReported):
        return encode(message), HEALTH
    return message, PERFORMANCE if isinstance(message, Mapping) else None


def stream_of(message: Any) -> str:
    """Name what a message belongs to.

    Examples
    --------
    >>> stream_of(StepDone(feed="simulate", ts_event=1, digest="d"))
    'feed'
    """
    if isinstance(message, FeatureWindow | Prediction | Consensus | Outcome):
        return message.symbol
    if isinstance(message, Order | OrderEvent | OrderShadowed | Fill | PortfolioSnapshot | ProfitSplit):
        return ACCOUNT
    if isinstance(message, _OF_COUNCIL):
        return COUNCIL
    if isinstance(message, HealthReported):
        return SYSTEM
    if isinstance(message, Mapping):
        return f"model:{message['model_name']}"
    return FEED if isinstance(message, StepDone) else "ensemble"
