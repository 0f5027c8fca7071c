"""The secrets of owners from released shares, although some of these lie, and some owners do."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import Final

from consilium.domain.errors import InvalidValue
from consilium.federated.decoding import Decoded, decode
from consilium.federated.shamir import PRIME, as_bytes, combine

MOST_TRIED: Final = 512
"""Sets of t shares that are tried one by one."""

Right = Callable[[bytes], bool]
"""Whether a secret is the one that was committed to."""


@dataclass(slots=True)
class Opening:
    """Secrets by owner, and whose fault it is where shares do not fit.

    A wrong share is the fault of its holder, or of the owner that dealt it so: nobody sees which. Each owner
    has less than ``2 t - k`` colluding neighbours (`parameters`), b = max(1, 2 t - k - 1) at
    most. Named are

    - a holder whose shares of more than b owners are wrong, and of most of those whose shares it released,
    - an owner of whose shares more than b are wrong beside those of named holders,
    - an owner whose shares agree on another secret than it committed to, or fit none, where b wrong ones
      do not explain it.

    Other wrong shares are worked around and blame nobody.

    Parameters
    ----------
    threshold, neighbours
        t and k of the terms.
    shares_of
        Released shares of an owner by point.
    """

    threshold: int
    neighbours: int
    shares_of: Callable[[int], Mapping[int, bytes]] = field(repr=False)
    secrets: dict[int, bytes] = field(default_factory=dict, repr=False)
    faults: dict[int, str] = field(default_factory=dict)
    """By index, why it is at fault."""
    shut: list[int] = field(default_factory=list)
    """Whose secret does not come back."""
    _wrong: dict[int, frozenset[int]] = field(default_factory=dict)
    """Points of wrong shares by owner, where all were looked at."""
    _beside: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Points that gave an owner's secret, where they are not the first."""
    _suspect: Counter[int] = field(default_factory=Counter)
    """By point: of how many owners its share was seen to be wrong."""

    @property
    def bearable(self) -> int:
        """b: most wrong shares of one owner that its neighbours are blamed for."""
        return max(1, 2 * self.threshold - self.neighbours - 1)

    def open(self, wanted: Mapping[int, Right]) -> None:
        """Open secrets of owners by index."""
        closed = [i for i, right in wanted.items() if not self._open(i, right)]
        # Those who lied about others may be the ones who stand in the way.
        self.shut = [
            i for i in closed if not (self._suspect and self._open(i, wanted[i], frozenset(self._suspect)))
        ]
        for point in sorted(self._suspect):
            self._judge_holder(point)
        for index, wrong in self._wrong.items():
            left = [x for x in wrong if x - 1 not in self.faults]
            if len(left) > self.bearable:
                bound = f"at most {self.bearable} of the shares that an owner dealt may be wrong"
                self._at_fault(index, bound, str(len(left)))
        for index in self.shut:
            self._judge_owner(index)

    def _shares(self, index: int) -> dict[int, int]:
        # A number that is none of the field is a wrong share like any other.
        return {x: int.from_bytes(share, "big") % PRIME for x, share in self.shares_of(index).items()}

    def _open(self, index: int, right: Right, without: frozenset[int] = frozenset()) -> bool:
        """Find the secret that fits what was committed to."""
        t, known = self.threshold, self._shares(index)
        if self._suspect:
            known = {x: share for x, share in known.items() if x not in without}
        if len(known) < t:
            return False
        # Whom nobody doubts comes first.
        chosen = tuple(sorted(known, key=lambda x: (self._suspect[x], x))[:t]) if self._suspect else None
        first = as_bytes(combine(known if chosen is None else {x: known[x] for x in chosen}, t))
        if right(first):
            self.secrets[index] = first
            if chosen is not None:
                self._beside[index] = chosen
            return True
        for found in self._candidates(known):
            if right(as_bytes(found.secret)):
                self.secrets[index] = as_bytes(found.secret)
                self._wrong[index] = found.wrong
                self._suspect.update(found.wrong)
                return True
        return False

    def _candidates(self, known: Mapping[int, int]) -> Iterator[Decoded]:
        """Yield what an owner may have shared, the likeliest first."""
        t = self.threshold
        found = decode(known, t)
        if found is not None:
            yield found
            if not found.wrong:
                # Any t of them give the same.
                return
        for chosen in _sets(sorted(known), t):
            secret = combine({x: known[x] for x in chosen}, t)
            yield Decoded(secret, _off(known, chosen, secret, t))

    def _judge_holder(self, point: int) -> None:
        """Name a holder whose shares of more than b owners are wrong, and of most."""
        held = [i for i in self.secrets if point in self.shares_of(i)]
        least = max(self.bearable, len(held) // 2) + 1
        unseen = [i for i in held if i not in self._wrong]
        count = self._suspect[point]
        for left, index in zip(range(len(unseen), 0, -1), unseen, strict=True):
            if count >= least or count + left < least:
                break
            count += self._lies(index, point)
        if count >= least:
            bound = f"of at most {least - 1} owners may the shares that one releases be wrong"
            self._at_fault(point - 1, bound, f"{count} or more of {len(held)}")

    def _lies(self, index: int, point: int) -> bool:
        """Whether a share is off the polynomial that gave its owner's secret."""
        known, t = self._shares(index), self.threshold
        chosen = self._beside.get(index) or tuple(sorted(known)[:t])
        if point in chosen:
            return False
        secret = int.from_bytes(self.secrets[index], "big")
        return bool(_off({x: known[x] for x in (*chosen, point)}, chosen, secret, t))

    def _judge_owner(self, index: int) -> None:
        """Name an owner whose secret does not come back, where b wrong shares do not explain it."""
        known = {x: share for x, share in self._shares(index).items() if x - 1 not in self.faults}
        n, t, most = len(known), self.threshold, self.bearable
        if n <= t:
            return
        found = decode(known, t)
        if found is None:
            looked = n - t if comb(n, t) <= MOST_TRIED else (n - t) // 2
            if looked >= most:
                bound = f"all but {most} of the shares that an owner dealt must fit its commitment"
                self._at_fault(index, bound, f"no {t} of {n} do")
        elif n - len(found.wrong) >= t + min(most, n - t):
            bound = "an owner must share the secret that it committed to"
            self._at_fault(index, bound, f"{n - len(found.wrong)} of {n} shares give another")

    def _at_fault(self, index: int, bound: str, value: str) -> None:
        why = InvalidValue(bound, value, "the rounds that follow go on without it")
        self.faults.setdefault(index, str(why))


def _sets(points: list[int], threshold: int) -> Iterator[tuple[int, ...]]:
    """Yield sets of points to try: all where they are few, else those of neighbouring points."""
    if comb(len(points), threshold) <= MOST_TRIED:
        yield from combinations(points, threshold)
        return
    for start in range(1, len(points)):
        yield tuple(sorted((points[start:] + points[:start])[:threshold]))


def _off(known: Mapping[int, int], chosen: Collection[int], secret: int, threshold: int) -> frozenset[int]:
    """Return the points whose share does not lie on the polynomial of the chosen ones."""
    beside = sorted(chosen)[:-1]
    base = {x: known[x] for x in beside}
    return frozenset(
        x for x in known if x not in chosen and combine({**base, x: known[x]}, threshold) != secret
    )
