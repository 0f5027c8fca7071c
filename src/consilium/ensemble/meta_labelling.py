"""Whether to act on a consensus is a forecast of its own: meta-labelling."""

from collections.abc import Mapping
from math import isfinite, isnan, log, nan
from typing import Any, NamedTuple

import numpy as np

from consilium.domain import Consensus, InvalidValue
from consilium.ensemble.gates import NOT_EVALUATED
from consilium.ensemble.newton import FloatArray, chance, fit_logistic
from consilium.ensemble.recent import Recent
from consilium.ensemble.voting import PASS

NEEDED, NEEDED_OF_RARER = 200.0, 50.0
"""Effective outcomes before the model speaks, in all and of the rarer class."""


class Situation(NamedTuple):
    """What the model sees of one consensus; volatility is NaN if unknown."""

    p_direction: float
    agreement: float
    support: float
    entropy: float
    volatility: float


def situation(
    p_direction: float,
    agreement: float,
    support: float,
    probabilities: tuple[float, float, float],
    volatility: float | None,
) -> Situation:
    """Describe a consensus; the entropy is that of its pooled probabilities, in nats.

    Examples
    --------
    >>> round(situation(0.5, 1.0, 1.0, (0.25, 0.25, 0.5), None).entropy, 3)
    1.04
    """
    entropy = 0.0
    for p in probabilities:
        if p > 0.0:
            entropy -= p * log(p)
    return Situation(p_direction, agreement, support, entropy, nan if volatility is None else volatility)


class _Model(NamedTuple):
    intercept: float
    mean: list[float]
    slope: list[float]


