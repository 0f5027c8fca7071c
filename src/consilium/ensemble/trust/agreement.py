"""Who agrees with the consensus is trusted more: the policy of seed 000, kept as it is, and herding."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import fsum, isfinite
from typing import Any

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction, direction_of
from consilium.ensemble.trust.roll import Question, check_state, roll_of, speaking


class Agreement:
    """Trust ``min(t + reward, max)`` after agreeing with the consensus, else ``max(t - penalty, min)``.

    It never sees an outcome: it rewards whoever follows the herd, has no guarantee, and is here because the
    seed asks for it. Each model counts once for each symbol and instant; an instant of a symbol that is not
    later than the last one changes nothing, nor does a consensus without voters.

    Parameters
    ----------
    models
        Names of all models; at least one, each once.
    default_weight
        Trust to start with, in [min_weight, max_weight], default 1.
    min_weight, max_weight
        Bounds of trust, 0 < min_weight <= max_weight, default 0.1 and 2.
    reward_delta
        Step for agreeing, >= 0, default 0.05.
    penalty_delta
        Step for disagreeing, >= 0, default 0.03. Its sign does not matter: the seed writes -0.03.

    Raises
    ------
    InvalidValue
        A setting outside its bound; no models, or one named twice; forecasts of another horizon or label; a
        state of another policy or of other models.
    UnknownName
        Weights asked for a model that it does not know.

    Examples
    --------
    >>> from consilium.ensemble import reach_consensus
    >>> said = [Prediction(model=m, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l", probabilities=p)
    ...         for m, p in (("a", (0.1, 0.1, 0.8)), ("b", (0.1, 0.1, 0.8)), ("c", (0.8, 0.1, 0.1)))]
    >>> policy = Agreement(["a", "b", "c"])
    >>> policy.learn(said, consensus=reach_consensus(said))
    >>> policy.factors()
    {'a': 1.05, 'b': 1.05, 'c': 0.97}

    References
    ----------
    Seed 000, Trust Memory.
    """

    name = "agreement"
    takes_prior = False
    reads_consensus = True

    def __init__(
        self,
        models: Iterable[str],
        *,
        default_weight: float = 1.0,
        min_weight: float = 0.1,
        max_weight: float = 2.0,
        reward_delta: float = 0.05,
        penalty_delta: float = 0.03,
    ) -> None:
        self.models = roll_of(models)
        figures = (default_weight, min_weight, max_weight, reward_delta, penalty_delta)
        if not all(isfinite(figure) for figure in figures):
            raise InvalidValue("settings of agreement must be finite", figures, "correct the one that is not")
        if not 0.0 < min_weight <= default_weight <= max_weight:
            raise InvalidValue(
                "0 < min_weight <= default_weight <= max_weight",
                f"{min_weight}, {default_weight}, {max_weight}",
                "the seed has 0.1, 1.0, 2.0",
            )
        if reward_delta < 0.0:
            raise InvalidValue("reward_delta must be >= 0", reward_delta, "the seed has 0.05")
        self.min_weight, self.max_weight = min_weight, max_weight
        self.reward_delta, self.penalty_delta = reward_delta, abs(penalty_delta)
        self._trust = dict.fromkeys(self.models, default_weight)
        self._question: Question | None = None
        self._counted: dict[str, tuple[int, set[str]]] = {}

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Change nothing: allocations stay a factor of the rule."""

    def weights(self, awake: Collection[str]) -> dict[str, float]:
        """Return trust of the models that speak, scaled to sum 1."""
        names = speaking(awake, self.models)
        total = fsum(self._trust[model] for model in names)
        return {model: self._trust[model] / total for model in names}

    def factors(self) -> dict[str, float]:
        """Return trust as it is, in [min_weight, max_weight]."""
        return dict(self._trust)

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,  # noqa: ARG002 - the port gives it to all
        consensus: Consensus | None = None,
    ) -> None:
        """Learn from the consensus; outcomes teach this policy nothing."""
        if consensus is None or not consensus.weights:
            return
        if self._question is None:
            self._question = Question(consensus.horizon_ns, consensus.label_id)
        self._question.check(consensus)
        last, counted = self._counted.get(consensus.symbol, (-1, set()))
        if consensus.ts_event < last:
            return
        if consensus.ts_event > last:
            counted = set()
        horizon_ns, label_id = self._question
        stated, symbol, trust = consensus.direction, consensus.symbol, self._trust
        reward, most, penalty, least = self.reward_delta, self.max_weight, self.penalty_delta, self.min_weight
        for p in predictions:
            if p.horizon_ns != horizon_ns or p.label_id != label_id:
                self._question.check(p)
            model = p.model
            if model in trust and model not in counted and p.symbol == symbol:
                counted.add(model)
                if direction_of(p.probabilities) is stated:
                    trust[model] = min(trust[model] + reward, most)
                else:
                    trust[model] = max(trust[model] - penalty, least)
        self._counted[consensus.symbol] = (consensus.ts_event, counted)

    def state(self) -> dict[str, Any]:
        """Return trust, and which models were counted at the last instant of each symbol."""
        return {
            "policy": self.name,
            "models": list(self.models),
            "question": list(self._question) if self._question else None,
            "trust": dict(self._trust),
            "counted": {s: [ts, sorted(models)] for s, (ts, models) in sorted(self._counted.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        refused = check_state(state, self.name, self.models)
        try:
            question = Question(*state["question"]) if state["question"] else None
            trust = {model: float(state["trust"][model]) for model in self.models}
            counted = {s: (int(ts), set(models)) for s, (ts, models) in state["counted"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise refused from None
        if not all(self.min_weight <= t <= self.max_weight for t in trust.values()):
            raise InvalidValue(
                f"trust must lie in [{self.min_weight:g}, {self.max_weight:g}]",
                trust,
                "restore a whole state",
            )
        self._question, self._trust, self._counted = question, trust, counted
