"""Reductions: what must be sold for the positions to be inside the limits again, the largest first."""

from collections.abc import Collection, Sequence

from consilium.domain import Policy
from consilium.trading.holdings import Holding
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import SLACK, at_stake


def reductions(portfolio: Portfolio, policy: Policy, *, gone: Collection[str] = ()) -> dict[str, float]:
    """Return the quantities to sell, by symbol, in base units.

    The largest positions are closed until their number fits. Each that is left is cut to its value and its
    risk at the stop; then the largest are cut until leverage, exposure and the sum of risks fit too.

    Parameters
    ----------
    portfolio
        Valued at the newest marks; its stranded positions cannot be sold and are left out.
    policy
        The limits.
    gone
        Symbols whose positions are being sold already.

    Examples
    --------
    >>> from consilium.domain import Fill
    >>> book = Portfolio(10_000.0)
    >>> for symbol, size in (("A", 10.0), ("B", 20.0)):
    ...     bought = Fill(order_id=symbol, price=100.0, quantity=size, fee=0.0, ts_event=0)
    ...     _ = book.apply(symbol, +1, bought)
    >>> reductions(book, Policy(max_positions=1, max_risk_per_trade=0.05, max_daily_risk=1.0))
    {'B': 20.0, 'A': 5.0}
    """
    held = sorted(
        (h for h in portfolio.holdings.values() if not h.stranded and h.symbol not in gone),
        key=lambda holding: (-_value(holding), holding.symbol),
    )
    surplus = max(len(held) - int(policy.max_positions), 0)
    keep = {holding.symbol: abs(holding.quantity) for holding in held}
    for holding in held[:surplus]:
        keep[holding.symbol] = 0.0
    left = held[surplus:]
    for holding in left:
        _cap(keep, holding, _value(holding), policy.max_position_usd)
        _cap(keep, holding, at_stake(holding), policy.max_risk_per_trade * portfolio.capital)
    equity = max(portfolio.equity, 0.0)
    _fit(keep, left, {h.symbol: _value(h) for h in left}, policy.max_leverage * equity)
    margins = {h.symbol: portfolio.margin_for(_value(h)) for h in left}
    _fit(keep, left, margins, policy.max_exposure * equity)
    _fit(keep, left, {h.symbol: at_stake(h) for h in left}, policy.max_daily_risk * equity)
    sold = {holding.symbol: abs(holding.quantity) - keep[holding.symbol] for holding in held}
    return {symbol: quantity for symbol, quantity in sold.items() if quantity > 0.0}


def _value(holding: Holding) -> float:
    return abs(holding.quantity) * holding.mark


def _cap(keep: dict[str, float], holding: Holding, whole: float, limit: float) -> None:
    """Keep no more of a position than a limit allows; ``whole`` is what it measures now."""
    if whole > limit * SLACK:
        keep[holding.symbol] = min(keep[holding.symbol], abs(holding.quantity) * limit / whole)


def _fit(keep: dict[str, float], held: Sequence[Holding], whole: dict[str, float], limit: float) -> None:
    """Cut the largest positions until what they measure together is inside a limit."""
    shares = {h.symbol: keep[h.symbol] / abs(h.quantity) for h in held}
    surplus = sum(whole[symbol] * share for symbol, share in shares.items()) - limit
    if surplus <= limit * (SLACK - 1.0):
        return
    for holding in held:
        measured = whole[holding.symbol] * shares[holding.symbol]
        cut = min(measured, surplus)
        if cut > 0.0:
            keep[holding.symbol] *= 1.0 - cut / measured
            surplus -= cut
        if surplus <= 0.0:
            return
