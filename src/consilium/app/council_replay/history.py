"""What a council is played over: candles, and what a run has stored of forecasts and consensuses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consilium.app.backtest.book_fills import at_closes
from consilium.app.backtest.registration import Material
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import COMPARATORS, run
from consilium.app.backtest.signal_files import read_signals
from consilium.app.bootstrap import SystemClock
from consilium.app.consensus_recall import StoredConsensus, StoredConsensuses
from consilium.app.consensus_store import place_of
from consilium.app.explaining import find_run
from consilium.app.stages import ProgressCall
from consilium.domain import (
    Candle,
    Consensus,
    DataProblem,
    Direction,
    Prediction,
    digest,
    signal_probabilities,
)
from consilium.market.candles import CandleSeries
from consilium.trading.signals import SignalSeries
from consilium.trading.tape import Tape
from consilium.training.runs import RunRow, RunTable


@dataclass(slots=True, kw_only=True)
class Close:
    """What happened at one close: bars, what each model said, what was agreed."""

    ts: int
    candles: list[Candle] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    consensuses: list[Consensus] = field(default_factory=list)
    stored: list[StoredConsensus] = field(default_factory=list)
    """With all that they were reached from; empty for signals of a file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """A historical paper run, ready to be lived through again.

    Parameters
    ----------
    run_id
        The run whose forecasts and consensuses these are.
    source, data_digest
        What was read.
    panel
        Candles by symbol.
    warm
        Bars before the first consensus, in the order of their closes.
    closes
        From the first consensus on, in order of time.
    models
        Who spoke.
    horizon, interval_ns
        Bars that a position lasts, and the length of one.
    trained
        Whether the run was made for this; False where a stored one was read.
    """

    run_id: str
    source: str
    data_digest: str
    panel: Mapping[str, CandleSeries]
    warm: list[Candle]
    closes: list[Close]
    models: tuple[str, ...]
    horizon: int
    interval_ns: int
    trained: bool

    @property
    def days(self) -> float:
        """How long it lasts."""
        return (self.closes[-1].ts - self.closes[0].ts) / (86_400 * 10**9)


def history_of(request: BacktestRequest, named: str | None, progress: ProgressCall) -> History:
    """Return the history of a run: the one named, else an equal one that is stored, else a new backtest.

    Parameters
    ----------
    request
        Data, symbols, models, costs; as of a backtest.
    named
        A run's id, its beginning, its number or ``last``; None for none.
    progress
        Called as the stages advance.

    Raises
    ------
    DataProblem
        The named run has no consensuses, or is of other data.
    ConsiliumError
        As a backtest refuses.
    """
    material = Material.read(request, progress)
    found = material.observed.digest(fills=request.fills == "book")
    row = _named(request, named) if named else _equal(material, found)
    if row is None:
        run_id = str(run(request, progress=progress)["run"]["id"])
    else:
        run_id = row.run_id
        _require_same_data(row, found)
    progress("read stored consensuses", 0, 1)
    history = _read(run_id, place_of(request.settings.data_dir, run_id), material, found, row is None)
    progress("read stored consensuses", 1, 1)
    return history


def history_of_signals(request: BacktestRequest, path: Path, progress: ProgressCall) -> History:
    """Return the history of signals of the user's own; no model speaks in it.

    Parameters
    ----------
    request
        Data, symbols, costs and horizon; its models are not used.
    path
        As of ``backtest --signals``.
    progress
        Called as the stages advance.

    Raises
    ------
    ConsiliumError
        Data or signals that do not allow it.
    """
    progress("read candles and signals", 0, 1)
    observed = request.observed()
    panel = observed.panel
    spans = {name: (int(series.ts_close[0]), int(series.ts_close[-1])) for name, series in panel.items()}
    interval_ns = next(iter(panel.values())).interval_ns
    by_close: dict[int, Close] = {}
    for series in read_signals(path, spans):
        placed = at_closes(series, Tape.of_series(panel[series.symbol]))
        for said in _consensuses(placed, request.horizon * interval_ns):
            by_close.setdefault(said.ts_event, Close(ts=said.ts_event)).consensuses.append(said)
    warm = _spread(panel, by_close, min(by_close))
    progress("read candles and signals", 1, 1)
    return History(
        run_id="",
        source=f"{observed.source}, signals of {path.name}",
        data_digest=observed.digest(),
        panel=panel,
        warm=warm,
        closes=[by_close[ts] for ts in sorted(by_close)],
        models=(),
        horizon=request.horizon,
        interval_ns=interval_ns,
        trained=False,
    )


