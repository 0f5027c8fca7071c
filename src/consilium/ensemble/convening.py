"""A consensus of what stands now, beside the rounds of a service: each voter spoke at its own time."""

from collections.abc import Sequence

from consilium.domain import Consensus, Prediction
from consilium.ensemble.allocations import rule_shares
from consilium.ensemble.consensus import reach_consensus
from consilium.ensemble.gates import Gates
from consilium.ensemble.learning import tell, weights_of
from consilium.ensemble.service import EnsembleService


def convene(
    service: EnsembleService,
    predictions: Sequence[Prediction],
    *,
    news: Sequence[Prediction] = (),
    gates: Gates | None = None,
    volatility: float | None = None,
    regime: str = "",
) -> Consensus:
    """Reach a consensus with the rule, trust and hindsight of a service; no outcome is waited for.

    Parameters
    ----------
    predictions
        One of each model, of one symbol, horizon and label, within one horizon.
    news
        Those among them that no consensus was taught with yet; a policy that reads the consensus learns
        from these.
    gates
        Other gates than the service's.
    volatility, regime
        Of the symbol, if known.

    Examples
    --------
    >>> from consilium.domain import Prediction
    >>> said = [Prediction(model=m, symbol="BTCUSDT", ts_event=t, horizon_ns=3600 * 10**9, label_id="l1",
    ...                    probabilities=(0.1, 0.1, 0.8)) for m, t in (("xgboost", 5), ("nhits", 7))]
    >>> service = EnsembleService(["xgboost", "nhits", "tlob"], loaded=[])
    >>> consensus = convene(service, said)
    >>> consensus.direction.name, consensus.ts_event, consensus.level
    ('UP', 7, 'unanimous')
    """
    question = predictions[0]
    policy = service.trust(question.horizon_ns, question.label_id)
    spoken = sorted(p.model for p in predictions)
    consensus = reach_consensus(
        predictions,
        rule=service.rule,
        allocations=rule_shares(service.allocations, in_prior=policy.takes_prior),
        trust=weights_of(policy, spoken, regime),
        volatility=volatility,
        gates=gates or service.gates,
        models=service.present(spoken),
        prior=service.prior,
        hindsight=service.hindsight(question.horizon_ns, question.label_id),
    )
    if news and policy.reads_consensus:
        tell(service.taught(question.horizon_ns, question.label_id), news, consensus, regime)
    return consensus
