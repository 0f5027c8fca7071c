"""What a Sharpe ratio is worth once one counts its error and how many were tried.

Letters: T days, SR the Sharpe ratio a day (not annual), g3 skewness, g4 raw kurtosis (3 if normal), N trials
that are independent, z the normal quantile, Phi the normal distribution.
"""

from dataclasses import dataclass
from math import e, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from consilium.domain import InvalidValue
from consilium.training.judge.trial_clusters import cluster_returns

EULER = 0.5772156649015329
FEWEST_DAYS = 30
TOO_SHORT = "fewer than 30 days"
FLAT = "returns do not vary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sharpe ratio a day with the moments that its error depends on.

    Parameters
    ----------
    sharpe
        Mean over standard deviation of daily returns.
    skewness, kurtosis
        g3 and raw g4.
    days
        T.

    Examples
    --------
    >>> Moments.of(np.tile([0.02, -0.01], 50))
    Moments(sharpe=0.331662..., skewness=0.0, kurtosis=1.0, days=100)
    """

    sharpe: float
    skewness: float
    kurtosis: float
    days: int

    @classmethod
    def of(cls, daily_returns: ArrayLike) -> "Moments | None":
        """Measure daily returns, shape (T,), finite, flat days in; None if they do not vary."""
        r = _series(daily_returns)
        centred = r - r.mean() if len(r) else r
        variance = float(np.mean(centred**2)) if len(r) > 1 else 0.0
        if variance <= 1e-30:
            return None
        return cls(
            sharpe=float(r.mean()) / sqrt(variance * len(r) / (len(r) - 1)),
            skewness=round(float(np.mean(centred**3)) / variance**1.5, 12) + 0.0,
            kurtosis=round(float(np.mean(centred**4)) / variance**2, 12),
            days=len(r),
        )

    @property
    def spread(self) -> float:
        """``1 - g3 SR + (g4 - 1)/4 SR^2``: T - 1 times the variance of SR, never negative."""
        return max(0.0, 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflatedSharpe:
    """The chance that the true Sharpe ratio is above what the best of N trials shows by luck.

    Parameters
    ----------
    probability
        The deflated Sharpe ratio, in [0, 1]; None where there is none.
    sharpe
        SR of the strategy a day; None below 30 days.
    by_luck
        SR0, a day.
    trials
        All trials counted, aborted ones and those that never traded too.
    independent
        N, the clusters among those that traded, and the aborted.
    days
        T.
    reason
        Why there is no probability; None if there is one.
    """

    probability: float | None
    sharpe: float | None
    by_luck: float | None
    trials: int
    independent: int
    days: int
    reason: str | None = None


def probabilistic_sharpe(moments: Moments, benchmark: float = 0.0) -> float:
    """Chance that the true Sharpe ratio a day exceeds a benchmark.

    ``Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2))``.

    Parameters
    ----------
    moments
        Of the daily returns.
    benchmark
        SR*, a day; default 0.

    Examples
    --------
    >>> monthly = Moments(sharpe=0.458, skewness=-2.448, kurtosis=10.164, days=24)
    >>> round(probabilistic_sharpe(monthly), 3)
    0.913

    References
    ----------
    Bailey and Lopez de Prado (2012); the example is theirs.
    """
    above = (moments.sharpe - benchmark) * sqrt(max(moments.days - 1, 0))
    if moments.spread == 0.0:
        return 0.5 if above == 0.0 else float(above > 0.0)
    return float(norm.cdf(above / sqrt(moments.spread)))


def sharpe_by_luck(spread_of_trials: float, independent: int) -> float:
    """Expect this of the best of N trials without skill: SR0, a day.

    ``SR0 = sd(SR of the clusters) [(1 - .5772) z(1 - 1/N) + .5772 z(1 - 1/(N e))]``; 0 for one trial.

    Parameters
    ----------
    spread_of_trials
        Standard deviation of SR a day over the clusters of trials, >= 0.
    independent
        N, >= 1.

    Raises
    ------
    InvalidValue
        A parameter below its bound.

    Examples
    --------
    >>> round(sharpe_by_luck(sqrt(0.5 / 250), 100), 4)
    0.1132

    References
    ----------
    Bailey and Lopez de Prado (2014), eq. 1; the example is theirs.
    """
    if not (np.isfinite(spread_of_trials) and spread_of_trials >= 0.0):
        raise InvalidValue("spread_of_trials must be finite and >= 0", spread_of_trials, "give a deviation")
    if independent < 1:
        raise InvalidValue("independent must be >= 1", independent, "count this trial too")
    if independent == 1:
        return 0.0
    best = (1.0 - EULER) * norm.ppf(1.0 - 1.0 / independent)
    return float(spread_of_trials * (best + EULER * norm.ppf(1.0 - 1.0 / (independent * e))))


def deflated_sharpe(
    daily_returns: ArrayLike,
    trial_returns: ArrayLike,
    *,
    aborted: int = 0,
    independent: int | None = None,
) -> DeflatedSharpe:
    """Deflate the Sharpe ratio of the strategy shown by all that were tried.

    ``DSR = Phi((SR - SR0) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2))``.

    The spread in SR0 is taken over the same N as its maximum: one SR a cluster, that of the members' returns
    weighted by 1 / variance. Over all trials copies would shrink it, and those that never trade would pull it
    to 0; these are counted in ``trials`` and enter neither. With one cluster (and aborted trials beside it)
    the spread is the error of an SR without skill, ``1 / sqrt(T - 1)``.

    Parameters
    ----------
    daily_returns
        Shape (T,), daily UTC returns of the strategy, flat days in.
    trial_returns
        Shape (T', K), daily returns of all trials on the same days, the strategy itself among them.
    aborted
        Trials without returns, >= 0: each counts as a cluster of its own.
    independent
        N; None: `cluster_trials` counts the clusters. The spread is that of the clusters either way.

    Raises
    ------
    InvalidValue
        Returns that are not finite, no trial.

    Examples
    --------
    >>> trials = np.random.default_rng(1).normal(0.0, 0.01, size=(500, 20))
    >>> best = trials[:, np.argmax(trials.mean(axis=0) / trials.std(axis=0))]
    >>> found = deflated_sharpe(best, trials)
    >>> found.independent, probabilistic_sharpe(Moments.of(best)) > 0.95 > found.probability
    (20, True)

    References
    ----------
    Bailey and Lopez de Prado (2014), eq. 2; Lopez de Prado and Lewis (2019), sec. 4 and 5, for N and for the
    returns of a cluster.
    """
    returns, trials = _series(daily_returns), np.asarray(trial_returns, dtype=np.float64)
    if trials.ndim != 2 or trials.shape[1] < 1 or not np.all(np.isfinite(trials)):
        raise InvalidValue(
            "trial_returns must be finite, shape (T, K), K >= 1", trials.shape, "one column a trial"
        )
    if aborted < 0:
        raise InvalidValue("aborted must be >= 0", aborted, "count the trials without returns")
    count = trials.shape[1] + aborted
    clusters = cluster_returns(trials)
    if independent is None:
        independent = max(1, clusters.shape[1] + aborted)
    moments = Moments.of(returns)
    if moments is None or len(returns) < FEWEST_DAYS:
        return DeflatedSharpe(
            probability=None,
            sharpe=None,
            by_luck=None,
            trials=count,
            independent=independent,
            days=len(returns),
            reason=TOO_SHORT if len(returns) < FEWEST_DAYS else FLAT,
        )
    ratios = [m.sharpe for m in map(Moments.of, clusters.T) if m]
    spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 1.0 / sqrt(len(returns) - 1.0)
    luck = sharpe_by_luck(spread, independent)
    return DeflatedSharpe(
        probability=probabilistic_sharpe(moments, luck),
        sharpe=moments.sharpe,
        by_luck=luck,
        trials=count,
        independent=independent,
        days=len(returns),
    )


def minimum_track_record(moments: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float | None:
    """Days that such returns must last before SR > SR* is shown: None if SR is not above it.

    ``1 + (1 - g3 SR + (g4 - 1)/4 SR^2) (z(confidence) / (SR - SR*))^2``.

    Parameters
    ----------
    moments
        Of the daily returns.
    benchmark
        SR*, a day.
    confidence
        In (.5, 1).

    Examples
    --------
    >>> two = Moments(sharpe=2 / sqrt(252), skewness=0.0, kurtosis=3.0, days=1)
    >>> round(minimum_track_record(two, 1 / sqrt(252)) / 252, 2)
    2.73

    References
    ----------
    Bailey and Lopez de Prado (2012); the example is theirs, in years.
    """
    if not 0.5 < confidence < 1.0:
        raise InvalidValue("confidence must lie in (.5, 1)", confidence, "use .95")
    above = moments.sharpe - benchmark
    if above <= 0.0:
        return None
    return float(1.0 + moments.spread * (norm.ppf(confidence) / above) ** 2)


def _series(returns: ArrayLike) -> NDArray[np.float64]:
    r = np.asarray(returns, dtype=np.float64)
    if r.ndim != 1 or not np.all(np.isfinite(r)):
        raise InvalidValue("daily returns must be finite, shape (T,)", r.shape, "give one return a day")
    return r
