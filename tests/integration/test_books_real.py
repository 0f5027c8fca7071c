"""Labels, windows and fills on the recorded books, where they are present."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from consilium.domain import Instrument, Liquidity, Policy, Side
from consilium.domain.time import SECOND_NS
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.sources import load_book, load_trades
from consilium.market.book.tensor import to_normalized_tensors, window_rows
from consilium.trading import BacktestResult, BookExecution, SignalSeries, run_book_backtest
from consilium.training.book_labels import HORIZONS, BookLabelSpec, make_book_labels, tercile_alpha

pytestmark = pytest.mark.shared
BOOKS = Path(__file__).resolve().parents[3] / "shared" / "data" / "books"
MARKETS = ("binance_spot_btcusdt", "binance_usdm_ethusdt")


@pytest.fixture(params=MARKETS)
def recorded(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Books and trades of the same minutes."""
    files = tuple(BOOKS / f"{request.param}_{kind}_20240808.parquet" for kind in ("l20", "trades"))
    for file in files:
        if not file.exists():
            pytest.skip(f"shared data is absent: books/{file.name}")
    return files[0], files[1]


def test_labels_of_real_books_are_known_inside_a_session_and_learn_their_threshold_from_the_first_part(
    recorded: tuple[Path, Path],
) -> None:
    book = load_book(recorded[0])
    until = int(book.ts_event[int(0.6 * len(book))])
    for horizon in HORIZONS:
        spec = BookLabelSpec(horizon=horizon)
        labels = make_book_labels(book, spec, alpha=tercile_alpha(book, spec, until))
        unknown = (2 * horizon - 1) * (int(book.session[-1]) + 1)
        assert (labels.direction == -1).sum() == unknown
        known = labels.direction[labels.ts_matured <= until]
        shares = np.bincount(known, minlength=3) / len(known)
        assert shares[1] >= 0.33
        assert min(shares[0], shares[2]) > 0.05
        wide = make_book_labels(book, BookLabelSpec(horizon=horizon, threshold="spread"))
        moved = wide.direction != 1
        assert (np.abs(wide.change) > wide.threshold)[moved & (wide.direction >= 0)].all()


def test_windows_of_real_books_are_finite_and_never_cross_a_session(recorded: tuple[Path, Path]) -> None:
    book = load_book(recorded[0])
    rows = window_rows(book)
    assert len(rows) == len(book) - 99 * (int(book.session[-1]) + 1)
    tensors = to_normalized_tensors(book, rows[:: len(rows) // 50])
    assert tensors.shape[1:] == (100, 20, 4)
    assert np.isfinite(tensors).all()


def test_seconds_of_real_trades_hold_all_that_was_traded(recorded: tuple[Path, Path]) -> None:
    trades = load_trades(recorded[1])
    bars = bars_from_trades(trades, SECOND_NS)
    inside = (trades.ts_event >= bars.ts_open[0]) & (trades.ts_event < bars.ts_close[-1])
    assert bars.volume.sum() == pytest.approx(trades.size[inside].sum())
    assert bars.high.max() == trades.price[inside].max()
    assert (np.diff(bars.ts_open) == SECOND_NS).all()


@pytest.fixture
def backtest(recorded: tuple[Path, Path]) -> Callable[[str, BookExecution], BacktestResult]:
    """Trade the imbalance of the touch, which any snapshot shows."""
    book, trades = load_book(recorded[0]), load_trades(recorded[1])
    bid, ask = book.bid_size[:, 0], book.ask_size[:, 0]
    lean = (bid - ask) / (bid + ask)
    times, first = np.unique(book.ts_event, return_index=True)
    signals = SignalSeries(
        symbol=book.symbol,
        ts_event=times,
        direction=np.where(lean > 0.8, 2, np.where(lean < -0.8, 0, 1))[first].astype(np.int8),
        actionable=np.ones(len(times), dtype=np.bool_),
    )

    def run(entry: str, execution: BookExecution) -> BacktestResult:
        return run_book_backtest(
            book,
            trades,
            [signals],
            policy=Policy(),
            horizon=50,
            entry=entry,
            execution=execution,
            instrument=Instrument(symbol=book.symbol, maker_fee=0.0002, taker_fee=0.0004),
        )

    return run


def test_market_orders_walk_the_real_book(
    recorded: tuple[Path, Path], backtest: Callable[[str, BookExecution], BacktestResult]
) -> None:
    execution = BookExecution()
    result = backtest("market", execution)
    book = load_book(recorded[0])
    assert len(result.trades) > 20
    sides = {order.order_id: order.side for order in result.orders}
    sent = {order.order_id: order.ts_event for order in result.orders}
    levels = 0
    for fill in result.fills:
        row = int(np.searchsorted(book.ts_event, fill.ts_event, side="right")) - 1
        buys = sides[fill.order_id] is Side.BUY
        prices, sizes = (
            (book.ask_price[row], book.ask_size[row]) if buys else (book.bid_price[row], book.bid_size[row])
        )
        at = np.flatnonzero(prices == fill.price)
        assert len(at) == 1
        assert fill.quantity <= sizes[at[0]] + 1e-12
        assert fill.ts_event == sent[fill.order_id] + execution.latency_ns
        levels = max(levels, int(at[0]) + 1)
    assert levels > 1
    cash = sum(-sides[f.order_id].sign * f.price * f.quantity - f.fee for f in result.fills)
    held = sum(sides[f.order_id].sign * f.quantity for f in result.fills)
    assert result.equity[-1] == pytest.approx(result.initial_cash + cash + held * book.mid[-1], abs=1e-6)


def test_the_back_of_a_real_queue_gets_less_than_its_front(
    backtest: Callable[[str, BookExecution], BacktestResult],
) -> None:
    front = backtest("limit", BookExecution(queue_ahead=0.0))
    back = backtest("limit", BookExecution(queue_ahead=1.0))
    made = [sum(f.quantity for f in r.fills if f.liquidity is Liquidity.MAKER) for r in (front, back)]
    assert made[0] > made[1] > 0.0
