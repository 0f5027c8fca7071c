"""The verdict on a forecaster, in words a trader understands.

Letters: h the horizon in bars.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from consilium.domain import DAY_NS, HOUR_NS, MINUTE_NS
from consilium.domain.wording import counted
from consilium.training.judge.bootstrap import DRAWS, FEWEST_INDEPENDENT, TOO_FEW
from consilium.training.judge.comparison import BETTER, SAME, WORSE, Comparison, compare_half_brier
from consilium.training.judge.diebold_mariano import IDENTICAL

CLIMATOLOGY = "climatology"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be said about a forecaster.

    Parameters
    ----------
    word
        Exactly one of ``better``, ``not distinguishable``, ``worse``.
    text
        One or two sentences that begin with the word.
    comparisons
        The comparisons behind it, by the name of the other forecaster; ``climatology`` first.
    """

    word: str
    text: str
    comparisons: Mapping[str, Comparison]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        rows = [
            {
                "against": name,
                "difference": c.mean_difference,
                "low": c.low,
                "high": c.high,
                "smallest_visible": c.smallest_visible,
                "statistic": c.test.statistic if c.test else None,
                "critical": c.test.critical if c.test else None,
                "p_value": c.p_value,
                "n_timestamps": c.n_timestamps,
                "word": c.word,
                "excluded": name not in _tests(self.comparisons),
                "reason": c.reason,
            }
            for name, c in self.comparisons.items()
        ]
        return {"word": self.word, "text": self.text, "comparisons": rows}


def verdict(
    loss: ArrayLike,
    *,
    climatology: ArrayLike,
    best_single: ArrayLike,
    equal_weight: ArrayLike,
    ts_event: ArrayLike,
    horizon_bars: int,
    seed: int,
    best_name: str = "",
    draws: int = DRAWS,
) -> Verdict:
    """Judge a pooled forecast by its half-Brier against three others.

    ``better`` only if every comparison that is a test comes out better, each at 5 % by the Diebold-Mariano
    test with fixed-b critical values (intersection-union: no correction is needed): with climatology always,
    with the best single model and with the equal-weight mean unless that is the pooled forecast itself, as
    with one model or with fixed equal weights; such a one is left out and said. ``worse`` if it is worse than
    climatology; else ``not distinguishable``, with the smallest effect that could have been seen. The
    intervals in the text are those of the bootstrap.

    Parameters
    ----------
    loss
        Shape (N,), half-Brier of the pooled forecast.
    climatology
        Shape (N,), half-Brier of the class frequencies of the training part.
    best_single
        Shape (N,), half-Brier of the best single model, chosen on data earlier than these rows.
    equal_weight
        Shape (N,), half-Brier of the mean of all models.
    ts_event
        Shape (N,), UTC nanoseconds.
    horizon_bars
        h, >= 1.
    seed
        Seed of the draws.
    best_name
        Name of the best single model, for the text.
    draws
        Number of resamples.

    Raises
    ------
    InvalidValue
        See `compare_half_brier`.

    Examples
    --------
    >>> loss, hours = np.random.default_rng(0).uniform(size=500), np.arange(500) * HOUR_NS
    >>> v = verdict(loss, climatology=loss, best_single=loss, equal_weight=loss, ts_event=hours,
    ...             horizon_bars=1, seed=0)
    >>> v.word
    'not distinguishable'
    >>> v.text
    'not distinguishable from climatology: every forecast was climatology itself, as when all models are
    no_skill; the difference is exactly 0 and has no statistic.'

    References
    ----------
    Berger (1982), sec. 2: the intersection-union test; Kiefer and Vogelsang (2005).
    """
    single = f"the best single model ({best_name})" if best_name else "the best single model"
    others = {CLIMATOLOGY: climatology, single: best_single, "the equal-weight mean": equal_weight}
    found = {
        name: compare_half_brier(loss, other, ts_event, horizon_bars, seed, draws=draws)
        for name, other in others.items()
    }
    span = _Span.of(np.asarray(ts_event, dtype=np.int64), horizon_bars)
    if found[CLIMATOLOGY].word == WORSE:
        word = WORSE
    elif all(c.word == BETTER for c in _tests(found).values()):
        word = BETTER
    else:
        word = SAME
    return Verdict(word=word, text=_text(word, found, span), comparisons=found)


