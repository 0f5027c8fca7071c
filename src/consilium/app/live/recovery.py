"""After a stop: the newest snapshot, then the journal from there, and the pipeline stands where it stood."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consilium.app.live.candle_log import WARM_UP, CandleLog, digest_of
from consilium.app.live.feeds import WARM_UP_BARS, LiveFeed
from consilium.app.live.followed import Followed
from consilium.app.live.outside import OUTSIDE_TOPICS as REPORTS
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.records import (
    COMMANDED,
    CONSENSUS_REACHED,
    HEALTH,
    POOL_CHANGED,
    PREDICTED,
    STEP_DONE,
    STEP_TRACE,
    SYSTEM,
    TIME_PASSED,
    Recorder,
)
from consilium.app.live.terms import Terms
from consilium.bus.codec import message_of
from consilium.bus.journal import Journal
from consilium.domain import (
    Candle,
    ConsiliumError,
    DataProblem,
    Event,
    Prediction,
    StepDone,
    TrainingEnded,
    TrainingStarted,
    UsageError,
)

PAGE = 2_000
_log = logging.getLogger("consilium.live")
OUTSIDE = "outside:"
"""Where the streams of other systems begin."""
TRAINING_STARTED, TRAINING_ENDED = "training.started", "training.ended"
COMMANDS = (
    "ensemble.rule_changed",
    "ensemble.model_configured",
    "ensemble.signal_received",
    "model.performance_reported",
)
"""Topics that the ensemble applies as they come, between steps."""
GOVERNED = (COMMANDED, TIME_PASSED)
"""Topics that the council takes between steps, beside our own health and what outside systems report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Where a recovery ended.

    Parameters
    ----------
    offset
        Of the newest row that was applied.
    steps
        Steps that were replayed.
    differing
        Steps of which what the pipeline concludes came out otherwise than it is in the journal.
    """

    offset: int
    steps: int
    differing: int


class Replayer:
    """Applies the rows of a journal to a pipeline, in their order.

    Parameters
    ----------
    pipeline
        As it stood at ``offset``.
    journal
        What happened.
    log
        The candles of its steps.
    tell
        Called with each step's close.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        journal: Journal,
        log: CandleLog | None,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._journal = journal
        self._log = log
        self._tell = tell
        self._kept: Iterator[tuple[int, list[Candle]]] | None = None
        self._said: list[Event] = []
        self._steps = self._differing = 0

    def run(self, offset: int) -> Recovered:
        """Apply all rows later than one.

        Raises
        ------
        DataProblem
            The candles of a step are gone, or are not those that it was concluded from.
        """
        while rows := self._journal.read(offset, PAGE):
            for row in rows:
                self._apply(row.event)
            offset = rows[-1].offset
        return Recovered(offset=offset, steps=self._steps, differing=self._differing)

    def _apply(self, event: Event) -> None:
        if event.stream.startswith(OUTSIDE):
            # The council heard it; for the other rooms it changed nothing when it came, whatever its topic.
            if event.topic in REPORTS:
                self._pipeline.take(event, None)
            return
        if event.topic == STEP_DONE:
            self._step(message_of(event))
            self._said = []
        elif event.topic == POOL_CHANGED:
            self._pipeline.change_pool(message_of(event))
        elif event.topic in GOVERNED or (event.topic, event.stream) == (HEALTH, SYSTEM):
            self._pipeline.take(event, message_of(event))
        elif event.topic in COMMANDS:
            self._pipeline.room.handle(message_of(event))
        elif event.trace_id.startswith(STEP_TRACE):
            self._said.append(event)
        elif event.topic == CONSENSUS_REACHED:
            # It ends the signals of a cycle: they were decided before whatever came next.
            self._pipeline.room.handle(message_of(event))

    def _step(self, done: StepDone) -> None:
        candles = self._candles(done)
        spoken: dict[str, list[Prediction]] = {}
        for event in self._said:
            if event.topic == PREDICTED:
                said: Prediction = message_of(event)
                spoken.setdefault(said.symbol, []).append(said)

        def speak(followed: Followed, ts: int) -> Sequence[Prediction]:  # noqa: ARG001 - a Speaker
            return spoken.get(followed.symbol, ())

        messages = self._pipeline.step(done.ts_event, candles, speak)
        self._steps += 1
        kinds = self._pipeline.concludes
        if _ids(messages, kinds) != [event.event_id for event in self._said if event.topic in kinds]:
            self._differing += 1
        self._tell(done.ts_event)

    def _candles(self, done: StepDone) -> list[Candle]:
        if self._kept is None:
            self._kept = iter(()) if self._log is None else self._log.steps(after=done.ts_event - 1)
        ts, candles = next(self._kept, (0, []))
        while candles and ts < done.ts_event:  # kept for a step that was not done
            ts, candles = next(self._kept, (0, []))
        if ts != done.ts_event or digest_of(candles) != done.digest:
            raise DataProblem(
                "the candles of each step must be kept as they were",
                f"none of close {done.ts_event}" if ts != done.ts_event else f"others of close {ts}",
                "restore the data folder that belongs to this journal, or begin with another of both",
            )
        return candles


