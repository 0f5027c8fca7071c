"""A paper account put together: what a backtest and a running service trade with, so that both fill alike."""

from collections.abc import Mapping

from consilium.domain import Instrument, Policy
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
from consilium.trading.strategy import Strategy


def paper_account(
    cash: float,
    *,
    policy: Policy,
    horizon: int,
    costs: CostModel,
    limits: bool = True,
    notional: float | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    bars_per_day: Mapping[str, float] | None = None,
    keep_trades: bool = False,
) -> TradingService:
    """Make an account whose entries are no larger than its broker would fill.

    Parameters
    ----------
    cash
        Quote units at the beginning, > 0.
    policy, limits
        See `RiskGate`.
    horizon, notional
        Bars that a position lasts, and its value where it is fixed; see `Strategy`.
    costs
        Of the broker; its participation bounds the entries of the gate too.
    instruments, bars_per_day, keep_trades
        See `TradingService`.

    Examples
    --------
    >>> service = paper_account(1e4, policy=Policy(), horizon=4, costs=CostModel(participation=0.001))
    >>> service.gate.participation
    0.001
    """
    return TradingService(
        PaperBroker(cash, costs),
        Portfolio(cash),
        RiskGate(policy, limits=limits, participation=costs.participation),
        Strategy(horizon=horizon, notional=notional),
        instruments=instruments,
        bars_per_day=bars_per_day,
        keep_trades=keep_trades,
    )
