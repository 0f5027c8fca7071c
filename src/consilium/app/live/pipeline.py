"""The pipeline: from the candles of one close to predictions, consensus and paper trades.

It reads no clock and writes nothing: what a step concludes is returned as messages. Predictions are the only
thing that a replay takes from the journal; all else follows from candles and messages again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np

from consilium.app.bootstrap import trip_cost
from consilium.app.live.account import Accounts
from consilium.app.live.followed import FALLBACK_FEATURES, Followed
from consilium.app.live.members import Members
from consilium.app.settings import Settings
from consilium.domain import (
    ArtefactRefused,
    Candle,
    Consensus,
    FeatureWindow,
    Outcome,
    PoolChanged,
    Prediction,
    digest,
)
from consilium.ensemble import Gates, make_gates
from consilium.models.pool import ModelPool
from consilium.models.runtime import Runtime
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import LabelSpec

FALLBACK = "fallback"
STATE_VERSION = 1
LONGEST_GAP = 5
"""Bars after which a model's window does not reach across a gap any more."""

Speaker = Callable[[Followed, int], Sequence[Prediction]]


class Room(Protocol):
    """The ensemble as the pipeline sees it: `EnsembleEngine`."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is followed: fixed when the first step is made, for replays must read the same."""

    feed: str = ""
    interval_ns: int = 0
    symbols: tuple[str, ...] = ()
    bars_per_day: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "feed": self.feed,
            "interval_ns": self.interval_ns,
            "symbols": list(self.symbols),
            "bars_per_day": dict(self.bars_per_day),
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Terms":
        """Read what ``as_dict`` wrote."""
        return cls(**{**fields, "symbols": tuple(fields["symbols"])})


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

    def __init__(self, settings: Settings, room: Room, terms: Terms, runtime: Runtime) -> None:
        self.settings = settings
        self.room = room
        self.terms = terms
        self.counts: Counter[str] = Counter()
        self.pool: ModelPool | None = None
        self.change = PoolChanged(models={}, missing={}, label={}, means={}, ts_event=0)
        self.coverage = "none"
        self.ts = -1
        self._runtime = runtime
        self._members = Members()
        self._spec = LabelSpec(horizon=settings.training.horizon)
        self._first_ts = -1
        self._fallback: Any = None
        self.followed = {symbol: self._follow(symbol) for symbol in terms.symbols}
        self.accounts = Accounts(
            settings, terms.symbols, terms.interval_ns, terms.bars_per_day, horizon=self._spec.horizon
        )

    def _follow(self, symbol: str) -> Followed:
        return Followed(
            symbol,
            self.terms.interval_ns,
            self.terms.bars_per_day[symbol],
            features=self._members.feature_names,
            window=self._members.window,
            spec=self._spec,
        )

    # models

    def serve(self, members: Members) -> None:
        """Ask other models from the next step on; who counts in a consensus is said by `change_pool`."""
        before, self._members = self._members, members
        same = (before.feature_names, before.window) == (members.feature_names, members.window)
        if not same:
            for followed in self.followed.values():
                followed.read(members.feature_names, members.window)
        missing = {name: why for name, why in members.missing.items() if name not in members.models}
        if not members.models and not missing:
            self.pool = None
            return
        self.pool = ModelPool(
            (member.served for member in members.models.values()),
            missing=missing,
            feature_names=members.feature_names,
            runtime=self._runtime,
            max_step_ns=LONGEST_GAP * self.terms.interval_ns or None,
        )
        self.fill_windows()

    def fill_windows(self) -> None:
        """Give the pool the newest rows of each symbol."""
        if self.pool is None or not self._members.feature_names:
            return
        for symbol, followed in self.followed.items():
            if followed.rows:
                self.pool.warm(
                    symbol,
                    np.array([row for _, row in followed.rows]),
                    [ts_event for ts_event, _ in followed.rows],
                )

    def change_pool(self, change: PoolChanged) -> None:
        """Weigh with other heads, gates and label from now on."""
        self.change = change
        spec = (
            spec_from_dict(cast("Mapping[str, float | int | str]", change.label))
            if change.label
            else self._spec
        )
        if isinstance(spec, LabelSpec) and spec != self._spec:
            self._spec = spec
            for followed in self.followed.values():
                followed.forecast(spec)
        self.room.pool_changed(change, self._gates(change))
        self.accounts.models(change.models, self._spec.horizon)

    def _gates(self, change: PoolChanged) -> Gates:
        preset = self.settings.ensemble.gates
        if preset != "edge" or not change.means:
            return make_gates(preset)
        return make_gates("edge", round_trip_cost=trip_cost(self.settings), **change.means)

    # memory

    def state(self) -> dict[str, Any]:
        """Return all that the rooms remember, as JSON values."""
        return {
            "version": STATE_VERSION,
            "terms": self.terms.as_dict(),
            "ts": self.ts,
            "first_ts": self._first_ts,
            "counts": dict(self.counts),
            "change": asdict(self.change),
            "followed": {symbol: followed.state() for symbol, followed in self.followed.items()},
            "room": self.room.state(),
            "accounts": self.accounts.state(),
        }

    def restore(self, state: Mapping[str, Any], candles: Iterable[Candle]) -> None:
        """Take up what ``state`` returned.

        Parameters
        ----------
        state
            Of a pipeline of the same terms and settings.
        candles
            All that it had taken, or the newest 1,000 of each symbol.

        Raises
        ------
        ConsiliumError
            It is of other terms, models or settings.
        """
        mine = {"version": STATE_VERSION, "terms": self.terms.as_dict()}
        if {name: state[name] for name in mine} != mine:
            raise ArtefactRefused("a snapshot must be of this pipeline", "another one", "replay from zero")
        self.ts, self._first_ts = int(state["ts"]), int(state["first_ts"])
        self.counts = Counter(state["counts"])
        change = state["change"]
        self.change_pool(PoolChanged(**{**change, "unskilled": tuple(change["unskilled"])}))
        taken: dict[str, list[Candle]] = {symbol: [] for symbol in self.followed}
        for candle in candles:
            taken[candle.symbol].append(candle)
        for symbol, followed in self.followed.items():
            followed.restore(state["followed"][symbol], taken[symbol])
        self.room.restore(state["room"])
        self.accounts.restore(state["accounts"])

    def state_hash(self) -> str:
        """Hash the state: SHA-256, 64 hex digits."""
        return digest(self.state())

    # candles

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Take in candles from before the first step."""
        for candle in candles:
            followed = self.followed.get(candle.symbol)
            if followed is not None and not self._objection(candle):
                followed.take(candle)
                self.accounts.warm_up([candle])
        self.fill_windows()

    def step(self, ts: int, candles: Sequence[Candle], speak: Speaker | None = None) -> list[Any]:
        """Take all candles of one close; return what follows, in the order in which it happened.

        Parameters
        ----------
        ts
            UTC nanoseconds of the close, later than the last one.
        candles
            One a symbol; late, repeated and foreign ones are left out and counted.
        speak
            Where predictions come from; None for the models. A replay gives those of the journal.

        Returns
        -------
        Outcomes, feature windows, predictions, consensuses, orders, order events, fills, the snapshot, and
        figures of models as plain objects.
        """
        self.ts = ts
        if self._first_ts < 0:
            self._first_ts = ts
        fresh, outcomes = self._take(ts, candles)
        said: list[Any] = list(outcomes)
        for outcome in outcomes:
            said += self.room.handle(outcome)
        consensuses: list[Consensus] = []
        predictions: list[Prediction] = []
        for candle in fresh:
            followed = self.followed[candle.symbol]
            volatility = followed.volatility()
            heard: list[Any] = []
            if volatility is not None:
                heard.append(
                    FeatureWindow(
                        symbol=candle.symbol,
                        ts_event=ts,
                        features=np.empty((0, 0)),
                        volatility=volatility,
                    )
                )
            spoken = (speak or self._speak)(followed, ts)
            predictions += spoken
            for message in (*heard, *spoken):
                said.append(message)
                consensuses += self.room.handle(message)
        consensuses += self.room.flush(ts)
        skilled = [p for p in predictions if p.model in self.change.models and self._acts(p.model)]
        return [*said, *consensuses, *self.accounts.step(ts, fresh, skilled, consensuses)]

    def _acts(self, model: str) -> bool:
        return model not in self.change.unskilled

    def _take(self, ts: int, candles: Sequence[Candle]) -> tuple[list[Candle], list[Outcome]]:
        fresh: list[Candle] = []
        outcomes: list[Outcome] = []
        for candle in sorted(candles, key=lambda c: (c.ts_close, c.symbol)):
            objection = self._objection(candle) or ("from_the_future" if candle.ts_close > ts else "")
            if objection:
                self.counts[objection] += 1
                continue
            followed = self.followed[candle.symbol]
            outcome = followed.take(candle)
            if outcome is not None and outcome.ts_event >= self._first_ts:
                outcomes.append(outcome)
            if candle.ts_close == ts:
                fresh.append(candle)
            else:
                # It fills the history, so that windows have no hole; for a forecast it comes too late.
                self.counts["late"] += 1
                if self.pool is not None and followed.row is not None:
                    self.pool.warm(candle.symbol, followed.row[np.newaxis], [candle.ts_close])
        return fresh, outcomes

    def _objection(self, candle: Candle) -> str:
        followed = self.followed.get(candle.symbol)
        if followed is None:
            return "unknown_symbol"
        if candle.interval_ns != self.terms.interval_ns:
            return "other_length"
        return "repeated" if candle.ts_close <= followed.ts_close else ""

    def _speak(self, followed: Followed, ts: int) -> Sequence[Prediction]:
        row = followed.row
        if self.pool is not None and row is not None:
            forecast = self.pool.decide(followed.symbol, row, ts_event=ts)
            self.coverage = forecast.coverage
            if forecast.predictions:
                return forecast.predictions
        else:
            self.coverage = "none"
        return self._fall_back(followed, ts)

    def _fall_back(self, followed: Followed, ts: int) -> Sequence[Prediction]:
        row = followed.plain_row()
        if row is None:
            return ()
        if self._fallback is None:
            # Loaded where it is needed: its base class comes from a large library.
            from consilium.models import make_forecaster

            self._fallback = make_forecaster(FALLBACK, feature_names=FALLBACK_FEATURES)
        down, flat, up = (float(p) for p in self._fallback.predict_proba(row[np.newaxis])[0])
        return (
            Prediction(
                model=FALLBACK,
                symbol=followed.symbol,
                ts_event=ts,
                horizon_ns=self._spec.horizon * self.terms.interval_ns,
                label_id=self._spec.label_id(self.terms.interval_ns),
                probabilities=(down, flat, up),
            ),
        )
