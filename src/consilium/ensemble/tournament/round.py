"""One round of a tournament: what all variants share while they decide it."""

from collections.abc import Mapping, Sequence

from consilium.domain import Consensus, Direction, Prediction
from consilium.ensemble.consensus import acts, expected_return
from consilium.ensemble.gates import Facts, Gates
from consilium.ensemble.hindsight import Figures
from consilium.ensemble.rounds import RoundKey
from consilium.ensemble.tournament.trust import Ballot
from consilium.ensemble.voting import Rule, Verdict, Vote


class Round:
    """The predictions of one round, their votes under each policy, and the verdicts found so far.

    Parameters
    ----------
    spoken, voters
        Predictions of the enabled models, and those among them that vote, sorted by model.
    ballots
        Votes by the source of trust.
    enabled
        How many models are enabled, abstainers included.
    """

    def __init__(
        self,
        *,
        key: RoundKey,
        spoken: Sequence[Prediction],
        voters: Sequence[Prediction],
        ballots: Sequence[Ballot],
        enabled: int,
        volatility: float | None,
        gates: Mapping[str, Gates],
        prior: tuple[float, float, float],
    ) -> None:
        self.key, self.spoken, self.voters, self.ballots = key, spoken, voters, ballots
        self.volatility, self.prior = volatility, prior
        self._enabled, self._gates = enabled, tuple(gates.values())
        self.idle = (False,) * len(self._gates)
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        self._returns: dict[tuple[float, ...], float] = {}

    def verdict(self, rule: Rule, source: int) -> Verdict | None:
        """Return what a rule says with the trust of a source; None if it leaves nobody a vote."""
        place, votes = self.ballots[source]
        if not votes:
            return None
        # A rule that shares do not move says the same under every policy that leaves anybody a vote.
        at = rule.name, place if rule.by_shares else -1
        found = self._verdicts.get(at)
        if found is None:
            found = self._verdicts[at] = rule.verdict(votes, self._enabled)
        return found

    def acts(
        self,
        rule: Rule,
        verdict: Verdict,
        figures: Figures,
        other_gates: Mapping[str, str],
        votes: list[Vote],
    ) -> Sequence[bool]:
        """Whether to act on a verdict, under each of the gates."""
        if verdict.direction is Direction.FLAT:
            return self.idle
        weights = verdict.weights
        expected = self._returns.get(weights)
        if expected is None:
            expected = self._returns[weights] = expected_return(votes, weights)
        facts = Facts(len(votes), self.volatility, expected, figures.meta_confidence, rule.by_support)
        return [acts(rule, gates, verdict, facts, other_gates) for gates in self._gates]

    def consensus(self, rule: Rule, verdict: Verdict, figures: Figures) -> Consensus:
        """Return the consensus of a verdict before its gates, for a policy that learns from it."""
        key = self.key
        return Consensus(
            symbol=key.symbol,
            ts_event=key.ts_event,
            horizon_ns=key.horizon_ns,
            label_id=key.label_id,
            rule=rule.name,
            level=verdict.level,
            direction=verdict.direction,
            probabilities=verdict.probabilities,
            p_direction=figures.p_direction,
            confidence=verdict.confidence,
            score=verdict.score,
            agreement=verdict.agreement,
            support=verdict.support,
            meta_confidence=figures.meta_confidence,
            weights=dict(zip([p.model for p in self.voters], verdict.weights, strict=True)),
        )
