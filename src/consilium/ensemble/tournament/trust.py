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
    """The votes of a round with the trust of one policy; equal places mean equal votes."""

    place: int
    votes: list[Vote]


class Awake(NamedTuple):
    """Who spoke in a round, who of them votes, and in which regime."""

    spoken: tuple[str, ...]
    voting: tuple[str, ...]
    regime: str


class Source:
    """A policy with what it said since it last learned; ``rule`` is whose consensus it reads, if any."""

    def __init__(self, policy: TrustPolicy, rule: str | None, shares: Mapping[str, float] | None) -> None:
        self.policy, self.rule, self.shares = policy, rule, shares
        self.trust: dict[str, float] = {}
        self._asked: Awake | None = None
        self._key: tuple[float, ...] = ()

    def key(self, awake: Awake) -> tuple[float, ...]:
        """Return what tells its votes from those of other sources, with `trust` as it is now."""
        if self._asked != awake:
            self.trust = trust = weights_of(self.policy, awake.spoken, awake.regime)
            check_shares("trust", trust, awake.spoken)
            self._key = tuple([trust[model] for model in awake.voting])
            if self.shares:
                self._key += tuple([self.shares[model] for model in awake.voting])
            self._asked = awake
        return self._key

    def learned(self) -> None:
        """Note that it may say something else now."""
        self._asked = None


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
        awake = Awake(tuple(names), tuple([p.model for p in voters]), regime)
        directions = [p.direction for p in voters]
        found: dict[tuple[float, ...], Ballot] = {}
        ballots = []
        for source in self.sources:
            key = source.key(awake)
            ballot = found.get(key)
            if ballot is None:
                votes = cast_votes(voters, directions, source.shares, source.trust)
                found[key] = ballot = Ballot(len(found), votes)
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
