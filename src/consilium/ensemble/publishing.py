"""What the outside reads of the ensemble: the values of the ``quantum:*`` keys, and the bodies of the API.

Names and words here are those of the wire (seeds 000 and 004): models are xgb and lgbm, a ratio may be called
``_pct``, times are seconds, and a direction that may be acted on is an action.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from consilium.domain import SECOND_NS, Consensus, short_model
from consilium.ensemble.account import action
from consilium.ensemble.board import Topic
from consilium.ensemble.engine import Cycle, Engine

CONSENSUS_KEY = "quantum:consensus:signal"
METRICS_KEY = "quantum:federation:metrics"
TRUST_KEY = "quantum:trust:"
HISTORY_KEY = "quantum:trust:history"
EVENTS_KEY = "quantum:trust:events:"


class Write(NamedTuple):
    """One write to a store of keys: a text to set, fields of a hash, a text to push, or a key to delete."""

    kind: Literal["set", "hash", "push", "delete"]
    key: str
    value: str | Mapping[str, str] = ""


def seconds(ts: int) -> float:
    """Write a time in seconds, to the millisecond.

    Examples
    --------
    >>> seconds(1_700_000_000_250_000_000)
    1700000000.25
    """
    return round(ts / SECOND_NS, 3)


def trust_texts(engine: Engine) -> dict[str, str]:
    """Return trust on the main topic by the models' names in keys, as texts."""
    return {name: f"{trust:.6g}" for name, trust in trusted_weights(engine).items()}


def trusted_weights(engine: Engine) -> dict[str, float]:
    """Return trust on the main topic by the models' names in keys."""
    policy = engine.service.trust(engine.main.horizon_ns, engine.main.label_id)
    return {short_model(model): round(trust, 6) for model, trust in policy.factors().items()}


def consensus_key(topic: Topic, main: Topic) -> str:
    """Return the key of a symbol's consensus.

    Examples
    --------
    >>> consensus_key(Topic("ETHUSDT", 1, "l"), Topic("BTCUSDT", 1, "l"))
    'quantum:consensus:signal:ETHUSDT'
    """
    return CONSENSUS_KEY if topic.symbol == main.symbol else f"{CONSENSUS_KEY}:{topic.symbol}"


