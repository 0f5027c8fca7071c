"""A comparison that may be looked at after every outcome: betting against "ours is not better".

Letters: d_t the loss difference (ours minus other) of time t, h the horizon in bars, l_t the stake fixed when
forecast t was made, e the wealth of the bettor, who starts with 1.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log1p
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue

THRESHOLD = 20.0
LARGEST_STAKE = 0.75
PRIOR_COUNT = 20.0
TYPICAL = 0.1
MEMORY = 2_000.0
PROMOTE, DEMOTE, WAIT = "promote", "demote", "wait"


def largest_difference(p_ours: ArrayLike, p_other: ArrayLike) -> NDArray[np.float64]:
    """Largest difference in half-Brier that two forecasts allow, whatever happens: ``max_y |d(y)|``.

    ``d(y) = 1/2 sum_k (p_k^2 - q_k^2) - (p_y - q_y)``. It is known before the outcome, and far below 1 for
    forecasts that are alike, so that small differences can be bet on.

    Parameters
    ----------
    p_ours, p_other
        Shape (n, 3), rows sum to 1.

    Returns
    -------
    Shape (n,).

    Examples
    --------
    >>> largest_difference([[0.2, 0.3, 0.5]], [[0.3, 0.3, 0.4]]).round(3).tolist()
    [0.12]
    """
    p, q = np.asarray(p_ours, dtype=np.float64), np.asarray(p_other, dtype=np.float64)
    spread = (p**2 - q**2).sum(axis=-1, keepdims=True) / 2.0
    result: NDArray[np.float64] = np.abs(spread - (p - q)).max(axis=-1)
    return result


class Bettor:
    """Wealth from bets that the mean of d is below 0; under "it is not" the wealth does not grow.

    ``e = 1/h sum_k prod_(t = k mod h) (1 - l_t d_t)``, each of the h processes with outcomes that do not
    overlap; ``l_t = clip(-m / (s^2 + m^2), 0, .75 / c_t)`` from the mean m and variance s^2 of the outcomes
    known when forecast t was made, and the largest ``|d_t| <= c_t`` that the two forecasts allow.

    Once e reaches the threshold no stake is added until the bets that are open have been settled: only a
    wealth that is still there then counts. So the set of bets in it is fixed by a stopping time, and the
    chance that e is ever confirmed at 20 without effect is at most 1/20, for overlapping outcomes too.

    Parameters
    ----------
    horizon_bars
        h, >= 1.
    threshold
        Wealth that decides, > 1.
    typical
        First guess of |d|, in (0, 1]; weighs as much as 20 outcomes.
    memory
        Outcomes after which one counts 1/e in m and s^2, >= 1: a model that was good for years must not take
        years to be found out.

    Examples
    --------
    >>> bettor = Bettor(horizon_bars=1)
    >>> for _ in range(100):
    ...     bettor.update(-0.1)
    >>> bettor.confirmed, bettor.wealth > 20.0
    (True, True)

    References
    ----------
    Waudby-Smith and Ramdas (2024), sec. 4 and app. B (stakes); Henzi and Ziegel (2022), sec. 3 (h processes).
    """

    def __init__(
        self,
        *,
        horizon_bars: int,
        threshold: float = THRESHOLD,
        typical: float = TYPICAL,
        memory: float = MEMORY,
    ) -> None:
        if horizon_bars < 1:
            raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
        if not threshold > 1.0:
            raise InvalidValue("threshold must be > 1", threshold, "use 20")
        if not 0.0 < typical <= 1.0:
            raise InvalidValue("typical must lie in (0, 1]", typical, "use 0.1")
        if not memory >= 1.0:
            raise InvalidValue("memory must be >= 1", memory, "use 2,000")
        self.horizon_bars, self.threshold, self._typical = horizon_bars, threshold, typical
        self._fade = exp(-1.0 / memory)
        self._log_wealth = [0.0] * horizon_bars
        self._open: deque[float] = deque([0.0] * horizon_bars)
        self._count, self._weight, self._sum, self._squares = 0, 0.0, 0.0, 0.0
        self.confirmed = False

    @property
    def count(self) -> int:
        """Outcomes seen."""
        return self._count

    @property
    def wealth(self) -> float:
        """The e-value now: the mean of the h processes."""
        top = max(self._log_wealth)
        mean = sum(exp(value - top) for value in self._log_wealth) / self.horizon_bars
        return exp(min(700.0, top + log(mean)))

    def update(self, difference: float, bound: float = 1.0) -> None:
        """Settle the bet on the next outcome, in the order of forecasts, and place one on a new forecast.

        Parameters
        ----------
        difference
            d_t in [-bound, bound].
        bound
            c_t, a function of the two forecasts only, never of the outcome: see `largest_difference`.

        Raises
        ------
        InvalidValue
            A difference outside the bound.
        """
        if not abs(difference) <= bound * (1.0 + 1e-9):
            raise InvalidValue(
                f"a loss difference must lie in [-{bound:g}, {bound:g}]",
                difference,
                "give losses in [0, 1], or the bound of these forecasts",
            )
        stake = min(self._open.popleft(), LARGEST_STAKE / bound) if bound > 0.0 else self._open.popleft()
        self._log_wealth[self._count % self.horizon_bars] += log1p(-stake * difference)
        self._count += 1
        self._weight = self._fade * self._weight + 1.0
        self._sum = self._fade * self._sum + difference
        self._squares = self._fade * self._squares + difference**2
        reached = self.wealth >= self.threshold
        if reached and not any(self._open):
            self.confirmed = True
        # An unconfirmed wealth must not depend on bets that were placed because of what it already shows.
        self._open.append(0.0 if reached and not self.confirmed else self._stake())

    def _stake(self) -> float:
        weight = self._weight + PRIOR_COUNT
        mean = self._sum / weight
        second = (self._squares + PRIOR_COUNT * self._typical**2) / weight
        return max(-mean / second, 0.0)

    def state(self) -> dict[str, Any]:
        """Return plain JSON from which `restore` goes on."""
        return {
            "log_wealth": list(self._log_wealth),
            "open": list(self._open),
            "count": self._count,
            "weight": self._weight,
            "sum": self._sum,
            "squares": self._squares,
            "confirmed": self.confirmed,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; the horizon must be the same."""
        if len(state["log_wealth"]) != self.horizon_bars or len(state["open"]) != self.horizon_bars:
            raise InvalidValue(
                f"the state must be of horizon {self.horizon_bars}",
                len(state["log_wealth"]),
                "restore into a process of the same horizon",
            )
        self._log_wealth = [float(value) for value in state["log_wealth"]]
        self._open = deque(float(stake) for stake in state["open"])
        self._count, self.confirmed = int(state["count"]), bool(state["confirmed"])
        self._weight, self._sum = float(state["weight"]), float(state["sum"])
        self._squares = float(state["squares"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the comparison says after an outcome.

    Parameters
    ----------
    word
        ``promote``, ``demote`` or ``wait``; it stays once given, until the reverse is confirmed.
    e_better, e_worse
        Evidence that ours is better, and that it is worse.
    count
        Timestamps seen.
    """

    word: str
    e_better: float
    e_worse: float
    count: int


class LiveComparison:
    """Two bettors on one stream: promotion at e >= 20 for better, demotion at e >= 20 for worse.

    After a decision the bettor of the reverse starts anew from there, so that a good past cannot delay it.

    Parameters
    ----------
    horizon_bars
        h, >= 1.
    threshold, typical, memory
        See `Bettor`.

    Examples
    --------
    >>> live = LiveComparison(horizon_bars=2)
    >>> words = [live.update(d).word for d in [-0.1] * 150 + [0.1] * 400]
    >>> words[0], words[149], words[-1]
    ('wait', 'promote', 'demote')
    >>> again = LiveComparison(horizon_bars=2)
    >>> again.restore(live.state())
    >>> again.standing == live.standing
    True

    References
    ----------
    See `Bettor`.
    """

    def __init__(
        self,
        *,
        horizon_bars: int,
        threshold: float = THRESHOLD,
        typical: float = TYPICAL,
        memory: float = MEMORY,
    ) -> None:
        self.horizon_bars, self.threshold = horizon_bars, threshold
        self._typical, self._memory = typical, memory
        self._better, self._worse = self._bettor(), self._bettor()
        self._word, self._count = WAIT, 0

    def _bettor(self) -> Bettor:
        return Bettor(
            horizon_bars=self.horizon_bars,
            threshold=self.threshold,
            typical=self._typical,
            memory=self._memory,
        )

    @property
    def standing(self) -> Standing:
        """What the comparison says now."""
        return Standing(
            word=self._word, e_better=self._better.wealth, e_worse=self._worse.wealth, count=self._count
        )

    def update(self, difference: float, bound: float = 1.0) -> Standing:
        """Take the mean loss difference over the symbols of the next timestamp whose outcome is known.

        Parameters
        ----------
        difference
            d_t, ours minus other, in [-bound, bound], in the order of forecasts.
        bound
            What the forecasts of t allow at most, the mean of `largest_difference` over the symbols.

        Raises
        ------
        InvalidValue
            A difference outside the bound.
        """
        self._better.update(difference, bound)
        self._worse.update(-difference, bound)
        self._count += 1
        if self._better.confirmed and self._word != PROMOTE:
            self._word, self._worse = PROMOTE, self._bettor()
        elif self._worse.confirmed and self._word != DEMOTE:
            self._word, self._better = DEMOTE, self._bettor()
        return self.standing

    def state(self) -> dict[str, Any]:
        """Return plain JSON from which `restore` goes on."""
        return {
            "better": self._better.state(),
            "worse": self._worse.state(),
            "word": self._word,
            "count": self._count,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        if state["word"] not in (PROMOTE, DEMOTE, WAIT):
            raise InvalidValue("word must be promote, demote or wait", state["word"], "restore a true state")
        self._better.restore(state["better"])
        self._worse.restore(state["worse"])
        self._word, self._count = str(state["word"]), int(state["count"])
