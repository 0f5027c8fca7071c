"""Consensus rules, one per file."""

RULES = {
    "weighted_voting": "consilium.ensemble.rules.weighted_voting:WeightedVoting",
    "smart_vote": "consilium.ensemble.rules.smart_vote:SmartVote",
}
