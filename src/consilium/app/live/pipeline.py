"""The pipeline: all rooms of one process, from the candles of one close to consensus and paper trades.

It reads no clock and writes nothing: what a step concludes is returned as messages. Predictions are the only
thing that a replay takes from the journal; all else follows from candles and messages again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

from consilium.app.bootstrap import trip_cost
from consilium.app.live.account import Accounts
from consilium.app.live.council_room import CouncilRoom
from consilium.app.live.market_room import MarketRoom, Observed, Speaker
from consilium.app.live.members import Members
from consilium.app.live.records import CONSENSUS_REACHED, ORDER_SENT
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.domain import ArtefactRefused, Candle, Consensus, Event, Order, PoolChanged, digest
from consilium.ensemble import Gates, make_gates
from consilium.models.runtime import Runtime
from consilium.training.labels import LabelSpec

STATE_VERSION = 4
NOBODY = PoolChanged(models={}, missing={}, label={}, means={}, ts_event=0)
"""The pool before anything was said of it."""


class Room(Protocol):
    """The ensemble as the pipeline sees it: `EnsembleEngine`."""

    @property
    def configured(self) -> Mapping[str, float]:
        """Share of each model as the settings give it."""
        ...

    def handle(self, message: Any) -> Iterable[Any]:
        """Take a message; return what follows from it."""
        ...

    def flush(self, until: int | None = None) -> Iterable[Any]:
        """Decide the open rounds by who has spoken."""
        ...

    def pool_changed(self, change: PoolChanged, gates: Gates) -> None:
        """Count other models from now on, and hold consensuses to other gates."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that it remembers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state."""
        ...


class Pipeline:
    """All rooms of one process, moved on step by step.

    Parameters
    ----------
    settings
        Of the process.
    room
        The ensemble.
    terms
        What is followed.
    runtime
        Workers that share the models of a decision.
    """

    snapshot: ClassVar[str] = "pipeline"
    """Under which its state is kept in the journal."""
    concludes: ClassVar[Mapping[str, type]] = {CONSENSUS_REACHED: Consensus, ORDER_SENT: Order}
    """By topic, what must come out of a replayed step as the journal has it, before the step's end."""

    def __init__(self, settings: Settings, room: Room, terms: Terms, runtime: Runtime) -> None:
        spec = LabelSpec(horizon=settings.training.horizon)
        self.settings = settings
        self.room = room
        self.terms = terms
        self.market = MarketRoom(terms, spec, runtime, foresight=settings.live.foresight)
        self.accounts = Accounts(
            settings, terms.symbols, terms.interval_ns, terms.bars_per_day, horizon=spec.horizon
        )
        self.council = CouncilRoom(settings, terms, self.accounts, lambda: self.room)
        self.change = NOBODY
        self.ts = -1

    def serve(self, members: Members) -> None:
        """Ask other models from the next step on; who counts in a consensus is said by `change_pool`."""
        self.market.serve(members)

    def change_pool(self, change: PoolChanged) -> None:
        """Weigh with other heads, gates and label from now on."""
        self.change = change
        self.market.forecast(change)
        self.room.pool_changed(change, gates_of(self.settings, change))
        self.accounts.models(change, self.market.spec.horizon)
        self.council.pool(change)

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Take in candles from before the first step."""
        taken = self.market.warm_up(candles)
        self.accounts.warm_up(taken)
        self.council.warm_up(taken)

    def step(self, ts: int, candles: Sequence[Candle], speak: Speaker | None = None) -> list[Any]:
        """Take all candles of one close; return what follows, in the order in which it happened.

        Parameters
        ----------
        ts, candles, speak
            See `MarketRoom.observe`.

        Returns
        -------
        Outcomes, feature windows, predictions, consensuses, orders, order events, fills, the snapshot,
        figures of models as plain objects, and what the council rules on all that.
        """
        return self.conclude(ts, self.observe(ts, candles, speak))

    def followed(self) -> frozenset[str] | None:
        """Return the symbols that are worth a forecast; None for all."""
        return self.council.followed()

    def observe(self, ts: int, candles: Sequence[Candle], speak: Speaker | None = None) -> Observed:
        """Do the first and long part of a step: the market and its forecasts; no other room moves."""
        return self.market.observe(ts, candles, speak, self.followed())

    def conclude(self, ts: int, observed: Observed) -> list[Any]:
        """Do the rest of a step: consensus, trades, and what the council rules."""
        self.ts = ts
        said = observed.messages()
        consensuses: list[Consensus] = [
            consensus for message in said for consensus in self.room.handle(message)
        ]
        consensuses += self.room.flush(ts)
        predictions = [p for _, spoken in observed.heard for p in spoken]
        traded = self.accounts.step(ts, observed.fresh, predictions, consensuses)
        return [*said, *consensuses, *traded, *self.council.close(ts, observed.fresh, traded)]

    def take(self, event: Event, message: Any) -> list[Any]:
        """Take an event that the council hears between two steps; return what follows."""
        return self.council.take(event, message, self.ts)

    def state(self) -> dict[str, Any]:
        """Return all that the rooms remember, as JSON values."""
        return {
            "version": STATE_VERSION,
            "terms": self.terms.as_dict(),
            "ts": self.ts,
            "change": asdict(self.change),
            "market": self.market.state(),
            "room": self.room.state(),
            "accounts": self.accounts.state(),
            "council": self.council.state(),
        }

    def restore(self, state: Mapping[str, Any], candles: Iterable[Candle]) -> None:
        """Take up what ``state`` returned.

        Parameters
        ----------
        state
            Of a pipeline of the same terms and settings.
        candles
            All that it had taken, or the newest 1,128 of each symbol.

        Raises
        ------
        ConsiliumError
            It is of other terms, models or settings.
        """
        mine = {"version": STATE_VERSION, "terms": self.terms.as_dict()}
        if {name: state.get(name) for name in mine} != mine:
            raise ArtefactRefused("a snapshot must be of this pipeline", "another one", "replay from zero")
        self.ts = int(state["ts"])
        self.change_pool(read_change(state["change"]))
        self.market.restore(state["market"], candles)
        self.room.restore(state["room"])
        self.accounts.restore(state["accounts"])
        self.council.restore(state["council"])

    def state_hash(self) -> str:
        """Hash the state: SHA-256, 64 hex digits."""
        return digest(self.state())


def gates_of(settings: Settings, change: PoolChanged) -> Gates:
    """Make the gates of a pool; the edge preset reads means that the models were trained with."""
    preset = settings.ensemble.gates
    if preset != "edge" or not change.means:
        return make_gates(preset)
    return make_gates("edge", round_trip_cost=trip_cost(settings), **change.means)


def read_change(fields: Mapping[str, Any]) -> PoolChanged:
    """Return the message that was written down as plain JSON."""
    return PoolChanged(**{**fields, "unskilled": tuple(fields["unskilled"])})
