"""Everybody is trusted alike: the control that a learning policy must beat."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from consilium.domain import Consensus, Outcome, Prediction
from consilium.ensemble.trust.roll import check_state, roll_of, speaking


class Uniform:
    """Trust ``1 / N`` for each of the N models that speak; nothing is learned.

    Parameters
    ----------
    models
        Names of all models; at least one, each once.

    Raises
    ------
    InvalidValue
        No models, or one named twice; a state of another policy or of other models.
    UnknownName
        Weights asked for a model that it does not know.

    Examples
    --------
    >>> Uniform(["a", "b", "c"]).weights(["a", "b"])
    {'a': 0.5, 'b': 0.5}
    """

    name = "uniform"
    takes_prior = False
    reads_consensus = False

    def __init__(self, models: Iterable[str]) -> None:
        self.models = roll_of(models)

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Change nothing: allocations stay a factor of the rule."""

    def weights(self, awake: Collection[str]) -> dict[str, float]:
        """Return equal weights of the models that speak."""
        names = speaking(awake, self.models)
        return {model: 1.0 / len(names) for model in names}

    def factors(self) -> dict[str, float]:
        """Return 1 for every model."""
        return dict.fromkeys(self.models, 1.0)

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        """Learn nothing: the control group."""

    def state(self) -> dict[str, Any]:
        """Return the policy's name and its models."""
        return {"policy": self.name, "models": list(self.models)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Accept its own state, refuse any other."""
        check_state(state, self.name, self.models)
