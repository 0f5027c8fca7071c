"""From predictions to one consensus: admission, rule, gates."""

from collections.abc import Mapping, Sequence
from math import fsum, isfinite

from consilium.domain import Consensus, Direction, InvalidValue, Prediction
from consilium.ensemble.admission import (
    ModelSetting,
    check_same_question,
    enabled_count,
    of_enabled,
    voters_among,
)
from consilium.ensemble.allocations import check_shares
from consilium.ensemble.gates import NOT_EVALUATED, Facts, Gates, make_gates
from consilium.ensemble.hindsight import Hindsight, Odds
from consilium.ensemble.rules import make_rule
from consilium.ensemble.voting import PASS, Rule, Verdict, Vote

EVEN_PRIOR = (1 / 3, 1 / 3, 1 / 3)
"""Class prior of who knows nothing."""

NOTES = ("p_direction", "meta_confidence")
"""Entries among the gates that only say whether a figure was learned; they hold nothing back."""


def reach_consensus(
    predictions: Sequence[Prediction],
    *,
    rule: str | Rule = "smart_vote",
    allocations: Mapping[str, float] | None = None,
    trust: Mapping[str, float] | None = None,
    volatility: float | None = None,
    gates: str | Gates | None = "seed",
    models: Mapping[str, ModelSetting] | None = None,
    prior: tuple[float, float, float] = EVEN_PRIOR,
    hindsight: Hindsight | None = None,
) -> Consensus:
    """Reach a consensus of models on one symbol, horizon and label.

    Admission, then the rule with weights made of allocation ``a_m`` and trust ``t_m``, then the gates.
    ``p_direction`` is the pooled probability of the direction, recalibrated if ``hindsight`` knows how;
    ``meta_confidence`` is the chance that acting pays, equal to ``p_direction`` as long as it is not known.

    Parameters
    ----------
    predictions
        One of each model, at least one; their order does not matter.
    rule
        A name in RULES, or a `Rule`; default ``smart_vote``.
    allocations
        Configured share by model, >= 0; every voter must be named. Equal if not given or empty.
    trust
        Learned factor by model, >= 0; every voter must be named. Equal if not given or empty.
    volatility
        Daily volatility of the symbol, a fraction >= 0; None if unknown (its gate is then not evaluated).
    gates
        A preset's name, or `Gates`; None means ``seed``.
    models
        Setting by model; n is the number of enabled ones, or of predictions if not given.
    prior
        Class prior (down, flat, up), published where nobody votes; even by default.
    hindsight
        What past outcomes have taught about consensuses like this one; None for nothing.

    Returns
    -------
    Actionable only if the direction is UP or DOWN and every gate that was evaluated passed. ``reason`` is
    that of the first gate that did not. Without a voter: FLAT, the prior, no weights, level ``none``, reason
    ``no_voter``, or ``no_weight`` if allocations and trust leave the voters nothing.

    Raises
    ------
    InvalidValue
        No predictions; two of one model; mixed symbols, horizons or labels; times more than a horizon apart;
        shares that are negative, not finite, all 0, or without a voter; a volatility that is not >= 0.
    UnknownName
        No such rule or preset.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction, signal_probabilities
    >>> said = {"xgboost": (Direction.UP, 0.76), "lightgbm": (Direction.UP, 0.81),
    ...         "nhits": (Direction.UP, 0.79), "patchtst": (Direction.FLAT, 0.68)}
    >>> spoken = [Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=3600 * 10**9,
    ...                      label_id="l1", probabilities=signal_probabilities(*signal))
    ...           for model, signal in said.items()]
    >>> consensus = reach_consensus(spoken, volatility=0.0324)
    >>> consensus.level, consensus.direction.name, round(consensus.score, 3), consensus.actionable
    ('strong', 'UP', 0.865, True)

    References
    ----------
    Seed 002, 4.2 to 4.4; seed 004, 3.
    """
    chosen = make_rule(rule) if isinstance(rule, str) else rule
    preset = gates if isinstance(gates, Gates) else make_gates(gates or "seed")
    if volatility is not None and not (isfinite(volatility) and volatility >= 0.0):
        raise InvalidValue("volatility must be finite and >= 0", volatility, "give None if it is unknown")
    spoken = of_enabled(predictions, models)
    ts_event = check_same_question(spoken or predictions)
    question = (spoken or predictions)[0]
    voters = voters_among(spoken, models)
    votes = _votes(voters, allocations, trust)
    if not votes:
        return _silence(question, ts_event, chosen, prior, "no_weight" if voters else "no_voter", len(spoken))
    verdict = chosen.verdict(votes, enabled_count(models, spoken))
    odds = _odds(hindsight, question.symbol, verdict, volatility)
    facts = Facts(
        voters=len(votes),
        volatility=volatility,
        expected_return=expected_return(votes, verdict.weights),
        meta_confidence=odds.meta_confidence,
        by_support=chosen.by_support,
    )
    checks, level = _judge(chosen, preset, verdict, facts)
    checks.update(odds.gates)
    checks.update(odds.notes)
    return _spoken(question, ts_event, chosen, votes, verdict, odds, checks, level, strict=preset.strict)


