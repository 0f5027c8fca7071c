"""The market worker's turn: no step begins before the council's word on the last one is in force."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from consilium.app.live.core import Parts
from consilium.app.live.feeds import Step
from consilium.app.live.market_room import Observed, Speaker
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.records import OUTCOME, STEP_OBEYED
from consilium.app.live.system import LiveSystem
from consilium.bus.codec import message_of
from consilium.domain import Outcome

BEYOND_S = 10.0
"""How much longer it waits than the trading worker does, which fails closed and then says so."""

LOOK_S = 0.25

log = logging.getLogger("consilium.worker")


class MarketPipeline(Pipeline):
    """The pipeline up to the predictions; what follows from them is the work of others."""

    snapshot: ClassVar[str] = "worker-market"
    concludes: ClassVar[Mapping[str, type]] = {OUTCOME: Outcome}
    """Others conclude the rest, after the step's end."""
    wanted: frozenset[str] | None = None
    """Symbols that are worth a forecast, as the trading worker told last; None for all."""

    def followed(self) -> frozenset[str] | None:
        """Return the symbols that are worth a forecast."""
        return self.wanted

    def observe(self, ts: int, candles: Sequence[Any], speak: Speaker | None = None) -> Observed:
        """Do the work of this room."""
        return self.market.observe(ts, candles, speak, self.wanted)

    def conclude(self, ts: int, observed: Observed) -> list[Any]:
        """Return outcomes, feature windows and predictions."""
        self.ts = ts
        return observed.messages()


class MarketSystem(LiveSystem):
    """Follows the feed and forecasts; step by step with the council, where one sits.

    Parameters
    ----------
    parts
        What it is made of; its own settings have no council.
    patience_s
        How long it waits for the word on a close; 0 for a desk without a council. Once it was waited for in
        vain it is not waited for again, until it comes.
    """

    def __init__(self, parts: Parts, patience_s: float = 0.0) -> None:
        super().__init__(parts)
        self._patience_s = patience_s
        base = parts.settings.council.universe if patience_s > 0.0 else ()
        self._base = sorted(base) or None
        self._alone = False

    def _turn(self) -> bool:
        """Wait until what followed from the last close is in force; False where it was told to stop."""
        if self._patience_s <= 0.0:
            return True
        until = time.monotonic() + self._patience_s
        while not self._stop.is_set():
            head = self.journal.head().offset
            if self._spoken():
                self._alone = False
                return True
            if self._alone or time.monotonic() > until:
                if not self._alone:
                    log.warning("no word on close %d: it goes on without", self.pipeline.ts)
                self._alone = True
                return True
            self.journal.wait(head, LOOK_S)
        return False

    def _spoken(self) -> bool:
        """Take up what is worth a forecast; return whether that is said of the last close."""
        rows = self.journal.read(0, 1, topics=[STEP_OBEYED], newest_first=True)
        told: dict[str, Any] = message_of(rows[0].event) if rows else {"ts_event": -1, "followed": self._base}
        pipeline, wanted = self.pipeline, told["followed"]
        if isinstance(pipeline, MarketPipeline):
            pipeline.wanted = None if wanted is None else frozenset(wanted)
        return bool(told["ts_event"] >= pipeline.ts)

    def take(self, candles: Step) -> None:
        """Do one step with candles that no feed brings; it waits for its turn as any other."""
        if self._turn():
            super().take(candles)

    def figures(self) -> str:
        """Return what the council's worker must know of the models, as JSON."""
        counters = self.pipeline.market.counters()
        return orjson.dumps(
            {
                "counters": {name: dict(figures) for name, figures in counters.items()},
                "models": len(self.pipeline.change.models),
                "feed": self.troubles.get("feed", "") or self.feed.problem(),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        ).decode()
