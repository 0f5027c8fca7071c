"""What moves the state of the living system, all on one thread: recovery, steps, commands and cycles."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any
from uuid import uuid4

from consilium.app.live import views
from consilium.app.live.candle_log import CandleLog, digest_of
from consilium.app.live.engine import EnsembleEngine
from consilium.app.live.feeds import LiveFeed, Step
from consilium.app.live.governing import Governing
from consilium.app.live.market_room import Observed
from consilium.app.live.members import Members, Shelf
from consilium.app.live.outside import require_owner, require_same
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.records import STEP_TRACE, Recorder
from consilium.app.live.recovery import end_of_a_killed_training, recovered
from consilium.app.live.terms import Terms
from consilium.app.log import follow
from consilium.app.metrics import Timings
from consilium.app.settings import Settings
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal
from consilium.bus.journal.alone import Held
from consilium.bus.state_store import StateStore
from consilium.bus.transport import Transport
from consilium.domain import Candle, Clock, ConsiliumError, Event, OutcomeUnknown, PoolChanged, StepDone
from consilium.models.runtime import Runtime

SNAPSHOT_STEPS = 100
"""Steps from one snapshot of the pipeline to the next."""

log = logging.getLogger("consilium.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a system is made of; `consilium.app.live.assembly` fills it."""

    settings: Settings
    clock: Clock
    journal: Journal
    transport: Transport
    store: StateStore
    engine: EnsembleEngine
    training: Any
    feed: LiveFeed
    shelf: Shelf
    members: Members
    candle_log: CandleLog
    held: Held
    pipeline: Callable[[Settings, Any, Terms, Runtime], Pipeline] = Pipeline


