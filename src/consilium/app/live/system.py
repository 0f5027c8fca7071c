"""The living system: its threads, its feed, its watch on the models, and what others bring to it."""

import gc
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Event as Flag
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from consilium.app.live import views
from consilium.app.live.beat import beats
from consilium.app.live.core import Core, Parts
from consilium.app.live.feeds import Step
from consilium.app.live.governing import Governed
from consilium.app.live.outside import outside_event
from consilium.app.live.recovery import terms_of
from consilium.app.live.research import ResearchDesk
from consilium.bus.transport import Pump
from consilium.domain import ConsiliumError, CouncilCommanded, Event

WATCH_S = 1.0
"""Seconds between two looks at the registry of models."""

COMMAND_WAIT_S = 2.0
"""How long a command waits for its turn, as behind a recovery, before it is refused."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

Result = TypeVar("Result")
log = logging.getLogger("consilium.live")


class LiveSystem(Core):
    """Feed, models, ensemble and paper account of one process, and their journal.

    All state moves on one thread. A step's messages are in the journal, in one transaction, before anybody
    else hears of them; what a kill interrupts is done again to the same events.

    Parameters
    ----------
    parts
        What it is made of; `stop` closes them.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="consilium-pipeline")
        self._others: list[Thread] = []
        self._stop = Flag()
        self._lifecycle = Lock()
        self._started = self._stopped = False

    # life

    def start(self) -> Self:
        """Recover in the background, then follow the feed; comes back at once.

        Raises
        ------
        ConsiliumError
            The journal belongs to another feed.
        """
        with self._lifecycle:
            if self._started:
                return self
            self._started = True
            self._fresh = self.engine.state()
            self.pipeline = self._make_pipeline(terms_of(self.feed, self._candle_log))
            self.account = views.trading_status(self.pipeline)
            self._thread.submit(self._recover)
            self._thread.submit(self._end_killed_training)
            self._others = [
                Thread(target=work, name=f"consilium-{name}", daemon=True) for name, work in self._works()
            ]
            for thread in self._others:
                thread.start()
        return self

    def _works(self) -> list[tuple[str, Callable[[], None]]]:
        works = [("feed", self._follow), ("models", self._watch), ("cycles", self._beat)]
        if self.settings.council.enabled:
            works.append(("council", self._sit))
            works.append(("research", lambda: ResearchDesk(self).run(self._stop)))
            works.append(("studies", lambda: ResearchDesk(self, studies=True).run(self._stop)))
        if self.settings.redis_url:
            pump = Pump(self.journal, self.transport)
            works.append(("pump", lambda: pump.run(self._stop)))
        return works

    def stop(self) -> None:
        """End gracefully: the step at hand is finished, a snapshot kept, and the journal closed."""
        with self._lifecycle:
            if self._stopped:
                return
            self._stopped = True
        if self._started and self.training is not None:
            self.training.close()  # first, so that its end is journaled
        self._stop.set()
        for thread in self._others:
            thread.join(30.0)
        self._thread.submit(self._last_words).result() if self._started else None
        self._thread.shutdown(wait=True)
        self._runtime.close()
        self._candle_log.close()
        gc.unfreeze()
        for part in (self.transport, self.store, self.journal, self._held):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, work: Callable[[], Result]) -> Result:
        """Do something on the pipeline thread and wait for it."""
        # in the caller's context, so that lines of the log carry its trace
        return self._thread.submit(copy_context().run, work).result()

    def _ask(self, work: Callable[[], Result]) -> Result:
        """Do what a caller asks for on the pipeline thread, if that has time for it soon.

        Raises
        ------
        ConsiliumError
            It has not: nothing was begun.
        """
        asked = self._thread.submit(copy_context().run, work)
        try:
            return asked.result(COMMAND_WAIT_S)
        except TimeoutError:
            if asked.cancel():
                told = self.troubles.get("engine", "") or "one at other work"
                raise ConsiliumError(
                    "the engine must be ready for commands", told, "try again later"
                ) from None
        return asked.result()

    # what goes in

    def submit(self, message: Any, *, by: str, trace_id: str = "") -> Event:
        """Check, apply and journal a command on the pipeline thread.

        Parameters
        ----------
        message
            Such as `RuleChanged`.
        by
            Who asked for it.
        trace_id
            Of the request.

        Raises
        ------
        ConsiliumError
            It is not possible; nothing is changed and nothing is journaled then.
        OutcomeUnknown
            The journal did not answer: the command stands and is journaled as soon as it does.
        """
        return self._ask(lambda: self._command(message, by, trace_id))

    def publish_outside(
        self,
        topic: str,
        *,
        source: str,
        sequence: int,
        ts_event: int,
        payload: Mapping[str, Any],
        by: str,
    ) -> Event:
        """Take up an event of an outside system; the same source and sequence again is the same event.

        Raises
        ------
        ConsiliumError
            An unknown topic, one of our own rooms, a payload that is no plain JSON, or another
            one than this source and sequence had before.
        """
        event = outside_event(
            topic,
            source=source,
            sequence=sequence,
            ts_event=ts_event,
            payload=payload,
            by=by,
            ts_recorded=self.clock.now_ns(),
        )
        return self._ask(lambda: self._publish(event))

    def take(self, candles: Step) -> None:
        """Do one step with candles that no feed brings, and wait until it is in the journal."""
        self._run(lambda: self._step(candles))

    # feed, models and cycles

    def _follow(self) -> None:
        """Take step after step from the feed; whatever fails is tried again after a pause."""
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                if "engine" in self._run(lambda: dict(self.troubles)):
                    return
                if self._begun():
                    market = self.pipeline.market
                    for step in self.feed.steps(market.newest, self._stop, market.held()):
                        if not self._turn():
                            return
                        self._run(lambda candles=step: self._step(candles))  # type: ignore[misc]
                        pause = FIRST_PAUSE_S
                        self.troubles.pop("feed", None)
                        if self._stop.is_set():
                            return
                    return
            except Exception as error:  # noqa: BLE001 - a feed that fails must be taken up again
                self.troubles["feed"] = " ".join(str(error).split()) or type(error).__name__
                log.warning("feed: %s", self.troubles["feed"])
            if self._stop.wait(pause):
                return
            pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _turn(self) -> bool:
        """Wait until a step may begin; False where it was told to stop meanwhile."""
        return True

    def _begun(self) -> bool:
        """Keep the feed's history before its first step; False where there is no feed."""
        if not self.feed.name:
            return False
        if self._candle_log.terms() is None:
            history = list(self.feed.history())
            self._candle_log.begin(self.pipeline.terms.as_dict(), history)
            self._run(lambda: self._warm_up(history))
        return True

    def _watch(self) -> None:
        """Look at the registry now and then, and take up what was promoted."""
        seen = self._shelf.signature()
        while not self._stop.wait(WATCH_S):
            self._keep_hold()
            try:
                found = self._shelf.signature()
                if found != seen and "engine" not in self.troubles:
                    members = self._shelf.load(self.clock.now_ns(), self._members)
                    self._run(lambda taken=members: self._serve(taken))  # type: ignore[misc]
                    seen = found
            except Exception as error:  # noqa: BLE001 - models that serve must not suffer from others
                self.troubles["models"] = " ".join(str(error).split())
                log.warning("models: %s", self.troubles["models"])

    def _keep_hold(self) -> None:
        """Stand still where another process has taken what this one held, as while its server restarted."""
        lost = self._held.keep()
        if lost is not None and "engine" not in self.troubles:
            self.troubles["engine"] = f"it stands still: {lost}"
            log.error("%s", self.troubles["engine"])

    def _beat(self) -> None:
        """Let the engine cycle."""
        for _ in beats(self._stop, self.settings.engine.period_s):
            try:
                self._run(self._cycle)
            except Exception as error:  # noqa: BLE001 - the next cycle may work
                self.troubles["cycle"] = " ".join(str(error).split())
                log.warning("cycle: %s", error)

    def _sit(self) -> None:
        """Look at the clock and at our own health, and let the council know."""
        while not self._stop.wait(self.settings.council.tick_s):
            try:
                assessed = self._looked()
                self._run(lambda seen=assessed: self._tick(seen))  # type: ignore[misc]
                self.troubles.pop("council", None)
            except Exception as error:  # noqa: BLE001 - the next look may work
                self.troubles["council"] = " ".join(str(error).split())
                log.warning("council: %s", self.troubles["council"])

    def research_ended(self, message: Mapping[str, Any]) -> None:
        """Write down how a research task ended."""
        self._run(lambda: self._research_ended(message))

    def seen_by_research(self) -> tuple[list[str], str, int, dict[str, Any]]:
        """Return loaded models, the first symbol, the newest close, and the account with its candles."""
        return self._run(self._seen_by_research)

    def govern(self, command: CouncilCommanded, *, trace_id: str = "") -> Governed:
        """Let an operator rule: check, apply and journal a command on the pipeline thread.

        Raises
        ------
        ConsiliumError
            It is not possible; nothing is changed and nothing is journaled then.
        OutcomeUnknown
            The journal did not answer: the command stands and is journaled as soon as it does.
        """
        return self._ask(lambda: self._govern(command, trace_id))

    def state_hash(self) -> str:
        """Return the digest of all state, as it stands between two steps."""
        return self._run(lambda: self.pipeline.state_hash())
