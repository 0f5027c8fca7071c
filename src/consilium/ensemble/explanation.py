"""Why a consensus came out as it did, and which change of which single vote would have changed it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from consilium.domain import (
    Consensus,
    Direction,
    InvalidValue,
    Prediction,
    short_model,
    signal_probabilities,
)
from consilium.ensemble.account import action
from consilium.ensemble.admission import ModelSetting
from consilium.ensemble.conformal import Conformal, set_within
from consilium.ensemble.consensus import EVEN_PRIOR, reach_consensus
from consilium.ensemble.gates import Gates
from consilium.ensemble.hindsight import Hindsight, Odds
from consilium.ensemble.voting import Rule, Verdict

_WORDS = {Direction.DOWN: "SELL", Direction.FLAT: "HOLD", Direction.UP: "BUY", None: "abstaining"}
_LEAST = 1e-12


class Lessons(NamedTuple):
    """What hindsight had learned at one time, enough to judge any verdict as it would have then.

    Parameters
    ----------
    recalibration
        Map (a, b) of each direction, None where there was none yet; None altogether without meta-labelling.
    model
        Intercept, means and slopes of the model of meta-labelling, None as long as there was none.
    alpha
        Level of the conformal gate, None without it.
    """

    recalibration: tuple[tuple[float, float] | None, ...] | None = None
    model: tuple[float, list[float], list[float]] | None = None
    alpha: float | None = None

    @classmethod
    def of(cls, hindsight: Hindsight) -> "Lessons":
        """Read what it knows now; equal as long as nothing was fitted anew."""
        return cls(
            None if hindsight.recalibration is None else hindsight.recalibration.fitted,
            None if hindsight.meta is None else hindsight.meta.fitted,
            None if hindsight.conformal is None else hindsight.conformal.alpha,
        )


class Recalled(Hindsight):
    """Hindsight as it was when a consensus was reached.

    A verdict that one vote would have changed is judged by the maps of that time and not by the odds that
    were given to the verdict that came out. It learns nothing.

    Parameters
    ----------
    lessons
        What it had learned.
    consensus
        The consensus; its notes and, where the conformal gate was still warming up, that gate's verdict stay.
    limit
        Largest score in the conformal set of the symbol at that time, None during warm-up.

    Examples
    --------
    >>> hindsight = Hindsight(meta=True)
    >>> said = Prediction(model="a", symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                   probabilities=(0.1, 0.3, 0.6))
    >>> consensus = reach_consensus([said], hindsight=hindsight)
    >>> reach_consensus([said], hindsight=Recalled(Lessons.of(hindsight), consensus)) == consensus
    True
    """

    def __init__(self, lessons: Lessons, consensus: Consensus, limit: float | None = None) -> None:
        super().__init__(meta=lessons.recalibration is not None)
        self._gates, self._limit = consensus.gates, limit
        self._conformal = None if lessons.alpha is None else Conformal(alpha=lessons.alpha)
        if self.recalibration is not None and self.meta is not None and lessons.recalibration is not None:
            nothing = {"seen": [[], [], []], "since": [0, 0, 0], "map": lessons.recalibration}
            self.recalibration.restore(nothing)
            no_trades = {"trades": [], "since": 0, "effective": [0.0, 0.0], "model": lessons.model}
            self.meta.restore(no_trades)

    def odds(self, symbol: str, verdict: Verdict, volatility: float | None) -> Odds:
        """Judge a verdict by what was known then."""
        odds = super().odds(symbol, verdict, volatility)
        gates = {}
        if self._conformal is not None:
            said = None if self._limit is None else set_within(self._limit, verdict.probabilities)
            found = self._conformal.verdict(symbol, verdict.direction, said)
            gates["conformal"] = self._gates["conformal"] if said is None else found
        notes = {name: self._gates.get(name, text) for name, text in odds.notes.items()}
        return odds._replace(gates=gates, notes=notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one model said and what it weighed; ``weight`` is None if it had no vote.

    ``trust`` is None where it was not kept.
    """

    model: str
    direction: Direction
    confidence: float
    probabilities: tuple[float, float, float]
    weight: float | None
    trust: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """A change of one vote that changes the outcome.

    ``to`` is the direction it would have had to state, None for abstaining; then come the direction, the
    action and the reason that the consensus would have had.
    """

    model: str
    to: Direction | None
    direction: Direction
    action: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A consensus with every voice, every gate's verdict, and the single votes it turned on."""

    consensus: Consensus
    voices: tuple[Voice, ...]
    gates: Mapping[str, str]
    pivots: tuple[Pivot, ...]

    def lines(self) -> list[str]:
        """Tell it line by line."""
        c = self.consensus
        told = [
            f"{c.symbol}: {action(c)} by {c.rule}, {c.level}, direction {c.direction.name} "
            f"with confidence {c.confidence:.1%}" + (f", held by {c.reason}" if c.reason else "")
        ]
        for voice in self.voices:
            weight = "no vote" if voice.weight is None else f"weight {voice.weight:.1%}"
            if voice.trust is not None:
                weight += f", trust {voice.trust:.1%}"
            down, flat, up = voice.probabilities
            told.append(
                f"  {short_model(voice.model)}: {_WORDS[voice.direction]} {voice.confidence:.1%}, {weight}, "
                f"p (down, flat, up) {down:.3f} {flat:.3f} {up:.3f}"
            )
        told += [f"  gate {name}: {verdict}" for name, verdict in self.gates.items()]
        for p in self.pivots:
            held = f", held by {p.reason}" if p.reason else ""
            changed = f"{p.action}, direction {p.direction.name}{held}"
            told.append(f"  with {short_model(p.model)} {_WORDS[p.to]}: {changed}")
        if not self.pivots:
            told.append("  no change of a single vote would have changed direction or action")
        return told


