"""The secondary hypotheses, corrected together, and what else is told of the consensus; the months."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.assessment import Judged
from consilium.domain import half_brier, log_loss, stated_directions
from consilium.domain.wording import listed
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.abstention import coverage_against_accuracy
from consilium.training.judge.bootstrap import FEWEST_INDEPENDENT, TOO_FEW
from consilium.training.judge.comparison import BETTER, SAME, WORSE, compare_half_brier
from consilium.training.judge.holm import holm
from consilium.training.judge.information import icir
from consilium.training.judge.months import loss_by_month
from consilium.training.judge.paired import figure_differences
from consilium.training.judge.recalibration import recalibration
from consilium.training.judge.timestamps import mean_by_timestamp

FloatArray = NDArray[np.float64]

AGAINST = ("logistic", "minirocket", "persistence", "prior")
LOG_POOL = "log_pool"
LEVEL = 0.05
LESS_IS_BETTER = frozenset({"log_loss", "ece"})


def secondary_section(
    dataset: Dataset,
    judged: Judged,
    forecasts: Forecasts,
    *,
    pool_models: Sequence[str],
    log_pool: FloatArray | None,
    horizon: int,
    seed: int,
) -> dict[str, Any]:
    """Compare the consensus with the baselines and log_pool by the figures that are not primary.

    Log-loss by the Diebold-Mariano test; MCC, macro-F1, IC, ICIR and ECE by paired bootstrap; all p-values
    corrected together by Holm.

    Parameters
    ----------
    dataset, judged, forecasts
        The rows judged and the forecasts they belong to.
    pool_models
        Members of the pool, among which the oracle is named.
    log_pool
        Shape (M, 3), what log_pool would have said on the rows judged; None where it was not made.
    horizon
        In bars.
    seed
        Of the draws.

    Returns
    -------
    Plain JSON: ``rows``, ``tests``, ``absent``, ``icir``, ``recalibration``, ``coverage``, ``oracle`` and
    ``text``.
    """
    seen = _Seen(dataset, judged, horizon, seed)
    others = {name: judged.probabilities[name] for name in AGAINST if name in judged.probabilities}
    if log_pool is not None:
        others[LOG_POOL] = log_pool
    rows = _corrected([row for name, p in others.items() for row in seen.compared(name, p)])
    absent = _absent(others, forecasts)
    oracle = seen.oracle(pool_models)
    return {
        "rows": rows,
        "tests": sum(row["p_value"] is not None for row in rows),
        "absent": absent,
        "icir": seen.icir(),
        "recalibration": seen.recalibration(),
        "coverage": seen.coverage(),
        "oracle": oracle,
        "text": _text(rows, absent, oracle, seen.independent),
    }


def months_section(dataset: Dataset, judged: Judged, *, horizon: int) -> list[dict[str, Any]]:
    """Return the half-Brier of the consensus less that of climatology, month by month."""
    y = dataset.y[judged.rows]
    ours, climatology = (half_brier(p, y) for p in (judged.probabilities["consensus"], judged.climatology))
    return [
        {
            "month": month.month,
            "difference": month.mean_difference,
            "low": month.low,
            "high": month.high,
            "n_timestamps": month.n_timestamps,
            "reason": month.reason,
        }
        for month in loss_by_month(ours, climatology, dataset.ts_event[judged.rows], horizon)
    ]


class _Seen:
    """The consensus and what came of it."""

    def __init__(self, dataset: Dataset, judged: Judged, horizon: int, seed: int) -> None:
        self.judged, self.horizon, self.seed = judged, horizon, seed
        self.p = judged.probabilities["consensus"]
        self.y = dataset.y[judged.rows]
        self.returns = dataset.realised_return[judged.rows]
        self.ts = dataset.ts_event[judged.rows]

    @property
    def independent(self) -> float:
        """Distinct timestamps over the horizon."""
        return len(np.unique(self.ts)) / self.horizon

    def compared(self, name: str, other: FloatArray) -> list[dict[str, Any]]:
        """Return one row a figure."""
        ours, its = log_loss(self.p, self.y), log_loss(other, self.y)
        c = compare_half_brier(ours, its, self.ts, self.horizon, self.seed)
        mine, theirs = (self._mean(loss) if len(loss) else None for loss in (ours, its))
        told = (mine, theirs, c.mean_difference, c.low, c.high, c.p_value, c.reason)
        rows = [_row("log_loss", name, *told)]
        found = figure_differences(
            self.p, other, self.y, self.returns, self.ts, horizon_bars=self.horizon, seed=self.seed
        )
        for figure, d in found.items():
            told = (d.ours, d.other, d.difference, d.low, d.high, d.p_value, d.reason)
            rows.append(_row(figure, name, *told))
        return rows

    def _mean(self, loss: FloatArray) -> float:
        return float(mean_by_timestamp(loss, self.ts)[1].mean())

    def icir(self) -> dict[str, Any]:
        """Return mean IC and ICIR with their intervals."""
        score = self.p[:, 2] - self.p[:, 0]
        found = icir(score, self.returns, self.ts, horizon_bars=self.horizon, seed=self.seed)
        return {name: figure.as_dict() for name, figure in found.items()}

    def _calls(self) -> tuple[FloatArray, NDArray[np.bool_]]:
        stated = stated_directions(self.p)
        confidence: FloatArray = self.p[np.arange(len(stated)), stated]
        return confidence, stated == self.y

    def recalibration(self) -> dict[str, Any]:
        """Return slope and intercept of the stated confidence."""
        found = recalibration(*self._calls(), self.ts, horizon_bars=self.horizon, seed=self.seed)
        return {name: figure.as_dict() for name, figure in found.items()}

    def coverage(self) -> dict[str, Any]:
        """Return the accuracy of the most confident share of the rows."""
        curve = coverage_against_accuracy(*self._calls())
        return {**curve.as_dict(), "area": curve.area}

    def oracle(self, models: Sequence[str]) -> dict[str, Any] | None:
        """Name the model that turned out best; who names it must have seen the outcomes."""
        said = {name: self.judged.probabilities[name] for name in models if name in self.judged.probabilities}
        if not said or len(self.y) == 0:
            return None
        losses = {name: self._mean(half_brier(p, self.y)) for name, p in said.items()}
        best = min(losses, key=lambda name: losses[name])
        alike = [name for name in losses if losses[name] - losses[best] <= NOTHING_LESS]
        nothing = self._mean(half_brier(self.judged.climatology, self.y)) - losses[best] <= NOTHING_LESS
        return {
            "name": None if nothing else best,
            "alike": alike,
            "half_brier": losses[best],
            "consensus": self._mean(half_brier(self.p, self.y)),
            "text": _told_of_best(alike, nothing=nothing),
        }


NOTHING_LESS = 1e-12
"""Two mean losses closer than this are one: the forecasts are the same."""


def _told_of_best(alike: Sequence[str], *, nothing: bool) -> str:
    """Name the best models; where the best is climatology nobody was better than another."""
    if nothing:
        return "No model was better than climatology, not even in hindsight."
    are = "was the best model" if len(alike) == 1 else "were alike the best models"
    return f"{listed(alike)} {are} in hindsight: shown, but no comparator, for none could know."


def _row(
    figure: str,
    against: str,
    ours: float | None,
    other: float | None,
    difference: float | None,
    low: float | None,
    high: float | None,
    p_value: float | None,
    reason: str | None,
) -> dict[str, Any]:
    return {
        "figure": figure,
        "against": against,
        "ours": ours,
        "other": other,
        "difference": difference,
        "low": low,
        "high": high,
        "p_value": p_value,
        "p_holm": None,
        "word": SAME,
        "reason": reason,
    }


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the corrected p-values and the words that follow from them."""
    adjusted = holm({str(k): row["p_value"] for k, row in enumerate(rows) if row["p_value"] is not None})
    for k, row in enumerate(rows):
        row["p_holm"] = adjusted.get(str(k))
        if row["p_holm"] is not None and row["p_holm"] <= LEVEL and row["difference"]:
            less = row["difference"] < 0.0
            row["word"] = BETTER if less == (row["figure"] in LESS_IS_BETTER) else WORSE
    return rows


