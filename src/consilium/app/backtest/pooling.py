"""The forecasts of a walk-forward, sent through the ensemble message by message in the order of time."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import signals_of
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import fold_gates, make_bus, make_ensemble, trip_cost
from consilium.app.stages import ProgressCall
from consilium.bus.memory import MemoryBus
from consilium.domain import (
    Consensus,
    ConsiliumError,
    Direction,
    FeatureWindow,
    Outcome,
    Prediction,
    to_iso,
)
from consilium.ensemble import EnsembleService, Rule, make_gates
from consilium.ensemble.learning import LATE
from consilium.trading.signals import SignalSeries
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts

DIRECTIONS = tuple(Direction)
Tap = Callable[[Consensus], object]

WEIGHT_SAMPLES = 500
"""About how many points the weights are drawn with."""

SPARE_ROUNDS = 4
"""Instants that the ensemble keeps beyond the horizon: a gap delays an outcome."""


class Keeper(Protocol):
    """Keeps each consensus with all that it was reached from."""

    def begin(self, ensemble: EnsembleService, models: Sequence[str]) -> None:
        """Take the ensemble whose consensuses are to be kept, before its first one."""
        ...

    def learned(self) -> None:
        """Note that the ensemble's settings were replaced, or that outcomes have taught it."""
        ...

    def keep(self, consensus: Consensus) -> None:
        """Take the next consensus, in the order of the test rows, right after it was reached."""
        ...

    def end(
        self,
        probabilities: NDArray[np.float64],
        direction: NDArray[np.int8],
        actionable: NDArray[np.bool_],
    ) -> None:
        """Take what the pool has kept itself, after the last consensus: shapes (N, 3), (N,) and (N,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pooled:
    """What the ensemble said on each test row.

    Parameters
    ----------
    probabilities
        Shape (N, 3), rows as in ``Forecasts.rows``.
    direction, actionable
        Shape (N,).
    signals
        Direction and whether to act on it, one series a symbol.
    levels, reasons
        How often each level occurred, and each reason not to act.
    weights
        About 500 samples over time: ``ts`` and one column a model.
    conformal
        Realised coverage and share of singletons by month; None without that gate.
    """

    probabilities: NDArray[np.float64]
    direction: NDArray[np.int8]
    actionable: NDArray[np.bool_]
    signals: list[SignalSeries]
    levels: dict[str, int]
    reasons: dict[str, int]
    weights: dict[str, list[float | int]]
    conformal: list[dict[str, Any]] | None = None


class _Columns:
    """Keeps what is needed of each consensus; the objects of a large panel would take gigabytes."""

    def __init__(self, rows: int, models: list[str], tap: Tap | None, since: int) -> None:
        # Number by number, flat memory takes what a NumPy row would take ten times as long for.
        self._probabilities, self._direction, self._actionable = array("d"), array("b"), array("b")
        self.levels: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.weights: dict[str, list[float | int]] = {"ts": [], **{name: [] for name in models}}
        self.count = 0
        self._every = max(1, (rows - since) // WEIGHT_SAMPLES)
        self._tap, self._since = tap, since

    def keep(self, consensus: Consensus) -> tuple[()]:
        """Take the next consensus, in the order of the test rows."""
        at = self.count
        if at == self._since:
            self._begin()
        self._probabilities.extend(consensus.probabilities)
        self._direction.append(consensus.direction)
        self._actionable.append(consensus.actionable)
        self.levels[consensus.level] += 1
        if consensus.reason:
            self.reasons[consensus.reason] += 1
        if at % self._every == 0:
            for name, column in self.weights.items():
                column.append(consensus.ts_event if name == "ts" else consensus.weights.get(name, 0.0))
        if self._tap is not None:
            self._tap(consensus)
        self.count = at + 1
        return ()

    def _begin(self) -> None:
        self.levels.clear()
        self.reasons.clear()
        for column in self.weights.values():
            column.clear()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """All probabilities, shape (N, 3)."""
        return np.array(self._probabilities).reshape(-1, 3)

    @property
    def direction(self) -> NDArray[np.int8]:
        """All directions, shape (N,)."""
        return np.array(self._direction, dtype=np.int8)

    @property
    def actionable(self) -> NDArray[np.bool_]:
        """Whether to act, shape (N,)."""
        return np.array(self._actionable, dtype=np.bool_)


def pool(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    gates: str,
    progress: ProgressCall,
    tap: Tap | None = None,
    rule: Rule | None = None,
    keeper: Keeper | None = None,
    since: int = 0,
) -> Pooled:
    """Send feature windows, predictions and matured outcomes through the ensemble.

    An outcome is delivered before the first forecast made after its maturity. One that matures at the very
    time of a forecast is the open at which that forecast fills, and is not known yet.

    Parameters
    ----------
    tap
        Called with each consensus.
    rule
        A rule with settings of its own, in place of the one that the request names.
    keeper
        Keeps each consensus with what it was reached from; see ``app/consensus_store.py``.
    since
        First place whose levels, reasons, weights and (from its month on) conformal sets are counted; the
        rows before it only teach.

    Raises
    ------
    ConsiliumError
        A handler failed, a message other than a late outcome was ignored, or a row was left without a
        consensus: the backtest would be wrong.
    """
    models = [name for name in request.models if name in forecasts.probabilities]
    ensemble = make_ensemble(
        request.settings,
        models,
        rule=request.rule if rule is None else rule,
        trust=request.trust,
        gates=make_gates(gates),
        capacity=len(dataset.symbols) * (request.horizon + SPARE_ROUNDS),
    )
    if keeper is not None:
        keeper.begin(ensemble, models)
    columns = _Columns(len(forecasts.rows), models, _both(tap, keeper), since)
    bus = make_bus(ensemble, columns.keep)
    learned = _nothing if keeper is None else keeper.learned
    _Replay(request, dataset, forecasts, models, ensemble, bus, learned).run(gates, progress)
    _require_whole(bus, ensemble, columns.count, len(forecasts.rows))
    probabilities, direction, actionable = columns.probabilities, columns.direction, columns.actionable
    if keeper is not None:
        keeper.end(probabilities, direction, actionable)
    return Pooled(
        probabilities=probabilities,
        direction=direction,
        actionable=actionable,
        signals=signals_of(dataset, forecasts, direction, actionable),
        levels=dict(columns.levels.most_common()),
        reasons=dict(columns.reasons.most_common()),
        weights=columns.weights,
        conformal=_sets_by_month(ensemble, dataset, int(dataset.ts_event[forecasts.rows[since]])),
    )


def _nothing() -> None:
    """Stand in where nobody keeps the consensuses."""


def _both(tap: Tap | None, keeper: Keeper | None) -> Tap | None:
    if keeper is None or tap is None:
        return tap if keeper is None else keeper.keep
    told, kept = tap, keeper.keep

    def both(consensus: Consensus) -> None:
        kept(consensus)
        told(consensus)

    return both


def _sets_by_month(ensemble: EnsembleService, dataset: Dataset, ts: int) -> list[dict[str, Any]] | None:
    conformal = ensemble.hindsight(dataset.horizon_ns, dataset.label_id).conformal
    if conformal is None:
        return None
    first = to_iso(ts)[:7]
    return [month._asdict() for month in conformal.by_month() if month.month >= first]


def _require_whole(bus: MemoryBus, ensemble: EnsembleService, spoken: int, rows: int) -> None:
    if bus.dead_letters:
        letter = bus.dead_letters[0]
        raise ConsiliumError(
            "no handler may fail in a backtest", f"{letter.handler}: {letter.error}", "mend it"
        )
    # Behind a gap in one symbol an outcome comes late: by design it changes nothing.
    ignored = {why: count for why, count in ensemble.ignored.items() if why != LATE}
    if ignored:
        raise ConsiliumError(
            "a backtest may ignore no message", ignored, "report it: trust would learn nothing"
        )
    if spoken != rows:
        raise ConsiliumError("every test row needs a consensus", f"{spoken} of {rows}", "report it")


class _Replay:
    """Plays one walk-forward; columns are plain lists, since every value is read once."""

    def __init__(
        self,
        request: BacktestRequest,
        dataset: Dataset,
        forecasts: Forecasts,
        models: list[str],
        ensemble: EnsembleService,
        bus: MemoryBus,
        learned: Callable[[], None],
    ) -> None:
        self.request, self.dataset, self.forecasts = request, dataset, forecasts
        self.models, self.ensemble, self.bus, self.learned = models, ensemble, bus, learned

    def run(self, gates: str, progress: ProgressCall) -> None:
        """Play all folds."""
        cost = trip_cost(self.request.settings)
        outcomes = self._outcomes()
        told = 0
        speak = self._speaker()
        ts_event = self.dataset.ts_event[self.forecasts.rows].tolist()
        total = len(ts_event)
        for fold in self.forecasts.folds:
            self.ensemble.gates = fold_gates(gates, fold, self.models, cost)
            self.ensemble.prior = fold.prior
            self.learned()
            for place in range(fold.start, fold.stop):
                now = ts_event[place]
                if told < len(outcomes) and outcomes[told].ts_matured < now:
                    while told < len(outcomes) and outcomes[told].ts_matured < now:
                        self.bus.publish(outcomes[told])
                        told += 1
                    self.learned()
                speak(place)
            progress(f"consensus, gates {gates}", fold.stop, total)

    def _outcomes(self) -> list[Outcome]:
        d, rows = self.dataset, self.forecasts.rows
        known = rows[d.labelled[rows]]
        known = known[np.lexsort((known, d.ts_matured[known]))]
        columns = zip(
            d.symbol_index[known].tolist(),
            d.ts_event[known].tolist(),
            d.ts_matured[known].tolist(),
            d.y[known].tolist(),
            d.realised_return[known].tolist(),
            strict=True,
        )
        return [
            Outcome(
                symbol=d.symbols[index],
                ts_event=ts_event,
                horizon_ns=d.horizon_ns,
                label_id=d.label_id,
                ts_matured=ts_matured,
                direction=DIRECTIONS[y],
                realised_return=realised,
            )
            for index, ts_event, ts_matured, y, realised in columns
        ]

    def _speaker(self) -> Any:
        d, rows = self.dataset, self.forecasts.rows
        symbols = [d.symbols[index] for index in d.symbol_index[rows].tolist()]
        times, positions = d.ts_event[rows].tolist(), d.position[rows].tolist()
        volatility = d.volatility[rows].tolist()
        columns = [
            (
                name,
                self.forecasts.probabilities[name].tolist(),
                self.forecasts.expected_return[name].tolist(),
            )
            for name in self.models
        ]
        publish, horizon_ns, label_id, matrix = self.bus.publish, d.horizon_ns, d.label_id, d.matrix

        def speak(place: int) -> None:
            symbol, now, at = symbols[place], times[place], positions[place]
            publish(
                FeatureWindow(
                    symbol=symbol, ts_event=now, features=matrix[at : at + 1], volatility=volatility[place]
                )
            )
            for name, probabilities, expected in columns:
                publish(
                    Prediction(
                        model=name,
                        symbol=symbol,
                        ts_event=now,
                        horizon_ns=horizon_ns,
                        label_id=label_id,
                        probabilities=probabilities[place],
                        expected_return=expected[place],
                    )
                )

        return speak