def explain(
    consensus: Consensus,
    predictions: Sequence[Prediction],
    *,
    rule: str | Rule | None = None,
    allocations: Mapping[str, float] | None = None,
    trust: Mapping[str, float] | None = None,
    volatility: float | None = None,
    gates: str | Gates | None = "seed",
    models: Mapping[str, ModelSetting] | None = None,
    prior: tuple[float, float, float] = EVEN_PRIOR,
    hindsight: Hindsight | None = None,
) -> Explanation:
    """Explain a consensus by reaching it again with each single vote changed.

    Each voter in turn states each other direction (its probabilities of the two directions exchanged, its
    confidence kept), then abstains (still counted in n). What changes direction or action is a `Pivot`.

    Parameters
    ----------
    consensus
        What came out.
    predictions
        What went in.
    rule
        The rule, as a `Rule` if it had settings of its own; by default the one that the consensus names.
    allocations, trust, volatility, gates, models, prior, hindsight
        What `reach_consensus` was given; hindsight as it was then, such as `Recalled`. Where trust was not
        kept, the weights of the consensus stand in for allocation times trust, which is exact for every rule
        but ``confidence_based`` and ``log_pool``.

    Raises
    ------
    InvalidValue
        The predictions and settings given lead to another consensus: they are not those it was reached with.

    Examples
    --------
    >>> spoken = [Prediction(model=m, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                      probabilities=p) for m, p in (("a", (0.1, 0.2, 0.7)), ("b", (0.1, 0.3, 0.6)))]
    >>> told = explain(reach_consensus(spoken, rule="weighted_voting"), spoken)
    >>> [(p.to, p.direction.name, p.action) for p in told.pivots if p.model == "b"]
    [(<Direction.DOWN: 0>, 'UP', 'HOLD'), (<Direction.FLAT: 1>, 'UP', 'HOLD'), (None, 'UP', 'HOLD')]
    """
    settings = dict(models) if models is not None else {p.model: ModelSetting() for p in predictions}

    def again(said: Sequence[Prediction], taking_part: Mapping[str, ModelSetting]) -> Consensus:
        return reach_consensus(
            said,
            rule=consensus.rule if rule is None else rule,
            allocations=allocations,
            trust=trust,
            volatility=volatility,
            gates=gates,
            models=taking_part,
            prior=prior,
            hindsight=hindsight,
        )

    _check_same(again(predictions, settings), consensus)
    ordered = sorted(predictions, key=lambda p: p.model)
    return Explanation(
        consensus=consensus,
        voices=tuple(_voice(p, consensus, trust or {}) for p in ordered),
        gates=dict(consensus.gates),
        pivots=tuple(_pivots(consensus, ordered, settings, again)),
    )


def _pivots(
    consensus: Consensus,
    predictions: Sequence[Prediction],
    settings: Mapping[str, ModelSetting],
    again: Callable[[Sequence[Prediction], Mapping[str, ModelSetting]], Consensus],
) -> Iterator[Pivot]:
    """Change each single vote in each way, and tell what turned direction or action."""
    before = (consensus.direction, action(consensus))
    for voter in (p for p in predictions if p.model in consensus.weights):
        others = [p for p in predictions if p is not voter]
        for to in chain((d for d in Direction if d is not voter.direction), (None,)):
            if to is None:
                silent = replace(voter, confidence=0.0)
                shy = {**settings, voter.model: ModelSetting(min_confidence=_LEAST)}
                changed = again([*others, silent], shy)
            else:
                changed = again([*others, _turned(voter, to)], settings)
            after = (changed.direction, action(changed))
            if after != before:
                yield Pivot(
                    model=voter.model, to=to, direction=after[0], action=after[1], reason=changed.reason
                )


def _voice(p: Prediction, consensus: Consensus, trust: Mapping[str, float]) -> Voice:
    return Voice(
        model=p.model,
        direction=p.direction,
        confidence=p.confidence,
        probabilities=p.probabilities,
        weight=consensus.weights.get(p.model),
        trust=trust.get(p.model),
    )


def _turned(voter: Prediction, to: Direction) -> Prediction:
    """Let a voter state another direction with the same confidence, and the matching sign of its return."""
    p = list(voter.probabilities)
    p[to], p[voter.direction] = p[voter.direction], p[to]
    turned = replace(
        voter,
        probabilities=(p[0], p[1], p[2]),
        expected_return=abs(voter.expected_return) * (to - Direction.FLAT),
    )
    if turned.direction is to:
        return turned
    # A voter without a most probable direction has nothing to exchange: it becomes a bare signal.
    return replace(turned, probabilities=signal_probabilities(to, max(voter.confidence, 0.34)))


def _check_same(found: Consensus, given: Consensus) -> None:
    figures = [
        (found.p_direction, given.p_direction),
        (found.meta_confidence, given.meta_confidence),
        *zip(found.probabilities, given.probabilities, strict=True),
    ]
    apart = max(abs(a - b) for a, b in figures)
    if (found.direction, found.actionable, found.reason) != (
        given.direction,
        given.actionable,
        given.reason,
    ) or apart > 1e-9:
        raise InvalidValue(
            "explain needs the predictions and settings that the consensus was reached with",
            f"{found.direction.name} {action(found)} {found.reason}".strip()
            + f" instead of {given.direction.name} {action(given)} {given.reason}".rstrip(),
            "give its rule, allocations, trust, volatility, gates, models and hindsight",
        )
