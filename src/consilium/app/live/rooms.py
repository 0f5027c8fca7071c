"""The ensemble and the trading room as workers: what each hears, and what follows from it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from threading import Event as Flag
from typing import Any

from consilium.app.live.account import Accounts
from consilium.app.live.candle_log import CandleReader, digest_of
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.pipeline import NOBODY, gates_of, read_change
from consilium.app.live.question import Question, question_of
from consilium.app.live.records import (
    COMMANDED,
    CONSENSUS_REACHED,
    FEED,
    POOL_CHANGED,
    PREDICTED,
    STEP_DECIDED,
    STEP_DONE,
    STEP_TRACE,
    Recorder,
)
from consilium.app.live.recovery import COMMANDS
from consilium.app.live.terms import Terms
from consilium.app.live.ungoverned import Ungoverned
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, from_wire, message_of, to_wire
from consilium.domain import (
    Candle,
    Clock,
    Consensus,
    ConsiliumError,
    DataProblem,
    Event,
    PoolChanged,
    Prediction,
    StepDone,
)
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import LabelSpec

log = logging.getLogger("consilium.worker")


class EnsembleRoom:
    """Turns outcomes, feature windows and predictions into consensuses.

    Parameters
    ----------
    settings
        Of the process.
    engine
        The ensemble.
    clock
        Dates what is written down.
    silent
        Whether nothing follows: a copy that only shows what the worker of this room says.
    begun
        Returns what the market worker has begun with, None before; never if not given.
    """

    topics: tuple[str, ...] = (
        *COMMANDS,
        "market.outcome_matured",
        "market.features_updated",
        PREDICTED,
        POOL_CHANGED,
        STEP_DONE,
        CONSENSUS_REACHED,
    )

    def __init__(
        self,
        settings: Settings,
        engine: EnsembleEngine,
        clock: Clock,
        *,
        silent: bool = False,
        begun: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self.name = "api" if silent else "ensemble"
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._silent = silent
        self._begun = begun
        self._terms: Terms | None = None
        self._asked: Question | None = None
        self._change: PoolChanged | None = None
        self.torn = False
        self.taken = Flag()
        """Set when an event was taken, for whoever shows what follows."""

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return consensuses and, at the end of a step, that it is decided."""
        if event.topic == CONSENSUS_REACHED and event.trace_id.startswith(STEP_TRACE):
            return ()  # it followed from rows that were taken
        message = message_of(event)
        if event.topic in COMMANDS and not self._possible(message):
            return ()
        if self._terms is None and event.topic not in COMMANDS:
            self._ask()  # the market worker may have begun since
        self.torn = True
        said: Sequence[Consensus] = ()
        if isinstance(message, PoolChanged):
            self._pool(message)
        else:
            said = self._engine.handle(message)
        self.torn = False
        self.taken.set()
        if self._silent or event.topic == CONSENSUS_REACHED:
            # A consensus of a cycle ends its signals: what they come to is this very row.
            return ()
        recorder = Recorder(ts_recorded=self._clock.now_ns(), trace_id=event.trace_id)
        effects = recorder.events(said, event.event_id)
        if isinstance(message, StepDone):
            effects.append(self._decided(message, event))
        return effects

    def _possible(self, message: Any) -> bool:
        try:
            self._engine.check(message)
        except ConsiliumError as error:
            log.warning("a command is not possible here: %s", error)
            return False
        return True

    def _pool(self, change: PoolChanged) -> None:
        self._change = change
        self._engine.pool_changed(change, gates_of(self._settings, change))
        self._ask()

    def _ask(self) -> None:
        """Ask what the market worker's models are asked: this process has no feed of its own."""
        if self._terms is None:
            kept = self._begun()
            if kept is None:
                return
            self._terms = Terms.of(kept)
        terms, label = self._terms, {} if self._change is None else self._change.label
        question = question_of(self._settings, terms.symbols, terms.interval_ns, label_of(label))
        if question != self._asked:
            models = tuple(self._engine.pure.service.models)
            service = make_live_ensemble(self._settings, models, capacity=question.rounds)
            self._engine.ask(question, service)
            self._asked = question

    def cycle(self) -> None:
        """Let the engine collect, decide and show; what it concludes counts when its rows come back."""
        before, self.torn = self._engine.pure.state(), True
        try:
            self._engine.cycle()
        finally:
            self._engine.pure.restore(before)
            self.torn = False

    def _decided(self, step: StepDone, event: Event) -> Event:
        return envelope(
            asdict(step),
            stream=FEED,
            ts_recorded=self._clock.now_ns(),
            cause_id=event.event_id,
            trace_id=event.trace_id,
            topic=STEP_DECIDED,
        )

    def state(self) -> dict[str, Any]:
        """Return all that it remembers; whom it waits for and its gates follow from the pool."""
        change = None if self._change is None else asdict(self._change)
        return {"change": change, "engine": self._engine.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        self.torn = True
        change = None if state["change"] is None else read_change(state["change"])
        self._engine.restore(state["engine"])
        self._change = change
        if change is not None:
            self._pool(change)
        self.torn = False


class TradingRoom:
    """Turns consensuses into orders and fills on paper, with the candles that the market worker keeps.

    Parameters
    ----------
    settings
        Of the process.
    candles
        The folder that the market worker writes.
    clock
        Dates what is written down.
    keep
        Writes a halt that the data folder asks for into the journal.
    """

    name: str = "trading"
    topics: tuple[str, ...] = (POOL_CHANGED, PREDICTED, CONSENSUS_REACHED, STEP_DECIDED, COMMANDED)

    def __init__(
        self,
        settings: Settings,
        candles: CandleReader,
        clock: Clock,
        keep: Callable[[Sequence[Event]], object] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._keep = keep
        self.allowed = Ungoverned(settings)
        self._candles = candles
        self._clock = clock
        self._accounts: Accounts | None = None
        self._terms: Terms | None = None
        self._change = NOBODY
        self._heard: list[Event] = []
        self.torn = False

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return orders, fills and the snapshot when its step is decided."""
        if event.topic == STEP_DECIDED:
            return self._step(StepDone(**message_of(event)), event)
        if event.topic == COMMANDED:
            self.allowed.hear(message_of(event))
            return [] if self._accounts is None else self._recorded(self._allow(self._accounts), event)
        if event.topic == POOL_CHANGED or event.trace_id.startswith(STEP_TRACE):
            self._heard.append(event)
        return ()

    def _pool(self, change: PoolChanged) -> None:
        self._change = change
        if self._accounts is not None:
            self._accounts.models(change, self._horizon())

    def _horizon(self) -> int:
        spec = label_of(self._change.label)
        return self._settings.training.horizon if spec is None else spec.horizon

    def _step(self, step: StepDone, event: Event) -> list[Event]:
        candles = self._candles.step(step.ts_event)
        if digest_of(candles) != step.digest:
            raise DataProblem(
                f"the candles of close {step.ts_event} must be in {self._candles.folder}",
                f"{len(candles)} of {step.candles}",
                "give all workers the same data folder",
            )
        accounts, terms = self._begun()
        self.torn = True
        messages = self._until(step.ts_event)
        said = self._allow(accounts) + accounts.step(
            step.ts_event,
            _fresh(candles, step.ts_event, accounts, terms),
            [message for message in messages if isinstance(message, Prediction)],
            [message for message in messages if isinstance(message, Consensus)],
        )
        effects = self._recorded(said, event)
        self.torn = False
        return effects

    def _recorded(self, said: Sequence[Any], event: Event) -> list[Event]:
        recorder = Recorder(ts_recorded=self._clock.now_ns(), trace_id=event.trace_id)
        return recorder.events(said, event.event_id)

    def _allow(self, accounts: Accounts) -> list[Any]:
        """Put in force what is allowed now; return what that does to orders."""
        policy, trading = self.allowed.policy, accounts.trading
        return [] if trading.gate.policy == policy else list(trading.handle(policy))

    def cycle(self) -> None:
        """Write a halt down that the data folder asks for: it counts when its row comes back."""
        now = self._clock.now_ns()
        command = self.allowed.look(now)
        if command is not None:
            self._keep([Recorder(ts_recorded=now, trace_id="kill").event(command)])

    def _until(self, ts: int) -> list[Any]:
        """Take what was said up to a close: the market may be steps ahead of the ensemble."""
        due = [heard for heard in self._heard if heard.ts_event <= ts]
        self._heard = [heard for heard in self._heard if heard.ts_event > ts]
        messages = []
        for heard in due:
            message = message_of(heard)
            if not isinstance(message, PoolChanged):
                messages.append(message)
            elif message.ts_event < ts:
                self._pool(message)
            else:  # it was said after this step
                self._heard.append(heard)
        return messages

    def _begun(self) -> tuple[Accounts, Terms]:
        if self._accounts is None or self._terms is None:
            kept = self._candles.terms()
            if kept is None:
                raise DataProblem(
                    "the market worker must have begun", f"nothing in {self._candles.folder}", "start it"
                )
            terms = Terms.of(kept)
            accounts = Accounts(
                self._settings, terms.symbols, terms.interval_ns, terms.bars_per_day, horizon=self._horizon()
            )
            accounts.models(self._change, self._horizon())
            accounts.warm_up(_in_order(self._candles.warm_up(), terms))
            self._accounts, self._terms = accounts, terms
        return self._accounts, self._terms

    def state(self) -> dict[str, Any]:
        """Return all that it remembers; messages of a step that is not decided come again."""
        return {
            "change": asdict(self._change),
            "accounts": None if self._accounts is None else self._accounts.state(),
            "heard": [to_wire(event) for event in self._heard],
            "halt": self.allowed.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        self.torn = True
        self._accounts = self._terms = None
        self._candles.rewind()
        self._change = read_change(state["change"])
        self._heard = [from_wire(wire) for wire in state["heard"]]
        self.allowed.restore(state)
        if state["accounts"] is not None:
            accounts, _ = self._begun()
            accounts.restore(state["accounts"])
        self.torn = False


def label_of(fields: Mapping[str, Any]) -> LabelSpec | None:
    """Read the label of a pool; None without one, or where it is of another kind."""
    spec = spec_from_dict(dict(fields)) if fields else None
    return spec if isinstance(spec, LabelSpec) else None


def _fresh(candles: Sequence[Candle], ts: int, accounts: Accounts, terms: Terms) -> list[Candle]:
    """Return the candles of a close that the market worker took too, in its order."""
    found: dict[str, Candle] = {}
    for candle in sorted(candles, key=lambda c: (c.ts_close, c.symbol)):
        tape = accounts.tapes.get(candle.symbol)
        last = -1 if tape is None else tape.ts_close
        if candle.ts_close == ts and candle.symbol not in found and not terms.objection(candle, last):
            found[candle.symbol] = candle
    return list(found.values())


def _in_order(candles: Sequence[Candle], terms: Terms) -> list[Candle]:
    last: dict[str, int] = {}
    taken = []
    for candle in candles:
        if not terms.objection(candle, last.get(candle.symbol, -1)):
            last[candle.symbol] = candle.ts_close
            taken.append(candle)
    return taken
