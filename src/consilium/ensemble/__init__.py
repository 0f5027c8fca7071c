"""From predictions to a consensus, and how trust is earned."""

from consilium.ensemble.account import account, action
from consilium.ensemble.admission import ModelSetting
from consilium.ensemble.allocations import SEED_002_ALLOCATIONS, SEED_004_ALLOCATIONS
from consilium.ensemble.consensus import reach_consensus
from consilium.ensemble.gates import PRESETS, Gates, make_gates
from consilium.ensemble.rules import RULES, make_rule
from consilium.ensemble.service import EnsembleService
from consilium.ensemble.trust import TRUST, TrustPolicy, make_trust
from consilium.ensemble.voting import Rule, Verdict, Vote, coverage, level_of, strong

__all__ = [
    "PRESETS",
    "RULES",
    "SEED_002_ALLOCATIONS",
    "SEED_004_ALLOCATIONS",
    "TRUST",
    "EnsembleService",
    "Gates",
    "ModelSetting",
    "Rule",
    "TrustPolicy",
    "Verdict",
    "Vote",
    "account",
    "action",
    "coverage",
    "level_of",
    "make_gates",
    "make_rule",
    "make_trust",
    "reach_consensus",
    "strong",
]
