"""The logarithmic pool: opinions multiply, with weights that a validation part has earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, fsum, isfinite, log
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue
from consilium.ensemble.pooling import verdict_of_pool
from consilium.ensemble.voting import Verdict, Vote, normalised

FLOOR = 1e-6
"""A probability counts as at least this, or one certain model would veto all others for ever."""

_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPool:
    """Direction and confidence are those of ``p_k`` proportional to ``(prod_m p_mk^w_m)^(1/T)``.

    ``w_m`` (>= 0, sum 1) and T come from `fit`; unfitted they are equal and 1. Of the voters present, weights
    are scaled to sum 1. Allocations and trust have no say. A tie for the first place is FLAT.

    Parameters
    ----------
    weights
        Fitted weight by model, finite, >= 0, not all 0; empty means equal.
    temperature
        T > 0; below 1 the pool is sharper than its voters, above 1 flatter.

    Raises
    ------
    InvalidValue
        Weights or temperature outside their bounds; a voter that fitted weights do not name.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, 1.0)
    >>> said = [vote("a", (0.1, 0.1, 0.8)), vote("b", (0.2, 0.2, 0.6))]
    >>> [round(p, 3) for p in LogPool().verdict(said, 2).probabilities]
    [0.145, 0.145, 0.71]
    >>> [round(p, 3) for p in LogPool(temperature=0.5).verdict(said, 2).probabilities]
    [0.038, 0.038, 0.923]

    References
    ----------
    Genest and Zidek (1986), eq. 3.6; Satopaa et al. (2014) for the temperature.
    """

    name: ClassVar[str] = "log_pool"
    linear: ClassVar[bool] = False
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = False
    volatility_gate: ClassVar[bool] = False
    weights: Mapping[str, float] = field(default_factory=lambda: _NONE)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.temperature) and self.temperature > 0.0):
            raise InvalidValue("temperature must be finite and > 0", self.temperature, "use 1")
        values = list(self.weights.values())
        if values and not (all(isfinite(w) and w >= 0.0 for w in values) and sum(values) > 0.0):
            raise InvalidValue(
                "weights must be finite, >= 0 and not all 0", dict(self.weights), "give >= 0, or fit"
            )

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Multiply, then take the most probable direction."""
        weights = self._weights_of(votes)
        return verdict_of_pool(votes, weights, _geometric(votes, weights, self.temperature), n)

    def _weights_of(self, votes: Sequence[Vote]) -> tuple[float, ...]:
        if not self.weights:
            return normalised([1.0] * len(votes))
        raw = []
        for vote in votes:
            model = vote.prediction.model
            if model not in self.weights:
                raise InvalidValue(
                    f"log_pool was fitted for {', '.join(sorted(self.weights))}",
                    model,
                    f"fit it again with {model}, or disable the model",
                )
            raw.append(self.weights[model])
        return normalised(raw if sum(raw) > 0.0 else [1.0] * len(raw))

    @classmethod
    def fit(
        cls, models: Sequence[str], probabilities: ArrayLike, outcomes: ArrayLike, *, ridge: float = 1.0
    ) -> "LogPool":
        """Fit weights and temperature on the log-loss of a validation part.

        Minimises over ``b_m = w_m / T >= 0``, a convex problem:
        ``-sum_i ln softmax_k(sum_m b_m ln p_imk)[y_i] + ridge/2 sum_m (b_m - 1/M)^2``.

        Parameters
        ----------
        models
            Names of the M models, each once.
        probabilities
            Shape (n, M, 3), rows (down, flat, up).
        outcomes
            Shape (n,), values 0, 1, 2.
        ridge
            Strength of the pull to equal weights at temperature 1, in outcomes; > 0, default 1.

        Raises
        ------
        InvalidValue
            Wrong shapes, no rows, probabilities that are no distributions, outcomes other than 0, 1, 2.

        Examples
        --------
        >>> rng = np.random.default_rng(1)
        >>> y = rng.integers(0, 3, 500)
        >>> seen = np.where(rng.random(500) < 0.7, y, rng.integers(0, 3, 500))
        >>> knows = 0.1 + 0.7 * np.eye(3)[seen]
        >>> noise = rng.dirichlet((5.0, 5.0, 5.0), 500)
        >>> pool = LogPool.fit(["knows", "noise"], np.stack([knows, noise], axis=1), y)
        >>> round(pool.weights["knows"], 1), round(pool.temperature, 1)
        (1.0, 1.0)
        """
        logs, hits = _checked(models, probabilities, outcomes)
        if not (isfinite(ridge) and ridge > 0.0):
            raise InvalidValue("ridge must be finite and > 0", ridge, "use 1")
        exponents = _minimise(logs, hits, ridge)
        total = float(exponents.sum())
        if total < 1e-6:
            # Nothing helps: the flattest pool there is, equal weights and a temperature of a million.
            return cls(weights=dict.fromkeys(models, 1.0 / len(models)), temperature=1e6)
        return cls(
            weights={m: float(b) / total for m, b in zip(models, exponents, strict=True)},
            temperature=1.0 / total,
        )

    def state(self) -> dict[str, Any]:
        """Return weights and temperature as JSON values."""
        return {"rule": self.name, "weights": dict(self.weights), "temperature": self.temperature}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "LogPool":
        """Make the rule that wrote a state.

        Raises
        ------
        InvalidValue
            The state of something else, or one that was damaged.
        """
        bound = InvalidValue("the state must be one of rule log_pool", dict(state), "fit it again")
        if state.get("rule") != cls.name:
            raise bound
        try:
            weights = {str(model): float(w) for model, w in state["weights"].items()}
            return cls(weights=weights, temperature=float(state["temperature"]))
        except (KeyError, TypeError, AttributeError, ValueError):
            raise bound from None


