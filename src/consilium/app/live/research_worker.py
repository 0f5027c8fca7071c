"""The researcher's tasks among workers: an API worker, which has the training desk, carries them out."""

import logging
from collections.abc import Callable, Mapping
from threading import Event as Flag
from threading import Thread
from typing import Any

from consilium.app.live.candle_log import CandleReader
from consilium.app.live.feeds import WARM_UP_BARS
from consilium.app.live.records import ACCOUNT, COUNCIL, RESEARCH_ENDED
from consilium.app.live.research import ResearchDesk
from consilium.app.live.terms import Terms
from consilium.app.live.training import TrainingDesk
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, message_of
from consilium.bus.journal import Journal
from consilium.bus.journal.alone import Held
from consilium.bus.payloads import encode
from consilium.domain import Clock, OutputProblem

SNAPSHOT = "portfolio.snapshot_updated"
LOCK = "research.lock"
RETRY_S = 5.0

log = logging.getLogger("consilium.council")


def following(settings: Settings, kept: Mapping[str, Any] | None) -> Settings:
    """Return settings that name the feed which the market worker follows, where they name none."""
    if settings.live.feed or kept is None:
        return settings
    terms = Terms.of(kept)
    live = settings.live.model_copy(update={"feed": terms.feed, "symbols": terms.symbols})
    return settings.model_copy(update={"live": live})


class ResearchAmongWorkers:
    """What a research desk needs, read from the journal and from the candles that the market worker keeps.

    Parameters
    ----------
    settings, journal, clock, training
        Of the API worker.
    candles
        The folder that the market worker writes.
    status
        Returns what is followed, and how far.
    account
        Returns the account as of its newest snapshot.
    now
        Returns the council's time.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        clock: Clock,
        training: TrainingDesk,
        candles: CandleReader,
        *,
        status: Callable[[], Mapping[str, Any]],
        account: Callable[[], Mapping[str, Any]],
        now: Callable[[], int],
    ) -> None:
        self._given = settings
        self.journal = journal
        self.training = training
        self.council_now = now
        self._clock = clock
        self._candles = candles
        self._status = status
        self._account = account

    @property
    def settings(self) -> Settings:
        """Of the process, with the feed that is followed."""
        return following(self._given, self._candles.terms())

    def research_ended(self, message: Mapping[str, Any]) -> None:
        """Write down how a task ended."""
        event = envelope(
            message,
            stream=COUNCIL,
            ts_recorded=self._clock.now_ns(),
            trace_id=f"research-{message['decision_id']}",
            topic=RESEARCH_ENDED,
        )
        self.journal.append([event])

    def seen_by_research(self) -> tuple[list[str], str, int, dict[str, Any]]:
        """Return loaded models, the first symbol, the newest close, and the account with its candles."""
        status, account = self._status(), self._account()
        symbols: list[str] = list(status["symbols"])
        rows = self.journal.read(0, 1_000, topics=[SNAPSHOT], stream=ACCOUNT, newest_first=True)
        seen = {
            "equity": float(account.get("equity", self._given.paper.equity)),
            "positions": account["positions"],
            "closes": {
                symbol: [candle.close for candle in self._candles.newest(symbol, WARM_UP_BARS)]
                for symbol in symbols
            },
            "snapshots": [encode(message_of(row.event)) for row in reversed(rows)],
        }
        return list(status["models"]), next(iter(symbols), ""), int(status["ts_event"]), seen

    def run(self, stop: Flag) -> None:
        """Carry out tasks until told to stop, while no other API worker of the data folder does."""
        held = self._held(stop)
        if held is None:
            return
        try:
            works = [
                Thread(target=ResearchDesk(self, studies=studies).run, args=(stop,), daemon=True)
                for studies in (False, True)
            ]
            for work in works:
                work.start()
            for work in works:
                work.join()
        finally:
            held.close()

    def _held(self, stop: Flag) -> Held | None:
        while not stop.is_set():
            try:
                path = self._given.data_dir / "live" / LOCK
                return Held().file(path, "one process carries out research", patience_s=0.0)
            except OutputProblem:
                stop.wait(RETRY_S)
        return None
