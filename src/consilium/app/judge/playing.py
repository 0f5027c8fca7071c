"""The forecasts of a judgement, decided by every rule with every trust policy under every gate preset."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from consilium.app.backtest.pooling import SPARE_ROUNDS
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import fold_gates, trip_cost
from consilium.app.stages import ProgressCall, silent
from consilium.domain import ConsiliumError, Direction, InvalidValue, Outcome, Prediction
from consilium.ensemble import PRESETS, Gates, ModelSetting
from consilium.ensemble.learning import LATE
from consilium.ensemble.tournament import ALL_VARIANTS, Played, Tournament
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.workers import spread

STAGE = "all rules and policies"
DIRECTIONS = tuple(Direction)

Variant = tuple[str, str]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fold:
    """The places of one fold with its gates by preset."""

    start: int
    stop: int
    prior: tuple[float, float, float]
    gates: Mapping[str, Gates]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Script:
    """All that is said and heard in a replay, as columns; small enough to be sent to other processes."""

    symbols: tuple[str, ...]
    horizon_ns: int
    label_id: str
    symbol_index: Ints
    ts_event: Ints
    volatility: Floats
    forecasts: Mapping[str, tuple[Floats, Floats]]
    outcomes: tuple[Ints, Ints, Ints, Ints, Floats]
    folds: tuple[_Fold, ...]
    settings: Mapping[str, Any]


def play_all(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    *,
    jobs: int = 1,
    progress: ProgressCall = silent,
    variants: Sequence[Variant] = ALL_VARIANTS,
) -> dict[Variant, Played]:
    """Let every rule with every trust policy decide all rows, each as the ensemble would that has them alone.

    What a variant says equals what `pool` gives for it, under each gate preset, to the bit.

    Parameters
    ----------
    request
        Models, horizon and settings; its rule and trust policy are not read.
    dataset, forecasts
        Development and lock-box in one go, so that trust is warm when the lock-box begins.
    jobs
        Processes that share the variants, >= 1.
    progress
        Called after each fold.
    variants
        Pairs (rule, trust policy).

    Returns
    -------
    By (rule, trust), rows as in ``forecasts.rows``; `Played.actionable` by gate preset. Variants that said
    the same share their arrays.

    Raises
    ------
    InvalidValue
        ``jobs`` below 1.
    ConsiliumError
        An outcome found no forecast: trust would have learned something else.
    """
    if jobs < 1:
        raise InvalidValue("jobs must be >= 1", jobs, "use the number of cores")
    script = _script(request, dataset, forecasts)
    parts = [part for part in np.array_split(np.arange(len(variants)), min(jobs, len(variants))) if len(part)]
    chosen = [[variants[int(k)] for k in part] for part in parts]
    total = len(forecasts.rows)
    found: dict[Variant, Played] = {}
    if len(chosen) == 1:
        with threadpool_limits(1):
            found = _play(script, chosen[0], lambda done: progress(STAGE, done, total))
    else:
        progress(STAGE, 0, len(chosen))
        calls = [partial(_play, script, part) for part in chosen]
        for done, result in enumerate(spread(calls, jobs), start=1):
            found |= result
            progress(STAGE, done, len(chosen))
    return _shared({name: found[name] for name in variants})


def _script(request: BacktestRequest, dataset: Dataset, forecasts: Forecasts) -> _Script:
    d, rows = dataset, forecasts.rows
    models = [name for name in request.models if name in forecasts.probabilities]
    known = rows[d.labelled[rows]]
    known = known[np.lexsort((known, d.ts_matured[known]))]
    cost = trip_cost(request.settings)
    return _Script(
        symbols=d.symbols,
        horizon_ns=d.horizon_ns,
        label_id=d.label_id,
        symbol_index=d.symbol_index[rows],
        ts_event=d.ts_event[rows],
        volatility=d.volatility[rows],
        forecasts={name: (forecasts.probabilities[name], forecasts.expected_return[name]) for name in models},
        outcomes=(
            d.symbol_index[known],
            d.ts_event[known],
            d.ts_matured[known],
            d.y[known],
            d.realised_return[known],
        ),
        folds=tuple(
            _Fold(
                start=fold.start,
                stop=fold.stop,
                prior=fold.prior,
                gates={preset: fold_gates(preset, fold, models, cost) for preset in PRESETS},
            )
            for fold in forecasts.folds
        ),
        settings=_settings(request, models, cost, len(d.symbols)),
    )


def _settings(request: BacktestRequest, models: Sequence[str], cost: float, symbols: int) -> dict[str, Any]:
    """Return what `make_ensemble` gives its ensemble."""
    ensemble = request.settings.ensemble
    return {
        "models": {
            name: ModelSetting(min_confidence=ensemble.min_confidence.get(name, 0.0)) for name in models
        },
        "allocations": ensemble.allocations or None,
        "trust_options": {ensemble.trust: ensemble.trust_options},
        "per_regime": ensemble.per_regime,
        "meta": ensemble.meta,
        "conformal": ensemble.conformal,
        "round_trip_cost": cost,
        "capacity": symbols * (request.horizon + SPARE_ROUNDS),
    }


def _play(
    script: _Script, variants: Sequence[Variant], told: Callable[[int], object] = lambda _: None
) -> dict[Variant, Played]:
    """Replay the script: an outcome is heard before the first forecast made after its maturity."""
    play = Tournament(variants=variants, gates=script.folds[0].gates, **script.settings)
    matured = script.outcomes[2].tolist()
    outcomes, rounds = _outcomes(script), _rounds(script)
    heard = 0
    for fold in script.folds:
        play.gates, play.prior = dict(fold.gates), fold.prior
        for now, volatility, predictions in _next(rounds, fold.stop - fold.start):
            while heard < len(matured) and matured[heard] < now:
                play.mature(next(outcomes))
                heard += 1
            play.decide(predictions, volatility)
        told(fold.stop)
    # Behind a gap an outcome comes after its instant was taught: it changes nothing, as in the service.
    strange = {why: count for why, count in play.ignored.items() if why != LATE}
    if strange:
        raise ConsiliumError(
            "a tournament may ignore late outcomes only",
            strange,
            "report it: trust would learn something else",
        )
    return play.played()


def _next(rounds: Iterator[Any], count: int) -> Iterable[Any]:
    return (next(rounds) for _ in range(count))


def _outcomes(script: _Script) -> Iterator[Outcome]:
    for index, ts_event, ts_matured, y, realised in zip(
        *(column.tolist() for column in script.outcomes), strict=True
    ):
        yield Outcome(
            symbol=script.symbols[index],
            ts_event=ts_event,
            horizon_ns=script.horizon_ns,
            label_id=script.label_id,
            ts_matured=ts_matured,
            direction=DIRECTIONS[y],
            realised_return=realised,
        )


def _rounds(script: _Script) -> Iterator[tuple[int, float, list[Prediction]]]:
    said = [(model, p.tolist(), expected.tolist()) for model, (p, expected) in script.forecasts.items()]
    columns = script.symbol_index.tolist(), script.ts_event.tolist(), script.volatility.tolist()
    for place, (index, now, volatility) in enumerate(zip(*columns, strict=True)):
        yield (
            now,
            volatility,
            [
                Prediction(
                    model=model,
                    symbol=script.symbols[index],
                    ts_event=now,
                    horizon_ns=script.horizon_ns,
                    label_id=script.label_id,
                    probabilities=probabilities[place],
                    expected_return=expected[place],
                )
                for model, probabilities, expected in said
            ],
        )


def _shared(played: dict[Variant, Played]) -> dict[Variant, Played]:
    """Let variants that said the same share their arrays: those of a large panel take gigabytes."""
    kept: dict[tuple[bytes, ...], NDArray[Any]] = {}

    def one(column: NDArray[Any]) -> NDArray[Any]:
        return kept.setdefault((column.dtype.str.encode(), column.tobytes()), column)

    return {
        name: Played(
            probabilities=one(said.probabilities),
            direction=one(said.direction),
            actionable={preset: one(column) for preset, column in said.actionable.items()},
        )
        for name, said in played.items()
    }
