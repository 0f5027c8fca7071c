"""The trust policies of a tournament: all learn the same lessons, and each is asked once a round."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from consilium.domain import Consensus, Prediction
from consilium.ensemble.allocations import check_shares, rule_shares
from consilium.ensemble.consensus import cast_votes
from consilium.ensemble.learning import Learning, Lesson, Topic, teach, tell, weights_of
from consilium.ensemble.trust import TrustPolicy, make_trust
from consilium.ensemble.trust.regimes import PerRegime
from consilium.ensemble.voting import Vote


class Ballot(NamedTuple):
    """The votes of a round with the trust of one policy; equal keys mean equal votes."""

    key: tuple[float, ...]
    votes: list[Vote]


class Source:
    """A policy with what it said since it last learned; ``rule`` is whose consensus it reads, if any."""

    def __init__(self, policy: TrustPolicy, rule: str | None, shares: Mapping[str, float] | None) -> None:
        self.policy, self.rule, self.shares = policy, rule, shares
        self._asked: dict[tuple[tuple[str, ...], str], dict[str, float]] = {}

    def weights(self, names: tuple[str, ...], regime: str) -> dict[str, float]:
        """Return the weights of the models that spoke."""
        found = self._asked.get((names, regime))
        if found is None:
            found = weights_of(self.policy, names, regime)
            check_shares("trust", found, names)
            self._asked[names, regime] = found
        return found

    def learned(self) -> None:
        """Note that it may say something else now."""
        self._asked.clear()


class Policies(Learning):
    """Keeps lessons as `Learning` does, and gives each of them to all policies.

    A policy that reads the consensus is kept once for each rule, any other once for all rules.
    """

    def __init__(
        self,
        models: Iterable[str],
        *,
        allocations: Mapping[str, float] | None,
        options: Mapping[str, Mapping[str, Any]],
        capacity: int,
        per_regime: bool,
    ) -> None:
        # Its own policy is one that learns nothing.
        super().__init__("uniform", models, {}, capacity)
        self._allocations, self._all_options, self._regimes = allocations, options, per_regime
        self.sources: list[Source] = []
        self._index: dict[tuple[str, str | None], int] = {}

    def enter(self, trust: str, rule: str) -> int:
        """Return the place of the source of trust of a variant, making it if it is new."""
        policy = self._make(trust)
        reader = rule if policy.reads_consensus else None
        if (trust, reader) not in self._index:
            policy.set_prior(self._allocations)
            self._index[trust, reader] = len(self.sources)
            shares = rule_shares(self._allocations, in_prior=policy.takes_prior)
            self.sources.append(Source(policy, reader, shares))
        return self._index[trust, reader]

    def _make(self, trust: str) -> TrustPolicy:
        options = self._all_options.get(trust, {})
        policy = make_trust(trust, self._models, **options)
        return PerRegime(lambda: make_trust(trust, self._models, **options)) if self._regimes else policy

    def ballots(self, names: Sequence[str], voters: Sequence[Prediction], regime: str) -> list[Ballot]:
        """Return the votes of the voters among those who spoke, one ballot for each source."""
        asked, voting = tuple(names), [p.model for p in voters]
        directions = [p.direction for p in voters]
        found: dict[tuple[float, ...], Ballot] = {}
        ballots = []
        for source in self.sources:
            trust, shares = source.weights(asked, regime), source.shares
            key = (
                *[trust[model] for model in voting],
                *([shares[model] for model in voting] if shares else ()),
            )
            ballot = found.get(key)
            if ballot is None:
                found[key] = ballot = Ballot(key, cast_votes(voters, directions, shares, trust))
            ballots.append(ballot)
        return ballots

    def give(self, topic: Topic, lesson: Lesson) -> None:
        """Give a lesson to every policy."""
        del topic
        for source in self.sources:
            teach(source.policy, lesson)
            source.learned()

    def tell(self, source: int, predictions: Sequence[Prediction], consensus: Consensus, regime: str) -> None:
        """Let the policy of one source learn from a consensus."""
        told = self.sources[source]
        tell(told.policy, predictions, consensus, regime)
        told.learned()
