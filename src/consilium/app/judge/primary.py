"""The primary hypothesis: the consensus against climatology, the best single model and the mean."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from consilium.app.backtest.assessment import DirectionShare, Judged, told_of_direction
from consilium.domain import half_brier
from consilium.training.dataset import Dataset
from consilium.training.judge.comparison import BETTER, WORSE, Comparison, compare_half_brier
from consilium.training.judge.verdict import Verdict, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """The verdict on the lock-box.

    Parameters
    ----------
    verdict
        On all its rows.
    direction
        How much of a gain over climatology is about which way prices move.
    unseen
        Against climatology on the symbols that no model has seen; None where all are seen.
    """

    verdict: Verdict
    direction: DirectionShare
    unseen: dict[str, Any] | None


def judge_primary(
    dataset: Dataset,
    judged: Judged,
    models: tuple[str, ...],
    best_single: str,
    unseen: tuple[str, ...],
    *,
    horizon: int,
    seed: int,
) -> Primary:
    """Judge the pooled probabilities of the consensus.

    Parameters
    ----------
    judged
        The labelled rows of the lock-box.
    models
        Members of the pool that were trained.
    best_single
        The model chosen on development; it is not chosen again.
    unseen
        Symbols never learned from.
    horizon, seed
        Of the label in bars, and of the bootstrap draws.
    """
    y = dataset.y[judged.rows]
    equal = np.mean([judged.probabilities[name] for name in models], axis=0)
    found = verdict(
        half_brier(judged.probabilities["consensus"], y),
        climatology=half_brier(judged.climatology, y),
        best_single=half_brier(judged.probabilities[best_single], y),
        best_name=best_single,
        equal_weight=half_brier(equal, y),
        ts_event=dataset.ts_event[judged.rows],
        horizon_bars=horizon,
        seed=seed,
    )
    return Primary(
        verdict=found,
        direction=told_of_direction(dataset, judged, horizon=horizon, seed=seed),
        unseen=_on_unseen(dataset, judged, unseen, horizon, seed),
    )


def _on_unseen(
    dataset: Dataset, judged: Judged, unseen: tuple[str, ...], horizon: int, seed: int
) -> dict[str, Any] | None:
    if not unseen:
        return None
    numbers = [dataset.symbols.index(symbol) for symbol in unseen]
    here = np.isin(dataset.symbol_index[judged.rows], numbers)
    y = dataset.y[judged.rows[here]]
    found = compare_half_brier(
        half_brier(judged.probabilities["consensus"][here], y),
        half_brier(judged.climatology[here], y),
        dataset.ts_event[judged.rows[here]],
        horizon,
        seed,
    )
    return {
        "symbols": list(unseen),
        "rows": int(here.sum()),
        "comparison": plain_comparison(found),
        "text": _told(found, len(unseen)),
    }


def plain_comparison(c: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON."""
    return {
        "difference": c.mean_difference,
        "low": c.low,
        "high": c.high,
        "p_value": c.p_value,
        "n_timestamps": c.n_timestamps,
        "word": c.word,
        "reason": c.reason,
    }


def _told(c: Comparison, count: int) -> str:
    on = f"On the {count} symbol{'s' if count > 1 else ''} that no model has seen"
    if c.test is None or c.mean_difference is None or c.p_value is None:
        return f"{on} nothing can be said: {c.reason}."
    differs = f"half-Brier difference {c.mean_difference:.4f} [{c.low:.4f}, {c.high:.4f}]"
    than = {BETTER: "is better than climatology", WORSE: "is worse than climatology"}
    return f"{on} it {than.get(c.word, 'cannot be told from climatology')} ({differs})."
