"""From predictions to a consensus, and how trust is earned."""

from consilium.domain import coverage
from consilium.ensemble.account import account, action
from consilium.ensemble.admission import ModelSetting
from consilium.ensemble.allocations import SEED_002_ALLOCATIONS, SEED_004_ALLOCATIONS
from consilium.ensemble.conformal import Conformal, Coverage
from consilium.ensemble.consensus import reach_consensus
from consilium.ensemble.explanation import Explanation, Pivot, Voice, explain
from consilium.ensemble.gates import PRESETS, Gates, make_gates
from consilium.ensemble.hindsight import Hindsight
from consilium.ensemble.meta_labelling import MetaLabelling, size_factor
from consilium.ensemble.recalibration import Recalibration
from consilium.ensemble.rules import RULES, make_rule
from consilium.ensemble.rules.log_pool import LogPool
from consilium.ensemble.service import EnsembleService
from consilium.ensemble.trust import DEFAULT_TRUST, TRUST, TrustPolicy, make_trust
from consilium.ensemble.trust.regimes import PerRegime
from consilium.ensemble.voting import Rule, Verdict, Vote, level_of, strong

__all__ = [
    "DEFAULT_TRUST",
    "PRESETS",
    "RULES",
    "SEED_002_ALLOCATIONS",
    "SEED_004_ALLOCATIONS",
    "TRUST",
    "Conformal",
    "Coverage",
    "EnsembleService",
    "Explanation",
    "Gates",
    "Hindsight",
    "LogPool",
    "MetaLabelling",
    "ModelSetting",
    "PerRegime",
    "Pivot",
    "Recalibration",
    "Rule",
    "TrustPolicy",
    "Verdict",
    "Voice",
    "Vote",
    "account",
    "action",
    "coverage",
    "explain",
    "level_of",
    "make_gates",
    "make_rule",
    "make_trust",
    "reach_consensus",
    "size_factor",
    "strong",
]
