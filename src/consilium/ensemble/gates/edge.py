"""The gates of a trader: the expected gain must pay for the costs, and the odds must beat break-even."""

from dataclasses import dataclass
from typing import ClassVar

from consilium.domain import Direction, InvalidValue
from consilium.ensemble.gates import NOT_EVALUATED, Facts, Gates
from consilium.ensemble.voting import PASS, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeGates(Gates):
    """Edge: ``sign(direction) (p_up E[r|up] + p_down E[r|down]) > edge_multiple x cost``.

    Without the two means the pooled expected return of the voters stands in for the bracket.
    Break-even: ``meta_confidence > (cost + L) / (W + L)``; without W and L it is not evaluated.

    Parameters
    ----------
    mean_up, mean_down
        Mean log returns of the classes in the training part; both or neither.
    round_trip_cost
        Fees, spread and impact of entry and exit, a fraction of the notional, >= 0, default 0.002.
    edge_multiple
        How many round trips the edge must pay for, >= 0, default 1.5.
    mean_gain, mean_loss
        W and L: mean gain and mean loss before cost as magnitudes, W > 0 and L >= 0; both or neither.

    Raises
    ------
    InvalidValue
        One of a pair without the other, or a figure outside its bound.

    Examples
    --------
    >>> gates = EdgeGates(mean_up=0.01, mean_down=-0.01, mean_gain=0.01, mean_loss=0.01)
    >>> round(gates.break_even, 3)
    0.6

    References
    ----------
    Lopez de Prado (2018), ch. 3: whether to act on a forecast is a bet of its own.
    """

    name: ClassVar[str] = "edge"
    signed: ClassVar[tuple[str, ...]] = ("mean_up", "mean_down")
    mean_up: float | None = None
    mean_down: float | None = None
    round_trip_cost: float = 0.002
    edge_multiple: float = 1.5
    mean_gain: float | None = None
    mean_loss: float | None = None

    def __post_init__(self) -> None:
        # Slotted dataclasses are made anew, so super() without arguments would look at a class that is gone.
        Gates.__post_init__(self)
        for one, other in (("mean_up", "mean_down"), ("mean_gain", "mean_loss")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise InvalidValue(
                    f"{one} and {other} must come together",
                    f"{getattr(self, one)} and {getattr(self, other)}",
                    "give both, or neither",
                )
        if self.mean_gain == 0.0:
            raise InvalidValue("mean_gain must be > 0", self.mean_gain, "leave both means out if unknown")

    @property
    def break_even(self) -> float | None:
        """Odds at which a bet pays for its cost: ``(cost + L) / (W + L)``; None without W and L."""
        if self.mean_gain is None or self.mean_loss is None:
            return None
        return (self.round_trip_cost + self.mean_loss) / (self.mean_gain + self.mean_loss)

    def verdicts(self, verdict: Verdict, facts: Facts) -> dict[str, str]:
        """Judge edge and odds; a figure equal to its threshold does not pass."""
        edge, needed = self._edge(verdict, facts), self.edge_multiple * self.round_trip_cost
        break_even = self.break_even
        if break_even is None:
            odds = f"{NOT_EVALUATED}: no mean_gain and mean_loss given"
        elif facts.meta_confidence > break_even:
            odds = PASS
        else:
            odds = f"below_break_even: odds {facts.meta_confidence:.3f}, needs more than {break_even:.3f}"
        return {
            "edge": PASS if edge > needed else f"below_edge: {edge:.5f}, needs more than {needed:.5f}",
            "break_even": odds,
        }

    def _edge(self, verdict: Verdict, facts: Facts) -> float:
        sign = verdict.direction - Direction.FLAT
        if self.mean_up is None or self.mean_down is None:
            return sign * facts.expected_return
        p_down, _, p_up = verdict.probabilities
        return sign * (p_up * self.mean_up + p_down * self.mean_down)
