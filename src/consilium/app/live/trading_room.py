"""The trading room as a worker: it trades by the council's policy, and tells the council of each close."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from consilium.app.live.account import Accounts
from consilium.app.live.candle_log import CandleReader, digest_of
from consilium.app.live.close_reports import CloseReports
from consilium.app.live.council_room import followed
from consilium.app.live.obeying import Obeying
from consilium.app.live.pipeline import NOBODY, read_change
from consilium.app.live.records import (
    ACCOUNT,
    CONSENSUS_REACHED,
    COUNCIL_HEARD,
    POLICY_CHANGED,
    POOL_CHANGED,
    PREDICTED,
    STEP_DECIDED,
    STEP_OBEYED,
    STEP_RULED,
    STEP_TRACE,
    STEP_TRADED,
    Recorder,
)
from consilium.app.live.rooms import label_of
from consilium.app.live.terms import Terms
from consilium.app.live.ungoverned import Ungoverned
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, from_wire, message_of, to_wire
from consilium.domain import (
    Candle,
    Clock,
    Consensus,
    DataProblem,
    Event,
    PoolChanged,
    Prediction,
    StepDone,
)


class TradingRoom:
    """Turns consensuses into orders and fills on paper, with the candles that the market worker keeps.

    Where a council sits it is told of each close, and the next step waits for its word; see `Obeying`.

    Parameters
    ----------
    settings
        Of the process.
    candles
        The folder that the market worker writes.
    clock
        Dates what is written down.
    keep
        Writes down what is not an effect of a row: a halt that the data folder asks for, and whether the
        council is heard.
    alive
        Returns whether the council gives signs of life now.
    """

    name: str = "trading"

    def __init__(
        self,
        settings: Settings,
        candles: CandleReader,
        clock: Clock,
        keep: Callable[[Sequence[Event]], object] = lambda _: None,
        alive: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._keep = keep
        governed = settings.council.enabled
        self.allowed: Obeying | Ungoverned = Obeying(settings, alive) if governed else Ungoverned(settings)
        self.topics: tuple[str, ...] = (
            POOL_CHANGED,
            PREDICTED,
            CONSENSUS_REACHED,
            STEP_DECIDED,
            *self.allowed.topics,
        )
        self._candles = candles
        self._clock = clock
        self._accounts: Accounts | None = None
        self._reports: CloseReports | None = None
        self._terms: Terms | None = None
        self._change = NOBODY
        self._heard: list[Event] = []
        self._decided: list[Event] = []
        self._done = -1
        self.torn = False

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return orders, fills and the snapshot when its step is decided."""
        if event.topic == STEP_DECIDED:
            if not self._decided and not self.allowed.waits:
                return self._step(event)
            if event.event_id not in {waiting.event_id for waiting in self._decided}:
                self._decided.append(event)
            return ()
        if event.topic in self.allowed.topics:
            self.torn = True
            effects = self._obey(event)
            self.torn = False
            return effects
        if event.topic == POOL_CHANGED or event.trace_id.startswith(STEP_TRACE):
            self._heard.append(event)
        return ()

    def _obey(self, event: Event) -> list[Event]:
        """Put in force what a row allows or forbids, and do the steps that waited for it."""
        due = self.allowed.due if isinstance(self.allowed, Obeying) else None
        self.allowed.hear(event)
        effects = [] if self._accounts is None else self._recorded(self._allow(self._accounts), event)
        if isinstance(self.allowed, Obeying) and self._done >= 0:
            ruled = event.topic == STEP_RULED and due is not None and self.allowed.due is None
            between = event.topic == POLICY_CHANGED and due is None
            if ruled or between or (event.topic == COUNCIL_HEARD and self.allowed.lost):
                effects.append(self._obeyed(event))
        while self._decided and not self.allowed.waits:
            effects += self._step(self._decided[0])
            del self._decided[0]
            self.torn = True  # until its effects are returned
        return effects

    def _obeyed(self, event: Event) -> Event:
        """Return that the newest close is over, and what is worth a forecast."""
        assert self._accounts is not None  # noqa: S101 - a step was done
        wanted = followed(self.allowed.policy, self._accounts)
        body = {
            "ts_event": self._done,
            "followed": None if wanted is None else sorted(wanted),
            "after": event.event_id,
        }
        return self._own(STEP_OBEYED, body, event)

    def _own(self, topic: str, body: Mapping[str, Any], event: Event) -> Event:
        return envelope(
            body,
            stream=ACCOUNT,
            ts_recorded=self._clock.now_ns(),
            cause_id=event.event_id,
            trace_id=event.trace_id,
            topic=topic,
        )

    def _pool(self, change: PoolChanged) -> None:
        self._change = change
        if self._accounts is not None and self._reports is not None:
            self._accounts.models(change, self._horizon())
            self._reports.pool(change)

    def _horizon(self) -> int:
        spec = label_of(self._change.label)
        return self._settings.training.horizon if spec is None else spec.horizon

    def _step(self, event: Event) -> list[Event]:
        step = StepDone(**message_of(event))
        candles = self._candles.step(step.ts_event)
        if digest_of(candles) != step.digest:
            raise DataProblem(
                f"the candles of close {step.ts_event} must be in {self._candles.folder}",
                f"{len(candles)} of {step.candles}",
                "give all workers the same data folder",
            )
        accounts, reports, terms = self._begun()
        self.torn = True
        messages = self._until(step.ts_event)
        fresh = _fresh(candles, step.ts_event, accounts, terms)
        said = self._allow(accounts) + accounts.step(
            step.ts_event,
            fresh,
            [message for message in messages if isinstance(message, Prediction)],
            [message for message in messages if isinstance(message, Consensus)],
        )
        self._done = step.ts_event
        effects = self._told(step.ts_event, fresh, said, reports, event)
        self.torn = False
        return effects

    def _told(
        self, ts: int, fresh: Sequence[Candle], said: list[Any], reports: CloseReports, event: Event
    ) -> list[Event]:
        """Return what a step has said, and what the council is told of it."""
        if not isinstance(self.allowed, Obeying):
            return self._recorded(said, event)
        split, told = reports.close(ts, fresh, said)
        effects = self._recorded([*said, *([] if split is None else [split])], event)
        self.allowed.traded(ts)
        effects.append(self._own(STEP_TRADED, told.as_dict(), event))
        if self.allowed.lost:
            effects.append(self._obeyed(event))
        return effects

    def _recorded(self, said: Sequence[Any], event: Event) -> list[Event]:
        recorder = Recorder(ts_recorded=self._clock.now_ns(), trace_id=event.trace_id)
        return recorder.events(said, event.event_id)

    def _allow(self, accounts: Accounts) -> list[Any]:
        """Put in force what is allowed now; return what that does to orders."""
        policy, trading = self.allowed.policy, accounts.trading
        return [] if trading.gate.policy == policy else list(trading.handle(policy))

    def cycle(self) -> None:
        """Write down a halt that the data folder asks for, and whether the council is heard.

        It counts when its row comes back.
        """
        now = self._clock.now_ns()
        command = self.allowed.look(now)
        if command is not None:
            self._keep([Recorder(ts_recorded=now, trace_id="kill").event(command)])
        heard = self.allowed.listen()
        if heard is not None:
            body = {"heard": heard, "ts_event": now}
            self._keep(
                [envelope(body, stream=ACCOUNT, ts_recorded=now, trace_id="council", topic=COUNCIL_HEARD)]
            )

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

    def _begun(self) -> tuple[Accounts, CloseReports, Terms]:
        if self._accounts is None or self._reports is None or self._terms is None:
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
            accounts.trading.set_policy(self.allowed.policy)
            reports = CloseReports(accounts, terms.interval_ns)
            reports.pool(self._change)
            warm = _in_order(self._candles.warm_up(), terms)
            accounts.warm_up(warm)
            reports.warm_up(warm)
            self._accounts, self._reports, self._terms = accounts, reports, terms
        return self._accounts, self._reports, self._terms

    def state(self) -> dict[str, Any]:
        """Return all that it remembers; messages of a step that is not decided come again."""
        return {
            "change": asdict(self._change),
            "accounts": None if self._accounts is None else self._accounts.state(),
            "reports": None if self._reports is None else self._reports.state(),
            "heard": [to_wire(event) for event in self._heard],
            "decided": [to_wire(event) for event in self._decided],
            "done": self._done,
            "allowed": self.allowed.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        self.torn = True
        self._accounts = self._reports = self._terms = None
        self._candles.rewind()
        self._change = read_change(state["change"])
        self._heard = [from_wire(wire) for wire in state["heard"]]
        self._decided = [from_wire(wire) for wire in state["decided"]]
        self._done = int(state["done"])
        self.allowed.restore(state["allowed"])
        if state["accounts"] is not None:
            accounts, reports, _ = self._begun()
            accounts.restore(state["accounts"])
            reports.restore(state["reports"])
        self.torn = False


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
