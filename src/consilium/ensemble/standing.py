"""What stands for each topic of the living ensemble: its newest consensus, or what fresh voters say now."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from consilium.domain import Consensus, Prediction
from consilium.ensemble.board import Board, Topic
from consilium.ensemble.configuration import Configuration
from consilium.ensemble.convening import convene
from consilium.ensemble.gates import Gates
from consilium.ensemble.rounds import read_consensus, write_consensus
from consilium.ensemble.service import EnsembleService

ROUND, SIGNALS = "round", "signals"


class Standing(NamedTuple):
    """The newest consensus of a topic: what it came of, when each voter spoke, and under which settings."""

    consensus: Consensus
    by: str
    voters: dict[str, int]
    settings: int


class Standings:
    """The newest consensus of each topic, and who may speak of it now.

    Parameters
    ----------
    service, board, configuration
        Of the engine.
    signal_gates
        Gates of a consensus with a signal from outside.
    freshness_ns
        How long a signal from outside can vote.
    """

    def __init__(
        self,
        service: EnsembleService,
        board: Board,
        configuration: Configuration,
        *,
        signal_gates: Gates,
        freshness_ns: int,
    ) -> None:
        self.weather: dict[str, int] = {}
        """By symbol, the bar of the newest feature window."""
        self._service = service
        self._board = board
        self._configuration = configuration
        self._gates = signal_gates
        self._freshness_ns = freshness_ns
        self._of: dict[Topic, Standing] = {}
        # Memory of this process and no part of the state.
        self._since: dict[Topic, tuple[int, int]] = {}

    def put(self, topic: Topic, consensus: Consensus, by: str, voters: dict[str, int]) -> None:
        """Let a consensus stand for its topic."""
        self._of[topic] = Standing(consensus, by, voters, self._configuration.changes)

    def topics(self) -> list[Topic]:
        """Return the topics that something stands for, sorted."""
        return sorted(self._of)

    def forget(self, known: Collection[Topic]) -> None:
        """Forget what stood by signals alone, of topics that are not known any more."""
        self._of = {of: s for of, s in self._of.items() if of in known or s.by == ROUND}

    def voters(self, topic: Topic, now_ns: int) -> list[Prediction]:
        """Return what enabled models say of a topic that is fresh at an instant."""
        members = [model for model, setting in self._service.models.items() if setting.enabled]
        return self._board.voters(topic, now_ns, members)

    def convene(
        self, topic: Topic, voters: Sequence[Prediction], news: Sequence[Prediction] = ()
    ) -> Consensus:
        """Reach the consensus of some voters, of whom some are new."""
        ts_event = self.weather.get(topic.symbol)
        volatility, regime = None, ""
        if ts_event is not None and abs(voters[0].ts_event - ts_event) <= 2 * topic.horizon_ns:
            volatility, regime = self._service.seen(topic.symbol, ts_event)
        ours = {id(p) for p in self._board.own(topic)}
        gates = None if all(id(p) in ours for p in voters) else self._gates
        return convene(self._service, voters, news=news, gates=gates, volatility=volatility, regime=regime)

    def shown(self, topic: Topic, now_ns: int) -> Consensus | None:
        """Return what stands for a topic: what was decided, or what the rest say where voters went stale."""
        standing = self._of.get(topic)
        voters = self.voters(topic, now_ns)
        if standing is None:
            return self.convene(topic, voters) if voters else None
        if not self._board.fresh(topic, now_ns) and standing.by == ROUND:
            if not self._lasts(topic, standing.consensus.ts_event, now_ns):
                return None
            voters = [p for p in self._board.own(topic) if self._service.models[p.model].enabled]
            if not voters and not standing.voters:
                return standing.consensus
        changes = self._configuration.changes
        if standing.voters == {p.model: p.ts_event for p in voters} and standing.settings == changes:
            return standing.consensus
        return self.convene(topic, voters) if voters else None

    def _lasts(self, topic: Topic, ts_event: int, now_ns: int) -> bool:
        """Whether a round's consensus still stands: a horizon from the cycle that saw it first."""
        if self._since.get(topic, (-1, 0))[0] != ts_event:
            self._since[topic] = ts_event, now_ns
        return now_ns - self._since[topic][1] <= topic.horizon_ns + self._freshness_ns

    def state(self) -> list[Any]:
        """Return what stands, as JSON values."""
        return [
            [*topic, write_consensus(of.consensus), of.by, dict(of.voters), of.settings]
            for topic, of in sorted(self._of.items(), key=lambda item: item[0])
        ]

    @staticmethod
    def read(state: Sequence[Any]) -> dict[Topic, Standing]:
        """Read what `state` returned."""
        return {
            Topic(s, h, label): Standing(read_consensus(c), by, dict(voters), settings)
            for s, h, label, c, by, voters, settings in state
        }

    def restore(self, standing: Mapping[Topic, Standing], weather: Mapping[str, int]) -> None:
        """Take up what `read` returned."""
        self._of, self.weather = dict(standing), dict(weather)
