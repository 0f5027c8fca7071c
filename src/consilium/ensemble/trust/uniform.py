"""Everybody is trusted alike: the control that a learning policy must beat."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction, UnknownName


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

    def __init__(self, models: Iterable[str]) -> None:
        names = sorted(models)
        if not names or len(set(names)) < len(names):
            raise InvalidValue("models must be one or more different names", names, "name each model once")
        self.models = tuple(names)

    def weights(self, awake: Collection[str]) -> dict[str, float]:
        """Return equal weights of the models that speak."""
        speaking = sorted(set(awake))
        for model in speaking:
            if model not in self.models:
                raise UnknownName("model", model, self.models)
        return {model: 1.0 / len(speaking) for model in speaking}

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
        if dict(state) != self.state():
            raise InvalidValue(
                f"the state must be one of policy uniform over {', '.join(self.models)}",
                dict(state),
                "restore it into the policy that wrote it",
            )
