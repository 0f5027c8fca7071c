"""Orders, fills, positions, and what they are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consilium.domain.checks import require_at_least, require_finite, require_name, require_positive
from consilium.domain.errors import InvalidValue


class Side(StrEnum):
    """Side of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderKind(StrEnum):
    """How an order meets the market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class OrderStatus(StrEnum):
    """What an order event says."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Liquidity(StrEnum):
    """Whether a fill gave or took liquidity."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A wish to trade.

    Parameters
    ----------
    quantity
        Base units, > 0.
    limit_price, stop_price
        Quote units; a limit order needs the first, a stop order the second.
    tif
        Time in force: GTC, IOC, GTD or DAY.
    reduce_only
        May only make a position smaller.
    cause_id
        What led to it: a consensus, a decision, or an operator's command.
    """

    order_id: str
    client_id: str = ""
    symbol: str
    venue: str = ""
    account: str = "paper"
    side: Side
    kind: OrderKind = OrderKind.MARKET
    quantity: float
    limit_price: float | None = None
    stop_price: float | None = None
    tif: str = "GTC"
    reduce_only: bool = False
    ts_event: int
    cause_id: str = ""

    def __post_init__(self) -> None:
        require_name("order_id", self.order_id)
        require_name("symbol", self.symbol)
        require_positive("quantity", self.quantity)
        object.__setattr__(self, "side", Side(self.side))
        object.__setattr__(self, "kind", OrderKind(self.kind))
        if self.kind is OrderKind.LIMIT and self.limit_price is None:
            raise InvalidValue("a limit order needs a limit_price", None, "give the price in quote units")
        if self.kind is OrderKind.STOP and self.stop_price is None:
            raise InvalidValue("a stop order needs a stop_price", None, "give the price in quote units")
        if self.limit_price is not None:
            require_positive("limit_price", self.limit_price)
        if self.stop_price is not None:
            require_positive("stop_price", self.stop_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """What became of an order without a trade; ``reason`` says why it was not accepted or is gone."""

    order_id: str
    status: OrderStatus
    reason: str = ""
    ts_event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A trade of ours: quantity > 0 in base units, price and fee in quote units (a rebate is < 0)."""

    order_id: str
    price: float
    quantity: float
    fee: float
    liquidity: Liquidity = Liquidity.TAKER
    ts_event: int

    def __post_init__(self) -> None:
        require_name("order_id", self.order_id)
        require_positive("price", self.price)
        require_positive("quantity", self.quantity)
        require_finite("fee", self.fee)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held: quantity in base units (short < 0), entry price, margin, protective stop."""

    symbol: str
    quantity: float
    entry_price: float
    margin: float = 0.0
    stop: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioSnapshot:
    """What an account is worth at one instant; money in quote units, ratios as fractions.

    Parameters
    ----------
    nav
        Unitised value: deposits and transfers change units, not nav.
    drawdown, max_drawdown
        Now, from the running peak; and its maximum over 30 days. Both >= 0.
    exposure, leverage
        Initial margin / equity; gross notional / equity.
    win_rate, sharpe
        None while there are too few trades or days to say.
    """

    ts_event: int
    equity: float
    nav: float
    cash: float
    locked: float = 0.0
    reserve: float = 0.0
    positions: Mapping[str, Position] = field(default_factory=dict)
    drawdown: float = 0.0
    max_drawdown: float = 0.0
    exposure: float = 0.0
    leverage: float = 0.0
    realized_pnl_today: float = 0.0
    win_rate: float | None = None
    sharpe: float | None = None
    winning_days: int = 0
    losing_days: int = 0
    consecutive_losses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShadowed:
    """An order that would have been sent, and the mode in which it was not."""

    order: Order
    mode: str
    ts_event: int

    def __post_init__(self) -> None:
        require_name("mode", self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitSplit:
    """Realised profit above the last high, and where it went.

    Parameters
    ----------
    profit
        Quote units, > 0; the sum of the three parts.
    locked, reserve, reinvested
        What was locked, what was put into reserve, and what stays to be traded with.
    high
        Realised gains, up to which all profit is split now.
    """

    profit: float
    locked: float
    reserve: float
    reinvested: float
    high: float
    ts_event: int

    def __post_init__(self) -> None:
        require_positive("profit", self.profit)
        for name in ("locked", "reserve", "reinvested"):
            require_at_least(name, getattr(self, name), 0.0)
        require_finite("high", self.high)