def _geometric(
    votes: Sequence[Vote], weights: Sequence[float], temperature: float
) -> tuple[float, float, float]:
    if len(votes) == 1 and temperature == 1.0:
        return votes[0].prediction.probabilities
    down = flat = up = 0.0
    for (prediction, _, _, _), weight in zip(votes, weights, strict=True):
        p_down, p_flat, p_up = prediction.probabilities
        down += weight * log(max(p_down, FLOOR))
        flat += weight * log(max(p_flat, FLOOR))
        up += weight * log(max(p_up, FLOOR))
    top = max(down, flat, up)
    raw = [exp((value - top) / temperature) for value in (down, flat, up)]
    total = fsum(raw)
    return raw[0] / total, raw[1] / total, raw[2] / total


def _checked(
    models: Sequence[str], probabilities: ArrayLike, outcomes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(outcomes, dtype=np.int64)
    if p.ndim != 3 or p.shape[1:] != (len(models), 3) or y.shape != (len(p),) or not len(p):
        raise InvalidValue(
            f"log_pool needs probabilities of shape (n, {len(models)}, 3) and outcomes of shape (n,), n >= 1",
            f"{p.shape} and {y.shape}",
            "give one row for each outcome",
        )
    if len(set(models)) < len(models):
        raise InvalidValue("models must be different names", list(models), "name each model once")
    if not (np.all(p >= 0.0) and np.all(np.abs(p.sum(axis=2) - 1.0) <= 1e-6)):
        raise InvalidValue("probabilities must be >= 0 and sum to 1", "a row that is not", "renormalise")
    if y.min() < 0 or y.max() > 2:
        raise InvalidValue("outcomes must be 0, 1 or 2", sorted(set(y.tolist())), "use Direction")
    return np.log(np.maximum(p, FLOOR)), y


def _minimise(logs: NDArray[np.float64], y: NDArray[np.int64], ridge: float) -> NDArray[np.float64]:
    # Only fitting needs SciPy; voting with fitted weights does not.
    from scipy.optimize import minimize

    n, models, _ = logs.shape
    hit = logs[np.arange(n), :, y].sum(axis=0)

    def loss(b: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = np.einsum("m,imk->ik", b, logs)
        top = z.max(axis=1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(axis=1, keepdims=True)
        away = b - 1.0 / models
        value = float((top + np.log(total)).sum() - b @ hit + 0.5 * ridge * (away @ away))
        slope = np.einsum("ik,imk->m", e / total, logs) - hit + ridge * away
        return value / n, slope / n

    found = minimize(
        loss,
        np.full(models, 1.0 / models),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * models,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    )
    best: NDArray[np.float64] = found.x
    return best
