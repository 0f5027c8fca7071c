"""What the forecasts of a backtest are worth: figures for everybody, and the verdict on the consensus."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import half_brier
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.comparison import BETTER, compare_half_brier
from consilium.training.judge.figures import forecast_figures
from consilium.training.judge.reliability import reliability
from consilium.training.judge.verdict import Verdict, verdict

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The test rows whose outcome is known, and what all forecasters said there.

    Parameters
    ----------
    places
        Shape (M,), places in ``Forecasts.rows``.
    rows
        Shape (M,), rows of the dataset.
    probabilities, spoke
        By forecaster, shapes (M, 3) and (M,).
    climatology
        Shape (M, 3).
    """

    places: NDArray[np.int64]
    rows: NDArray[np.int64]
    probabilities: Mapping[str, FloatArray]
    spoke: Mapping[str, BoolArray]
    climatology: FloatArray

    @classmethod
    def of(
        cls, dataset: Dataset, forecasts: Forecasts, consensus: FloatArray, actionable: BoolArray
    ) -> "Judged":
        """Select the labelled test rows; the consensus joins the forecasters under its own name."""
        places = np.flatnonzero(dataset.labelled[forecasts.rows])
        probabilities = {name: p[places] for name, p in forecasts.probabilities.items()}
        spoke = {name: said[places] for name, said in forecasts.skilled.items()}
        return cls(
            places=places,
            rows=forecasts.rows[places],
            probabilities=probabilities | {"consensus": consensus[places]},
            spoke=spoke | {"consensus": actionable[places]},
            climatology=forecasts.climatology[places],
        )


def figures_of(dataset: Dataset, judged: Judged, name: str, *, horizon: int, seed: int) -> dict[str, Any]:
    """Return the figures of one forecaster as plain JSON."""
    figures = forecast_figures(
        judged.probabilities[name],
        dataset.y[judged.rows],
        dataset.realised_return[judged.rows],
        dataset.ts_event[judged.rows],
        spoke=judged.spoke[name],
        horizon_bars=horizon,
        seed=seed,
    )
    return {key: figure.as_dict() for key, figure in figures.items()}


def reliability_of(dataset: Dataset, judged: Judged, name: str) -> dict[str, Any]:
    """Return predicted against observed shares, pooled over the classes, for the chart."""
    return reliability(judged.probabilities[name], dataset.y[judged.rows])["all"].as_dict()


def judge_consensus(
    dataset: Dataset,
    forecasts: Forecasts,
    judged: Judged,
    models: tuple[str, ...],
    *,
    horizon: int,
    seed: int,
) -> Verdict:
    """Compare the consensus with climatology, the best single model and the equal-weight mean."""
    y = dataset.y[judged.rows]
    losses = {name: half_brier(judged.probabilities[name], y) for name in models}
    equal = np.mean([judged.probabilities[name] for name in models], axis=0)
    best, name = best_single(forecasts, judged, losses, dataset.ts_matured[judged.rows])
    return verdict(
        half_brier(judged.probabilities["consensus"], y),
        climatology=half_brier(judged.climatology, y),
        best_single=best,
        best_name=name,
        equal_weight=half_brier(equal, y),
        ts_event=dataset.ts_event[judged.rows],
        horizon_bars=horizon,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionShare:
    """How much of a gain is about direction: a sentence and the comparison's word; both may be empty."""

    text: str = ""
    word: str | None = None


def told_of_direction(dataset: Dataset, judged: Judged, *, horizon: int, seed: int) -> DirectionShare:
    """Say how much of the gain over climatology is about which way the price moves, and not about how far.

    The same forecast made blind to direction keeps its probability of FLAT and splits the rest as climatology
    does; who only knows when markets are quiet is as good blind. Empty where no gain was shown.
    """
    y, p, prior = dataset.y[judged.rows], judged.probabilities["consensus"], judged.climatology
    up_share = prior[:, 2] / (prior[:, 0] + prior[:, 2])
    moves = 1.0 - p[:, 1]
    blind = np.column_stack([moves * (1.0 - up_share), p[:, 1], moves * up_share])
    ours, unsighted, nothing = (half_brier(forecast, y) for forecast in (p, blind, prior))
    ts = dataset.ts_event[judged.rows]
    gained = compare_half_brier(ours, nothing, ts, horizon, seed)
    by_direction = compare_half_brier(ours, unsighted, ts, horizon, seed)
    if gained.word != BETTER or not gained.mean_difference or by_direction.mean_difference is None:
        return DirectionShare()
    if by_direction.low is None or by_direction.high is None:
        text = (
            "All that it gains over climatology comes from how far prices move: it says nothing of which way."
        )
        return DirectionShare(text=text, word=by_direction.word)
    told = _divided(gained.mean_difference, by_direction.mean_difference)
    text = (
        f"{told}: against the same forecast blind to direction its half-Brier differs by "
        f"{by_direction.mean_difference:.5f} [{by_direction.low:.5f}, {by_direction.high:.5f}], "
        f"which is {by_direction.word}."
    )
    return DirectionShare(text=text, word=by_direction.word)


def _divided(gained: float, by_direction: float) -> str:
    """Say where a gain comes from; both are differences of loss, and ``gained`` is below 0."""
    percent = round(100 * by_direction / gained)
    if percent > 100:
        return (
            "All that it gains over climatology and more comes from which way prices move; how far cost "
            f"{gained - by_direction:.5f}"
        )
    if percent < 0:
        return (
            "All that it gains over climatology and more comes from how far prices move; which way cost "
            f"{by_direction:.5f}"
        )
    return (
        f"Of what it gains over climatology, {percent} % comes from which way prices move and "
        f"{100 - percent} % from how far"
    )


def best_single(
    forecasts: Forecasts, judged: Judged, losses: Mapping[str, FloatArray], ts_matured: NDArray[np.int64]
) -> tuple[FloatArray, str]:
    """Follow, in each fold, the model that was best before it.

    In the first fold that is the lowest loss on the calibration part, later the lowest half-Brier over the
    rows of all earlier test parts whose outcome (``ts_matured``, shape (M,)) was known when the fold began:
    never a choice that looks at its own fold.

    Returns
    -------
    The half-Brier of that choice, shape (M,), and the name of the last fold's choice.
    """
    loss = np.empty(len(judged.places))
    name = next(iter(losses))
    for fold in forecasts.folds:
        here = (judged.places >= fold.start) & (judged.places < fold.stop)
        before = (judged.places < fold.start) & (ts_matured < fold.ts_test)
        scores = {
            model: float(column[before].mean()) if before.any() else fold.models[model]["judged_loss"]
            for model, column in losses.items()
        }
        name = min(scores, key=lambda model: scores[model])
        loss[here] = losses[name][here]
    return loss, name
