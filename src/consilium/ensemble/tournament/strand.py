"""Variants whose past is one and the same, and what they said."""

from array import array
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Direction
from consilium.ensemble.hindsight import Figures, Hindsight
from consilium.ensemble.tournament.round import Round
from consilium.ensemble.voting import Rule, Verdict

Said = Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """What one variant said in each round, in their order.

    Parameters
    ----------
    probabilities
        Shape (N, 3), pooled (down, flat, up).
    direction
        Shape (N,), DOWN 0, FLAT 1, UP 2.
    actionable
        By the name of the gates, shape (N,).
    """

    probabilities: NDArray[np.float64]
    direction: NDArray[np.int8]
    actionable: dict[str, NDArray[np.bool_]]


class Seat:
    """One variant: its rule, the place of its trust, and what it said last."""

    def __init__(self, *, name: tuple[str, str], rule: Rule, source: int, presets: Sequence[str]) -> None:
        self.name, self.rule, self.source = name, rule, source
        self.presets = tuple(presets)
        self.acted = bytearray()
        self.verdict: Said = None
        self.figures: Figures | None = None

    def actionable(self) -> dict[str, NDArray[np.bool_]]:
        """Return whether it acted in each round, by the name of the gates."""
        columns = np.frombuffer(bytes(self.acted), dtype=np.bool_).reshape(-1, len(self.presets)).T
        return dict(zip(self.presets, np.ascontiguousarray(columns), strict=True))


class Strand:
    """Seats that hindsight cannot tell apart so far: all that it learned from was the same for them.

    As soon as a round differs for one of them, it goes on in a strand of its own with a copy of what was
    learned.
    """

    def __init__(
        self,
        seats: list[Seat],
        hindsight: Hindsight,
        probabilities: Iterable[float] = (),
        direction: Iterable[int] = (),
    ) -> None:
        self.seats, self.hindsight = seats, hindsight
        self._probabilities = array("d", probabilities)
        self._direction = bytearray(direction)

    def decide(self, now: Round) -> list[Self]:
        """Decide a round for every seat; return the strands of those that leave this one."""
        said = [now.verdict(seat.rule, seat.source) for seat in self.seats]
        lead = said[0]
        born: list[Self] = []
        for verdict in said:
            if verdict is not lead and not _same(verdict, lead):
                born = self._part(said)
                said = [seat.verdict for seat in self.seats]
                break
        for strand in born:
            strand.settle(now, [seat.verdict for seat in strand.seats])
        self.settle(now, said)
        return born

    def _part(self, said: list[Said]) -> list[Self]:
        groups: list[list[Seat]] = []
        for seat, verdict in zip(self.seats, said, strict=True):
            seat.verdict = verdict
            for group in groups:
                if _same(verdict, group[0].verdict):
                    group.append(seat)
                    break
            else:
                groups.append([seat])
        self.seats = groups[0]
        return [self._leaving(group) for group in groups[1:]]

    def _leaving(self, seats: list[Seat]) -> Self:
        return type(self)(seats, deepcopy(self.hindsight), self._probabilities, self._direction)

    def settle(self, now: Round, said: list[Said]) -> None:
        """Note what the seats said, and whether they act on it."""
        lead = said[0]
        if lead is None:
            self._keep(now.prior, Direction.FLAT)
            for seat in self.seats:
                seat.verdict = None
                seat.acted.extend(now.idle)
            return
        hindsight, symbol = self.hindsight, now.key.symbol
        figures = hindsight.figures(symbol, lead, now.volatility)
        gates = hindsight.gates(symbol, lead, figures.said)
        last: Said = None
        acted: Sequence[bool] = ()
        for seat, verdict in zip(self.seats, said, strict=True):
            seat.verdict, seat.figures = verdict, figures
            # One object is one rule's; what it leads to is found once.
            if verdict is not last and verdict is not None:
                last, acted = (
                    verdict,
                    now.acts(seat.rule, verdict, figures, gates, now.ballots[seat.source].votes),
                )
            seat.acted.extend(acted)
        hindsight.wait(now.key, lead.direction, lead.probabilities, figures.situation, figures.said)
        self._keep(lead.probabilities, lead.direction)

    def _keep(self, probabilities: tuple[float, float, float], direction: Direction) -> None:
        self._probabilities.fromlist([*probabilities])
        self._direction.append(direction)

    def played(self) -> dict[tuple[str, str], Played]:
        """Return what each seat said."""
        probabilities = np.array(memoryview(self._probabilities)).reshape(-1, 3)
        direction = np.frombuffer(bytes(self._direction), dtype=np.int8)
        return {
            seat.name: Played(probabilities=probabilities, direction=direction, actionable=seat.actionable())
            for seat in self.seats
        }


def _same(one: Said, other: Said) -> bool:
    """Whether hindsight sees no difference."""
    if one is None or other is None:
        return one is other
    return (
        one.direction is other.direction
        and one.probabilities == other.probabilities
        and one.agreement == other.agreement
        and one.support == other.support
    )