def consensus_body(
    engine: Engine,
    topic: Topic,
    consensus: Consensus | None,
    trust: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return a consensus in the words of seed 000, with the rest of its account.

    Parameters
    ----------
    consensus
        None where nobody has a say: that is HOLD with no model used.
    trust
        Factors of the topic, where they are at hand.
    """
    about = {"symbol": topic.symbol, "horizon": seconds(topic.horizon_ns), "label_id": topic.label_id}
    if consensus is None:
        nothing = {"action": "HOLD", "confidence": 0.0, "models_used": 0, "agreement_pct": 0.0}
        return nothing | {"trust_weights": {}} | about | {"level": "none", "reason": "no_signal"}
    if trust is None:
        trust = engine.service.trust(topic.horizon_ns, topic.label_id).factors()
    voters = sorted(consensus.weights)
    return {
        "action": action(consensus),
        "confidence": round(consensus.confidence, 6),
        "models_used": len(voters),
        "agreement_pct": round(consensus.agreement, 3),
        "trust_weights": {short_model(m): round(trust[m], 6) for m in voters if m in trust},
        **about,
        "timestamp": seconds(consensus.ts_event),
        "rule": consensus.rule,
        "level": consensus.level,
        "direction": consensus.direction.name,
        "probabilities": [round(p, 6) for p in consensus.probabilities],
        "p_direction": round(consensus.p_direction, 6),
        "score": round(consensus.score, 6),
        "support": round(consensus.support, 6),
        "meta_confidence": round(consensus.meta_confidence, 6),
        "weights": {short_model(m): round(consensus.weights[m], 6) for m in voters},
        "gates": dict(consensus.gates),
        "actionable": consensus.actionable,
        "reason": consensus.reason,
    }


def federation_body(engine: Engine, consensus: Consensus | None) -> dict[str, Any]:
    """Return ``model_federation`` of the health endpoint: active if the last cycle had a voter."""
    body = consensus_body(engine, engine.main, consensus)
    return {
        "status": "active" if body["models_used"] else "idle",
        "consensus_signal": {name: body[name] for name in ("action", "confidence", "models_used")},
        "trusted_weights": trusted_weights(engine),
    }


def models_body(engine: Engine) -> list[dict[str, Any]]:
    """Return all that is known of each model."""
    policy = engine.service.trust(engine.main.horizon_ns, engine.main.label_id)
    weights, trust = policy.weights(policy.models), policy.factors()
    allocations, records = engine.configuration.allocations(), engine.records
    return [
        {
            "model_type": model,
            "enabled": setting.enabled,
            "loaded": model in engine.service.loaded,
            "weight": allocations[model],
            "min_confidence": setting.min_confidence,
            "trust": trust[model],
            "trust_weight": weights[model],
            "accuracy": records.accuracy(model),
            "reported": records.reported(model),
            "measured": records.measured(model),
        }
        for model, setting in engine.service.models.items()
    ]


def status_body(engine: Engine) -> dict[str, Any]:
    """Return the status of the ensemble in the fields of seed 004."""
    models = models_body(engine)
    last = engine.last
    return {
        "strategy": engine.service.rule.name,
        "total_models": len(models),
        "enabled_models": sum(model["enabled"] for model in models),
        "models": {
            model["model_type"]: {name: model[name] for name in ("enabled", "weight", "accuracy")}
            for model in models
        },
        "last_prediction": None if last is None else consensus_body(engine, Topic.of(last), last),
    }


def metrics_body(cycle: Cycle, took_s: float) -> dict[str, Any]:
    """Return the metrics of a cycle; a value that lies there as before is not rejected again."""
    return {
        "cycle": cycle.number,
        "timestamp": seconds(cycle.ts_event),
        "models_used": 0 if cycle.main is None else len(cycle.main.weights),
        "rejected": dict(cycle.rejected_new),
        "seconds": round(took_s, 6),
    }


def writes_of(
    engine: Engine,
    cycle: Cycle,
    *,
    took_s: float,
    pushed: Mapping[str, int],
    shown_before: Iterable[str] = (),
) -> list[Write]:
    """Return all writes of a cycle, for one transaction; the metrics come last.

    Parameters
    ----------
    took_s
        How long the cycle took.
    pushed
        How many changes of each model's trust are in the store; a model that is missing has its whole list
        written anew.
    shown_before
        Keys of consensuses that are in the store; those that do not stand any more are deleted.
    """
    values = _consensus_values(engine, cycle)
    writes = [Write("set", key, json.dumps(body)) for key, body in values.items()]
    writes += [Write("delete", key) for key in sorted(set(shown_before) - set(values))]
    texts = trust_texts(engine)
    writes += [Write("set", f"{TRUST_KEY}{name}", text) for name, text in texts.items()]
    writes.append(Write("hash", HISTORY_KEY, texts))
    for model in engine.service.models:
        key = f"{EVENTS_KEY}{short_model(model)}"
        if model not in pushed:
            writes.append(Write("delete", key))
        for event in engine.trust_log.events(model, pushed.get(model, 0)):
            writes.append(Write("push", key, json.dumps(_event(model, event))))
    writes.append(Write("set", METRICS_KEY, json.dumps(metrics_body(cycle, took_s))))
    return writes


def _event(model: str, event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": short_model(model),
        "n": event["n"],
        "timestamp": seconds(event["ts_event"]),
        "trust": round(event["trust"], 6),
        "change": round(event["change"], 6),
        "because": event["because"],
    }


def _consensus_values(engine: Engine, cycle: Cycle) -> dict[str, dict[str, Any]]:
    """Return one value for each symbol: its consensus on the main horizon, with those on others beside it."""
    values: dict[str, dict[str, Any]] = {}
    others: dict[str, list[dict[str, Any]]] = {}
    trust = engine.service.trust(engine.main.horizon_ns, engine.main.label_id).factors()
    for topic, consensus in cycle.shown:
        key = consensus_key(topic, engine.main)
        if topic[1:] == engine.main[1:]:
            values[key] = consensus_body(engine, topic, consensus, trust)
        elif consensus is not None:
            others.setdefault(key, []).append(consensus_body(engine, topic, consensus))
    for key, bodies in others.items():
        if key not in values:
            topic = Topic(bodies[0]["symbol"], *engine.main[1:])
            values[key] = consensus_body(engine, topic, None)
        values[key]["other_horizons"] = bodies
    return values