def _absent(others: Mapping[str, FloatArray], forecasts: Forecasts) -> list[dict[str, str]]:
    """Name the comparators that are not there, with the reason."""
    errors = {failure.model: failure.error for failure in forecasts.failures}
    return [
        {"name": name, "reason": errors.get(name, "not asked for")}
        for name in (*AGAINST, LOG_POOL)
        if name not in others
    ]


def _text(
    rows: list[dict[str, Any]],
    absent: list[dict[str, str]],
    oracle: Mapping[str, Any] | None,
    independent: float,
) -> str:
    tests = [row for row in rows if row["p_value"] is not None]
    if independent < FEWEST_INDEPENDENT:
        said = f"{TOO_FEW}: {independent:.0f} are there, {FEWEST_INDEPENDENT} are needed; nothing was tested."
    elif not tests:
        said = "Nothing could be tested; the reason stands in each row."
    else:
        words = [row["word"] for row in tests]
        said = (
            f"{len(tests)} secondary tests, corrected together (Holm): {words.count(BETTER)} better, "
            f"{words.count(WORSE)} worse, {words.count(SAME)} not distinguishable."
        )
    missing = f" Not compared: {', '.join(row['name'] for row in absent)}." if absent else ""
    return said + missing + (f" {oracle['text']}" if oracle else "")
