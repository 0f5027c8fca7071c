"""What moved the trust of each model, and when: the last hundred changes."""

from collections import deque
from collections.abc import Iterable, Mapping
from math import isclose
from typing import Any

from consilium.domain import InvalidValue

KEPT = 100
"""Changes kept of each model (seed 000)."""


class TrustLog:
    """Notes every change of trust.

    Parameters
    ----------
    models
        Whose trust it is.

    Examples
    --------
    >>> log = TrustLog(["nhits"])
    >>> log.note({"nhits": 1.0}, ts_event=0, because="outcome")
    >>> log.note({"nhits": 0.97}, ts_event=5, because="consensus")
    >>> log.events("nhits")
    [{'n': 1, 'ts_event': 5, 'trust': 0.97, 'change': -0.03, 'because': 'consensus'}]
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._events: dict[str, deque[dict[str, Any]]] = {model: deque(maxlen=KEPT) for model in models}
        self._counts = dict.fromkeys(self._events, 0)
        self._trust: dict[str, float] = {}

    def note(self, factors: Mapping[str, float], *, ts_event: int, because: str) -> None:
        """Note what changed since the last time; the first time only tells where trust begins."""
        for model, trust in factors.items():
            before = self._trust.get(model)
            if before is not None and not isclose(before, trust, rel_tol=1e-9):
                self._counts[model] += 1
                self._events[model].append(
                    {
                        "n": self._counts[model],
                        "ts_event": ts_event,
                        "trust": trust,
                        "change": round(trust - before, 12),
                        "because": because,
                    }
                )
            self._trust[model] = trust

    def events(self, model: str, after: int = 0) -> list[dict[str, Any]]:
        """Return the last changes of a model after its ``after``-th, oldest first."""
        return [event for event in self._events[model] if event["n"] > after]

    def count(self, model: str) -> int:
        """Return how many changes a model's trust has seen."""
        return self._counts[model]

    def state(self) -> dict[str, Any]:
        """Return changes and trust, as JSON values."""
        return {
            "events": {model: list(events) for model, events in self._events.items()},
            "counts": dict(self._counts),
            "trust": dict(self._trust),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, of the same models."""
        try:
            events = {model: deque(map(dict, state["events"][model]), KEPT) for model in self._events}
            counts = {model: int(state["counts"][model]) for model in self._events}
            trust = {model: float(value) for model, value in state["trust"].items()}
        except (KeyError, TypeError, ValueError):
            raise InvalidValue(
                "the state must be one of the trust log", type(state).__name__, "restore a whole state"
            ) from None
        self._events, self._counts, self._trust = events, counts, trust
