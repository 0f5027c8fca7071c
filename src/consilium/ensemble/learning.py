"""When trust learns: one lesson for each instant, of all symbols together, in the order of outcomes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from consilium.domain import Outcome, Prediction
from consilium.ensemble.trust import TrustPolicy, make_trust


class Key(Protocol):
    """What identifies a round of one symbol."""

    @property
    def ts_event(self) -> int:
        """When its forecasts were made."""
        ...

    @property
    def horizon_ns(self) -> int:
        """How far they look."""
        ...

    @property
    def label_id(self) -> str:
        """What they forecast."""
        ...


class Topic(NamedTuple):
    """What one trust policy is about."""

    horizon_ns: int
    label_id: str


class Lesson(NamedTuple):
    """Forecasts of one instant, all symbols, and what came of them."""

    ts_event: int
    predictions: list[Prediction]
    outcomes: list[Outcome]


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

    def __init__(self, trust: str, models: Iterable[str], options: Mapping[str, Any], capacity: int) -> None:
        self._trust = trust
        self._models = tuple(models)
        self._options = dict(options)
        self._capacity = capacity
        self._policies: dict[Topic, TrustPolicy] = {}
        self._waiting: dict[tuple[int, Topic], int] = {}
        self._decided: dict[Key, Sequence[Prediction]] = {}
        self._lessons: dict[Topic, Lesson] = {}
        self._taught_until: dict[Topic, int] = {}
        make_trust(trust, self._models, **self._options)  # an unknown name or option fails now, not mid-run

    def policy(self, horizon_ns: int, label_id: str) -> TrustPolicy:
        """Return the policy of one horizon and label."""
        topic = Topic(horizon_ns, label_id)
        if topic not in self._policies:
            self._policies[topic] = make_trust(self._trust, self._models, **self._options)
        return self._policies[topic]

    def opened(self, key: Key) -> None:
        """Note that a round has begun, so that its instant waits for its outcome."""
        instant = (key.ts_event, Topic(key.horizon_ns, key.label_id))
        self._waiting[instant] = self._waiting.get(instant, 0) + 1

    def closed(self, key: Key) -> None:
        """Note that no outcome of a round is waited for any more."""
        topic = Topic(key.horizon_ns, key.label_id)
        instant = (key.ts_event, topic)
        self._waiting[instant] -= 1
        if self._waiting[instant] == 0:
            del self._waiting[instant]
            lesson = self._lessons.get(topic)
            if lesson is not None and lesson.ts_event == key.ts_event:
                self._teach(topic)

    def decided(self, key: Key, predictions: Sequence[Prediction]) -> None:
        """Keep the forecasts of a decided round until their outcome."""
        self._decided[key] = predictions
        if len(self._decided) > self._capacity:
            oldest = next(iter(self._decided))
            del self._decided[oldest]
            self.closed(oldest)

    def mature(self, key: Key, outcome: Outcome) -> str:
        """Take an outcome; return why it was ignored, empty if it counts."""
        predictions = self._decided.pop(key, None)
        if predictions is None:
            return "outcome without forecast"
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
                lesson = self._lessons[topic] = Lesson(key.ts_event, [], [])
            lesson.predictions.extend(predictions)
            lesson.outcomes.append(outcome)
        self.closed(key)
        return "late outcome" if late else ""

    def _teach(self, topic: Topic) -> None:
        lesson = self._lessons.pop(topic)
        self._taught_until[topic] = lesson.ts_event
        self.policy(*topic).learn(lesson.predictions, outcome=lesson.outcomes)
