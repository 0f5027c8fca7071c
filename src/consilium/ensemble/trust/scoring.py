"""Forecasts meet their outcomes: each once, in the order of outcomes, one round for each instant."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum
from typing import Any, NamedTuple

from consilium.domain import InvalidValue, Outcome, Prediction
from consilium.ensemble.trust.roll import Question

Score = Callable[[tuple[float, float, float], int], float]


class Instant(NamedTuple):
    """All outcomes of one ts_event, by symbol: the direction that came."""

    ts_event: int
    came: dict[str, int]


class Scoring:
    """Keeps the losses of the running round and the forecasts that wait for their outcome.

    A round is one ts_event; its loss of a model is the mean over the symbols it spoke about. More symbols of
    the running round may follow; once a later round has begun, earlier ones are closed.

    Parameters
    ----------
    models
        Models in the order of the losses.
    score
        Loss of (probabilities, direction that came).
    capacity
        Most symbol rounds that may wait for an outcome; the oldest is then forgotten.
    """

    def __init__(self, models: Sequence[str], score: Score, capacity: int) -> None:
        if capacity < 1:
            raise InvalidValue("capacity must be >= 1", capacity, "use 4096")
        self._index = {model: i for i, model in enumerate(models)}
        self._score = score
        self._capacity = capacity
        self._question: Question | None = None
        self.ts_event = -1
        self._losses: list[dict[str, float]] = [{} for _ in models]
        self._waiting: dict[tuple[int, str], dict[str, tuple[float, float, float]]] = {}

    def wait(self, predictions: Iterable[Prediction]) -> None:
        """Keep forecasts until their outcome comes; the first of a model counts."""
        for p in predictions:
            self._ask(p)
            if p.ts_event < self.ts_event or p.model not in self._index:
                continue
            said = self._waiting.setdefault((p.ts_event, p.symbol), {})
            said.setdefault(p.model, p.probabilities)
            if len(self._waiting) > self._capacity:
                del self._waiting[next(iter(self._waiting))]

    def instants(self, outcomes: Iterable[Outcome]) -> list[Instant]:
        """Group outcomes by instant, earliest first; of two for one symbol the first counts."""
        found: dict[int, dict[str, int]] = {}
        for outcome in outcomes:
            self._ask(outcome)
            found.setdefault(outcome.ts_event, {}).setdefault(outcome.symbol, int(outcome.direction))
        return [Instant(ts_event, found[ts_event]) for ts_event in sorted(found)]

    def take(self, instant: Instant, predictions: Iterable[Prediction]) -> bool | None:
        """Score the forecasts of an instant.

        Returns
        -------
        True if it began a round, False if it added to the running one, None if it changed nothing.
        """
        ts_event, came = instant
        if ts_event < self.ts_event:
            return None
        begins = ts_event > self.ts_event
        losses: list[dict[str, float]] = [{} for _ in self._index] if begins else self._losses
        added = self._score_waiting(ts_event, came, losses)
        score, of_model = self._score, dict(zip(self._index, losses, strict=True))
        horizon_ns, label_id = self._question or Question(0, "")
        # Plain floats and few look-ups: NumPy costs more than it saves on three numbers a forecast.
        for p in predictions:
            symbol = p.symbol
            direction = came.get(symbol)
            if direction is None or p.ts_event != ts_event:
                continue
            if p.horizon_ns != horizon_ns or p.label_id != label_id:
                self._ask(p)
            mine = of_model.get(p.model)
            if mine is not None and symbol not in mine:
                mine[symbol] = score(p.probabilities, direction)
                added = True
        if not added:
            return None
        if begins:
            self._begin(ts_event, losses)
        return begins

    def give(self, ts_event: int, losses: Mapping[str, float]) -> bool:
        """Begin a round with losses that somebody else has measured; False if it is not a later one."""
        if ts_event <= self.ts_event:
            return False
        self._begin(ts_event, [{"": losses[model]} if model in losses else {} for model in self._index])
        return True

    def means(self) -> list[float | None]:
        """Mean loss of each model in the running round, None for those that were silent."""
        return [fsum(of.values()) / len(of) if of else None for of in self._losses]

    def _score_waiting(
        self, ts_event: int, came: Mapping[str, int], losses: Sequence[dict[str, float]]
    ) -> bool:
        added = False
        if self._waiting:
            for symbol, direction in came.items():
                for model, probabilities in self._waiting.pop((ts_event, symbol), {}).items():
                    if symbol not in losses[self._index[model]]:
                        losses[self._index[model]][symbol] = self._score(probabilities, direction)
                        added = True
        return added

    def _begin(self, ts_event: int, losses: list[dict[str, float]]) -> None:
        self.ts_event, self._losses = ts_event, losses
        for key in [key for key in self._waiting if key[0] < ts_event]:
            del self._waiting[key]

    def _ask(self, message: Prediction | Outcome) -> None:
        if self._question is None:
            self._question = Question(message.horizon_ns, message.label_id)
        self._question.check(message)

    def state(self) -> dict[str, Any]:
        """Return the running round and what waits, as JSON values."""
        return {
            "question": list(self._question) if self._question else None,
            "ts_event": self.ts_event,
            "losses": [dict(sorted(of.items())) for of in self._losses],
            "waiting": [
                [ts, symbol, {model: list(p) for model, p in sorted(said.items())}]
                for (ts, symbol), said in self._waiting.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            The state is damaged; nothing was changed.
        """
        question = Question(*state["question"]) if state["question"] else None
        losses = [{str(s): float(loss) for s, loss in of.items()} for of in state["losses"]]
        waiting = {
            (int(ts), str(symbol)): {str(m): (float(p[0]), float(p[1]), float(p[2])) for m, p in said.items()}
            for ts, symbol, said in state["waiting"]
        }
        if len(losses) != len(self._index) or any(m not in self._index for w in waiting.values() for m in w):
            raise ValueError("losses of other models")
        self.ts_event = int(state["ts_event"])
        self._question, self._losses, self._waiting = question, losses, waiting
