"""How a simulated book behaves."""

from dataclasses import dataclass

from consilium.domain.checks import require_at_least, require_fraction, require_positive
from consilium.domain.errors import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class BookHabits:
    """Tick, sizes, rates and memories of a simulated book; memories count snapshots and fade to 1/e.

    Parameters
    ----------
    tick_size, lot_size
        Steps of price (quote units) and of size (base units), > 0.
    start_price
        First best bid, in quote units.
    move_rate
        Mean probability that the mid moves by whole ticks from one snapshot to the next, in (0, 0.5].
    extra_ticks
        Mean number of ticks beyond the first in such a move (geometric), > 0.
    volatility_swing, volatility_memory
        Standard deviation of the logarithm of that probability, and its memory.
    widen_rate, narrow_rate, widest
        Probability that the spread widens by a tick, that a wide one narrows by a tick, and its largest width
        in ticks.
    depth, depth_noise, depth_memory
        Median size at the touch in base units, standard deviation of the logarithm of a size, and its memory.
    empty_share
        Share of the prices behind the touch that hold no orders, in [0, 0.5].
    flow_memory
        Memory of the order flow.
    pressure, pressure_memory
        Standard deviation of ln(bid size / ask size) at the touch that the flow makes, and how long the sizes
        remember the flow.
    trade_rate, trade_size, trade_noise
        Market orders from one snapshot to the next, their median size as a share of ``depth``, and the
        standard deviation of the logarithm of their size.
    trade_tilt
        How much the flow decides the side of trades, in [0, 1]: P(buy) = (1 + tilt u) / 2.
    sweep_share
        Share of the moves of a touch that are market orders walking the book.
    """

    tick_size: float = 0.01
    lot_size: float = 0.001
    start_price: float = 100.0
    move_rate: float = 0.1
    extra_ticks: float = 0.3
    volatility_swing: float = 0.5
    volatility_memory: float = 600.0
    widen_rate: float = 0.02
    narrow_rate: float = 0.3
    widest: int = 5
    depth: float = 10.0
    depth_noise: float = 0.8
    depth_memory: float = 50.0
    empty_share: float = 0.1
    flow_memory: float = 20.0
    pressure: float = 1.2
    pressure_memory: float = 20.0
    trade_rate: float = 1.0
    trade_size: float = 0.03
    trade_noise: float = 1.2
    trade_tilt: float = 0.7
    sweep_share: float = 0.6

    def __post_init__(self) -> None:
        for name in (
            "tick_size",
            "lot_size",
            "start_price",
            "move_rate",
            "extra_ticks",
            "volatility_memory",
            "depth",
            "depth_memory",
            "flow_memory",
            "pressure_memory",
            "trade_size",
        ):
            require_positive(name, getattr(self, name))
        for name in ("volatility_swing", "depth_noise", "pressure", "trade_rate", "trade_noise"):
            require_at_least(name, getattr(self, name), 0.0)
        for name in ("widen_rate", "narrow_rate", "trade_tilt", "sweep_share"):
            require_fraction(name, getattr(self, name))
        for name, most in (("move_rate", 0.5), ("empty_share", 0.5)):
            if not 0.0 <= getattr(self, name) <= most:
                raise InvalidValue(f"{name} must lie in [0, {most}]", getattr(self, name), f"correct {name}")
        if self.widest < 1:
            raise InvalidValue("widest must be >= 1 tick", self.widest, "use 5")
