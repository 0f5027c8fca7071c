"""What each model said last, by symbol, horizon and label: from outside, and in the last round of our own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction
from consilium.ensemble.rounds import read_prediction, write_prediction

KEPT = 2
"""Signals kept of a model: one that came just after a close must not hide the one before it."""


class Topic(NamedTuple):
    """What one standing consensus is about."""

    symbol: str
    horizon_ns: int
    label_id: str

    @classmethod
    def of(cls, message: Prediction | Outcome | Consensus) -> "Topic":
        """Return the topic that a message is about."""
        return cls(message.symbol, message.horizon_ns, message.label_id)


class _Signal(NamedTuple):
    """A signal, and the round that it joined as a guest; -1 for none."""

    prediction: Prediction
    joined: int


class Board:
    """Keeps the newest signals of every model from outside, and the predictions of our own last round.

    Parameters
    ----------
    freshness_ns
        A signal older than this does not vote any more; > 0.

    Examples
    --------
    >>> board = Board(60 * 10**9)
    >>> board.take(Prediction(model="nhits", symbol="BTCUSDT", ts_event=5, horizon_ns=9, label_id="l",
    ...                       probabilities=(0.1, 0.1, 0.8)))
    True
    >>> [p.model for p in board.fresh(Topic("BTCUSDT", 9, "l"), now_ns=7)]
    ['nhits']
    """

    def __init__(self, freshness_ns: int) -> None:
        self.freshness_ns = freshness_ns
        self._signals: dict[Topic, dict[str, list[_Signal]]] = {}
        self._own: dict[Topic, list[Prediction]] = {}

    def last(self, topic: Topic, model: str) -> Prediction | None:
        """Return a model's newest signal."""
        said = self._signals.get(topic, {}).get(model)
        return said[-1].prediction if said else None

    def take(self, prediction: Prediction) -> bool:
        """Keep a signal; False if the model's last one is not older."""
        topic = Topic.of(prediction)
        last = self.last(topic, prediction.model)
        if last is not None and prediction.ts_event <= last.ts_event:
            return False
        said = self._signals.setdefault(topic, {}).setdefault(prediction.model, [])
        said.append(_Signal(prediction, -1))
        del said[:-KEPT]
        return True

    def fresh(self, topic: Topic, now_ns: int) -> list[Prediction]:
        """Return the newest signal of each model, if it is fresh."""
        newest = [said[-1].prediction for said in self._signals.get(topic, {}).values()]
        return [p for p in newest if now_ns - p.ts_event <= self.freshness_ns]

    def decided(self, topic: Topic, ts_event: int, predictions: Sequence[Prediction]) -> dict[str, int]:
        """Keep the predictions of our own round; return when each of its voters really spoke."""
        joined = {
            model: signal.prediction
            for model, said in self._signals.get(topic, {}).items()
            for signal in said
            if signal.joined == ts_event
        }
        guests = {
            p.model: joined[p.model].ts_event
            for p in predictions
            if p.model in joined and replace(joined[p.model], ts_event=ts_event) == p
        }
        self._own[topic] = [p for p in predictions if p.model not in guests]
        return {p.model: guests.get(p.model, ts_event) for p in predictions}

    def own(self, topic: Topic) -> Sequence[Prediction]:
        """Return the predictions of our own last round, guests left out."""
        return self._own.get(topic, ())

    def voters(self, topic: Topic, now_ns: int, members: Collection[str]) -> list[Prediction]:
        """Return what may vote now: fresh signals, and our own predictions not older than the horizon.

        The newer one of a model counts; what is more than a horizon older than the newest is left out.
        """
        newest = {p.model: p for p in self.own(topic) if 0 <= now_ns - p.ts_event <= topic.horizon_ns}
        for p in self.fresh(topic, now_ns):
            if p.model not in newest or p.ts_event > newest[p.model].ts_event:
                newest[p.model] = p
        standing = [p for p in newest.values() if p.model in members]
        since = max((p.ts_event for p in standing), default=0) - topic.horizon_ns
        return sorted((p for p in standing if p.ts_event >= since), key=lambda p: p.model)

    def guests(self, symbol: str, ts_event: int) -> list[Prediction]:
        """Return the signals that join the rounds of a symbol at an instant, dated by it; each joins once.

        It is the newest of a model that was said not after the instant, and fresh then.
        """
        found = []
        # Sorted, so that it does not matter whether the board was restored in between.
        for topic in sorted(of for of in self._signals if of.symbol == symbol):
            for _, said in sorted(self._signals[topic].items()):
                for i in range(len(said) - 1, -1, -1):
                    signal = said[i]
                    if signal.prediction.ts_event > ts_event:
                        continue
                    if signal.joined < 0 and ts_event - signal.prediction.ts_event <= self.freshness_ns:
                        said[i] = _Signal(signal.prediction, ts_event)
                        found.append(replace(signal.prediction, ts_event=ts_event))
                    break
        return found

    def topics(self) -> list[Topic]:
        """Return the topics that anybody spoke about and that were not forgotten, sorted."""
        return sorted({*self._signals, *self._own})

    def forget(self, before: int) -> None:
        """Forget signals from before an instant."""
        for topic, models in list(self._signals.items()):
            for model, said in list(models.items()):
                if said[-1].prediction.ts_event < before:
                    del models[model]
            if not models:
                del self._signals[topic]

    def state(self) -> dict[str, Any]:
        """Return all that stands, as JSON values."""
        return {
            "signals": [
                [
                    *topic,
                    [[write_prediction(s.prediction), s.joined] for said in models.values() for s in said],
                ]
                for topic, models in sorted(self._signals.items())
            ],
            "own": [
                [*topic, [write_prediction(p) for p in said]] for topic, said in sorted(self._own.items())
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        signals: dict[Topic, dict[str, list[_Signal]]] = {}
        try:
            for symbol, horizon_ns, label_id, said in state["signals"]:
                models = signals.setdefault(Topic(symbol, horizon_ns, label_id), {})
                for written, joined in said:
                    prediction = read_prediction(written)
                    models.setdefault(prediction.model, []).append(_Signal(prediction, int(joined)))
            own = {
                Topic(symbol, horizon_ns, label_id): [read_prediction(p) for p in said]
                for symbol, horizon_ns, label_id, said in state["own"]
            }
        except (KeyError, TypeError, ValueError):
            raise InvalidValue(
                "the state must be one of the board", type(state).__name__, "restore a whole state"
            ) from None
        self._signals, self._own = signals, own