def _consensuses(series: SignalSeries, horizon_ns: int) -> Iterator[Consensus]:
    """Put the signals of one symbol into the words in which an ensemble speaks."""
    columns = zip(
        series.ts_event.tolist(), series.direction.tolist(), series.actionable.tolist(), strict=True
    )
    for ts, direction, actionable in columns:
        yield Consensus(
            symbol=series.symbol,
            ts_event=ts,
            horizon_ns=horizon_ns,
            label_id="signals",
            rule="signals",
            level="none",
            direction=Direction(direction),
            probabilities=signal_probabilities(Direction(direction), 1.0),
            p_direction=1.0,
            confidence=1.0,
            score=0.95,
            agreement=1.0,
            support=1.0,
            meta_confidence=1.0,
            actionable=actionable,
            reason="" if actionable else "not_actionable",
        )


def _rows(request: BacktestRequest) -> tuple[RunRow, ...]:
    path = request.settings.data_dir / "runs.db"
    return RunTable(path, SystemClock()).rows() if path.is_file() else ()


def _named(request: BacktestRequest, named: str) -> RunRow:
    data_dir = request.settings.data_dir
    row = find_run(_rows(request), data_dir, named)
    if not place_of(data_dir, row.run_id).is_file():
        raise DataProblem(
            "a run must have stored its consensuses",
            f"none of the {row.kind} {row.run_id}, which is {row.status}",
            "run consilium backtest to its end and name that run",
        )
    return row


def _equal(material: Material, data_digest: str) -> RunRow | None:
    """Return the newest backtest of the same request on the same data that has its consensuses."""
    request = material.request
    wanted = digest(material.registration(comparators=list(COMPARATORS)))
    for row in reversed(_rows(request)):
        same = (row.kind, row.config_hash, row.data_digest) == ("backtest", wanted, data_digest)
        if same and row.status == "ok" and place_of(request.settings.data_dir, row.run_id).is_file():
            return row
    return None


def _require_same_data(row: RunRow, data_digest: str) -> None:
    if row.data_digest != data_digest:
        raise DataProblem(
            f"--data and --symbols must be those of run {row.run_id}",
            f"other candles than its {row.config.get('data', 'data')}",
            "give the data of that run, or leave --run out",
        )


def _read(run_id: str, path: Path, material: Material, data_digest: str, trained: bool) -> History:
    by_close: dict[int, Close] = {}
    models: set[str] = set()
    horizon_ns = interval_ns = 0
    for stored in StoredConsensuses(path):
        said = stored.consensus
        close = by_close.setdefault(said.ts_event, Close(ts=said.ts_event))
        close.consensuses.append(said)
        close.stored.append(stored)
        close.predictions += [p for p in stored.predictions if stored.skilled[p.model]]
        models.update(p.model for p in stored.predictions)
        horizon_ns, interval_ns = said.horizon_ns, stored.interval_ns
    panel = material.observed.panel
    if not by_close or not any(len(series) for series in panel.values()):
        raise DataProblem("a run must have consensuses", f"none in {run_id}", "run a longer backtest")
    warm = _spread(panel, by_close, min(by_close))
    return History(
        run_id=run_id,
        source=material.observed.source,
        data_digest=data_digest,
        panel=panel,
        warm=warm,
        closes=[by_close[ts] for ts in sorted(by_close)],
        models=tuple(sorted(models)),
        horizon=max(horizon_ns // interval_ns, 1),
        interval_ns=interval_ns,
        trained=trained,
    )


def _spread(panel: Mapping[str, CandleSeries], by_close: dict[int, Close], first: int) -> list[Candle]:
    """Put every bar at its close; return those before the first."""
    warm = []
    for symbol in sorted(panel):
        series = panel[symbol]
        for place in range(len(series)):
            candle = series.candle(place)
            if candle.ts_close < first:
                warm.append(candle)
            else:
                at = by_close.get(candle.ts_close)
                if at is None:
                    at = by_close[candle.ts_close] = Close(ts=candle.ts_close)
                at.candles.append(candle)
    return sorted(warm, key=lambda candle: (candle.ts_close, candle.symbol))
