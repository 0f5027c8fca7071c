"""Messages of every type that travels, for hypothesis: `MESSAGES` by topic."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

import consilium.app.live.records  # noqa: F401 - it adds its topics to the table
from consilium.bus.codec import TOPICS, Topic
from consilium.domain import (
    COMMAND_ACTIONS,
    ConflictResolved,
    Consensus,
    CouncilCommanded,
    Direction,
    FeatureWindow,
    Fill,
    HandlerFailed,
    Liquidity,
    ModelConfigured,
    Order,
    OrderEvent,
    OrderKind,
    OrderShadowed,
    OrderStatus,
    Outcome,
    PerformanceReported,
    Policy,
    PolicyChanged,
    PoolChanged,
    PortfolioSnapshot,
    Position,
    Prediction,
    ProfitSplit,
    ReportRefused,
    RuleChanged,
    Side,
    SignalReceived,
    StepDone,
    TimePassed,
    TrainingEnded,
    TrainingStarted,
)

name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
when = st.integers(0, 2**62)
number = st.floats(allow_nan=False, allow_infinity=False)
fraction = st.floats(0.0, 1.0)
positive = st.floats(1e-9, 1e12)
at_least_0 = st.floats(0.0, 1e12)
probabilities = (
    st.tuples(*[st.floats(0.0, 1.0)] * 3)
    .filter(lambda raw: sum(raw) > 0.01)
    .map(lambda raw: tuple(part / sum(raw) for part in raw))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_about = {"symbol": name, "ts_event": when, "horizon_ns": st.integers(1, 2**62), "label_id": name}
_by = {"model": name, "by": name, "ts_event": when}
_position = st.builds(
    Position, symbol=name, quantity=number, entry_price=number, margin=number, stop=_maybe(number)
)
_outcome = st.builds(
    lambda late, **told: Outcome(ts_matured=told["ts_event"] + late, **told),
    late=st.integers(0, 2**60),
    direction=st.sampled_from(Direction),
    realised_return=number,
    **_about,
)
_window = st.builds(
    lambda rows, **told: FeatureWindow(features=np.zeros((rows, 2)), **told),
    rows=st.integers(0, 3),
    symbol=name,
    ts_event=when,
    volatility=number,
    regime=text,
)
_snapshot = st.builds(
    PortfolioSnapshot,
    ts_event=when,
    positions=st.dictionaries(name, _position, max_size=2),
    win_rate=_maybe(fraction),
    sharpe=_maybe(number),
    winning_days=st.integers(0, 9),
    **dict.fromkeys(("equity", "nav", "cash", "locked", "reserve", "drawdown", "max_drawdown"), number),
)
_order = st.builds(
    Order,
    order_id=name,
    client_id=text,
    symbol=name,
    side=st.sampled_from(Side),
    kind=st.sampled_from(OrderKind),
    quantity=positive,
    limit_price=positive,
    stop_price=positive,
    reduce_only=st.booleans(),
    ts_event=when,
    cause_id=text,
)
_consensus = st.builds(
    Consensus,
    rule=name,
    level=name,
    direction=st.sampled_from(Direction),
    probabilities=probabilities,
    weights=st.dictionaries(name, fraction, max_size=3),
    gates=st.dictionaries(name, text, max_size=3),
    actionable=st.booleans(),
    reason=text,
    **dict.fromkeys(
        ("p_direction", "confidence", "score", "agreement", "support", "meta_confidence"), fraction
    ),
    **_about,
)
_plain = st.builds(
    lambda told, ts: {**told, "ts_event": ts}, st.dictionaries(text, json_values, max_size=4), when
)

BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    Consensus: _consensus,
    FeatureWindow: _window,
    Order: _order,
    Outcome: _outcome,
    PortfolioSnapshot: _snapshot,
    dict: _plain,
    ConflictResolved: st.builds(
        ConflictResolved,
        payload=st.dictionaries(text, json_values, max_size=3),
        ts_event=when,
        **dict.fromkeys(("kind", "winner_id", "winner", "loser_id", "loser", "reason"), text),
    ),
    CouncilCommanded: st.builds(
        CouncilCommanded,
        command_id=name,
        action=st.sampled_from(COMMAND_ACTIONS),
        payload=st.dictionaries(text, json_values, max_size=3),
        reason=name,
        person=name,
        key_id=text,
        authenticated_at=when,
        ts_event=when,
    ),
    OrderShadowed: st.builds(OrderShadowed, order=_order, mode=name, ts_event=when),
    PolicyChanged: st.builds(
        PolicyChanged,
        policy=st.builds(
            Policy,
            max_exposure=fraction,
            max_position_usd=at_least_0,
            entry=st.booleans(),
            symbols=_maybe(st.lists(name, max_size=3).map(tuple)),
            weights=st.dictionaries(name, fraction, max_size=3),
        ),
        decisions=st.lists(name, max_size=2).map(tuple),
        ts_event=when,
    ),
    ProfitSplit: st.builds(
        ProfitSplit,
        profit=positive,
        high=number,
        ts_event=when,
        **dict.fromkeys(("locked", "reserve", "reinvested"), at_least_0),
    ),
    ReportRefused: st.builds(ReportRefused, what=text, source=text, reason=text, ts_event=when),
    TimePassed: st.builds(TimePassed, ts_event=when),
    Fill: st.builds(
        Fill,
        order_id=name,
        price=positive,
        quantity=positive,
        fee=number,
        liquidity=st.sampled_from(Liquidity),
        ts_event=when,
    ),
    HandlerFailed: st.builds(
        HandlerFailed, handler=text, topic=text, event_id=text, error=text, ts_event=when
    ),
    ModelConfigured: st.builds(
        ModelConfigured,
        enabled=st.booleans(),
        allocation=_maybe(at_least_0),
        min_confidence=_maybe(fraction),
        **_by,
    ),
    OrderEvent: st.builds(
        OrderEvent, order_id=name, status=st.sampled_from(OrderStatus), reason=text, ts_event=when
    ),
    PerformanceReported: st.builds(
        PerformanceReported, accuracy=fraction, profit_factor=_maybe(at_least_0), **_by
    ),
    Prediction: st.builds(
        Prediction,
        model=name,
        probabilities=probabilities,
        confidence=fraction,
        expected_return=number,
        **_about,
    ),
    RuleChanged: st.builds(RuleChanged, rule=name, by=name, ts_event=when),
    SignalReceived: st.builds(
        SignalReceived,
        model=name,
        probabilities=probabilities,
        confidence=fraction,
        source=name,
        ts_received=when,
        **_about,
    ),
    PoolChanged: st.builds(
        PoolChanged,
        models=st.dictionaries(name, name, max_size=3),
        missing=st.dictionaries(name, text, max_size=3),
        label=st.dictionaries(name, st.integers(0, 9), max_size=3),
        means=st.dictionaries(name, number, max_size=3),
        learned_until=st.dictionaries(name, when, max_size=2),
        ts_event=when,
    ),
    StepDone: st.builds(StepDone, feed=name, ts_event=when, digest=name, candles=st.integers(0, 9)),
    TrainingEnded: st.builds(
        TrainingEnded,
        training_id=name,
        outcome=st.sampled_from(["done", "failed", "cancelled"]),
        reason=text,
        version=text,
        **_by,
    ),
    TrainingStarted: st.builds(
        TrainingStarted,
        training_id=name,
        symbol=name,
        epochs=st.integers(1, 9),
        batch_size=st.integers(1, 9),
        **_by,
    ),
}


def messages(topics: dict[str, Topic] | None = None) -> st.SearchStrategy[tuple[str, Any]]:
    """A topic and a message of its type."""
    known = TOPICS if topics is None else topics

    def of(topic: str) -> st.SearchStrategy[tuple[str, Any]]:
        return st.tuples(st.just(topic), BY_TYPE[known[topic].type])

    return st.sampled_from(sorted(known)).flatmap(of)
