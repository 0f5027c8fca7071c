"""Consensus rules, one per file."""

from functools import cache

from consilium.domain import lookup
from consilium.ensemble.voting import Rule

RULES = {
    "weighted_voting": "consilium.ensemble.rules.weighted_voting:WeightedVoting",
    "smart_vote": "consilium.ensemble.rules.smart_vote:SmartVote",
    "majority": "consilium.ensemble.rules.majority:Majority",
    "unanimous": "consilium.ensemble.rules.unanimous:Unanimous",
    "confidence_based": "consilium.ensemble.rules.confidence_based:ConfidenceBased",
    "adaptive": "consilium.ensemble.rules.adaptive:Adaptive",
    "trust_weighted": "consilium.ensemble.rules.trust_weighted:TrustWeighted",
    "log_pool": "consilium.ensemble.rules.log_pool:LogPool",
}


@cache
def _plain(name: str) -> Rule:
    rule: Rule = lookup("rule", name, RULES, "consilium.rules")()
    return rule


def make_rule(name: str, **options: object) -> Rule:
    """Make a rule by its name.

    Parameters
    ----------
    name
        A name in RULES or of an entry point of ``consilium.rules``.
    options
        Settings of the rule's class.

    Raises
    ------
    UnknownName
        No such rule; the error lists the known ones.

    Examples
    --------
    >>> make_rule("smart_vote", min_consensus=2)
    SmartVote(min_consensus=2, boosts=True)
    """
    if not options:
        return _plain(name)
    rule: Rule = lookup("rule", name, RULES, "consilium.rules")(**options)
    return rule
