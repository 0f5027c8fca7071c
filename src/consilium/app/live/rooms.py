"""The ensemble as a worker: what it hears, and what follows from it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from threading import Event as Flag
from typing import Any

from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.pipeline import gates_of, read_change
from consilium.app.live.question import Question, question_of
from consilium.app.live.records import (
    CONSENSUS_REACHED,
    FEED,
    POOL_CHANGED,
    PREDICTED,
    SHARES_CHANGED,
    STEP_DECIDED,
    STEP_DONE,
    STEP_TRACE,
    Recorder,
)
from consilium.app.live.recovery import COMMANDS
from consilium.app.live.terms import Terms
from consilium.app.live.weighing import weigh_as_told
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, message_of
from consilium.domain import (
    Clock,
    Consensus,
    ConsiliumError,
    Event,
    PoolChanged,
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
        SHARES_CHANGED,
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
        trace_id = event.trace_id
        if isinstance(message, PoolChanged):
            self._pool(message)
        elif event.topic == SHARES_CHANGED:
            # what that completes are rounds between steps, whatever close it followed from
            said, trace_id = weigh_as_told(self._engine, message), f"shares-{event.event_id}"
        else:
            said = self._engine.handle(message)
        self.torn = False
        self.taken.set()
        if self._silent or event.topic == CONSENSUS_REACHED:
            # A consensus of a cycle ends its signals: what they come to is this very row.
            return ()
        recorder = Recorder(ts_recorded=self._clock.now_ns(), trace_id=trace_id)
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


def label_of(fields: Mapping[str, Any]) -> LabelSpec | None:
    """Read the label of a pool; None without one, or where it is of another kind."""
    spec = spec_from_dict(dict(fields)) if fields else None
    return spec if isinstance(spec, LabelSpec) else None
