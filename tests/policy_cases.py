"""A floor that trades three symbols under a policy, for the tests of policies in force."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from consilium.domain import HOUR_NS, Direction, Instrument, Order, OrderEvent, OrderKind, OrderStatus, Policy
from consilium.trading.broker import PaperBroker
from consilium.trading.causes import cause_of
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
from consilium.trading.strategy import Strategy
from trading_bars import QUIET, Row, consensus, warmed

UP, DOWN = Direction.UP, Direction.DOWN
PLAIN = CostModel(half_spread=0.0, impact_coefficient=0.0, fee_scale=0.0)
LIVE = Policy(max_position_usd=2_000.0)
SHADOW = replace(LIVE, mode="SHADOW", entry=False)
SYMBOLS = ("AAA", "BBB", "CCC")


class Floor:
    """A service that trades some symbols, hour by hour."""

    def __init__(self, policy: Policy = LIVE, *, horizon: int = 50, lot: float = 0.0) -> None:
        self.service = TradingService(
            PaperBroker(10_000.0, PLAIN),
            Portfolio(10_000.0),
            RiskGate(policy),
            Strategy(horizon=horizon),
            instruments={s: Instrument(symbol=s, lot_size=lot) for s in SYMBOLS},
        )
        self.hour = 0
        for _ in range(20):
            self.close()

    def close(
        self, moves: Mapping[str, Direction] | None = None, rows: Mapping[str, Row] | None = None
    ) -> list[object]:
        """Close a bar of all symbols, hear consensuses, end the instant."""
        heard: list[object] = []
        self.hour += 1
        for symbol in SYMBOLS:
            bar = warmed([(rows or {}).get(symbol, QUIET)], symbol=symbol).candle(20)
            ts = self.hour * HOUR_NS
            heard += self.service.handle(replace(bar, ts_open=ts - HOUR_NS, ts_close=ts))
        for symbol, move in (moves or {}).items():
            heard += self.service.handle(consensus(symbol, self.hour * HOUR_NS, move))
        return [*heard, *self.service.finish()]

    def hold(self, *symbols: str) -> "Floor":
        self.close(dict.fromkeys(symbols, UP))
        self.close()
        assert sorted(self.service.portfolio.holdings) == sorted(symbols)
        return self

    def put(self, policy: Policy) -> list[object]:
        return list(self.service.handle(policy))

    @property
    def open(self) -> list[Order]:
        return list(self.service.broker.open_orders().values())

    @property
    def stops(self) -> list[str]:
        return sorted(order.symbol for order in self.open if order.kind is OrderKind.STOP)

    @property
    def held(self) -> dict[str, float]:
        return {symbol: holding.quantity for symbol, holding in self.service.portfolio.holdings.items()}


def sent(heard: Iterable[object]) -> list[tuple[str, str]]:
    return [(cause_of(order), order.symbol) for order in heard if isinstance(order, Order)]


def cancelled(heard: Iterable[object]) -> list[str]:
    return [e.reason for e in heard if isinstance(e, OrderEvent) and e.status is OrderStatus.CANCELLED]
