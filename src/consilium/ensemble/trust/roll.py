"""The roll of models that a policy knows, and the one question that it serves."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction, UnknownName

Message = Prediction | Outcome | Consensus


class Question(NamedTuple):
    """What the forecasts are about; one policy serves one."""

    horizon_ns: int
    label_id: str

    def check(self, message: Message) -> None:
        """Refuse a message about another horizon or label.

        Raises
        ------
        InvalidValue
            Another horizon or label.
        """
        if message.horizon_ns != self.horizon_ns or message.label_id != self.label_id:
            raise InvalidValue(
                f"this policy serves horizon {self.horizon_ns} ns and label {self.label_id}",
                f"{message.horizon_ns} ns and {message.label_id}",
                "keep one policy for each horizon and label",
            )


def roll_of(models: Iterable[str]) -> tuple[str, ...]:
    """Sort the names of models.

    Raises
    ------
    InvalidValue
        None at all, or one named twice.

    Examples
    --------
    >>> roll_of(["b", "a"])
    ('a', 'b')
    """
    names = sorted(models)
    if not names or len(set(names)) < len(names):
        raise InvalidValue("models must be one or more different names", names, "name each model once")
    return tuple(names)


def speaking(awake: Collection[str], models: Collection[str]) -> list[str]:
    """Sort the models that speak.

    Raises
    ------
    UnknownName
        One that the policy does not know.
    """
    names = sorted(set(awake))
    for model in names:
        if model not in models:
            raise UnknownName("model", model, models)
    return names


def check_state(state: Mapping[str, Any], policy: str, models: tuple[str, ...]) -> InvalidValue:
    """Refuse the state of another policy or of other models; return the error for a damaged one.

    Raises
    ------
    InvalidValue
        The state is not of this policy over these models.
    """
    refused = InvalidValue(
        f"the state must be one of policy {policy} over {', '.join(models)}",
        f"policy {state.get('policy')} over {state.get('models')}",
        "restore it into the policy that wrote it",
    )
    if state.get("policy") != policy or state.get("models") != list(models):
        raise refused
    return refused
