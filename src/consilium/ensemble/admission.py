"""Who may vote: enabled models that answer the same question, each once, and that dare to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consilium.domain import InvalidValue, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSetting:
    """How one model takes part.

    Parameters
    ----------
    enabled
        A disabled model is as if it were not there.
    min_confidence
        A prediction below it abstains: it does not vote, but still counts in n; in [0, 1].

    Raises
    ------
    InvalidValue
        ``min_confidence`` outside [0, 1].

    Examples
    --------
    >>> ModelSetting(min_confidence=0.6)
    ModelSetting(enabled=True, min_confidence=0.6)

    References
    ----------
    Seed 004, 3, ModelWeight.
    """

    enabled: bool = True
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_confidence <= 1.0:
            raise InvalidValue("min_confidence must lie in [0, 1]", self.min_confidence, "give a fraction")


def members_of(models: Mapping[str, ModelSetting] | Iterable[str], fallback: str) -> dict[str, ModelSetting]:
    """Return the setting of each model of the pool; the fallback is none of them.

    Raises
    ------
    InvalidValue
        No models, or the fallback among them.
    """
    found = dict(models) if isinstance(models, Mapping) else {name: ModelSetting() for name in models}
    if not found or fallback in found:
        raise InvalidValue(
            f"models must be at least one, without the fallback {fallback}",
            sorted(found),
            "name the models of the pool only",
        )
    return found


def enabled_count(models: Mapping[str, ModelSetting] | None, predictions: Sequence[Prediction]) -> int:
    """Return n: the enabled entries of ``models``, or the number of predictions without them."""
    if models is None:
        return len(predictions)
    return sum(setting.enabled for setting in models.values())


def of_enabled(
    predictions: Sequence[Prediction], models: Mapping[str, ModelSetting] | None
) -> list[Prediction]:
    """Keep the predictions of enabled models, sorted by model, so that their order never matters.

    Raises
    ------
    InvalidValue
        A model that ``models`` does not name.
    """
    if models is None:
        return sorted(predictions, key=lambda p: p.model)
    for p in predictions:
        if p.model not in models:
            raise InvalidValue(
                f"predictions must come from the models {', '.join(sorted(models))}",
                p.model,
                f"add {p.model} to models, or leave its prediction out",
            )
    return sorted((p for p in predictions if models[p.model].enabled), key=lambda p: p.model)


def check_same_question(predictions: Sequence[Prediction]) -> int:
    """Refuse predictions that cannot vote together; return the latest ``ts_event``.

    Raises
    ------
    InvalidValue
        None at all, two of one model, mixed symbols, horizons or labels, or times more than a horizon apart.
    """
    if not predictions:
        raise InvalidValue("a consensus needs at least 1 prediction", 0, "give the models' predictions")
    first = predictions[0]
    earliest = latest = first.ts_event
    models = {first.model}
    for p in predictions[1:]:
        if p.symbol != first.symbol or p.horizon_ns != first.horizon_ns or p.label_id != first.label_id:
            _refuse_mixed(first, p)
        if p.model in models:
            raise InvalidValue("each model must give one prediction", f"two of {p.model}", "keep the newer")
        models.add(p.model)
        earliest = min(earliest, p.ts_event)
        latest = max(latest, p.ts_event)
    if latest - earliest > first.horizon_ns:
        raise InvalidValue(
            f"predictions must lie within one horizon of {first.horizon_ns} ns",
            f"{latest - earliest} ns apart",
            "leave out the stale ones",
        )
    return latest


def _refuse_mixed(first: Prediction, other: Prediction) -> None:
    for name in ("symbol", "horizon_ns", "label_id"):
        if getattr(first, name) != getattr(other, name):
            raise InvalidValue(
                f"predictions must share one {name}",
                f"{getattr(first, name)} of {first.model} and {getattr(other, name)} of {other.model}",
                f"reach one consensus for each {name}",
            )


def voters_among(
    predictions: Sequence[Prediction], models: Mapping[str, ModelSetting] | None
) -> Sequence[Prediction]:
    """Keep those that are sure enough to vote; the others abstain."""
    if models is None:
        return predictions
    return [p for p in predictions if p.confidence >= models[p.model].min_confidence]
