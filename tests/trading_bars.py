"""Bars for the trading tests: quiet ones to warm up on, then what the test is about."""

from collections.abc import Sequence

import numpy as np

from consilium.domain import HOUR_NS, Candle, Consensus, Direction, Fill, Instrument, Order, OrderEvent
from consilium.market.candles import CandleSeries
from consilium.trading.broker import Happening, PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.signals import SignalSeries
from consilium.trading.tape import Tape

Row = Sequence[float]
QUIET: tuple[float, float, float, float] = (100.0, 101.0, 99.0, 100.0)
"""Open, high, low, close: a true range of 2, no return, so an ATR of 2 and no impact."""

WARM = 20


def series(
    rows: Sequence[Row], *, symbol: str = "BTCUSDT", volume: float = 1e6, start: int = 0
) -> CandleSeries:
    """Hourly bars of (open, high, low, close) or (open, high, low, close, volume)."""
    table = np.array([[*row, volume][:5] for row in rows], dtype=np.float64)
    return CandleSeries(
        symbol=symbol,
        interval_ns=HOUR_NS,
        ts_open=(start + np.arange(len(table))) * HOUR_NS,
        open=table[:, 0],
        high=table[:, 1],
        low=table[:, 2],
        close=table[:, 3],
        volume=table[:, 4],
        bars_per_day=24.0,
    )


def warmed(rows: Sequence[Row], **more: object) -> CandleSeries:
    """Twenty quiet bars, then the given ones; the close of bar 19 is the first to act on."""
    return series([QUIET] * WARM + list(rows), **more)  # type: ignore[arg-type]


def signals(bars: CandleSeries, moves: dict[int, Direction]) -> SignalSeries:
    """Actionable directions at the closes of the given bars."""
    at = sorted(moves)
    return SignalSeries(
        symbol=bars.symbol,
        ts_event=bars.ts_close[at],
        direction=np.array([moves[i] for i in at], dtype=np.int8),
        actionable=np.ones(len(at), dtype=np.bool_),
    )


def consensus(symbol: str, ts: int, direction: int, *, actionable: bool = True) -> Consensus:
    """A consensus of which only symbol, time, direction and actionable matter here."""
    return Consensus(
        symbol=symbol,
        ts_event=ts,
        horizon_ns=HOUR_NS,
        label_id="l",
        rule="smart_vote",
        level="strong",
        direction=Direction(direction),
        probabilities=(0.2, 0.2, 0.6),
        p_direction=0.6,
        confidence=0.6,
        score=0.6,
        agreement=1.0,
        support=1.0,
        meta_confidence=0.6,
        actionable=actionable,
    )


class Exchange:
    """A paper broker with one symbol, one quiet bar old, and the bars that it is fed."""

    def __init__(
        self, *, cash: float = 10_000.0, costs: CostModel | None = None, instrument: Instrument | None = None
    ) -> None:
        self.broker = PaperBroker(cash, costs)
        self.tape = Tape("BTCUSDT", HOUR_NS)
        self.broker.attach(instrument or Instrument(symbol="BTCUSDT"), self.tape)
        self.ids = 0
        self.bar(*QUIET)

    def bar(self, o: float, h: float, l: float, c: float, volume: float = 1e6) -> list[Happening]:
        ts = len(self.tape.close) * HOUR_NS
        self.tape.push(
            Candle(
                symbol="BTCUSDT",
                interval_ns=HOUR_NS,
                ts_open=ts,
                ts_close=ts + HOUR_NS,
                open=o,
                high=h,
                low=l,
                close=c,
                volume=volume,
            )
        )
        return [*self.broker.at_open("BTCUSDT"), *self.broker.within("BTCUSDT")]

    def order(self, side: str, quantity: float, **more: object) -> list[Happening]:
        self.ids += 1
        order = Order(
            order_id=str(self.ids),
            symbol="BTCUSDT",
            side=side,  # type: ignore[arg-type]
            quantity=quantity,
            ts_event=self.tape.ts_close,
            **more,  # type: ignore[arg-type]
        )
        return list(self.broker.submit(order))

    def bought(self, quantity: float) -> "Exchange":
        """Hold a quantity, bought at 100 before costs."""
        self.order("BUY", quantity)
        self.bar(*QUIET)
        return self


def fills(events: Sequence[object]) -> list[Fill]:
    return [e for e in events if isinstance(e, Fill)]


def reasons(events: Sequence[object]) -> list[tuple[str, str]]:
    return [(e.status.value, e.reason) for e in events if isinstance(e, OrderEvent)]
