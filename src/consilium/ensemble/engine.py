"""The living ensemble: rounds of our own models, signals from outside, and what stands at the end of a cycle.

Pure over its state: no clock and no store. What changes the state is a message, so a replay of the journal
gives the same state; a cycle's instant travels in the signals that it read.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from consilium.domain import (
    Consensus,
    FeatureWindow,
    InvalidValue,
    ModelConfigured,
    Outcome,
    PerformanceReported,
    Prediction,
    RuleChanged,
    SignalReceived,
    StepDone,
    UnknownName,
    digest,
)
from consilium.ensemble.board import Board, Topic
from consilium.ensemble.broker import SignalBroker, model_of_key
from consilium.ensemble.configuration import Configuration
from consilium.ensemble.gates import Gates, make_gates
from consilium.ensemble.records import Records
from consilium.ensemble.rounds import read_consensus, write_consensus
from consilium.ensemble.service import EnsembleService
from consilium.ensemble.standing import ROUND, SIGNALS, Standings
from consilium.ensemble.trust_log import TrustLog


class Shown(NamedTuple):
    """What stands for a topic at the end of a cycle; no consensus where nobody has a say any more."""

    topic: Topic
    consensus: Consensus | None


class Cycle(NamedTuple):
    """What came of a cycle.

    ``messages`` are for the journal, in this order; ``rejected`` counts what lies there now by reason, and
    ``rejected_new`` what was not counted in a cycle before.
    """

    number: int
    ts_event: int
    messages: tuple[SignalReceived | Consensus, ...]
    shown: tuple[Shown, ...]
    rejected: Mapping[str, int]
    rejected_new: Mapping[str, int]

    @property
    def main(self) -> Consensus | None:
        """The consensus of the main topic, which comes first."""
        return self.shown[0].consensus


class Engine:
    """Collects, weighs, decides and learns; `cycle` also says what stands.

    Our own predictions meet in the rounds of the service. Signals from outside are pooled in the cycle that
    reads them with whatever else is fresh; at the next feature window of their symbol they join the round
    as guests, and are scored there by its outcome.

    Parameters
    ----------
    service
        The rounds, trust and settings; its members are the models that may speak.
    broker
        Reads signals; its symbol, horizon and label are the main topic.
    signal_gates
        Gates of a consensus with a signal from outside; default ``seed``, since a signal says nothing of
        expected returns.
    most_symbols, most_horizons
        How many symbols the outside may speak of at a time (the one that was heard least recently makes room
        once nobody speaks of it), and how many horizons over the life of the state.

    Examples
    --------
    >>> service = EnsembleService(["xgboost", "nhits"], rule="trust_weighted", loaded=[])
    >>> engine = Engine(service, SignalBroker(symbol="BTCUSDT", horizon_ns=3600 * 10**9, label_id="l1"))
    >>> said = {f"quantum:model:{model}:signal": b'{"action":"BUY","confidence":0.8,"timestamp":1000}'
    ...         for model in ("xgb", "nhits")}
    >>> cycle = engine.cycle(1005 * 10**9, said)
    >>> cycle.main.direction.name, cycle.main.actionable, len(cycle.messages)
    ('UP', True, 3)
    >>> engine.cycle(1015 * 10**9, said).messages
    ()

    References
    ----------
    Seed 000, Federation Engine.
    """

    def __init__(
        self,
        service: EnsembleService,
        broker: SignalBroker,
        *,
        signal_gates: str | Gates = "seed",
        most_symbols: int = 1_024,
        most_horizons: int = 16,
    ) -> None:
        self.service = service
        self.broker = broker
        self.most_symbols, self.most_horizons = most_symbols, most_horizons
        self.main = Topic(broker.symbol, broker.horizon_ns, broker.label_id)
        self.configuration = Configuration(service)
        self.trust_log = TrustLog(service.models)
        self.records = Records(service.models)
        self.last: Consensus | None = None
        self._board = Board(broker.freshness_ns)
        self._standings = Standings(
            service,
            self._board,
            self.configuration,
            signal_gates=signal_gates if isinstance(signal_gates, Gates) else make_gates(signal_gates),
            freshness_ns=broker.freshness_ns,
        )
        self._pending: dict[Topic, set[str]] = {}
        self._received = 0
        self._symbols: dict[str, int] = {self.main.symbol: 0}
        self._horizons: set[int] = {self.main.horizon_ns}
        # What follows is memory of this process and no part of the state.
        self.cycles = 0
        self._looked_at: dict[str, int] = {}
        self._silent: list[str] | None = None
        self._note(self.main, 0, "start")

    def check(self, message: object) -> None:
        """Refuse a message that `handle` would refuse, without changing anything.

        Raises
        ------
        UnknownName
            No such rule or model.
        InvalidValue
            Allocations that would all be 0.
        """
        if isinstance(message, RuleChanged):
            self.configuration.rule(message.rule)
        elif isinstance(message, PerformanceReported):
            self.configuration.member(message.model)
        elif isinstance(message, ModelConfigured):
            self.configuration.member(message.model)
            self.configuration.allocations_with(message)

    def handle(self, message: object) -> tuple[Consensus, ...]:
        """Take a message; return the consensuses that it completes.

        Signals of one cycle are decided together, by `settle` or by whatever comes next.
        """
        if isinstance(message, SignalReceived):
            settled = self.settle() if message.ts_received != self._received else ()
            self._receive(message)
            return settled
        return (*self.settle(), *self._take(message))

    def _take(self, message: object) -> tuple[Consensus, ...]:
        if isinstance(message, Prediction):
            return self._decided(self.service.handle(message))
        if isinstance(message, FeatureWindow):
            self._see(message)
        elif isinstance(message, Outcome):
            self._mature(message)
        elif isinstance(message, StepDone):
            return self._decided(self.service.flush(message.ts_event))
        elif isinstance(message, RuleChanged):
            self.configuration.change_rule(message)
        elif isinstance(message, ModelConfigured):
            self.configuration.change_model(message)
            self._note(self.main, message.ts_event, "allocation")
        elif isinstance(message, PerformanceReported):
            self.records.report(self.configuration.member(message.model), message)
        return ()

    def flush(self, until: int | None = None) -> tuple[Consensus, ...]:
        """Decide the open rounds with ``ts_event <= until`` (None: all) by who has spoken, oldest first."""
        return (*self.settle(), *self._decided(self.service.flush(until)))

    def settle(self) -> tuple[Consensus, ...]:
        """Decide the topics that signals came in for; nothing if there are none."""
        pending, self._pending = self._pending, {}
        decided = [self._pool(topic, pending[topic]) for topic in sorted(pending)]
        if pending:
            self._note(self.main, self._received, "consensus")
            self._forget()
        return tuple(consensus for consensus in decided if consensus is not None)

    def _forget(self) -> None:
        """Forget signals that can vote no more, and what stood by them alone."""
        self._board.forget(self._received - self.broker.freshness_ns - self.broker.horizon_ns)
        self._standings.forget(set(self._board.topics()))
        self._silent = None

    def cycle(self, now_ns: int, signals: Mapping[str, bytes]) -> Cycle:
        """Read signals, decide what is new among them, and tell what stands.

        Parameters
        ----------
        now_ns
            The instant, UTC nanoseconds; never before that of an earlier cycle.
        signals
            Raw values by key; other keys are not looked at.
        """
        self.cycles += 1
        messages: list[SignalReceived | Consensus] = list(self.settle())
        rejected: Counter[str] = Counter()
        fresh: Counter[str] = Counter()
        for key in sorted(signals):
            model = model_of_key(key)
            if model is None:
                continue
            taken, reasons = self._read(key, model, signals[key], now_ns)
            messages += taken
            rejected.update(reasons)
            if self._looked_at.get(key) != hash(signals[key]):
                fresh.update(reasons)
        self._looked_at = {key: hash(raw) for key, raw in signals.items()}
        messages += self.settle()
        shown = tuple(Shown(topic, self._standings.shown(topic, now_ns)) for topic in self._topics())
        return Cycle(self.cycles, now_ns, tuple(messages), shown, dict(rejected), dict(fresh))

    def stands(self, now_ns: int) -> Consensus | None:
        """Return what stands for the main topic at an instant, as a cycle would show it."""
        return self._standings.shown(self.main, now_ns)

    def _read(self, key: str, model: str, raw: bytes, now_ns: int) -> tuple[list[SignalReceived], list[str]]:
        setting = self.service.models.get(model)
        if setting is None:
            return [], ["unknown_model"]
        if not setting.enabled:
            return [], ["disabled_model"]
        signals, rejected = self.broker.read(raw, model=model, source=key, now_ns=now_ns)
        taken, reasons = [], list(rejected)
        for signal in signals:
            reason = self._reason_against(signal)
            if reason is None:
                self._receive(signal)
                taken.append(signal)
            elif reason:
                reasons.append(reason)
        return taken, reasons

    def _reason_against(self, signal: SignalReceived) -> str | None:
        """Return None for a signal that is new, empty for one that still lies there, else why not."""
        topic = Topic(signal.symbol, signal.horizon_ns, signal.label_id)
        last = self._board.last(topic, signal.model)
        if last is None:
            return None if self._has_room(topic) else "crowded"
        if signal.ts_event < last.ts_event:
            return "late"
        if signal.ts_event > last.ts_event:
            return None
        return "" if signal.prediction == last else "duplicate"

    def _has_room(self, topic: Topic) -> bool:
        symbol = topic.symbol in self._symbols or len(self._symbols) < self.most_symbols
        return (symbol or bool(self._to_forget())) and (
            topic.horizon_ns in self._horizons or len(self._horizons) < self.most_horizons
        )

    def _to_forget(self) -> list[str]:
        """Return the symbols that nobody speaks of any more, the one heard least recently last."""
        if self._silent is None:
            spoken = {self.main.symbol, *(topic.symbol for topic in self._board.topics())}
            silent = [(heard, symbol) for symbol, heard in self._symbols.items() if symbol not in spoken]
            self._silent = [symbol for _, symbol in sorted(silent, reverse=True)]
        return self._silent

    def _hear(self, symbol: str, ts: int) -> None:
        """Note that a symbol was spoken of; where there are too many another one makes room."""
        if symbol in self._symbols:
            if self._silent and symbol in self._silent:
                self._silent.remove(symbol)
        elif len(self._symbols) >= self.most_symbols and self._to_forget():
            del self._symbols[self._to_forget().pop()]
        self._symbols[symbol] = ts

    def _receive(self, signal: SignalReceived) -> None:
        setting = self.service.models.get(signal.model)
        if setting is None or not setting.enabled or not self._board.take(signal.prediction):
            return
        topic = Topic(signal.symbol, signal.horizon_ns, signal.label_id)
        self._hear(topic.symbol, signal.ts_received)
        self._horizons.add(topic.horizon_ns)
        self._received = signal.ts_received
        self._pending.setdefault(topic, set()).add(signal.model)

    def _pool(self, topic: Topic, news: set[str]) -> Consensus | None:
        """Reach and keep the consensus of a topic that signals came in for."""
        voters = self._standings.voters(topic, self._received)
        if not voters:
            return None
        consensus = self._standings.convene(topic, voters, [p for p in voters if p.model in news])
        self._stands(topic, consensus, SIGNALS, {p.model: p.ts_event for p in voters})
        return consensus

    def _decided(self, consensuses: tuple[Consensus, ...]) -> tuple[Consensus, ...]:
        for consensus in consensuses:
            topic = Topic.of(consensus)
            voters = self._board.decided(topic, consensus.ts_event, self.service.awaiting(consensus))
            self._stands(topic, consensus, ROUND, voters)
            self._note(topic, consensus.ts_event, "consensus")
            self._silent = None
        return consensuses

    def _stands(self, topic: Topic, consensus: Consensus, by: str, voters: dict[str, int]) -> None:
        self._standings.put(topic, consensus, by, voters)
        self.last = consensus

    def _see(self, window: FeatureWindow) -> None:
        self.service.handle(window)
        self._standings.weather[window.symbol] = window.ts_event
        for guest in self._board.guests(window.symbol, window.ts_event):
            self.service.invite(guest)

    def _mature(self, outcome: Outcome) -> None:
        self.records.count(self.service.awaiting(outcome), outcome)
        self.service.handle(outcome)
        self._note(Topic.of(outcome), outcome.ts_matured, "outcome")

    def _note(self, topic: Topic, ts_event: int, because: str) -> None:
        if topic[1:] == self.main[1:]:
            factors = self.service.trust(topic.horizon_ns, topic.label_id).factors()
            self.trust_log.note(factors, ts_event=ts_event, because=because)

    def _topics(self) -> list[Topic]:
        """Return the main topic, then the others that stand, sorted."""
        return [self.main, *(topic for topic in self._standings.topics() if topic != self.main)]

    def state(self) -> dict[str, Any]:
        """Return settings, what was heard and what was learned, as JSON values."""
        return {
            "configuration": self.configuration.state(),
            "service": self.service.state(),
            "board": self._board.state(),
            "standing": self._standings.state(),
            "pending": [[*topic, sorted(self._pending[topic])] for topic in sorted(self._pending)],
            "received": self._received,
            "weather": dict(sorted(self._standings.weather.items())),
            "symbols": dict(sorted(self._symbols.items())),
            "horizons": sorted(self._horizons),
            "trust_log": self.trust_log.state(),
            "records": self.records.state(),
            "last": write_consensus(self.last) if self.last else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, in an engine of the same models.

        Raises
        ------
        InvalidValue
            The state is damaged, or of other models, trust or options.
        """
        try:
            standing = Standings.read(state["standing"])
            pending = {Topic(s, h, label): set(news) for s, h, label, news in state["pending"]}
            weather = {str(symbol): int(ts) for symbol, ts in state["weather"].items()}
            symbols = {str(symbol): int(ts) for symbol, ts in state["symbols"].items()}
            horizons = set(state["horizons"])
            last = read_consensus(state["last"]) if state["last"] else None
            received = int(state["received"])
            self.configuration.restore(state["configuration"])
            self.service.restore(state["service"])
            self._board.restore(state["board"])
            self.trust_log.restore(state["trust_log"])
            self.records.restore(state["records"])
        except (InvalidValue, UnknownName):
            raise
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidValue(
                "the state must be one of the engine", type(state).__name__, "restore a whole state"
            ) from None
        self._standings.restore(standing, weather)
        self._pending = pending
        self._symbols, self._horizons, self.last = {self.main.symbol: 0} | symbols, horizons, last
        self._received = received
        self._silent = None

    def state_hash(self) -> str:
        """Return the digest of the state."""
        return digest(self.state())
