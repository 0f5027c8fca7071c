"""What the council's weights of models do to the ensemble."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from consilium.council.holds import share_of
from consilium.council.shares import spread
from consilium.domain import ConsiliumError, Hold, ModelConfigured, Policy

ALLOCATION = "allocation:"
"""Before the name of a model, in the key of a hold on its share."""


class Configured(Protocol):
    """The ensemble, where the weights of models go."""

    @property
    def configured(self) -> Mapping[str, float]:
        """Share of each model as the settings give it, before anybody changed one."""
        ...

    def handle(self, message: Any) -> Iterable[Any]:
        """Take a message; return what it completes."""
        ...


def weigh(ensemble: Configured, before: Policy, policy: Policy, holds: Iterable[Hold]) -> list[Any]:
    """Give each model its share before experience.

    One that is no longer weighed has none. Where nothing is weighed any more, as after the end of an
    operator's allocation, the settings count again; where nothing but operators' allocations is, the other
    members of the ensemble share the rest as the settings say. A name that it does not know has no share.

    Parameters
    ----------
    ensemble
        Gets them as its allocations.
    before, policy
        What was in force, and what is.
    holds
        In force.

    Returns
    -------
    What that completed: consensuses that waited for the end of a cycle.
    """
    return weigh_as_told(ensemble, shares_told(before, policy, holds))


def shares_told(before: Policy, policy: Policy, holds: Iterable[Hold]) -> dict[str, Any]:
    """Return all that `weigh` goes by, as JSON values."""
    fixed = {
        hold.key.removeprefix(ALLOCATION): share_of(hold)
        for hold in holds
        if hold.owner == "operator" and hold.key.startswith(ALLOCATION)
    }
    return {"before": sorted(before.weights), "weights": dict(policy.weights), "fixed": fixed}


def weigh_as_told(ensemble: Configured, told: Mapping[str, Any]) -> list[Any]:
    """Do what `weigh` does, by what `shares_told` returned."""
    said: list[Any] = []
    shares = {**dict.fromkeys(told["before"], 0.0), **_shares(ensemble.configured, told)}
    # the largest first: shares must never all be 0 on the way
    for model, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])):
        try:
            said += ensemble.handle(ModelConfigured(model=model, allocation=share, by="council", ts_event=0))
        except ConsiliumError:
            continue
    return said


def _shares(configured: Mapping[str, float], told: Mapping[str, Any]) -> Mapping[str, float]:
    weights: Mapping[str, float] = told["weights"]
    if not weights:
        return configured
    return spread(told["fixed"], configured) if set(weights) <= set(told["fixed"]) else weights
