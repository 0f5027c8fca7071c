"""How often a direction came true when the pool gave it this probability: learned from outcomes."""

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np

from consilium.domain import Direction, InvalidValue
from consilium.ensemble.gates import NOT_EVALUATED
from consilium.ensemble.newton import chance, fit_logistic
from consilium.ensemble.recent import Recent
from consilium.ensemble.voting import PASS

NEEDED = 200
"""Outcomes of a direction before its probability is recalibrated."""

CLIP = 1e-4
"""Pooled probabilities count as at least this far from 0 and 1 in the logit."""


class Recalibration:
    """``p_direction = sigmoid(a + b logit(pooled p))``, one (a, b) for each direction.

    A linear pool of calibrated forecasts is not calibrated, it is too timid. (a, b) is fitted on outcomes
    already realised, with a ridge to the identity (0, 1); below 200 of a direction it is the identity.

    Parameters
    ----------
    ridge
        Strength of the pull to the identity, in outcomes, > 0, default 10.
    window
        Most outcomes of a direction that are remembered, >= 200, default 5000.
    refit_every
        Least outcomes between two fits, >= 1, default 50; a twentieth of those remembered if that is more.

    Raises
    ------
    InvalidValue
        A setting outside its bound, or a damaged state.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> online = Recalibration()
    >>> for came in rng.random(2000) < 0.7:
    ...     online.learn(Direction.UP, 0.55, bool(came))
    >>> round(online.probability(Direction.UP, 0.55), 1), online.probability(Direction.DOWN, 0.55)
    (0.7, 0.55)

    References
    ----------
    Ranjan and Gneiting (2010), theorem 1; Platt (1999) for the logistic form.
    """

    def __init__(self, *, ridge: float = 10.0, window: int = 5000, refit_every: int = 50) -> None:
        if not ridge > 0.0:
            raise InvalidValue("ridge must be > 0", ridge, "use 10")
        if window < NEEDED:
            raise InvalidValue(f"window must be >= {NEEDED}", window, "use 5000")
        if refit_every < 1:
            raise InvalidValue("refit_every must be >= 1", refit_every, "use 50")
        self._ridge, self._window, self._refit_every = ridge, window, refit_every
        self._seen = [Recent(2, window) for _ in Direction]
        self._since = [0, 0, 0]
        self._map: list[tuple[float, float] | None] = [None, None, None]

    def probability(self, direction: Direction, pooled: float) -> float:
        """Recalibrate the pooled probability of a direction."""
        fitted = self._map[direction]
        if fitted is None:
            return pooled
        a, b = fitted
        return chance(a + b * _logit(pooled))

    @property
    def fitted(self) -> tuple[tuple[float, float] | None, ...]:
        """The map (a, b) of each direction, None where there is none yet."""
        return tuple(self._map)

    def told(self, direction: Direction) -> str:
        """Say whether the probability is recalibrated, in the words of a gate."""
        if self._map[direction] is not None:
            return PASS
        return f"{NOT_EVALUATED}: pooled p, {len(self._seen[direction])} of {NEEDED} outcomes"

    def learn(self, direction: Direction, pooled: float, came: bool) -> None:
        """Take one outcome: whether the direction came that the consensus had stated with this pooled p."""
        seen = self._seen[direction]
        seen.add([_logit(pooled), float(came)])
        self._since[direction] += 1
        known = len(seen)
        if known >= NEEDED and self._since[direction] >= max(self._refit_every, known // 20):
            self._fit(direction)

    def _fit(self, direction: Direction) -> None:
        z, came = np.ascontiguousarray(self._seen[direction].table().T)
        one, ridge = np.ones(len(z)), np.full(2, self._ridge)
        a, b = fit_logistic(np.stack([one, z]).T, came, one, ridge, np.array([0.0, 1.0])).tolist()
        self._map[direction] = (a, b)
        self._since[direction] = 0

    def state(self) -> dict[str, Any]:
        """Return what was seen and fitted, as JSON values."""
        return {
            "seen": [list(seen) for seen in self._seen],
            "since": list(self._since),
            "map": [list(fitted) if fitted else None for fitted in self._map],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        try:
            seen = [Recent(2, self._window) for _ in state["seen"]]
            for recent, rows in zip(seen, state["seen"], strict=True):
                for z, came in rows:
                    recent.add([float(z), float(came)])
            since = [int(count) for count in state["since"]]
            fitted = [(float(f[0]), float(f[1])) if f else None for f in state["map"]]
            if not len(seen) == len(since) == len(fitted) == len(Direction):
                raise KeyError("directions")  # noqa: TRY301 - the same refusal as for a missing one
        except (KeyError, TypeError, ValueError, IndexError):
            raise InvalidValue(
                "the state must be one of recalibration", type(state).__name__, "restore a whole state"
            ) from None
        self._seen, self._since, self._map = seen, since, fitted


def _logit(p: float) -> float:
    inside = CLIP if p < CLIP else p if p < 1.0 - CLIP else 1.0 - CLIP
    return log(inside / (1.0 - inside))
