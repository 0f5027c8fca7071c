"""What the fills of an account on books were like: slippage, makers, time, and what candles would say."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consilium.domain import Fill, Instrument, Liquidity, Order, OrderEvent, OrderKind, OrderStatus
from consilium.trading.backtest import BacktestResult
from consilium.trading.book.run import RecordedMarket
from consilium.trading.causes import CONSENSUS, PROTECT
from consilium.trading.execution import CostModel, impact, taker_price
from consilium.trading.tape import Tape

PURPOSES = ("entry", "exit", "stop", "liquidation")
_OF_CAUSE = {CONSENSUS: "entry", PROTECT: "stop", "liquidation": "liquidation"}
_WHOLE = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFigures:
    """Figures of all orders of one purpose, or of all together; ratios are fractions, None without a case.

    Parameters
    ----------
    orders, filled, in_part, unfilled
        Orders sent; of them filled whole, in part, and not at all.
    fills
        Trades of ours; one order may have several.
    maker_share
        Share of the traded value that gave liquidity.
    slippage
        Mean, by value, of what was paid above (got below) the mid at the time of the order. For a stop:
        beyond its stop price.
    waiting_slippage
        The part of it by which the mid had moved when the first fill came.
    beyond_candles
        Mean, by value, of what was paid above (got below) the price that the next bar's open with half a
        spread and impact would give; None for stops.
    seconds_first, seconds_last
        Median time from the order to its first and to its last fill; None for stops.
    traded_value
        In quote units.
    slippage_cost
        In quote units, what taking cost against the mid at the fill.
    """

    orders: int
    filled: int
    in_part: int
    unfilled: int
    fills: int
    maker_share: float | None
    slippage: float | None
    waiting_slippage: float | None
    beyond_candles: float | None
    seconds_first: float | None
    seconds_last: float | None
    traded_value: float
    slippage_cost: float


def fill_figures(
    result: BacktestResult,
    markets: Mapping[str, RecordedMarket],
    tapes: Mapping[str, Tape],
    costs: CostModel,
    instruments: Mapping[str, Instrument],
) -> dict[str, FillFigures]:
    """Return the figures of all orders together (``all``) and of each purpose that occurred.

    Parameters
    ----------
    result
        Of `run_on_books`.
    markets, tapes
        The record, and the bars by symbol.
    costs, instruments
        What the same orders would cost on candles.
    """
    by_order: dict[str, list[Fill]] = {}
    for fill in result.fills:
        by_order.setdefault(fill.order_id, []).append(fill)
    told = []
    for order in result.orders:
        market = markets[order.symbol]
        candle = _candle_price(order, tapes[order.symbol], costs, instruments.get(order.symbol))
        told.append(_told(order, by_order.get(order.order_id, []), market, candle))
    found = {"all": _gathered(told)}
    for purpose in PURPOSES:
        some = [one for one in told if one.purpose == purpose]
        if some:
            found[purpose] = _gathered(some)
    return found


def ended_without_fill(events: Iterable[OrderEvent]) -> dict[str, dict[str, int]]:
    """Count how orders ended without being filled whole, by status and reason.

    A withdrawal that came too late is not an order and is left out.

    Examples
    --------
    >>> late = OrderEvent(order_id="1", status=OrderStatus.REJECTED, reason="stale_book")
    >>> ended_without_fill([late, late])
    {'rejected': {'stale_book': 2}, 'cancelled': {}, 'expired': {}}
    """
    counts: dict[str, Counter[str]] = {
        status.value: Counter() for status in OrderStatus if status is not OrderStatus.ACCEPTED
    }
    for event in events:
        if event.status.value in counts and not event.reason.startswith("cancel_of_"):
            counts[event.status.value][event.reason] += 1
    return {status: dict(sorted(found.items())) for status, found in counts.items()}


@dataclass(frozen=True, slots=True)
class _Told:
    """One order: what it got, and against what."""

    purpose: str
    wanted: float
    got: float
    value: float
    made: float
    fills: int
    slippage: float | None
    waiting: float | None
    beyond: float | None
    first: float | None
    last: float | None
    cost: float


def _told(order: Order, fills: Sequence[Fill], market: RecordedMarket, candle: float | None) -> _Told:
    purpose = _OF_CAUSE.get(order.cause_id.partition(":")[0], "exit")
    sign, stop = order.side.sign, order.kind is OrderKind.STOP
    got = sum(fill.quantity for fill in fills)
    value = sum(fill.price * fill.quantity for fill in fills)
    if not fills:
        return _Told(purpose, order.quantity, 0.0, 0.0, 0.0, 0, None, None, None, None, None, 0.0)
    price = value / got
    sent = order.stop_price if stop and order.stop_price else _mid(market, order.ts_event)
    mids = [_mid(market, fill.ts_event) for fill in fills]
    taken = [
        sign * (fill.price - mid) * fill.quantity
        for fill, mid in zip(fills, mids, strict=True)
        if fill.liquidity is Liquidity.TAKER and mid == mid
    ]
    return _Told(
        purpose=purpose,
        wanted=order.quantity,
        got=got,
        value=value,
        made=sum(f.price * f.quantity for f in fills if f.liquidity is Liquidity.MAKER),
        fills=len(fills),
        slippage=sign * (price / sent - 1.0),
        waiting=None if stop else sign * (mids[0] / sent - 1.0),
        beyond=None if candle is None or stop else sign * (price / candle - 1.0),
        first=None if stop else (fills[0].ts_event - order.ts_event) / 1e9,
        last=None if stop else (fills[-1].ts_event - order.ts_event) / 1e9,
        cost=sum(taken),
    )


def _mid(market: RecordedMarket, ts: int) -> float:
    book = market.book
    row = int(np.searchsorted(book.ts_event, ts, side="right")) - 1
    return float(book.bid_price[row, 0] + book.ask_price[row, 0]) / 2.0 if row >= 0 else float("nan")


def _candle_price(order: Order, tape: Tape, costs: CostModel, instrument: Instrument | None) -> float | None:
    """Return the price that an order would get at the open of the first bar that opens at or after it."""
    at = bisect_left(tape.ts_open, order.ts_event)
    if at >= len(tape.ts_open):
        return None
    slippage = costs.half_spread
    volume_day = tape.daily_volume(at)
    if volume_day > 0.0:
        slippage += impact(order.quantity, tape.daily_volatility(at), volume_day, costs.impact_coefficient)
    tick = instrument.tick_size if instrument is not None else 0.0
    return taker_price(order.side.sign, tape.open[at], slippage, tick)


def _gathered(told: Sequence[_Told]) -> FillFigures:
    value = sum(one.value for one in told)
    filled = sum(one.got >= one.wanted * _WHOLE for one in told)
    nothing = sum(one.got == 0.0 for one in told)
    return FillFigures(
        orders=len(told),
        filled=filled,
        in_part=len(told) - filled - nothing,
        unfilled=nothing,
        fills=sum(one.fills for one in told),
        maker_share=sum(one.made for one in told) / value if value > 0.0 else None,
        slippage=_mean([(one.slippage, one.value) for one in told]),
        waiting_slippage=_mean([(one.waiting, one.value) for one in told]),
        beyond_candles=_mean([(one.beyond, one.value) for one in told]),
        seconds_first=_median([one.first for one in told]),
        seconds_last=_median([one.last for one in told]),
        traded_value=value,
        slippage_cost=sum(one.cost for one in told),
    )


def _mean(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(x, weight) for x, weight in pairs if x is not None and x == x and weight > 0.0]
    total = sum(weight for _, weight in known)
    return sum(x * weight for x, weight in known) / total if known else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [x for x in values if x is not None]
    return float(np.median(known)) if known else None