def _ids(messages: Sequence[Any], kinds: Mapping[str, type]) -> list[str]:
    recorder = Recorder(ts_recorded=0, trace_id="")
    concluded = (message for message in messages if isinstance(message, tuple(kinds.values())))
    return [event.event_id for event in recorder.events(concluded)]


def terms_of(feed: LiveFeed, log: CandleLog) -> Terms:
    """Return what is followed: what the kept candles were begun with, else what the feed brings.

    Raises
    ------
    UsageError
        They are of another feed.
    """
    mine = Terms(
        feed=feed.name,
        interval_ns=feed.interval_ns,
        symbols=tuple(feed.symbols),
        bars_per_day=feed.bars_per_day(),
    )
    kept = log.terms()
    if kept is None:
        return mine
    begun = Terms.of(kept)
    theirs = (begun.feed, begun.symbols, begun.interval_ns)
    if feed.name and theirs != (mine.feed, mine.symbols, mine.interval_ns):
        raise UsageError(
            f"this data folder follows {begun.feed} ({len(begun.symbols)} symbols)",
            f"{mine.feed} ({len(mine.symbols)} symbols)",
            "give the same feed and symbols, or another CONSILIUM_DATA_DIR and journal",
        )
    return begun


def recovered(
    make: Callable[[], Pipeline],
    pipeline: Pipeline,
    journal: Journal,
    log: CandleLog,
    tell: Callable[[int], None],
) -> tuple[Pipeline, Recovered]:
    """Bring a fresh pipeline to where the journal ends.

    Parameters
    ----------
    make
        Makes another fresh one, should the snapshot be of other settings.
    pipeline
        Fresh, with its models.
    journal, log
        What happened, and the candles of its steps.
    tell
        Called with each replayed close.

    Returns
    -------
    The pipeline, and where it stands.
    """
    offset, fresh = 0, pipeline.room.state()
    kept = journal.load_snapshot(pipeline.snapshot)
    if kept is not None:
        try:
            until = max(int(kept[1]["ts"]), WARM_UP)
            # For what is shown, and for models that come later.
            pipeline.restore(kept[1], log.newest(pipeline.terms.symbols, WARM_UP_BARS, until))
            offset = kept[0]
        except (ConsiliumError, KeyError, TypeError, ValueError) as error:
            _log.warning("the snapshot is of other settings, all is replayed: %s", error)
            pipeline.room.restore(fresh)
            pipeline = make()
    if offset == 0:
        pipeline.warm_up(log.warm_up())
    return pipeline, Replayer(pipeline, journal, log, tell).run(offset)


def end_of_a_killed_training(journal: Journal, now_ns: int) -> TrainingEnded | None:
    """Return the end of the newest training where it has none, because its service was killed."""
    begun = journal.read(0, 1, topics=[TRAINING_STARTED], newest_first=True)
    if not begun:
        return None
    started: TrainingStarted = message_of(begun[0].event)
    for row in journal.read(begun[0].offset, PAGE, topics=[TRAINING_ENDED]):
        ended: TrainingEnded = message_of(row.event)
        if ended.training_id == started.training_id:
            return None
    return TrainingEnded(
        training_id=started.training_id,
        model=started.model,
        outcome="failed",
        reason="the service ended before it",
        by="service",
        ts_event=now_ns,
    )
