"""When trust learns: one lesson for each instant, of all symbols together, in the order of outcomes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction
from consilium.ensemble.rounds import (
    RoundKey,
    read_outcome,
    read_prediction,
    write_outcome,
    write_prediction,
)
from consilium.ensemble.trust import TrustPolicy, make_trust
from consilium.ensemble.trust.regimes import PerRegime

LATE, UNFORESEEN = "late outcome", "outcome without forecast"
"""Why an outcome is ignored: its instant was taught already, or nothing waits for it."""


class Topic(NamedTuple):
    """What one trust policy is about."""

    horizon_ns: int
    label_id: str


class Lesson(NamedTuple):
    """Forecasts of one instant, all symbols, what came of them, and the regime of each symbol."""

    ts_event: int
    predictions: list[Prediction]
    outcomes: list[Outcome]
    regimes: dict[str, str]


def weights_of(policy: TrustPolicy, awake: Sequence[str], regime: str) -> dict[str, float]:
    """Ask a policy for the weights of the models that spoke; the regime only where it keeps any."""
    return policy.weights(awake, regime) if isinstance(policy, PerRegime) else policy.weights(awake)


def tell(policy: TrustPolicy, predictions: Sequence[Prediction], consensus: Consensus, regime: str) -> None:
    """Let a policy learn from a consensus."""
    if isinstance(policy, PerRegime):
        policy.learn(predictions, consensus=consensus, regimes={consensus.symbol: regime})
    else:
        policy.learn(predictions, consensus=consensus)


def teach(policy: TrustPolicy, lesson: Lesson) -> None:
    """Let a policy learn from the outcomes of an instant."""
    if isinstance(policy, PerRegime):
        policy.learn(lesson.predictions, outcome=lesson.outcomes, regimes=lesson.regimes)
    else:
        policy.learn(lesson.predictions, outcome=lesson.outcomes)


class Learning:
    """Keeps forecasts until their outcomes, and one trust policy for each horizon and label.

    Symbols move together, so the outcomes of one instant are one lesson: it is given when every symbol of the
    instant has its outcome, or when an outcome of a later instant comes. An outcome after that, a second one,
    or one without a forecast changes nothing.

    Parameters
    ----------
    trust
        Name in TRUST.
    models
        Models that the policies shall know.
    options
        Settings of the policy.
    capacity
        Most rounds kept until their outcome; the oldest is then forgotten.
    per_regime
        Whether to keep a policy for each regime too; see `PerRegime`.

    Raises
    ------
    UnknownName
        No such policy.

    Examples
    --------
    >>> learning = Learning("uniform", ["xgboost"], {}, capacity=10)
    >>> learning.policy(3600 * 10**9, "l1").weights(["xgboost"])
    {'xgboost': 1.0}
    """

    def __init__(
        self,
        trust: str,
        models: Iterable[str],
        options: Mapping[str, Any],
        capacity: int,
        *,
        per_regime: bool = False,
    ) -> None:
        self._trust = trust
        self._models = tuple(models)
        self._options = dict(options)
        self._capacity = capacity
        self._per_regime = per_regime
        self._prior: Mapping[str, float] | None = None
        self._policies: dict[Topic, TrustPolicy] = {}
        self._waiting: dict[tuple[int, Topic], int] = {}
        self._decided: dict[RoundKey, tuple[Sequence[Prediction], str]] = {}
        self._lessons: dict[Topic, Lesson] = {}
        self._taught_until: dict[Topic, int] = {}
        # An unknown name or option fails now, not mid-run.
        self.takes_prior = self._fresh().takes_prior

    def policy(self, horizon_ns: int, label_id: str) -> TrustPolicy:
        """Return the policy of one horizon and label."""
        topic = Topic(horizon_ns, label_id)
        if topic not in self._policies:
            self._policies[topic] = self.seen(horizon_ns, label_id)
        return self._policies[topic]

    def seen(self, horizon_ns: int, label_id: str) -> TrustPolicy:
        """Return the policy of one horizon and label to look at: looking leaves no trace in the state."""
        known = self._policies.get(Topic(horizon_ns, label_id))
        if known is not None:
            return known
        fresh = self._fresh()
        if self._prior is not None:
            fresh.set_prior(self._prior)
        return fresh

    def _fresh(self) -> TrustPolicy:
        policy = make_trust(self._trust, self._models, **self._options)
        if not self._per_regime:
            return policy
        return PerRegime(lambda: make_trust(self._trust, self._models, **self._options))

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Make allocations the prior of every policy that takes one."""
        self._prior = prior
        for policy in self._policies.values():
            policy.set_prior(prior)

    def weights(self, key: RoundKey, awake: Sequence[str], regime: str) -> dict[str, float]:
        """Return raw weights of the models that spoke in a round."""
        return weights_of(self.policy(key.horizon_ns, key.label_id), awake, regime)

    def opened(self, key: RoundKey) -> None:
        """Note that a round has begun, so that its instant waits for its outcome."""
        instant = (key.ts_event, Topic(key.horizon_ns, key.label_id))
        self._waiting[instant] = self._waiting.get(instant, 0) + 1

    def closed(self, key: RoundKey) -> None:
        """Note that no outcome of a round is waited for any more."""
        topic = Topic(key.horizon_ns, key.label_id)
        instant = (key.ts_event, topic)
        self._waiting[instant] -= 1
        if self._waiting[instant] == 0:
            del self._waiting[instant]
            lesson = self._lessons.get(topic)
            if lesson is not None and lesson.ts_event == key.ts_event:
                self._teach(topic)

    def decided(
        self,
        key: RoundKey,
        predictions: Sequence[Prediction],
        consensus: Consensus,
        regime: str,
        guests: Collection[str] = (),
    ) -> None:
        """Teach the consensus, not about guests, and keep all forecasts of the round until its outcome."""
        told = [p for p in predictions if p.model not in guests] if guests else predictions
        tell(self.policy(key.horizon_ns, key.label_id), told, consensus, regime)
        self.keep(key, predictions, regime)

    def keep(self, key: RoundKey, predictions: Sequence[Prediction], regime: str) -> None:
        """Keep the forecasts of a decided round until their outcome."""
        self._decided[key] = predictions, regime
        if len(self._decided) > self._capacity:
            oldest = next(iter(self._decided))
            del self._decided[oldest]
            self.closed(oldest)

    def awaiting(self, key: RoundKey) -> Sequence[Prediction]:
        """Return the forecasts that wait for the outcome of a round."""
        return self._decided.get(key, ((), ""))[0]

    def mature(self, key: RoundKey, outcome: Outcome) -> str:
        """Take an outcome; return why it was ignored, empty if it counts."""
        decided = self._decided.pop(key, None)
        if decided is None:
            return UNFORESEEN
        predictions, regime = decided
        topic = Topic(key.horizon_ns, key.label_id)
        late = key.ts_event <= self._taught_until.get(topic, -1)
        lesson = self._lessons.get(topic)
        if lesson is not None and key.ts_event > lesson.ts_event:
            self._teach(topic)
            lesson = None
        elif lesson is not None and key.ts_event < lesson.ts_event:
            late = True
        if not late:
            if lesson is None:
                lesson = self._lessons[topic] = Lesson(key.ts_event, [], [], {})
            lesson.predictions.extend(predictions)
            lesson.outcomes.append(outcome)
            lesson.regimes[key.symbol] = regime
        self.closed(key)
        return LATE if late else ""

    def _teach(self, topic: Topic) -> None:
        lesson = self._lessons.pop(topic)
        self._taught_until[topic] = lesson.ts_event
        self.give(topic, lesson)

    def give(self, topic: Topic, lesson: Lesson) -> None:
        """Give a lesson to the policy of its topic."""
        teach(self.policy(*topic), lesson)

    def state(self) -> dict[str, Any]:
        """Return policies, forecasts that wait and lessons not yet given, as JSON values."""
        return {
            "policies": [[*topic, policy.state()] for topic, policy in self._policies.items()],
            "waiting": [[ts, *topic, count] for (ts, topic), count in self._waiting.items()],
            "decided": [
                [list(key), regime, [write_prediction(p) for p in said]]
                for key, (said, regime) in self._decided.items()
            ],
            "lessons": [
                [
                    *topic,
                    lesson.ts_event,
                    [write_prediction(p) for p in lesson.predictions],
                    [write_outcome(o) for o in lesson.outcomes],
                    dict(lesson.regimes),
                ]
                for topic, lesson in self._lessons.items()
            ],
            "taught_until": [[*topic, ts] for topic, ts in self._taught_until.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, of the same policy over the same models."""
        try:
            policies = {}
            for horizon_ns, label_id, saved in state["policies"]:
                policies[Topic(horizon_ns, label_id)] = policy = self._fresh()
                policy.restore(saved)
                if self._prior is not None:
                    policy.set_prior(self._prior)
            waiting = {(int(ts), Topic(h, label)): int(count) for ts, h, label, count in state["waiting"]}
            decided = {
                RoundKey(*key): ([read_prediction(p) for p in said], str(regime))
                for key, regime, said in state["decided"]
            }
            lessons = {
                Topic(h, label): Lesson(
                    int(ts),
                    [read_prediction(p) for p in said],
                    [read_outcome(o) for o in came],
                    dict(regimes),
                )
                for h, label, ts, said, came, regimes in state["lessons"]
            }
            taught_until = {Topic(h, label): int(ts) for h, label, ts in state["taught_until"]}
        except InvalidValue:
            raise
        except (KeyError, TypeError, ValueError):
            raise InvalidValue(
                "the state must be one of learning", type(state).__name__, "restore a whole state"
            ) from None
        self._policies, self._waiting, self._decided = policies, waiting, dict(decided)
        self._lessons, self._taught_until = lessons, taught_until
