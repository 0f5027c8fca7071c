"""How near an account is to liquidation: maintenance margin of what it holds, beside its equity."""

from collections.abc import Iterable, Mapping

from consilium.domain import Instrument
from consilium.trading.holdings import Holding

LIQUIDATED = 1e9
"""Ratio of an account that owes and has nothing left: beyond every bound, and still a number."""


def maintenance(instrument: Instrument, value: float) -> tuple[float, float]:
    """Return maintenance rate and tier amount of a position of a value.

    Examples
    --------
    >>> maintenance(Instrument(symbol="X", market="perp", tiers=((0.0, 0.004, 0.0), (5e4, 0.005, 50.0))), 6e4)
    (0.005, 50.0)
    """
    rate, amount = instrument.maintenance, 0.0
    for notional, tier_rate, tier_amount in instrument.tiers:
        if value >= notional:
            rate, amount = tier_rate, tier_amount
    return rate, amount


def margin_ratio(holdings: Iterable[Holding], instruments: Mapping[str, Instrument], equity: float) -> float:
    """Return maintenance margin / equity: ``sum max(0, |q| mark rate - amount) / equity``; 1 is liquidation.

    0 where nothing is borrowed, as on spot; LIQUIDATED where something is and no equity is left.

    Parameters
    ----------
    holdings
        Positions with their marks.
    instruments
        Terms by symbol; spot where there are none.
    equity
        Of the account, quote units.

    Examples
    --------
    >>> held = Holding("X", 0)
    >>> held.quantity, held.mark = -2.0, 100.0
    >>> margin_ratio([held], {"X": Instrument(symbol="X", market="perp", maintenance=0.05)}, 25.0)
    0.4
    >>> margin_ratio([held], {}, 25.0)
    0.0
    """
    needed = 0.0
    for holding in holdings:
        value = abs(holding.quantity) * holding.mark
        instrument = instruments.get(holding.symbol)
        rate, amount = (0.0, 0.0) if instrument is None else maintenance(instrument, value)
        needed += max(0.0, value * rate - amount)
    if needed <= 0.0:
        return 0.0
    return min(needed / equity, LIQUIDATED) if equity > 0.0 else LIQUIDATED
