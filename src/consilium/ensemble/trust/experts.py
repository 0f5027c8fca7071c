"""What all policies share that learn from outcomes: models are experts, and weights live in log space.

Letters: N models, a_m the prior (allocations), v_m the weight of model m with sum 1 over all models, l_m its
loss in a round. A silent model sleeps: it is charged what the awake ones lose together (the mix loss), so the
mass of the awake is the same before and after a round, and nobody gains or loses by keeping silent.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import exp, fsum, inf, isfinite, log
from typing import Any, ClassVar

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction, UnknownName
from consilium.ensemble.allocations import check_shares
from consilium.ensemble.trust.roll import check_state, roll_of, speaking
from consilium.ensemble.trust.scoring import Scoring

FACTOR_LIMITS = (0.1, 2.0)
"""Bounds of trust as the outside reads it: N times the weight, clipped for display."""

Losses = Sequence[float | None]


class ExpertPolicy(ABC):
    """Weights from losses; a subclass says how a round changes the evidence.

    Parameters
    ----------
    models
        Names of all models; at least one, each once.
    prior
        Allocation by model, >= 0, not all 0, all models named; equal if not given. It is where weights start.
    interleave
        Copies that take the rounds in turn, >= 1, default 1. With D rounds outstanding D + 1 copies keep the
        guarantee, (D + 1) times as large; a single copy learns faster and is what is measured.
    capacity
        Most forecasts, counted by (symbol, instant), that wait for an outcome, >= 1, default 4096.

    Raises
    ------
    InvalidValue
        A setting outside its bound; no models, or one named twice; forecasts of another horizon or label; a
        state of another policy or of other models.
    UnknownName
        Weights asked for a model that it does not know.
    """

    name: ClassVar[str]
    takes_prior: ClassVar[bool] = True
    reads_consensus: ClassVar[bool] = False
    max_loss: ClassVar[float] = 1.0

    def __init__(
        self,
        models: Iterable[str],
        *,
        prior: Mapping[str, float] | None = None,
        interleave: int = 1,
        capacity: int = 4096,
    ) -> None:
        self.models = roll_of(models)
        if interleave < 1:
            raise InvalidValue("interleave must be >= 1", interleave, "use 1, or the delay in rounds plus 1")
        self._places = {model: i for i, model in enumerate(self.models)}
        self.set_prior(prior)
        self._scoring = Scoring(self.models, self.loss, capacity)
        self._copies = [self._fresh() for _ in range(interleave)]
        self._before = self._copies[0]
        self._rounds = 0

    @staticmethod
    @abstractmethod
    def loss(probabilities: tuple[float, float, float], came: int) -> float:
        """Loss of one forecast, in [0, max_loss]."""

    @abstractmethod
    def _fresh(self) -> list[float]:
        """Evidence of one copy before any round."""

    @abstractmethod
    def _logs(self, evidence: Sequence[float], places: Sequence[int]) -> list[float]:
        """Log of weight over prior of the models in these places, up to a common constant."""

    @abstractmethod
    def _step(self, evidence: Sequence[float], losses: Losses) -> list[float]:
        """Evidence after a round; the losses are None where a model slept, and never all None."""

    @property
    def rounds(self) -> int:
        """How many rounds were learned."""
        return self._rounds

    @property
    def prior(self) -> dict[str, float]:
        """Prior of each model, sum 1."""
        return dict(zip(self.models, self._prior, strict=True))

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Replace the prior and keep the evidence."""
        if prior:
            check_shares(
                "prior", {model: prior[model] for model in self.models if model in prior}, self.models
            )
            shares = [float(prior[model]) for model in self.models]
        else:
            shares = [1.0] * len(self.models)
        total = fsum(shares)
        self._take_prior([share / total for share in shares])

    def _take_prior(self, shares: list[float]) -> None:
        self._prior = shares
        self._log_prior = [log(share) if share > 0.0 else -inf for share in shares]

    def weights(self, awake: Collection[str]) -> dict[str, float]:
        """Return raw weights of the models that speak; equal ones if none of them has a prior above 0."""
        names = speaking(awake, self._places)
        if not names:
            return {}
        weights = self._shares(self._copies[self._turn], [self._places[model] for model in names])
        return dict(zip(names, weights, strict=True))

    def factors(self) -> dict[str, float]:
        """Return ``N v_m`` clipped to [0.1, 2], for display; rules use `weights`."""
        low, high = FACTOR_LIMITS
        n = len(self.models)
        return {model: min(high, max(low, n * v)) for model, v in self.weights(self.models).items()}

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        """Learn from outcomes; forecasts given alone wait for theirs, and a consensus teaches nothing.

        Outcomes of one instant given one after another are still one round. An outcome of an instant before
        the last one learned changes nothing, nor does a second one of a (model, symbol, instant).
        """
        if outcome is None:
            if consensus is None:
                self._scoring.wait(predictions)
            return
        outcomes = (outcome,) if isinstance(outcome, Outcome) else outcome
        for instant in self._scoring.instants(outcomes):
            begins = self._scoring.take(instant, predictions)
            if begins is not None:
                self._learn_round(begins)

    def charge(self, ts_event: int, losses: Mapping[str, float]) -> None:
        """Learn a round of losses that were measured elsewhere; one not later than the last changes nothing.

        Parameters
        ----------
        losses
            Loss by model that spoke, in [0, max_loss].

        Raises
        ------
        InvalidValue
            A loss outside its bounds.
        UnknownName
            A model that the policy does not know.
        """
        for model, loss in losses.items():
            if model not in self._places:
                raise UnknownName("model", model, self.models)
            if not 0.0 <= loss <= self.max_loss:
                raise InvalidValue(
                    f"losses of {self.name} must lie in [0, {self.max_loss:g}]",
                    f"{loss} for {model}",
                    "scale the loss, or score probabilities",
                )
        if losses and self._scoring.give(ts_event, losses):
            self._learn_round(begins=True)

    def _learn_round(self, begins: bool) -> None:
        """Apply the running round to its copy, from where that stood before the round."""
        if begins:
            self._rounds += 1
            self._before = self._copies[self._turn]
        self._copies[self._turn] = self._step(self._before, self._scoring.means())

    @property
    def _turn(self) -> int:
        """Copy of the last round: with the full delay outstanding it is also that of the next forecast."""
        return (self._rounds - 1) % len(self._copies)

    def _shares(self, evidence: Sequence[float], places: Sequence[int]) -> list[float]:
        """Weights of the models in these places; equal ones if none of them has a prior above 0."""
        logs, prior = self._logs(evidence, places), [self._prior[i] for i in places]
        top = max((value for value, a in zip(logs, prior, strict=True) if a > 0.0), default=None)
        if top is None:
            return [1.0 / len(places)] * len(places)
        raw = [a * exp(value - top) if a > 0.0 else 0.0 for value, a in zip(logs, prior, strict=True)]
        total = fsum(raw)
        return [value / total for value in raw]

    def state(self) -> dict[str, Any]:
        """Return prior, evidence, the running round and the forecasts that wait, as JSON values."""
        return {
            "policy": self.name,
            "models": list(self.models),
            "prior": list(self._prior),
            "rounds": self._rounds,
            "copies": [list(copy) for copy in self._copies],
            "before": list(self._before),
            "scoring": self._scoring.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        refused = check_state(state, self.name, self.models)
        try:
            copies = [[float(value) for value in copy] for copy in state["copies"]]
            before = [float(value) for value in state["before"]]
            prior = [float(share) for share in state["prior"]]
            rounds = int(state["rounds"])
            check_shares("prior", dict(zip(self.models, prior, strict=True)), self.models)
            self._check_evidence(copies, before)
            self._scoring.restore(state["scoring"])
        except InvalidValue:
            raise
        except (KeyError, TypeError, AttributeError, IndexError, ValueError):
            raise refused from None
        self._take_prior(prior)
        self._copies, self._before, self._rounds = copies, before, rounds

    def _check_evidence(self, copies: Sequence[Sequence[float]], before: Sequence[float]) -> None:
        if len(copies) != len(self._copies):
            raise InvalidValue(
                f"the state must be one of interleave {len(self._copies)}",
                len(copies),
                "make the policy with the interleave of the state",
            )
        for evidence in (*copies, before):
            if len(evidence) != len(self._fresh()) or not all(isfinite(value) for value in evidence):
                raise InvalidValue(
                    f"evidence must be {len(self._fresh())} finite numbers", evidence, "restore a whole state"
                )


def log_sum(logs: Iterable[float]) -> float:
    """``ln sum exp``, without overflow; -inf of nothing.

    Examples
    --------
    >>> log_sum([-1000.0, -1000.0])
    -999.306852819440...
    """
    values = list(logs)
    top = max(values, default=-inf)
    if top == -inf:
        return -inf
    return top + log(fsum(exp(value - top) for value in values))


def half_brier_loss(probabilities: tuple[float, float, float], came: int) -> float:
    """Half-Brier of one forecast in plain floats: `consilium.domain.half_brier` for a single row.

    Examples
    --------
    >>> round(half_brier_loss((0.1, 0.1, 0.8), 2), 3)
    0.03
    """
    down, flat, up = probabilities
    loss = 0.5 * (down * down + flat * flat + up * up + 1.0) - probabilities[came]
    # Probabilities may sum to 1 within a millionth only, so the loss may leave [0, 1] by as much.
    if loss < 0.0:
        return 0.0
    return 1.0 if loss > 1.0 else loss
