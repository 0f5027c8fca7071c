"""What outcomes have taught about the consensus itself: its odds, whether acting pays, and sets that hold."""

from collections.abc import Iterable, Mapping
from math import nan
from types import MappingProxyType
from typing import Any, NamedTuple

from consilium.domain import Consensus, Direction, InvalidValue, Outcome
from consilium.ensemble.conformal import Conformal, Set
from consilium.ensemble.meta_labelling import MetaLabelling, Situation, situation
from consilium.ensemble.recalibration import Recalibration
from consilium.ensemble.rounds import RoundKey
from consilium.ensemble.voting import Verdict

_NO_GATES: Mapping[str, str] = MappingProxyType({})


class Odds(NamedTuple):
    """What hindsight adds to a rule's verdict; notes and gates are in the words of a gate."""

    p_direction: float
    meta_confidence: float
    gates: Mapping[str, str]
    notes: Mapping[str, str]


class Figures(NamedTuple):
    """The figures among the odds, with what they were read from: the situation and the conformal set.

    ``situation`` is None where there is no side, since no trade can pay there; ``said`` is None without sets.
    """

    p_direction: float
    meta_confidence: float
    situation: Situation | None
    said: Set | None


class _Waiting(NamedTuple):
    direction: Direction
    probabilities: tuple[float, float, float]
    situation: Situation | None
    said: Set | None


class Hindsight:
    """Judges consensuses of one horizon and label by those whose outcome is known.

    Everything is learned in the order of outcomes, from all consensuses that had a voter, acted on or not.

    Parameters
    ----------
    meta
        Whether p_direction is recalibrated and meta_confidence modelled; else both are the pooled p.
    conformal
        Settings of `Conformal`; None leaves the gate out.
    round_trip_cost
        What a trade must gain to pay, a log return >= 0.
    capacity
        Most consensuses that wait for their outcome; the oldest is then forgotten.

    Raises
    ------
    InvalidValue
        A setting outside its bound, or a damaged state.

    Examples
    --------
    >>> Hindsight(meta=True, conformal={"alpha": 0.1}).conformal.alpha
    0.1
    """

    def __init__(
        self,
        *,
        meta: bool = True,
        conformal: Mapping[str, Any] | float | None = None,
        round_trip_cost: float = 0.002,
        capacity: int = 4096,
    ) -> None:
        self.recalibration = Recalibration() if meta else None
        self.meta = MetaLabelling(round_trip_cost=round_trip_cost) if meta else None
        settings = {"alpha": conformal} if isinstance(conformal, float) else conformal
        self.conformal = None if settings is None else Conformal(**settings)
        self._capacity = capacity
        self._waiting: dict[RoundKey, _Waiting] = {}

    def figures(self, symbol: str, verdict: Verdict, volatility: float | None) -> Figures:
        """Judge a verdict by what is known now, in figures alone."""
        direction, probabilities = verdict.direction, verdict.probabilities
        p_direction = min(1.0, probabilities[direction])
        said = None if self.conformal is None else self.conformal.set_of(symbol, probabilities)
        if self.recalibration is None or self.meta is None:
            return Figures(p_direction, p_direction, None, said)
        p_direction = self.recalibration.probability(direction, p_direction)
        if direction is Direction.FLAT:
            return Figures(p_direction, p_direction, None, said)
        now = situation(p_direction, verdict.agreement, verdict.support, probabilities, volatility)
        return Figures(p_direction, self.meta.probability(now), now, said)

    def odds(self, symbol: str, verdict: Verdict, volatility: float | None) -> Odds:
        """Judge a verdict by what is known now, in figures and in words."""
        p_direction, meta_confidence, now, said = self.figures(symbol, verdict, volatility)
        notes = {}
        if self.recalibration is not None and self.meta is not None:
            notes["p_direction"] = self.recalibration.told(verdict.direction)
            if now is not None:
                notes["meta_confidence"] = self.meta.told()
        return Odds(p_direction, meta_confidence, self.gates(symbol, verdict, said), notes)

    def gates(self, symbol: str, verdict: Verdict, said: Set | None) -> Mapping[str, str]:
        """Judge a verdict by its conformal set; nothing without such sets."""
        if self.conformal is None:
            return _NO_GATES
        return {"conformal": self.conformal.verdict(symbol, verdict.direction, said)}

    def decided(self, key: RoundKey, consensus: Consensus, volatility: float | None) -> None:
        """Keep a consensus until its outcome; one without voters is not a forecast."""
        if not consensus.weights:
            return
        said = known = None
        if self.conformal is not None:
            said = self.conformal.set_of(key.symbol, consensus.probabilities)
        if self.meta is not None and consensus.direction is not Direction.FLAT:
            known = situation(
                consensus.p_direction,
                consensus.agreement,
                consensus.support,
                consensus.probabilities,
                volatility,
            )
        self.wait(key, consensus.direction, consensus.probabilities, known, said)

    def wait(
        self,
        key: RoundKey,
        direction: Direction,
        probabilities: tuple[float, float, float],
        known: Situation | None,
        said: Set | None,
    ) -> None:
        """Keep what was said, and in which situation and with which set, until its outcome."""
        self._waiting[key] = _Waiting(direction, probabilities, known, said)
        if len(self._waiting) > self._capacity:
            del self._waiting[next(iter(self._waiting))]

    def mature(self, key: RoundKey, outcome: Outcome | None) -> None:
        """Learn what came of a consensus; None forgets it."""
        waiting = self._waiting.pop(key, None)
        if waiting is None or outcome is None:
            return
        direction, probabilities, known, said = waiting
        if self.recalibration is not None and self.meta is not None:
            self.recalibration.learn(direction, probabilities[direction], came=outcome.direction == direction)
            if known is not None:
                gain = (direction - Direction.FLAT) * outcome.realised_return
                self.meta.learn(known, outcome.ts_event, outcome.ts_matured, gain)
        if self.conformal is not None:
            self.conformal.learn(key.symbol, key.ts_event, said, probabilities, outcome.direction)

    def state(self) -> dict[str, Any]:
        """Return all it has learned and what waits, as JSON values."""
        return {
            "recalibration": self.recalibration.state() if self.recalibration else None,
            "meta": self.meta.state() if self.meta else None,
            "conformal": self.conformal.state() if self.conformal else None,
            "waiting": [
                [
                    list(key),
                    int(w.direction),
                    list(w.probabilities),
                    None if w.situation is None else [None if x != x else x for x in w.situation],
                    None if w.said is None else [int(k) for k in w.said],
                ]
                for key, w in self._waiting.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, of the same settings."""
        try:
            waiting = {
                RoundKey(*key): _Waiting(
                    Direction(direction),
                    (float(p[0]), float(p[1]), float(p[2])),
                    None if known is None else _read_situation(known),
                    None if said is None else tuple(Direction(k) for k in said),
                )
                for key, direction, p, known, said in state["waiting"]
            }
            parts = [(part, state[name]) for name, part in self._parts()]
        except (KeyError, TypeError, ValueError, IndexError):
            raise InvalidValue(
                "the state must be one of hindsight", type(state).__name__, "restore a whole state"
            ) from None
        for part, saved in parts:
            if part is not None and saved is not None:
                part.restore(saved)
        self._waiting = waiting

    def _parts(self) -> tuple[tuple[str, Recalibration | MetaLabelling | Conformal | None], ...]:
        return (
            ("recalibration", self.recalibration),
            ("meta", self.meta),
            ("conformal", self.conformal),
        )


def _read_situation(written: Iterable[float | None]) -> Situation:
    return Situation(*(nan if x is None else float(x) for x in written))
