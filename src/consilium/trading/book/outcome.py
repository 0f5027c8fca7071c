"""What came of an account on recorded books, and the law that its cash is the exchange's."""

from collections.abc import Sequence

import numpy as np

from consilium.domain import Fill, InvalidValue, Order, OrderEvent, OrderKind, OrderStatus
from consilium.trading.backtest import BacktestResult
from consilium.trading.book.broker import BookBroker
from consilium.trading.holdings import Trade
from consilium.trading.portfolio import ConservationBroken, Portfolio
from consilium.trading.risk import RiskGate

ENTRIES = (OrderKind.MARKET, OrderKind.LIMIT)


def entry_kind(kind: OrderKind | str) -> OrderKind:
    """Return the kind of entries.

    Raises
    ------
    InvalidValue
        Neither market nor limit.
    """
    found = OrderKind(kind)
    if found not in ENTRIES:
        raise InvalidValue("an entry must be a market or a limit order", found.value, "use one of them")
    return found


def require_equal_cash(portfolio: Portfolio, broker: BookBroker) -> None:
    """Refuse to go on where portfolio and exchange disagree.

    Raises
    ------
    ConservationBroken
        They do.
    """
    if portfolio.cash != broker.cash:
        raise ConservationBroken(
            f"the portfolio's cash must equal the broker's {broker.cash}",
            portfolio.cash,
            "stop trading and reconcile the fills with the venue",
        )


def result_of(
    broker: BookBroker,
    gate: RiskGate,
    portfolio: Portfolio,
    *,
    ts: Sequence[int],
    equity: Sequence[float],
    initial_cash: float,
    orders: Sequence[Order],
    events: Sequence[OrderEvent],
    fills: Sequence[Fill],
    trades: Sequence[Trade],
    bars: int,
) -> BacktestResult:
    """Gather what came of an account.

    Parameters
    ----------
    broker, gate, portfolio
        Of the account, at its end. What the gate refused, what the exchange rejected (but for withdrawals
        that came too late) and trades that passed resting orders are counted together.
    ts, equity
        The value of the account in time.
    initial_cash, orders, events, fills, trades, bars
        As the result has them.
    """
    rejections = gate.refusals.copy()
    for event in events:
        if event.status is OrderStatus.REJECTED and not event.reason.startswith("cancel_of_"):
            rejections[event.reason] += 1
    rejections.update({f"trade_on_{why}": n for why, n in broker.passed_over.items()})
    return BacktestResult(
        ts=np.array(ts, dtype=np.int64),
        equity=np.array(equity, dtype=np.float64),
        initial_cash=initial_cash,
        orders=tuple(orders),
        order_events=tuple(events),
        fills=tuple(fills),
        trades=tuple(trades),
        positions=portfolio.positions(),
        halts=tuple(gate.halts),
        rejections=dict(sorted(rejections.items())),
        stranded=(),
        fees=portfolio.fees,
        traded_value=portfolio.traded_value,
        bars=bars,
    )
