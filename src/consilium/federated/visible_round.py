"""A round whose updates the coordinator sees one by one: checked, kept once, merged in the order of ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from consilium.domain import ConsiliumError, InvalidValue, Update
from consilium.federated.aggregators.aggregator import Aggregator
from consilium.federated.rounds import (
    Answered,
    Closed,
    Excluded,
    Floats,
    RoundEffect,
    RoundOutcome,
    RoundPlan,
    Tick,
    Withdrawn,
)

SLACK = 1e-9
"""Relative: what clipping may leave beyond its bound in the last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An update came whose signature was that of its participant.

    Parameters
    ----------
    update
        As it was decoded.
    now
        UTC nanoseconds.
    """

    update: Update
    now: int


Claims = int | tuple[int, ...]
"""Rows that one participant says it has; several where it came back with others, the newest last."""


class VisibleRound:
    """Waits for the updates of all members until the cut-off, and merges those that came.

    Parameters
    ----------
    plan
        What the round is.
    aggregator
        Merges.
    examples
        Rows that members claimed when they joined, and when they came back: another number in an update is a
        lie about size.
    """

    def __init__(self, plan: RoundPlan, aggregator: Aggregator, examples: Mapping[str, Claims]) -> None:
        self.plan, self.aggregator, self.examples = plan, aggregator, examples
        self._kept: dict[str, tuple[str, Floats]] = {}
        self._said: dict[str, Mapping[str, Any]] = {}
        self._excluded: dict[str, str] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._closed

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Members of whom nothing came yet."""
        if self._closed:
            return ()
        return tuple(
            name for name in self.plan.by_id if name not in self._kept and name not in self._excluded
        )

    def settled(self, update: Update) -> bool:
        """Whether an update changes nothing any more: it is there, or its sender counts no more."""
        name = update.participant
        kept = self._kept.get(name)
        return self._closed or name in self._excluded or (kept is not None and kept[0] == _content(update))

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold: the plan. Updates are kept by who carries them, and told again."""
        return {"plan": self.plan.as_dict()}

    def start(self) -> list[RoundEffect]:
        """Nothing to do but to wait."""
        return []

    def handle(self, event: Received | Tick | Withdrawn) -> list[RoundEffect]:
        """Take what happened; return what to do, in order.

        A repeated update gets the same answer and counts once. Another update of the same participant is
        evidence against it, and neither counts.
        """
        if isinstance(event, Tick):
            return self._close() if event.now >= self.plan.ts_cut_off and not self._closed else []
        if isinstance(event, Withdrawn):
            if (
                not self._closed
                and event.participant in self.plan.by_id
                and event.participant not in self._kept
            ):
                self._excluded.setdefault(event.participant, event.reason)
            return self._close_if_all()
        name = event.update.participant
        try:
            self._take(event)
        except ConsiliumError as refused:
            return [Answered(participant=name, accepted=False, reason=str(refused)), *self._close_if_all()]
        return [Answered(participant=name, accepted=True), *self._close_if_all()]

    def _take(self, event: Received) -> None:
        update, plan = event.update, self.plan
        member = plan.member(update.participant)
        name, content = member.participant, _content(update)
        kept = self._kept.get(name)
        if kept is not None and kept[0] == content:
            return
        if self._closed or event.now >= plan.ts_cut_off:
            raise InvalidValue(
                f"updates of round {plan.number} must come while it is open",
                f"one of {name} {(event.now - plan.ts_opened) / 1e9:.3f} s after its opening",
                "wait for the next round",
            )
        if name in self._excluded:
            raise InvalidValue(
                f"{name} must be part of round {plan.number}", self._excluded[name], "wait for the next round"
            )
        try:
            self._require_first(name, first=kept is None)
            self._require(update)
        except InvalidValue as refused:
            self._kept.pop(name, None)
            self._excluded[name] = str(refused)
            raise
        self._kept[name] = content, np.array(update.delta, dtype=np.float64)
        self._said[name] = _claims(update)

    def _require_first(self, name: str, *, first: bool) -> None:
        if not first:
            raise InvalidValue(
                f"{name} may send 1 update in round {self.plan.number}",
                "a second that differs",
                "send the same bytes again",
            )

    def _require(self, update: Update) -> None:
        plan, member = self.plan, self.plan.by_id[update.participant]
        if update.round != plan.number:
            raise InvalidValue(
                f"round must be {plan.number}", update.round, "take part in the round that is open"
            )
        if update.base_version != member.base_version:
            raise InvalidValue(
                f"base_version must be {member.base_version[:16]}",
                f"{update.base_version[:16]!r}",
                "train from the model of this round",
            )
        claimed = self.examples.get(update.participant)
        check_update(update, dimension=plan.dimension, clip=plan.clip, claimed=claimed)

    def _close_if_all(self) -> list[RoundEffect]:
        if self._closed or len(self._kept) + len(self._excluded) < len(self.plan.members):
            return []
        return self._close()

    def _close(self) -> list[RoundEffect]:
        self._closed = True
        plan = self.plan
        for name in plan.by_id:
            if name not in self._kept:
                self._excluded.setdefault(name, f"nothing came before the cut-off of round {plan.number}")
        survivors = tuple(sorted(self._kept))
        failed, mean = "", None
        if len(survivors) < plan.least:
            failed = f"a round needs >= {plan.least} updates; got {len(survivors)}: wait longer or ask more"
        else:
            updates = np.stack([self._kept[name][1] * _fade(plan, name) for name in survivors])
            weights = np.array([float(plan.by_id[name].weight) for name in survivors])
            mean = self.aggregator(updates, ids=survivors, weights=weights)
        excluded = (Excluded(participant=name, reason=why) for name, why in sorted(self._excluded.items()))
        outcome = RoundOutcome(
            plan=plan,
            mean=mean,
            survivors=survivors,
            excluded=tuple(excluded),
            failed=failed,
            claimed={name: self._said[name] for name in survivors},
        )
        self._kept = {name: (content, np.empty(0)) for name, (content, _) in self._kept.items()}
        return [Closed(outcome=outcome)]


def check_update(update: Update, *, dimension: int, clip: float, claimed: Claims | None) -> None:
    """Refuse an update that no honest participant sends.

    Parameters
    ----------
    update
        As it was decoded.
    dimension, clip
        Numbers that it must have, and their largest L2 norm.
    claimed
        Rows that its participant joined with, or came back with; None where it claimed nothing.

    Raises
    ------
    InvalidValue
        Another dimension, numbers that are not finite, a norm above the clip, other rows.
    """
    if update.delta.shape != (dimension,):
        raise InvalidValue(f"delta must have shape ({dimension},)", update.delta.shape, "send every number")
    wrong = np.flatnonzero(~np.isfinite(update.delta))
    if len(wrong):
        raise InvalidValue(
            "delta must be finite",
            f"{update.delta[wrong[0]]} at {wrong[0]} and {len(wrong) - 1} more",
            "lower the learning rate, or leave this round out",
        )
    norm = length(update.delta)
    if norm > clip * (1.0 + SLACK):
        raise InvalidValue(f"the norm of delta must be <= {clip:g}", f"{norm:g}", "clip it")
    claims = (claimed,) if isinstance(claimed, int) else claimed
    if claims is not None and update.num_examples not in claims:
        raise InvalidValue(
            f"num_examples of {update.participant} must be the {claims[-1]} that it joined with",
            update.num_examples,
            "join anew with the rows that there are; they weigh nothing",
        )


def same_content(one: Update, other: Update) -> bool:
    """Whether two updates say the same, whatever their figures about themselves."""
    return _content(one) == _content(other)


def length(delta: Floats) -> float:
    """Return the L2 norm of finite numbers, however large: the largest is taken out first.

    Examples
    --------
    >>> length(np.array([0.0, 2e200]))
    2e+200
    """
    largest = float(np.abs(delta).max(initial=0.0))
    return largest * float(np.linalg.norm(delta / largest)) if largest > 0.0 else 0.0


def _fade(plan: RoundPlan, name: str) -> float:
    staleness = plan.by_id[name].staleness
    return float((1.0 + staleness) ** -plan.exponent) if staleness else 1.0


def _content(update: Update) -> str:
    said = f"{update.round}\x1f{update.base_version}\x1f{update.num_examples}\x1f{update.delta.shape}\x1f"
    return sha256(said.encode() + np.ascontiguousarray(update.delta, dtype="<f8").tobytes()).hexdigest()


def _claims(update: Update) -> dict[str, Any]:
    return {
        "examples": update.num_examples,
        "performance": update.local_performance,
        "seconds": update.seconds,
    }