class MetaLabelling:
    """``meta_confidence = P(a trade in the consensus' direction pays after cost)``.

    A logistic model on p_direction, agreement, support, entropy and volatility (scaled to deviation 1, L2),
    fitted on all consensuses with a side whose outcome is known, traded or not, each weighted by its average
    uniqueness. Below 200 effective outcomes, or 50 of the rarer class, it is p_direction.

    Parameters
    ----------
    round_trip_cost
        What a trade must gain to pay, a log return >= 0, default 0.002.
    ridge
        Strength of L2 on the scaled coefficients, > 0, default 1; the intercept is free.
    window
        Most outcomes remembered, >= 200, default 20,000: outcomes of thirty symbols at one hour count as
        little more than one, and 200 effective ones must fit in.
    refit_every
        Least outcomes between two fits, >= 1, default 50; a twentieth of those remembered if that is more.

    Raises
    ------
    InvalidValue
        A setting outside its bound, or a damaged state.

    Examples
    --------
    >>> MetaLabelling().told()
    'not evaluated: p_direction, 0 of 200 effective outcomes, 0 of 50 of the rarer class'

    References
    ----------
    Lopez de Prado (2018), ch. 3.6 (meta-labelling) and ch. 4.4 (average uniqueness).
    """

    def __init__(
        self,
        *,
        round_trip_cost: float = 0.002,
        ridge: float = 1.0,
        window: int = 20_000,
        refit_every: int = 50,
    ) -> None:
        if not (isfinite(round_trip_cost) and round_trip_cost >= 0.0):
            raise InvalidValue("round_trip_cost must be >= 0", round_trip_cost, "give a fraction")
        if not ridge > 0.0:
            raise InvalidValue("ridge must be > 0", ridge, "use 1")
        if window < NEEDED:
            raise InvalidValue(f"window must be >= {NEEDED:g}", window, "use 20000")
        if refit_every < 1:
            raise InvalidValue("refit_every must be >= 1", refit_every, "use 50")
        self._cost, self._ridge, self._refit_every, self._window = round_trip_cost, ridge, refit_every, window
        self._known, self._spans = self._nothing()
        self._since = 0
        self._effective = (0.0, 0.0)
        self._model: _Model | None = None

    def _nothing(self) -> tuple[Recent, Recent]:
        """Make room for situations with whether they paid, and for the spans of time they took."""
        return Recent(len(Situation._fields) + 1, self._window), Recent(2, self._window, "q")

    def probability(self, of: Situation) -> float:
        """Return the chance that acting pays; p_direction as long as there is no model."""
        if self._model is None:
            return of.p_direction
        intercept, mean, slope = self._model
        away = [b * (x - m) for b, x, m in zip(slope, of, mean, strict=True) if not isnan(x)]
        return chance(intercept + sum(away))

    @property
    def fitted(self) -> tuple[float, list[float], list[float]] | None:
        """Intercept, means and slopes of the model; None as long as there is none."""
        return self._model

    def told(self) -> str:
        """Say whether the model speaks, in the words of a gate."""
        if self._model is not None:
            return PASS
        every, rarer = self._effective
        return (
            f"{NOT_EVALUATED}: p_direction, {every:.0f} of {NEEDED:.0f} effective outcomes, "
            f"{rarer:.0f} of {NEEDED_OF_RARER:.0f} of the rarer class"
        )

    def learn(self, of: Situation, ts_event: int, ts_matured: int, gain: float) -> None:
        """Take one outcome; the gain is the log return in the consensus' direction, before cost."""
        self._known.add([*of, float(gain > self._cost)])
        self._spans.add([ts_event, ts_matured])
        self._since += 1
        if self._since >= max(self._refit_every, len(self._known) // 20):
            self._fit()

    def _fit(self) -> None:
        self._since = 0
        known = np.ascontiguousarray(self._known.table().T)
        start, end = self._spans.table().T
        paid = known[-1]
        weight = average_uniqueness(start, end)
        yes = float(weight @ paid)
        every = float(weight.sum())
        self._effective = (every, min(yes, every - yes))
        if every < NEEDED or min(yes, every - yes) < NEEDED_OF_RARER:
            return
        rows, mean, scale = _design(known[:-1], weight)
        ridge = np.full(len(rows), self._ridge)
        ridge[0] = 0.0
        centre = np.zeros(len(ridge))
        centre[0] = log(yes / (every - yes))
        b = fit_logistic(rows.T, paid, weight, ridge, centre)
        self._model = _Model(float(b[0]), mean.tolist(), (b[1:] * scale).tolist())

    def state(self) -> dict[str, Any]:
        """Return what was seen and fitted, as JSON values."""
        return {
            "trades": [
                [[None if isnan(x) else x for x in known[:-1]], *span, known[-1]]
                for known, span in zip(self._known, self._spans, strict=True)
            ],
            "since": self._since,
            "effective": list(self._effective),
            "model": None if self._model is None else list(self._model),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        try:
            trades, times = self._nothing()
            for of, start, end, paid in state["trades"]:
                trades.add([*Situation(*(nan if x is None else float(x) for x in of)), float(paid)])
                times.add([int(start), int(end)])
            model = None if state["model"] is None else _Model(*state["model"])
            effective = (float(state["effective"][0]), float(state["effective"][1]))
            since = int(state["since"])
        except (KeyError, TypeError, ValueError, IndexError):
            raise InvalidValue(
                "the state must be one of meta-labelling", type(state).__name__, "restore a whole state"
            ) from None
        self._known, self._spans = trades, times
        self._model, self._effective, self._since = model, effective, since


def average_uniqueness(start: np.ndarray, end: np.ndarray) -> FloatArray:
    """Mean over an outcome's span of ``1 / number of outcomes open at that time``.

    Outcomes of different symbols that run side by side count as concurrent too: they move together.

    Parameters
    ----------
    start, end
        Shape (n,), the spans ``(ts_event, ts_matured]``, ns.

    Returns
    -------
    Shape (n,), in (0, 1]; the sum is the effective number of outcomes. A span without length counts fully.

    Examples
    --------
    >>> average_uniqueness(np.array([0, 1, 5]), np.array([2, 3, 6])).tolist()
    [0.75, 0.75, 1.0]

    References
    ----------
    Lopez de Prado (2018), ch. 4.4, snippet 4.2.
    """
    times = np.unique(np.concatenate([_runs(start), _runs(end)]))
    if len(times) < 2:
        return np.ones(len(start))
    first, last = np.searchsorted(times, start), np.searchsorted(times, end)
    change = np.bincount(first, minlength=len(times)) - np.bincount(last, minlength=len(times))
    open_now = np.cumsum(change)[:-1]
    share = np.diff(times).astype(np.float64) / np.maximum(open_now, 1)
    until = np.concatenate([[0.0], np.cumsum(share)])
    length = (end - start).astype(np.float64)
    mean: FloatArray = np.where(
        length > 0, (until[last] - until[first]) / np.where(length > 0, length, 1.0), 1.0
    )
    return mean


def _runs(times: np.ndarray) -> np.ndarray:
    """Drop repetitions side by side: the times of many symbols are few, and sorting them all takes long."""
    return times[np.flatnonzero(np.diff(times, prepend=times[:1] - 1))]


def size_factor(consensus: Consensus) -> float:
    """How much of a position meta-labelling leaves: ``min(1, meta_confidence / p_direction)``.

    It shrinks a position where acting pays less often than the direction comes true, and never enlarges one;
    1 as long as there is no model.

    Examples
    --------
    >>> from consilium.domain import Prediction
    >>> from consilium.ensemble import reach_consensus
    >>> said = Prediction(model="a", symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                   probabilities=(0.1, 0.3, 0.6))
    >>> size_factor(reach_consensus([said]))
    1.0
    """
    if consensus.meta_confidence >= consensus.p_direction:
        return 1.0
    return consensus.meta_confidence / consensus.p_direction


def _design(x: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scale rows to mean 0 and deviation 1 below a row of ones; the missing become the mean, a constant 0.

    Returns
    -------
    The columns of the fit, one after the other, shape (k + 1, n); the means and the factors, shape (k,).
    """
    known = np.isfinite(x)
    filled = np.where(known, x, 0.0)
    total = np.maximum(known @ weight, 1e-300)
    mean = filled @ weight / total
    away = np.where(known, filled - mean[:, None], 0.0)
    deviation = np.sqrt(away**2 @ weight / total)
    scale = np.where(deviation > 1e-9, 1.0 / np.maximum(deviation, 1e-9), 0.0)
    rows = np.empty((len(x) + 1, len(weight)))
    rows[0] = 1.0
    np.multiply(away, scale[:, None], out=rows[1:])
    return rows, mean, scale
