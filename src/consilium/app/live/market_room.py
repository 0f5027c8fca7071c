"""The market room: from the candles of one close to outcomes, feature windows and predictions."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from consilium.app.live.followed import FALLBACK_FEATURES, Followed
from consilium.app.live.members import Members
from consilium.app.live.terms import Terms
from consilium.domain import Candle, FeatureWindow, Outcome, PoolChanged, Prediction, coverage
from consilium.models.pool import ModelPool
from consilium.models.runtime import Runtime
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import LabelSpec

FALLBACK = "fallback"
LONGEST_GAP = 5
"""Bars after which a model's window does not reach across a gap any more."""

Speaker = Callable[[Followed, int], Sequence[Prediction]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What came of the candles of one close.

    Parameters
    ----------
    fresh
        Candles that close there, in the order of their symbols.
    outcomes
        Those that they made known.
    heard
        By fresh candle, its feature window (where the volatility is known) and its predictions.
    """

    fresh: list[Candle]
    outcomes: list[Outcome]
    heard: list[tuple[FeatureWindow | None, Sequence[Prediction]]]

    def messages(self) -> list[Any]:
        """Return everything in order."""
        said: list[Any] = list(self.outcomes)
        for window, predictions in self.heard:
            said += [*([window] if window is not None else []), *predictions]
        return said


class MarketRoom:
    """Follows symbols, asks the pool, and matures outcomes.

    Parameters
    ----------
    terms
        What is followed.
    spec
        Label of the models until a pool says otherwise.
    runtime
        Workers that share the models of a decision.
    foresight
        Whether a model is asked about a close although it learned from what came after.
    """

    def __init__(self, terms: Terms, spec: LabelSpec, runtime: Runtime, *, foresight: bool = False) -> None:
        self.terms = terms
        self.spec = spec
        self.counts: Counter[str] = Counter()
        self.coverage = "none"
        self.pool: ModelPool | None = None
        self.speaking = Members()
        """Those of the members that are asked; all others are missing there."""
        self._members = Members()
        self._runtime = runtime
        self._foresight = foresight
        self._first_ts = -1
        self._fallback: Any = None
        self.followed = {
            symbol: Followed(
                symbol, terms.interval_ns, terms.bars_per_day[symbol], features=(), window=1, spec=spec
            )
            for symbol in terms.symbols
        }

    def held(self) -> dict[str, int]:
        """Return the newest close of each symbol that has one."""
        closes = {symbol: followed.ts_close for symbol, followed in self.followed.items()}
        return {symbol: ts for symbol, ts in closes.items() if ts >= 0}

    @property
    def newest(self) -> int:
        """The newest close of any symbol; -1 before the first."""
        return max((followed.ts_close for followed in self.followed.values()), default=-1)

    def counters(self) -> Mapping[str, Mapping[str, float]]:
        """Return the figures of each model that is asked, by name; see `ModelPool.counters`."""
        pool = self.pool
        return {} if pool is None else pool.counters()

    def serve(self, members: Members) -> None:
        """Ask other models from the next step on; who counts in a consensus is another matter."""
        before, self._members = self._members, members
        same = (before.feature_names, before.window) == (members.feature_names, members.window)
        if not same:
            for followed in self.followed.values():
                followed.read(members.feature_names, members.window)
        self._speak(self._allowed(self.newest))

    def admit(self, ts: int) -> bool:
        """Let those speak of a close who may; return whether they are others than before.

        A model that learned from what came after a close knows what it forecasts there. It is followed
        meanwhile, so that its windows are full once its time has come.
        """
        allowed = self._allowed(ts)
        if allowed.models.keys() == self.speaking.models.keys():
            return False
        self._speak(allowed)
        return True

    def _allowed(self, ts: int) -> Members:
        return self._members if self._foresight or ts < 0 else self._members.at(ts)

    def _speak(self, members: Members) -> None:
        self.speaking = members
        missing = {name: why for name, why in members.missing.items() if name not in members.models}
        if not members.models and not missing:
            self.pool, self.coverage = None, "none"
            return
        # Until the next step says who spoke: none may come for long, or ever.
        self.coverage = coverage(len(members.models), len(members.models) + len(missing))
        self.pool = ModelPool(
            (member.served for member in members.models.values()),
            missing=missing,
            feature_names=self._members.feature_names,
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

    def forecast(self, change: PoolChanged) -> None:
        """Mature the outcomes of the label that the pool forecasts from now on."""
        spec = (
            spec_from_dict(cast("Mapping[str, float | int | str]", change.label))
            if change.label
            else self.spec
        )
        if isinstance(spec, LabelSpec) and spec != self.spec:
            self.spec = spec
            for followed in self.followed.values():
                followed.forecast(spec)

    def warm_up(self, candles: Iterable[Candle]) -> list[Candle]:
        """Take in candles from before the first step; return those that were taken."""
        taken = []
        for candle in candles:
            if not self._objection(candle):
                self.followed[candle.symbol].take(candle)
                taken.append(candle)
        self.fill_windows()
        return taken

    def observe(
        self,
        ts: int,
        candles: Sequence[Candle],
        speak: Speaker | None = None,
        wanted: Collection[str] | None = None,
    ) -> Observed:
        """Take all candles of one close.

        Parameters
        ----------
        ts
            UTC nanoseconds of the close, later than the last one.
        candles
            One a symbol; late, repeated and foreign ones are left out and counted.
        speak
            Where predictions come from; None for the models. A replay gives those of the journal.
        wanted
            Symbols that are worth a forecast; None for all.
        """
        if self._first_ts < 0:
            self._first_ts = ts
        fresh, outcomes = self._take(ts, candles)
        heard: list[tuple[FeatureWindow | None, Sequence[Prediction]]] = []
        asked = [c.symbol for c in fresh if wanted is None or c.symbol in wanted]
        said = self._ask(asked, ts) if speak is None and asked else {}
        if speak is None and len(asked) < len(fresh):
            self._listen({c.symbol for c in fresh}.difference(asked), ts)
        for symbol in asked:
            followed = self.followed[symbol]
            if speak is not None:
                spoken = speak(followed, ts)
            else:
                spoken = said.get(symbol) or self._fall_back(followed, ts)
            heard.append((_window(followed, ts), spoken))
        return Observed(fresh=fresh, outcomes=outcomes, heard=heard)

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
        return self.terms.objection(candle, -1 if followed is None else followed.ts_close)

    def _ask(self, symbols: Sequence[str], ts: int) -> dict[str, Sequence[Prediction]]:
        """Ask the pool once for all symbols that have a row."""
        rows = {symbol: row for symbol in symbols if (row := self.followed[symbol].row) is not None}
        if self.pool is None or not rows:
            self.coverage = "none"
            return {}
        forecasts = self.pool.decide_many(rows, ts_event=ts)
        self.coverage = forecasts[symbols[-1]].coverage if symbols[-1] in forecasts else "none"
        return {symbol: forecast.predictions for symbol, forecast in forecasts.items()}

    def _listen(self, symbols: Collection[str], ts: int) -> None:
        """Let the pool see rows that it is not asked about: it may be, one day."""
        for symbol in sorted(symbols):
            row = self.followed[symbol].row
            if self.pool is not None and row is not None:
                self.pool.warm(symbol, row[np.newaxis], [ts])

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
                horizon_ns=self.spec.horizon * self.terms.interval_ns,
                label_id=self.spec.label_id(self.terms.interval_ns),
                probabilities=(down, flat, up),
            ),
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "first_ts": self._first_ts,
            "counts": dict(self.counts),
            "followed": {symbol: followed.state() for symbol, followed in self.followed.items()},
        }

    def restore(self, state: Mapping[str, Any], candles: Iterable[Candle]) -> None:
        """Take up what ``state`` returned; see `Pipeline.restore`."""
        self._first_ts = int(state["first_ts"])
        self.counts = Counter(state["counts"])
        taken: dict[str, list[Candle]] = {symbol: [] for symbol in self.followed}
        for candle in candles:
            if candle.symbol in taken:
                taken[candle.symbol].append(candle)
        for symbol, followed in self.followed.items():
            followed.restore(state["followed"][symbol], taken[symbol])


def _window(followed: Followed, ts: int) -> FeatureWindow | None:
    volatility = followed.volatility()
    if volatility is None:
        return None
    return FeatureWindow(
        symbol=followed.symbol, ts_event=ts, features=np.empty((0, 0)), volatility=volatility
    )