class Core(Governing):
    """The state of the living system, and the journal that has all of it before anybody hears of it.

    Its methods run on the pipeline thread of `LiveSystem`, which brings candles, models and commands.

    Parameters
    ----------
    parts
        What it is made of.
    """

    def __init__(self, parts: Parts) -> None:
        self.settings = parts.settings
        self.clock = parts.clock
        self.journal = parts.journal
        self.transport = parts.transport
        self.store = parts.store
        self.engine = parts.engine
        self.training = parts.training
        self.feed = parts.feed
        self.pipeline: Pipeline
        self.troubles: dict[str, str] = {"engine": "starting"}
        self.latencies_ns: list[int] = []
        self.timings = Timings()
        self._pipeline_of = parts.pipeline
        self._shelf = parts.shelf
        self._candle_log = parts.candle_log
        self._held = parts.held
        self._members = parts.members
        self._runtime = Runtime(workers=parts.settings.serving.workers)
        self._callbacks: list[Callable[[], None]] = []
        self._pending: list[Event] = []
        self._late: list[Candle] = []
        self._fresh: dict[str, Any] = {}
        self._offset = 0
        self.differing = 0
        self._since_snapshot = 0
        self._ready_to_govern()

    # the journal

    def _applied(self, offsets: Sequence[int]) -> None:
        """Tell that something new is in the journal; a pump carries it to the outside."""
        self._offset = max(self._offset, *offsets)
        with self._moving:
            self.account = views.trading_status(self.pipeline)
            wanted = self.pipeline.followed()
        narrow = getattr(self.feed, "narrow", None)
        if narrow is not None:
            narrow(wanted)  # a venue is not asked for what nobody looks at
        for callback in self._callbacks:
            callback()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call this after each applied batch, on the pipeline thread."""
        self._callbacks.append(callback)

    def _require_writable(self) -> None:
        if "engine" in self.troubles:
            raise ConsiliumError(
                "the engine must be ready for commands", self.troubles["engine"], "try again later"
            )
        if self._pending:  # what a halt did waits for the next look: it is written now
            with suppress(ConsiliumError):
                self._settle_pending()
        if self._pending:
            raise ConsiliumError(
                "the journal must take what is concluded", self.journal.failed or "it does not", "see /readyz"
            )

    def _settle_pending(self) -> None:
        """Write down what is concluded but not in the journal; the step before counts only then."""
        batch = self._pending
        if not batch:
            return
        offsets = self.journal.append(batch)
        with self._moving:
            # a halt may have added to it meanwhile
            self._pending = self._pending[len(batch) :]
        self._waited = False
        self._applied(offsets)

    def _snapshot(self) -> None:
        with self._moving:
            if self._pending:  # a halt came: what it did is not in the journal yet
                return
            state = self.pipeline.state()
        self.journal.save_snapshot(self.pipeline.snapshot, self._offset, state)
        self._since_snapshot = 0

    def _last_words(self) -> None:
        if "engine" not in self.troubles and not self._pending:
            self._snapshot()

    def keep_cycle(self, messages: Sequence[object]) -> None:
        """Write down what a cycle of the engine has concluded, before it shows it."""
        recorder = Recorder(ts_recorded=self.clock.now_ns(), trace_id=follow(f"cycle-{uuid4().hex}"))
        self._keep(recorder.events(messages))
        self._settle_pending()

    def _keep(self, events: Sequence[Event]) -> None:
        with self._moving:
            self._pending = [*self._pending, *events]

    # recovery

    def _make_pipeline(self, terms: Terms) -> Pipeline:
        return self._pipeline_of(self.settings, self.engine, terms, self._runtime)

    def _made_pipeline(self) -> Pipeline:
        """Return a pipeline as the running one was at its start."""
        made = self._make_pipeline(self.pipeline.terms)
        made.serve(self._members)
        return made

    def _recover(self) -> None:
        try:
            self.pipeline.serve(self._members)
            with self._moving:
                self._pending = []  # what a failed step left: the replay knows nothing of it
            self.pipeline, found = recovered(
                self._made_pipeline, self.pipeline, self.journal, self._candle_log, self._progress
            )
            self._offset, self.differing = found.offset, found.differing
            self._candle_log.forget_after(max(self.pipeline.ts, 0))
            self.pipeline.serve(self._members)  # anew, with the rows of the replayed steps
            self._tell_pool()
            self.account = views.trading_status(self.pipeline)
            self._age()
            self._begin_to_govern()
            del self.troubles["engine"]
            log.info("recovered %d steps, %d differing", found.steps, found.differing)
        except ConsiliumError as error:
            self.troubles["engine"] = f"cannot recover: {' '.join(str(error).split())}"
            log.error("%s", self.troubles["engine"])  # noqa: TRY400 - a user's to cure, in one line
        except Exception as error:  # whatever it was, the service lives to say so
            self.troubles["engine"] = f"cannot recover: {' '.join(str(error).split())}"
            log.exception("recovery failed")

    def _end_killed_training(self) -> None:
        """Write down the end of a training that the last life of this service could not."""
        if self.training is None or "engine" in self.troubles:
            return
        try:
            now = self.clock.now_ns()
            ended = end_of_a_killed_training(self.journal, now)
            if ended is not None:
                recorder = Recorder(ts_recorded=now, trace_id=follow("recovery"))
                self._applied(self.journal.append([recorder.event(ended)]))
        except ConsiliumError as error:
            log.warning("a training's end could not be written: %s", error)

    def _warm_up(self, history: Sequence[Candle]) -> None:
        """Take in candles from before the first step."""
        self.pipeline.warm_up(history)
        self._age()

    def _age(self) -> None:
        """Spare the collector what stays: a full pass over a warm market takes longer than a step."""
        if self.feed.name:
            gc.collect()
            gc.freeze()

    def _progress(self, ts: int) -> None:
        self.troubles["engine"] = f"replaying the journal, at {ts}"

    def _stand_again(self) -> None:
        """Go back to where the journal ends: a step that failed has moved a part of the state."""
        with self._moving:  # a halt acts before this, and is written, or leaves its note for what comes after
            self.troubles["engine"] = "a step failed, the journal is replayed"
        with suppress(ConsiliumError):
            self._settle_pending()  # a halt that came before it
        self.engine.restore(self._fresh)
        self.pipeline = self._made_pipeline()
        self._recover()

    def _mend(self) -> None:
        """Replay the journal where something between two steps has failed halfway."""
        if self.torn:
            self.torn = False
            self._stand_again()

    # commands

    def _command(self, message: Any, by: str, trace_id: str) -> Event:
        self._require_writable()
        before = self.engine.state()
        recorder = Recorder(ts_recorded=self.clock.now_ns(), trace_id=follow(trace_id or f"by-{by}"))
        self.engine.check(message)
        command = recorder.event(message)
        try:
            said = list(self.engine.handle(message))
            events = [command, *recorder.events(said, command.event_id)]
            self._commit(events)
        except OutcomeUnknown:
            raise
        except BaseException:
            self.engine.restore(before)
            raise
        log.info("%s by %s is event %s", command.topic, by, command.event_id)
        return command

    def _commit(self, events: list[Event]) -> None:
        """Write down what a command leads to; after a failure the journal says whether it has it.

        Raises
        ------
        OutcomeUnknown
            It does not say: the command stands, and is written as soon as that is possible.
        """
        try:
            offsets = self.journal.append(events)
        except ConsiliumError as error:
            # a commit whose answer was lost may have been carried out
            try:
                found = self.journal.find(events[0].event_id)
            except ConsiliumError:
                self._keep(events)
                raise OutcomeUnknown(
                    "the journal must take the command",
                    "no answer from it",
                    "look at /readyz: it is applied, and written as soon as the journal answers",
                ) from error
            if found is None:
                raise
            offsets = (found.offset + len(events) - 1,)
        self._applied(offsets)

    def _publish(self, event: Event) -> Event:
        self._require_writable()
        if self.journal.find(event.event_id) is None:
            require_owner(self.journal, event)
            self._require_heard(event)
            self._report(event)
        require_same(self.journal, event)
        return event

    # steps

    def _step(self, candles: Step) -> None:
        """Do one step: keep its candles, conclude, write down, tell."""
        if "engine" in self.troubles:
            raise ConsiliumError("the engine must be ready for steps", self.troubles["engine"], "see /readyz")
        self._mend()
        self._doubt()
        self._settle_pending()
        began = perf_counter_ns()
        given = (*self._late, *candles)
        ts = max((candle.ts_close for candle in given), default=-1)
        if ts <= self.pipeline.ts:
            # Nothing closes anew: they wait for the next close, and fill the history there.
            self._late = list(given)
            return
        self._candle_log.keep(ts, given)
        if self.pipeline.market.admit(ts):
            self._tell_pool()
        try:
            # no lock: a halt moves nothing that forecasts look at, and stands before the step
            observed = self.pipeline.observe(ts, given)
            with self._moving:
                self._pending = [*self._pending, *self._concluded(ts, given, observed)]
        except BaseException:
            self._stand_again()
            raise
        self._late = []
        self._settle_pending()
        self.latencies_ns.append(perf_counter_ns() - began)
        self.timings.step.observe(self.latencies_ns[-1] / 1e9)
        del self.latencies_ns[:-1024]
        self._since_snapshot += 1
        if self._since_snapshot >= SNAPSHOT_STEPS:
            self._snapshot()

    def _concluded(self, ts: int, given: Step, observed: Observed) -> list[Event]:
        """Return the events of a step."""
        messages = self.pipeline.conclude(ts, observed)
        done = StepDone(
            feed=self.pipeline.terms.feed, ts_event=ts, digest=digest_of(given), candles=len(given)
        )
        recorder = Recorder(ts_recorded=self.clock.now_ns(), trace_id=follow(f"{STEP_TRACE}{ts}"))
        log.debug("step of %d candles: %d messages", len(given), len(messages))
        return recorder.events([*messages, done])

    # models and cycles

    def _serve(self, members: Members) -> None:
        self._settle_pending()
        self._members = members
        self.pipeline.serve(members)
        self._tell_pool()
        self.troubles.pop("models", None)
        self._snapshot()

    def _tell_pool(self) -> None:
        """Write down which models speak from now on, where that has changed."""
        told = self.pipeline.market.speaking.told(max(self.pipeline.ts, 0))
        if views.same_pool(told, self.pipeline.change):
            return
        event = self._pool_event(told)
        offsets = self.journal.append([event])
        self.pipeline.change_pool(told)
        self._applied(offsets)
        for name, why in told.missing.items():
            log.warning("%s is not asked: %s", name, why)

    def _pool_event(self, told: PoolChanged) -> Event:
        """Return an event that is not in the journal: within one bar a pool may go and come back."""
        event, said = self._pool_told(told, 0), 0
        while self.journal.find(event.event_id) is not None:
            said += 1
            event = self._pool_told(told, said)
        return event

    def _pool_told(self, told: PoolChanged, occurrence: int) -> Event:
        return envelope(
            told,
            stream="ensemble",
            ts_recorded=self.clock.now_ns(),
            trace_id="models",
            occurrence=occurrence,
        )

    def _cycle(self) -> None:
        if "engine" in self.troubles:
            return
        self._settle_pending()
        with self.timings.cycle.time():
            self.engine.cycle()
        self.troubles.pop("cycle", None)
        for callback in self._callbacks:
            callback()
