"""A small living system for tests of the API: a real ensemble and a real journal in memory, no feed."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from consilium.app.bootstrap import SystemClock
from consilium.app.council.shown import shown
from consilium.app.settings import Settings
from consilium.bus.codec import envelope
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.council.wire import decision_body
from consilium.domain import (
    Consensus,
    CouncilCommanded,
    Decision,
    Event,
    InvalidValue,
    ModelConfigured,
    PerformanceReported,
    Prediction,
    RuleChanged,
    UnknownName,
    digest,
    short_model,
)
from consilium.domain.digest import plain
from consilium.ensemble import EnsembleService, ModelSetting
from consilium.ensemble.account import action

HOUR = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Kept:
    offset: int
    event: Event


@dataclass(frozen=True, slots=True)
class End:
    offset: int


class MemoryJournal:
    """The journal's contract in memory: gapless places from 1, an event that is there is not added again."""

    def __init__(self) -> None:
        self._rows: list[Kept] = []
        self._ids: dict[str, int] = {}
        self._changed = threading.Condition()
        self.snapshots: dict[str, tuple[int, dict[str, Any]]] = {}

    def append(self, events: Sequence[Event]) -> tuple[int, ...]:
        with self._changed:
            for event in events:
                if event.event_id not in self._ids:
                    self._ids[event.event_id] = len(self._rows) + 1
                    self._rows.append(Kept(len(self._rows) + 1, event))
            self._changed.notify_all()
            return tuple(self._ids[event.event_id] for event in events)

    def head(self) -> End:
        return End(len(self._rows))

    def find(self, event_id: str) -> Kept | None:
        place = self._ids.get(event_id)
        return self._rows[place - 1] if place else None

    def read(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        topics: Collection[str] | None = None,
        stream: str | None = None,
        newest_first: bool = False,
        before: int | None = None,
    ) -> list[Kept]:
        rows = self._rows[after : None if before is None else max(before - 1, after)]
        found = [
            row
            for row in (reversed(rows) if newest_first else rows)
            if (topics is None or row.event.topic in topics)
            and (stream is None or row.event.stream == stream)
        ]
        return found[:limit]

    def save_snapshot(self, name: str, offset: int, state: Mapping[str, Any]) -> None:
        self.snapshots[name] = (offset, dict(state))

    def load_snapshot(self, name: str) -> tuple[int, dict[str, Any]] | None:
        return self.snapshots.get(name)

    def wait(self, after: int, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._rows) > after, timeout_s)


class SmallEngine:
    def __init__(self, service: EnsembleService, allocations: dict[str, float]) -> None:
        self.service = service
        self.allocations = allocations
        self.reported: dict[str, PerformanceReported] = {}
        self.newest: Consensus | None = None

    def models(self) -> list[dict[str, Any]]:
        return [{"model_type": name, **shown} for name, shown in self._models().items()]

    def _models(self) -> dict[str, Any]:
        return {
            name: {
                "enabled": setting.enabled,
                "weight": self.allocations[name],
                "accuracy": self.reported[name].accuracy if name in self.reported else None,
            }
            for name, setting in self.service.models.items()
        }

    def status(self) -> dict[str, Any]:
        models = self._models()
        return {
            "strategy": self.service.rule.name,
            "total_models": len(models),
            "enabled_models": sum(model["enabled"] for model in models.values()),
            "models": models,
            "last_prediction": self._signal(),
        }

    def federation(self) -> dict[str, Any]:
        weights = self.newest.weights if self.newest else {}
        return {
            "status": "active" if self.newest else "idle",
            "consensus_signal": self._signal(),
            "trusted_weights": {short_model(name): round(weight, 4) for name, weight in weights.items()},
        }

    def _signal(self) -> dict[str, Any] | None:
        if self.newest is None:
            return None
        return {
            "action": action(self.newest),
            "confidence": self.newest.confidence,
            "models_used": len(self.newest.weights),
        }


