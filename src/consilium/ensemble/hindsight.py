"""What outcomes have taught about the consensus itself: its odds, whether acting pays, and sets that hold."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from consilium.domain import Consensus, Direction, InvalidValue, Outcome
from consilium.ensemble.conformal import Conformal, Set
from consilium.ensemble.meta_labelling import MetaLabelling, Situation, situation
from consilium.ensemble.recalibration import Recalibration
from consilium.ensemble.rounds import RoundKey
from consilium.ensemble.voting import Verdict


class Odds(NamedTuple):
    """What hindsight adds to a rule's verdict; notes and gates are in the words of a gate."""

    p_direction: float
    meta_confidence: float
    gates: Mapping[str, str]
    notes: Mapping[str, str]


class _Waiting(NamedTuple):
    direction: Direction
    probabilities: tuple[float, float, float]
    situation: Situation
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
        conformal: Mapping[str, Any] | None = None,
        round_trip_cost: float = 0.002,
        capacity: int = 4096,
    ) -> None:
        self.recalibration = Recalibration() if meta else None
        self.meta = MetaLabelling(round_trip_cost=round_trip_cost) if meta else None
        self.conformal = None if conformal is None else Conformal(**conformal)
        self._capacity = capacity
        self._waiting: dict[RoundKey, _Waiting] = {}

    def odds(self, symbol: str, verdict: Verdict, volatility: float | None) -> Odds:
        """Judge a verdict by what is known now."""
        pooled = min(1.0, verdict.probabilities[verdict.direction])
        p_direction = meta_confidence = pooled
        gates, notes = {}, {}
        if self.recalibration is not None and self.meta is not None:
            p_direction = self.recalibration.probability(verdict.direction, pooled)
            notes["p_direction"] = self.recalibration.told(verdict.direction)
            meta_confidence = p_direction
            if verdict.direction is not Direction.FLAT:
                now = situation(
                    p_direction, verdict.agreement, verdict.support, verdict.probabilities, volatility
                )
                meta_confidence = self.meta.probability(now)
                notes["meta_confidence"] = self.meta.told()
        if self.conformal is not None:
            said = self.conformal.set_of(symbol, verdict.probabilities)
            gates["conformal"] = self.conformal.verdict(symbol, verdict.direction, said)
        return Odds(p_direction, meta_confidence, gates, notes)

    def decided(self, key: RoundKey, consensus: Consensus, volatility: float | None) -> None:
        """Keep a consensus until its outcome; one without voters is not a forecast."""
        if not consensus.weights:
            return
        said = None
        if self.conformal is not None:
            said = self.conformal.set_of(key.symbol, consensus.probabilities)
        self._waiting[key] = _Waiting(
            consensus.direction,
            consensus.probabilities,
            situation(
                consensus.p_direction,
                consensus.agreement,
                consensus.support,
                consensus.probabilities,
                volatility,
            ),
            said,
        )
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
            sign = direction - Direction.FLAT
            if sign:
                gain = sign * outcome.realised_return
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
                    [None if x != x else x for x in w.situation],
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
                    Situation(*(float("nan") if x is None else float(x) for x in known)),
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
