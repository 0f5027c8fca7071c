"""Weights of models from their scores: normalised, with a floor and a cap, by water-filling."""

import math
from collections.abc import Mapping

from consilium.domain import Missing, ModelFigures

FLOOR = 0.02
CAP = 0.50
SHRINK_DAYS = 365
WIN_RATE_FACTOR = 2.0
EVEN_WIN_RATE = 0.5


def score(figures: ModelFigures) -> float:
    """Return a model's score: Sharpe x n / (n + 365) + 2 (win rate - .5), n in days.

    A figure with too little behind it counts as no skill: Sharpe 0, win rate .5.

    Examples
    --------
    >>> round(score(ModelFigures(sharpe=2.0, win_rate=0.55, days=365)), 6)
    1.1
    >>> score(ModelFigures())
    0.0
    """
    sharpe = 0.0 if isinstance(figures.sharpe, Missing) else figures.sharpe
    rate = EVEN_WIN_RATE if isinstance(figures.win_rate, Missing) else figures.win_rate
    return sharpe * figures.days / (figures.days + SHRINK_DAYS) + WIN_RATE_FACTOR * (rate - EVEN_WIN_RATE)


def weights_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Return weights in proportion to max(score, 0), each >= 2 % and <= max(50 %, 1/n), that sum to 1.

    What the cap takes from one flows to the others in proportion (water-filling); one that stands at the
    floor for want of a score takes up what nobody else may. Equal where no score is above 0.

    Parameters
    ----------
    scores
        By model.

    Examples
    --------
    >>> {name: round(w, 4) for name, w in weights_of({"a": 3.0, "b": 1.0, "c": 0.0}).items()}
    {'a': 0.5, 'b': 0.48, 'c': 0.02}
    >>> weights_of({"a": -1.0, "b": 0.0})
    {'a': 0.5, 'b': 0.5}
    """
    n = len(scores)
    positive = {name: max(scores[name], 0.0) for name in sorted(scores)}
    total = math.fsum(positive.values())
    if n == 0 or total <= 0.0:
        return dict.fromkeys(positive, 1.0 / max(n, 1))
    floor, cap = min(FLOOR, 1.0 / n), max(CAP, 1.0 / n)
    capable = sum(1 for value in positive.values() if value > 0.0)
    if capable * cap + (n - capable) * floor <= 1.0:
        left = (1.0 - capable * cap) / max(n - capable, 1)
        return {name: cap if value > 0.0 else left for name, value in positive.items()}
    return _filled({name: value / total for name, value in positive.items()}, floor, cap)


def _filled(shares: Mapping[str, float], floor: float, cap: float) -> dict[str, float]:
    """Return min(max(scale x share, floor), cap) for the scale at which they sum to 1.

    The bounded shares grow with the scale, so the bound that is overstepped by more is settled first.
    """
    settled: dict[str, float] = {}
    while True:
        free = {name: share for name, share in shares.items() if name not in settled}
        of_free = math.fsum(free.values())
        scale = (1.0 - math.fsum(settled.values())) / of_free if of_free > 0.0 else 0.0
        under = {name: floor for name, share in free.items() if scale * share < floor}
        over = {name: cap for name, share in free.items() if scale * share > cap}
        if not under and not over:
            found = settled | {name: scale * share for name, share in free.items()}
            return {name: found[name] for name in shares}
        lacking = math.fsum(floor - scale * free[name] for name in under)
        exceeding = math.fsum(scale * free[name] - cap for name in over)
        settled |= over if exceeding >= lacking else under