@dataclass
class IdleTraining:
    """A training desk where nothing is trained."""

    running: dict[str, Any] = field(default_factory=dict)

    def start(self, **asked: Any) -> dict[str, Any]:
        if self.running:
            raise UnknownName("architecture", asked["architecture"], [])
        raise UnknownName("architecture", asked["architecture"], ["cnn_lstm", "mpd_transformer", "tlob"])

    def status(self) -> dict[str, Any]:
        return {
            "is_training": False,
            "current_epoch": 0,
            "total_epochs": 0,
            "current_loss": None,
            "best_loss": None,
            "architecture": None,
            "progress_percent": 0.0,
            "error": "",
        }

    def cancel(self, *, by: str, trace_id: str = "") -> bool:  # noqa: ARG002 - none runs
        return False


@dataclass(frozen=True, slots=True)
class Governed:
    event: Event
    decisions: tuple[Decision, ...]
    approval: Any = None


class SmallSystem:
    """As LiveSystem: commands are checked, journaled and applied in one place, and callers are told."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = SystemClock()
        self.journal = MemoryJournal()
        shares = {"cnn_lstm": 0.4, "mpd_transformer": 0.35, "tlob": 0.25}
        service = EnsembleService(tuple(shares), rule="weighted_voting", allocations=shares, paper=True)
        self.engine = SmallEngine(service, dict(shares))
        self.training: Any = IdleTraining()
        self.problems: dict[str, str] = {}
        self._lock = threading.Lock()
        self._told: list[Callable[[], None]] = []
        self.council = CouncilService(rules=CouncilRules(), started_at=self.clock.now_ns())

    def submit(self, message: Any, *, by: str, trace_id: str = "") -> Event:  # noqa: ARG002 - the message says it
        with self._lock:
            if isinstance(message, RuleChanged):
                self.engine.service.rule = message.rule
                topic = "ensemble.rule_changed"
            elif isinstance(message, ModelConfigured):
                self._configure(message)
                topic = "ensemble.model_configured"
            elif isinstance(message, PerformanceReported):
                self._require(message.model)
                self.engine.reported[message.model] = message
                topic = "model.performance_reported"
            else:
                raise InvalidValue("a message must be known", type(message).__name__, "send a command")
            event = self._event(topic, asdict(message), message.ts_event, trace_id)
            self.journal.append([event])
        self.tell()
        return event

    def hear(self, prediction: Prediction) -> None:
        """Let a model speak; what it leads to is journaled."""
        for consensus in self.engine.service.handle(prediction):
            self.engine.newest = consensus
            payload = plain({**asdict(replace(consensus, weights={})), "weights": dict(consensus.weights)})
            event = self._event("ensemble.consensus_reached", payload, consensus.ts_event, "")
            self.journal.append([event])
        self.tell()

    def publish_outside(
        self, topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any], by: str
    ) -> Event:
        event_id = digest([topic, source, sequence])[:32]
        kept = self.journal.find(event_id)
        if kept is not None:
            return kept.event
        said = {"source": source, "sequence": sequence, "by": by, **payload}
        event = replace(self._event(topic, said, ts_event, ""), event_id=event_id)
        self.journal.append([event])
        self.tell()
        return event

    # the council

    def govern(self, command: CouncilCommanded, *, trace_id: str = "") -> Governed:
        with self._lock:
            self.council.check(command)
            waiting = set(self.council.approvals)
            event, said = self._heard(command, trace_id)
            asked = [one for key, one in self.council.approvals.items() if key not in waiting]
        self.tell()
        decisions = tuple(message for message in said if isinstance(message, Decision))
        return Governed(event=event, decisions=decisions, approval=asked[0] if asked else None)

    def kill(self, reason: str, by: str, *, key_id: str = "") -> str:
        command = CouncilCommanded(
            command_id=digest([reason, by, self.clock.now_ns()])[:32],
            action="mode",
            payload={"mode": "FROZEN"},
            reason=reason,
            person=by,
            key_id=key_id,
            ts_event=self.clock.now_ns(),
        )
        self.govern(command)
        return command.command_id

    def report(self, message: Any) -> list[Any]:
        """Let the council hear a report; what follows is journaled."""
        with self._lock:
            said = self._heard(message, "")[1]
        self.tell()
        return said

    def _heard(self, message: Any, trace_id: str) -> tuple[Event, list[Any]]:
        said: list[Any] = self.council.handle(message)
        cause = self._told_of(message, trace_id) if isinstance(message, CouncilCommanded) else None
        events = [self._told_of(answer, trace_id, cause) for answer in said]
        self.journal.append(events if cause is None else [cause, *events])
        return cause or events[0], said

    def _told_of(self, message: Any, trace_id: str, cause: Event | None = None) -> Event:
        topic, what = None, message
        if isinstance(message, Decision):
            topic, what = "ai.federation.decision_made", decision_body(message)
        return envelope(
            what,
            topic=topic,
            stream="council",
            ts_recorded=self.clock.now_ns(),
            trace_id=trace_id,
            cause_id=cause.event_id if cause else "",
        )

    def council_status(self) -> dict[str, Any]:
        with self._lock:
            return shown(self.council, self.clock.now_ns())

    def council_explain(self, decision_id: str) -> dict[str, Any]:
        with self._lock:
            return self.council.explain(decision_id)

    def health(self) -> dict[str, Any]:
        return {
            "status": "healthy",
            "service": "consilium",
            "version": "0.1.0",
            "roles_active": sum(self.council.roles.values()),
            "model_federation": self.engine.federation(),
        }

    def ready(self) -> dict[str, str]:
        parts = dict.fromkeys(("journal", "migrations", "bus", "feed", "models", "engine"), "")
        return parts | {"feed": "warn: none is configured"} | self.problems

    def market_status(self) -> dict[str, Any]:
        return {"feed": "", "symbols": []}

    def candles(self, symbol: str, limit: int) -> list[dict[str, Any]]:  # noqa: ARG002 - no feed
        raise UnknownName("symbol", symbol, [])

    def consensus_history(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        rows = self.journal.read(after, limit, topics=["ensemble.consensus_reached"], stream=symbol)
        return [{"offset": row.offset, **row.event.payload} for row in rows]  # type: ignore[dict-item]  # JSON

    def predictions(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        rows = self.journal.read(after, limit, topics=["model.predicted"], stream=symbol)
        return [{"offset": row.offset, **row.event.payload} for row in rows]  # type: ignore[dict-item]  # JSON

    def trading_status(self) -> dict[str, Any]:
        return {"equity": self.settings.paper.equity, "positions": {}}

    def on_change(self, callback: Callable[[], None]) -> None:
        self._told.append(callback)

    def tell(self) -> None:
        for callback in self._told:
            callback()

    def _require(self, model: str) -> None:
        if model not in self.engine.service.models:
            raise UnknownName("model", model, self.engine.service.models)

    def _configure(self, message: ModelConfigured) -> None:
        self._require(message.model)
        service = self.engine.service
        if message.enabled is not None:
            service.configure(message.model, ModelSetting(enabled=message.enabled))
        if message.allocation is not None:
            shares = self.engine.allocations | {message.model: message.allocation}
            service.allocations = shares
            self.engine.allocations = shares

    def _event(self, topic: str, payload: Mapping[str, Any], ts_event: int, trace_id: str) -> Event:
        stream = str(payload.get("symbol", "ensemble"))
        return Event(
            event_id=digest([topic, payload, ts_event])[:32],
            topic=topic,
            stream=stream,
            ts_event=ts_event,
            ts_recorded=self.clock.now_ns(),
            trace_id=trace_id,
            payload=dict(payload),
        )


def said(model: str, ts_event: int, probabilities: tuple[float, float, float]) -> Prediction:
    return Prediction(
        model=model,
        symbol="BTCUSDT",
        ts_event=ts_event,
        horizon_ns=HOUR,
        label_id="l1",
        probabilities=probabilities,
    )
