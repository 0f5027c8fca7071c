"""What each part of the system is worth: the whole against the whole without one part, on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike

from consilium.domain import UnknownName
from consilium.training.judge.bootstrap import DRAWS
from consilium.training.judge.comparison import Comparison, compare_half_brier
from consilium.training.judge.holm import holm

LEVEL = 0.05
HELPS, SAME, HARMS = "helps", "not distinguishable", "harms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one part adds.

    Parameters
    ----------
    comparison
        The full system against the variant without the part; below 0 the part helps.
    p_holm
        Two-sided p-value corrected for the number of variants; None where there is no test.
    word
        ``helps``, ``not distinguishable`` or ``harms``, by the corrected p-value at 5 %.
    """

    comparison: Comparison
    p_holm: float | None
    word: str


def ablation(
    losses: Mapping[str, ArrayLike],
    full: str,
    ts_event: ArrayLike,
    horizon_bars: int,
    seed: int,
    *,
    draws: int = DRAWS,
) -> dict[str, Contribution]:
    """Compare the full system with each variant: mean over timestamps of ``full - variant``.

    Parameters
    ----------
    losses
        Shape (N,) each, by variant, the full system among them; half-Brier of the same rows.
    full
        Name of the full system.
    ts_event
        Shape (N,), UTC nanoseconds.
    horizon_bars
        h, >= 1.
    seed, draws
        Of the bootstrap intervals.

    Returns
    -------
    One entry for each variant but the full system, in the order given. Variants without a test (identical
    forecasts, too few outcomes) are not counted in the correction.

    Raises
    ------
    UnknownName
        ``full`` is not among the losses.
    InvalidValue
        See `compare_half_brier`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> whole, hours = rng.uniform(size=500), np.arange(500)
    >>> losses = {"full": whole, "no trust": whole + rng.normal(0.02, 0.1, 500), "no gates": whole}
    >>> found = ablation(losses, "full", hours, 1, seed=0, draws=200)
    >>> {name: part.word for name, part in found.items()}
    {'no trust': 'helps', 'no gates': 'not distinguishable'}

    References
    ----------
    Diebold and Mariano (1995); Holm (1979).
    """
    if full not in losses:
        raise UnknownName("variant", full, losses)
    found = {
        name: compare_half_brier(losses[full], loss, ts_event, horizon_bars, seed, draws=draws)
        for name, loss in losses.items()
        if name != full
    }
    adjusted = holm({name: c.p_value for name, c in found.items() if c.p_value is not None})
    return {
        name: Contribution(comparison=c, p_holm=adjusted.get(name), word=_word(c, adjusted.get(name)))
        for name, c in found.items()
    }


def _word(c: Comparison, p_holm: float | None) -> str:
    if p_holm is None or p_holm > LEVEL or c.mean_difference is None:
        return SAME
    return HELPS if c.mean_difference < 0.0 else HARMS
