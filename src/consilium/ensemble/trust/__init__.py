"""Trust policies, one per file: how much each model's word is worth, from what came of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from consilium.domain import Consensus, Outcome, Prediction, lookup

TRUST = {
    "uniform": "consilium.ensemble.trust.uniform:Uniform",
    "agreement": "consilium.ensemble.trust.agreement:Agreement",
    "ewa_brier": "consilium.ensemble.trust.ewa_brier:EwaBrier",
    "ewa_log": "consilium.ensemble.trust.ewa_log:EwaLog",
    "adahedge": "consilium.ensemble.trust.adahedge:AdaHedge",
    "fixed_share": "consilium.ensemble.trust.fixed_share:FixedShare",
}

DEFAULT_TRUST = "fixed_share"
"""The policy that learns from outcomes and forgets: who was right last year has to be right again."""


class TrustPolicy(Protocol):
    """Learns the trust of models; one object serves one horizon."""

    @property
    def models(self) -> tuple[str, ...]:
        """All models it knows, sorted."""
        ...

    @property
    def takes_prior(self) -> bool:
        """Whether allocations enter as its prior; a rule must then not multiply them again."""
        ...

    @property
    def reads_consensus(self) -> bool:
        """Whether it learns from the consensus, so that the rule moves its trust."""
        ...

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Replace the prior (None: equal) and keep the evidence; nothing happens if it takes none."""
        ...

    def weights(self, awake: Collection[str]) -> dict[str, float]:
        """Trust of the models that speak now: >= 0, sum 1, empty if none does."""
        ...

    def factors(self) -> dict[str, float]:
        """Trust of every model as the outside reads it: about 1, in [0.1, 2] by default."""
        ...

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        """Learn from one round: forecasts with their outcomes (of several symbols), or with the consensus.

        Each (model, symbol, ts_event, horizon) counts once; late, repeated and unknown ones change nothing.
        """
        ...

    def state(self) -> dict[str, Any]:
        """All it has learned, as JSON values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        ...


def make_trust(name: str, models: Iterable[str], **options: object) -> TrustPolicy:
    """Make a trust policy by its name.

    Parameters
    ----------
    name
        A name in TRUST or of an entry point of ``consilium.trust``.
    models
        Names of all models it shall know; at least one, each once.
    options
        Settings of the policy's class.

    Raises
    ------
    UnknownName
        No such policy; the error lists the known ones.
    InvalidValue
        No models, or one named twice; a setting outside its bound.

    Examples
    --------
    >>> make_trust("uniform", ["xgboost", "lightgbm"]).weights(["xgboost", "lightgbm"])
    {'lightgbm': 0.5, 'xgboost': 0.5}
    """
    policy: TrustPolicy = lookup("trust policy", name, TRUST, "consilium.trust")(models, **options)
    return policy