def _spoken(
    question: Prediction,
    ts_event: int,
    rule: Rule,
    votes: Sequence[Vote],
    verdict: Verdict,
    odds: Odds,
    checks: dict[str, str],
    level: str,
    *,
    strict: bool,
) -> Consensus:
    """Write down a verdict; `_silence` is what is written where nobody votes."""
    reason = first_hold(checks, strict=strict)
    return Consensus(
        symbol=question.symbol,
        ts_event=ts_event,
        horizon_ns=question.horizon_ns,
        label_id=question.label_id,
        rule=rule.name,
        level=level,
        direction=verdict.direction,
        probabilities=verdict.probabilities,
        p_direction=odds.p_direction,
        confidence=verdict.confidence,
        score=verdict.score,
        agreement=verdict.agreement,
        support=verdict.support,
        meta_confidence=odds.meta_confidence,
        weights={vote.prediction.model: w for vote, w in zip(votes, verdict.weights, strict=True)},
        gates=checks,
        actionable=not reason,
        reason=reason,
    )


def _votes(
    voters: Sequence[Prediction], allocations: Mapping[str, float] | None, trust: Mapping[str, float] | None
) -> list[Vote]:
    """Join predictions with their shares; nothing if the shares leave no weight."""
    names = [p.model for p in voters]
    if allocations:
        check_shares("allocations", allocations, names)
    if trust:
        check_shares("trust", trust, names)
    return cast_votes(voters, [p.direction for p in voters], allocations, trust)


def cast_votes(
    voters: Sequence[Prediction],
    directions: Sequence[Direction],
    allocations: Mapping[str, float] | None,
    trust: Mapping[str, float] | None,
) -> list[Vote]:
    """Join predictions and directions with shares that were checked; nothing if they leave no weight."""
    votes = [
        Vote(
            p,
            direction,
            allocations[p.model] if allocations else 1.0,
            trust[p.model] if trust else 1.0,
        )
        for p, direction in zip(voters, directions, strict=True)
    ]
    total = sum([vote.allocation * vote.trust for vote in votes])
    if not isfinite(total):
        raise InvalidValue("allocation times trust must have a finite sum", total, "give smaller shares")
    return votes if total > 0.0 else []


def expected_return(votes: Sequence[Vote], weights: Sequence[float]) -> float:
    """Pool the expected log returns of the voters."""
    return fsum([w * vote.prediction.expected_return for w, vote in zip(weights, votes, strict=True)])


def _odds(hindsight: Hindsight | None, symbol: str, verdict: Verdict, volatility: float | None) -> Odds:
    if hindsight is not None:
        return hindsight.odds(symbol, verdict, volatility)
    pooled = min(1.0, verdict.probabilities[verdict.direction])
    return Odds(pooled, pooled, {}, {})


def _judge(rule: Rule, gates: Gates, verdict: Verdict, facts: Facts) -> tuple[dict[str, str], str]:
    checks = {"admission": PASS, **verdict.checks, **_gate_checks(rule, gates, verdict, facts)}
    held = checks.get("volatility", PASS).startswith("volatility_hold")
    return checks, f"{verdict.level}_volatility_hold" if held else verdict.level


def _gate_checks(rule: Rule, gates: Gates, verdict: Verdict, facts: Facts) -> dict[str, str]:
    checks = {}
    if rule.volatility_gate or gates.volatility_gate:
        checks["volatility"] = gates.volatility_verdict(verdict, facts)
    checks["direction"] = "flat: nothing to trade" if verdict.direction is Direction.FLAT else PASS
    checks.update(gates.verdicts(verdict, facts))
    return checks


def acts(rule: Rule, gates: Gates, verdict: Verdict, facts: Facts, other_gates: Mapping[str, str]) -> bool:
    """Whether no check holds a verdict back, without the account that a `Consensus` carries.

    It is what `reach_consensus` calls actionable; ``other_gates`` are those of hindsight.
    """
    strict = gates.strict
    if verdict.direction is Direction.FLAT or first_hold(verdict.checks, strict=strict):
        return False
    if first_hold(_gate_checks(rule, gates, verdict, facts), strict=strict):
        return False
    return not (other_gates and first_hold(other_gates, strict=strict))


def first_hold(checks: Mapping[str, str], *, strict: bool) -> str:
    """Return the reason of the first check that holds a consensus back, empty if none does."""
    for name, verdict in checks.items():
        if verdict == PASS or name in NOTES:
            continue
        reason = verdict.partition(":")[0]
        if reason != NOT_EVALUATED:
            return reason
        if strict:
            return "not_evaluated"
    return ""


def _silence(
    question: Prediction,
    ts_event: int,
    rule: Rule,
    prior: tuple[float, float, float],
    reason: str,
    spoken: int,
) -> Consensus:
    p_flat = min(1.0, prior[Direction.FLAT])
    return Consensus(
        symbol=question.symbol,
        ts_event=ts_event,
        horizon_ns=question.horizon_ns,
        label_id=question.label_id,
        rule=rule.name,
        level="none",
        direction=Direction.FLAT,
        probabilities=prior,
        p_direction=p_flat,
        confidence=p_flat,
        score=0.0,
        agreement=0.0,
        support=0.0,
        meta_confidence=p_flat,
        gates={"admission": f"{reason}: {spoken} enabled models spoke, none has a vote"},
        reason=reason,
    )
