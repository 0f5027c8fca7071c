"""What was observed: instruments, candles, books, trades, funding."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least, require_name, require_positive
from consilium.domain.errors import InvalidValue

MARKETS = ("spot", "perp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What can be traded, and on which terms.

    Parameters
    ----------
    symbol, venue
        Names, for example ``BTCUSDT`` on ``binance``.
    market
        ``spot`` (long or flat) or ``perp``.
    tick_size, lot_size
        Smallest step of price (quote units) and of quantity (base units); 0 means unrounded.
    min_notional
        Smallest order value in quote units.
    maker_fee, taker_fee
        Fractions of the traded value; a maker fee may be negative (a rebate).
    maintenance
        Maintenance margin rate, a fraction; 0 for spot.
    tiers
        Maintenance tiers ``(notional, rate, amount)``, ascending; empty for spot.
    """

    symbol: str
    venue: str = ""
    market: str = "spot"
    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0
    maker_fee: float = 0.001
    taker_fee: float = 0.001
    maintenance: float = 0.0
    tiers: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        if self.market not in MARKETS:
            raise InvalidValue("market must be spot or perp", repr(self.market), "use one of the two")
        for name in ("tick_size", "lot_size", "min_notional", "taker_fee", "maintenance"):
            require_at_least(name, getattr(self, name), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One bar of trades: ``low <= open, close <= high``, prices in quote units, volume in base units.

    Parameters
    ----------
    interval_ns
        Nominal length of the bar.
    ts_open, ts_close
        UTC nanoseconds; the bar covers ``[ts_open, ts_close)`` and is known from ``ts_close`` on.
    """

    symbol: str
    venue: str = ""
    interval_ns: int
    ts_open: int
    ts_close: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        if not 0 <= self.ts_open < self.ts_close:
            raise InvalidValue(
                "0 <= ts_open < ts_close", f"{self.ts_open}, {self.ts_close}", "give UTC nanoseconds"
            )
        require_positive("low", self.low)
        require_at_least("volume", self.volume, 0.0)
        if not (self.low <= self.open <= self.high and self.low <= self.close <= self.high):
            raise InvalidValue(
                "a candle needs low <= open, close <= high",
                f"open={self.open}, high={self.high}, low={self.low}, close={self.close}",
                "repair the data with `consilium data check --repair`",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookSnapshot:
    """An order book at one instant.

    Parameters
    ----------
    ts_event
        UTC nanoseconds at the exchange.
    bids, asks
        Shape (L, 2), price and size, best first; bids descend, asks ascend.
    """

    symbol: str
    venue: str = ""
    ts_event: int
    bids: NDArray[np.float64]
    asks: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        for name in ("bids", "asks"):
            side = getattr(self, name)
            if side.ndim != 2 or side.shape[1] != 2 or len(side) == 0:
                raise InvalidValue(
                    f"{name} must have shape (L, 2), L >= 1", side.shape, "give (price, size) rows"
                )

    @property
    def mid(self) -> float:
        """Mean of best bid and best ask, in quote units."""
        return (float(self.bids[0, 0]) + float(self.asks[0, 0])) / 2

    @property
    def spread(self) -> float:
        """Best ask minus best bid, in quote units; negative if the book is crossed."""
        return float(self.asks[0, 0]) - float(self.bids[0, 0])


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """A trade that the exchange published; ``taker_side`` is BUY or SELL."""

    symbol: str
    venue: str = ""
    ts_event: int
    price: float
    size: float
    taker_side: str

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        require_positive("price", self.price)
        require_positive("size", self.size)
        if self.taker_side not in ("BUY", "SELL"):
            raise InvalidValue("taker_side must be BUY or SELL", repr(self.taker_side), "use one of the two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """A funding rate (fraction of the position's value, paid by longs if positive) and the mark price."""

    symbol: str
    venue: str = ""
    ts_event: int
    rate: float
    mark: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureWindow:
    """What a model sees of one symbol at one instant.

    Parameters
    ----------
    ts_event
        Close of the window's last bar.
    features
        Shape (T, F), oldest row first.
    book
        Shape (S, L, 4) with bid price, bid volume, ask price, ask volume; None without books.
    volatility
        Daily: standard deviation of 20 one-bar log returns times sqrt(bars a day).
    regime
        Name of the regime, empty if unknown.
    """

    symbol: str
    ts_event: int
    features: NDArray[np.float64]
    book: NDArray[np.float64] | None = None
    volatility: float = 0.0
    regime: str = field(default="")
