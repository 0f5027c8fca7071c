"""What can be changed while the ensemble runs: the rule, who takes part, and with which share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consilium.domain import InvalidValue, ModelConfigured, RuleChanged, UnknownName, canonical_model
from consilium.ensemble.admission import ModelSetting
from consilium.ensemble.rules import make_rule
from consilium.ensemble.service import EnsembleService
from consilium.ensemble.voting import Rule


class Configuration:
    """Changes the settings of a service by messages, and counts the changes.

    Parameters
    ----------
    service
        Whose settings they are; a rule that it was made with (a fitted one) is found again by its name.

    Examples
    --------
    >>> configuration = Configuration(EnsembleService(["cnn_lstm", "tlob"]))
    >>> configuration.change_rule(RuleChanged(rule="adaptive", by="admin", ts_event=0))
    >>> configuration.change_model(ModelConfigured(model="tlob", allocation=0.25, by="admin", ts_event=0))
    >>> configuration.service.rule.name, configuration.allocations()
    ('adaptive', {'cnn_lstm': 0.5, 'tlob': 0.25})
    """

    def __init__(self, service: EnsembleService) -> None:
        self.service = service
        self.changes = 0
        self._rules = {service.rule.name: service.rule}

    def rule(self, name: str) -> Rule:
        """Return a rule by its name.

        Raises
        ------
        UnknownName
            No such rule.
        """
        if name not in self._rules:
            self._rules[name] = make_rule(name)
        return self._rules[name]

    def member(self, name: str) -> str:
        """Return the canonical name of a model of the service.

        Raises
        ------
        UnknownName
            No such model.
        """
        model = canonical_model(name)
        if model not in self.service.models:
            raise UnknownName("model", name, self.service.models)
        return model

    def allocations(self) -> dict[str, float]:
        """Return the share of every model; equal ones, with sum 1, as long as nothing was configured."""
        shares, models = self.service.allocations, self.service.models
        return dict(shares) if shares else dict.fromkeys(models, 1.0 / len(models))

    def allocations_with(self, message: ModelConfigured) -> dict[str, float]:
        """Return the shares as they would be after a change.

        Raises
        ------
        InvalidValue
            They would all be 0.
        """
        shares = self.allocations()
        if message.allocation is not None:
            shares[self.member(message.model)] = message.allocation
        if not any(share > 0.0 for share in shares.values()):
            raise InvalidValue(
                "allocations must not all be 0",
                shares,
                "give another model a share first, or disable this one",
            )
        return shares

    def change_rule(self, message: RuleChanged) -> None:
        """Put another rule in force."""
        self.service.rule = self.rule(message.rule)
        self.changes += 1

    def change_model(self, message: ModelConfigured) -> None:
        """Change how one model takes part."""
        model = self.member(message.model)
        if message.allocation is not None:
            self.service.allocations = self.allocations_with(message)
        changes = {name: getattr(message, name) for name in ("enabled", "min_confidence")}
        wanted = {name: value for name, value in changes.items() if value is not None}
        self.service.configure(model, replace(self.service.models[model], **wanted))
        self.changes += 1

    def state(self) -> dict[str, Any]:
        """Return the settings, as JSON values."""
        return {
            "rule": self.service.rule.name,
            "models": {m: [s.enabled, s.min_confidence] for m, s in self.service.models.items()},
            "allocations": dict(self.service.allocations) if self.service.allocations else None,
            "changes": self.changes,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, of the same models, before the service does."""
        try:
            models = {
                model: ModelSetting(enabled=enabled, min_confidence=least)
                for model, (enabled, least) in state["models"].items()
            }
            rule, changes, shares = self.rule(state["rule"]), int(state["changes"]), state["allocations"]
        except (KeyError, TypeError, AttributeError):
            raise InvalidValue(
                "the state must be one of settings", type(state).__name__, "restore a whole state"
            ) from None
        if set(models) != set(self.service.models):
            raise InvalidValue(
                f"the state must be one over {', '.join(sorted(self.service.models))}",
                ", ".join(sorted(models)),
                "restore it into an engine of the same models",
            )
        self.service.rule, self.service.allocations = rule, shares
        for model, setting in models.items():
            self.service.configure(model, setting)
        self.changes = changes
