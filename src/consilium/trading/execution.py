"""The execution model: at which price and cost an order is filled, and how much of it."""

from dataclasses import dataclass, replace
from math import ceil, floor, sqrt

from consilium.domain import Instrument, InvalidValue
from consilium.domain.checks import require_at_least, require_fraction, require_positive

MAX_SLIPPAGE = 0.5
"""No fill is worse than half the price away: beyond it the square-root law says nothing."""

ROUNDING = 1e-9
"""Share of a step that rounding forgives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """What trading costs beside the instrument's fees.

    Parameters
    ----------
    half_spread
        Half the spread as a fraction of the price; default .0001.
    impact_coefficient
        Factor of the square-root impact ``sigma_day sqrt(Q / V_day)``; default 1.
    participation
        Share of a bar's volume that may be ours, in (0, 1]; default .01.
    fee_scale
        Factor on the instrument's fees; default 1.

    Examples
    --------
    >>> CostModel().scaled(2.0).half_spread
    0.0002
    """

    half_spread: float = 0.0001
    impact_coefficient: float = 1.0
    participation: float = 0.01
    fee_scale: float = 1.0

    def __post_init__(self) -> None:
        require_fraction("half_spread", self.half_spread)
        require_at_least("impact_coefficient", self.impact_coefficient, 0.0)
        require_fraction("participation", self.participation)
        require_positive("participation", self.participation)
        require_at_least("fee_scale", self.fee_scale, 0.0)

    def scaled(self, factor: float) -> "CostModel":
        """Return the same model with spread, impact and fees multiplied; participation stays."""
        require_at_least("factor", factor, 0.0)
        return replace(
            self,
            half_spread=self.half_spread * factor,
            impact_coefficient=self.impact_coefficient * factor,
            fee_scale=self.fee_scale * factor,
        )


def round_trip_cost(costs: CostModel, instrument: Instrument | None = None) -> float:
    """Return what buying and selling again costs at least: ``2 (taker fee + half spread)``, a fraction.

    Impact is left out: it depends on the size, which is not known when a gate asks.

    Parameters
    ----------
    costs
        Spread and scale of the fees.
    instrument
        Its taker fee is used; .001 if not given.

    Examples
    --------
    >>> round_trip_cost(CostModel())
    0.0022
    """
    fee = 0.001 if instrument is None else instrument.taker_fee
    return 2.0 * (fee * costs.fee_scale + costs.half_spread)


def impact(quantity: float, sigma_day: float, volume_day: float, coefficient: float = 1.0) -> float:
    """Return the price impact as a fraction, ``c sigma_day sqrt(Q / V_day)``.

    Parameters
    ----------
    quantity, volume_day
        Ours, and what a day trades, in base units.
    sigma_day
        Standard deviation of daily log returns.
    coefficient
        c, of order one.

    Raises
    ------
    InvalidValue
        A day without volume has no impact law.

    References
    ----------
    Almgren, Thum, Hauptmann and Li 2005; Toth et al. 2011, eq. 1.

    Examples
    --------
    >>> impact(1.0, 0.04, 10_000.0)
    0.0004
    """
    if volume_day <= 0.0:
        raise InvalidValue("volume_day must be > 0", volume_day, "do not trade where nothing is traded")
    return coefficient * sigma_day * sqrt(quantity / volume_day)


def taker_price(sign: int, price: float, slippage: float, tick_size: float = 0.0) -> float:
    """Return the price paid when taking liquidity: moved against us, rounded to the tick against us.

    Parameters
    ----------
    sign
        +1 for BUY, -1 for SELL.
    price
        Before costs, in quote units.
    slippage
        Half spread and impact together, a fraction; at most ``MAX_SLIPPAGE`` is used.
    tick_size
        Smallest step of price, 0 means unrounded.

    Examples
    --------
    >>> taker_price(+1, 100.0, 0.0005), taker_price(-1, 100.0, 0.0005, tick_size=0.1)
    (100.05, 99.9)
    """
    moved = price * (1.0 + sign * min(slippage, MAX_SLIPPAGE))
    return round_price(moved, tick_size, up=sign > 0) if tick_size > 0.0 else moved


def round_price(price: float, tick_size: float, *, up: bool) -> float:
    """Round a price to the tick, up or down; never to 0.

    Examples
    --------
    >>> round_price(100.07, 0.05, up=False), round_price(100.07, 0.05, up=True)
    (100.05, 100.1)
    """
    if tick_size <= 0.0:
        return price
    steps = ceil(price / tick_size - ROUNDING) if up else floor(price / tick_size + ROUNDING)
    return round(max(steps, 1) * tick_size, 12)


def floor_quantity(quantity: float, lot_size: float) -> float:
    """Cut a quantity down to whole lots; 0 if it is less than one.

    Examples
    --------
    >>> floor_quantity(1.2399, 0.01), floor_quantity(1.2399, 0.0)
    (1.23, 1.2399)
    """
    if lot_size <= 0.0:
        return quantity
    return round(floor(quantity / lot_size + ROUNDING) * lot_size, 12)
