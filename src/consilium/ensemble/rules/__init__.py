"""Consensus rules, one per file."""

from functools import cache

from consilium.domain import lookup
from consilium.ensemble.voting import Rule

RULES = {
    "weighted_voting": "consilium.ensemble.rules.weighted_voting:WeightedVoting",
    "smart_vote": "consilium.ensemble.rules.smart_vote:SmartVote",
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
    SmartVote(min_consensus=2)
    """
    if not options:
        return _plain(name)
    rule: Rule = lookup("rule", name, RULES, "consilium.rules")(**options)
    return rule