def _tests(found: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Return the comparisons that could have come out either way; climatology always is one."""
    return {name: c for name, c in found.items() if name == CLIMATOLOGY or c.reason != IDENTICAL}


def _itself(found: Mapping[str, Comparison]) -> str:
    same = [name for name in found if name not in _tests(found)]
    return f" It is {' and '.join(same)} itself, so that comparison says nothing." if same else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """How many timestamps there are, and what one is called."""

    timestamps: int
    unit: str
    horizon_bars: int

    @classmethod
    def of(cls, ts_event: np.ndarray[Any, np.dtype[np.int64]], horizon_bars: int) -> "_Span":
        distinct = np.unique(ts_event)
        step = int(np.median(np.diff(distinct))) if len(distinct) > 1 else 0
        unit = {MINUTE_NS: "minutes", HOUR_NS: "hours", DAY_NS: "days"}.get(step, "timestamps")
        return cls(timestamps=len(distinct), unit=unit, horizon_bars=horizon_bars)

    def __str__(self) -> str:
        return f"{self.timestamps:,} {self.unit}"


def _text(word: str, found: Mapping[str, Comparison], span: _Span) -> str:
    base = found[CLIMATOLOGY]
    if word == BETTER:
        parts = [f"than {name} (half-Brier difference {_numbers(c)})" for name, c in _tests(found).items()]
        told = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
        return f"better {told} over {span}.{_itself(found)}"
    if word == WORSE:
        return (
            f"worse than climatology: half-Brier difference {_numbers(base)} over {span}. "
            "The plain frequencies of the classes would have been the better forecast."
        )
    if base.word == BETTER:
        return _only_better_than_climatology(found, span)
    return f"not distinguishable from climatology: {_why(base, span)}."


def _only_better_than_climatology(found: Mapping[str, Comparison], span: _Span) -> str:
    rest = {name: c for name, c in _tests(found).items() if c.word != BETTER}
    same = [f"{name} ({_why(c, span)})" for name, c in rest.items() if c.word == SAME]
    worse = [f"{name} (half-Brier difference {_numbers(c)})" for name, c in rest.items() if c.word == WORSE]
    than = [f"not distinguishable from {' and '.join(same)}"] if same else ["not distinguishable"]
    if worse:
        than.append(f"worse than {' and '.join(worse)}")
    return (
        f"{', '.join(than)}, though better than climatology (half-Brier difference "
        f"{_numbers(found[CLIMATOLOGY])} over {span}): there is a signal, but pooling the models has not "
        f"been shown to help.{_itself(found)}"
    )


def _why(c: Comparison, span: _Span) -> str:
    if c.reason == IDENTICAL:
        return (
            "every forecast was climatology itself, as when all models are no_skill; "
            "the difference is exactly 0 and has no statistic"
        )
    if c.reason == TOO_FEW:
        return (
            f"{TOO_FEW} ({span} at a horizon of {counted(span.horizon_bars, 'bar')} are "
            f"{span.timestamps // span.horizon_bars:,}; {FEWEST_INDEPENDENT} are needed)"
        )
    if c.smallest_visible is None:
        return f"half-Brier difference {c.mean_difference:.6f} over {span}; {c.reason}"
    smallest = c.smallest_visible
    return (
        f"half-Brier difference {_numbers(c)} over {span}; an effect smaller than "
        f"{smallest:.{_decimals(c)}f} could not have been seen"
    )


def _decimals(c: Comparison) -> int:
    """At least four, and enough for two digits of the smallest visible effect."""
    smallest = c.smallest_visible or 0.0
    return 4 if smallest <= 0.0 else min(12, max(4, 1 - floor(log10(smallest))))


def _numbers(c: Comparison) -> str:
    digits = _decimals(c)
    numbers = f"{c.mean_difference:.{digits}f} [{c.low:.{digits}f}, {c.high:.{digits}f}]"
    return f"{numbers}, {_chance(c.p_value)}"


def _chance(p: float | None) -> str:
    """As much of a p-value as is worth reading."""
    if p is None:
        return "no test"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}" if p < 0.1 else f"p = {p:.2f}"
