import pytest

from consilium.domain import DAY_NS, HOUR_NS, Fill, InvalidValue
from consilium.trading.portfolio import ConservationBroken, Portfolio


def trade(
    book: Portfolio, sign: int, price: float, quantity: float, *, fee: float = 0.0, ts: int = HOUR_NS
) -> None:
    book.apply("BTCUSDT", sign, Fill(order_id="1", price=price, quantity=quantity, fee=fee, ts_event=ts))


def test_cash_and_positions_at_mark_are_equity_fees_included() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 4.0, fee=0.4)
    book.mark("BTCUSDT", 110.0)
    assert book.settle(2 * HOUR_NS) == pytest.approx(599.6 + 440.0)
    trade(book, -1, 110.0, 4.0, fee=0.44)
    assert book.settle(3 * HOUR_NS) == pytest.approx(1_039.16, abs=1e-8)


def test_a_position_that_appears_from_nowhere_breaks_conservation() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 4.0)
    book.holdings["BTCUSDT"].quantity += 0.001
    book.holdings["BTCUSDT"].entry -= 0.1
    with pytest.raises(ConservationBroken, match="reconcile the fills"):
        book.settle(2 * HOUR_NS)


def test_cash_that_appears_from_nowhere_breaks_conservation() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 4.0)
    book.cash += 0.01
    with pytest.raises(ConservationBroken):
        book.settle(2 * HOUR_NS)


def test_cash_is_rounded_to_a_hundred_millionth() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 1 / 3, 1 / 7)
    assert book.cash == round(book.cash, 8)


def test_a_round_trip_tells_mean_prices_and_profit_after_fees() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 1.0, fee=0.1)
    trade(book, +1, 110.0, 1.0, fee=0.1)
    trade(book, -1, 120.0, 0.5, fee=0.1)
    assert not book.trades
    trade(book, -1, 130.0, 1.5, fee=0.2, ts=9)
    (done,) = book.trades
    assert (done.quantity, done.entry_price, done.ts_exit) == (2.0, 105.0, 9)
    assert done.exit_price == pytest.approx((60 + 195) / 2)
    assert done.net_pnl == pytest.approx(255 - 210 - 0.5)
    assert book.cash == pytest.approx(1_000 + done.net_pnl)


def test_deposits_and_transfers_change_units_and_never_nav() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 5.0)
    book.mark("BTCUSDT", 120.0)
    book.settle(HOUR_NS)
    assert book.nav == pytest.approx(1.1)
    book.deposit(900.0)
    book.put_aside(locked=300.0, reserve=100.0)
    book.settle(2 * HOUR_NS)
    assert book.nav == pytest.approx(1.1)
    assert book.drawdown == pytest.approx(0.0, abs=1e-12)
    assert book.capital == pytest.approx(1_600.0)
    book.mark("BTCUSDT", 100.0)
    book.settle(3 * HOUR_NS)
    assert book.drawdown == pytest.approx(100.0 / 1_600.0)


def test_more_than_the_free_cash_cannot_be_put_aside() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 9.0)
    with pytest.raises(InvalidValue, match="free cash"):
        book.put_aside(locked=101.0)


def test_the_peak_is_of_thirty_days() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 10.0)
    for day in range(62):
        book.mark("BTCUSDT", 110.0 if day == 0 else 99.0)
        book.settle(day * DAY_NS + HOUR_NS)
        assert book.drawdown == pytest.approx(0.1 if 0 < day < 31 else 0.0), day
        worst = book.snapshot(day * DAY_NS + HOUR_NS).max_drawdown
        assert worst == pytest.approx(0.1 if 0 < day < 60 else 0.0), day


def test_a_rebase_starts_the_drawdown_again() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 10.0)
    book.mark("BTCUSDT", 90.0)
    book.settle(HOUR_NS)
    book.rebase()
    assert book.settle(2 * HOUR_NS) == pytest.approx(900.0)
    assert (book.drawdown, book.snapshot(2 * HOUR_NS).max_drawdown) == (0.0, 0.0)


def test_losses_that_close_together_count_once() -> None:
    book = Portfolio(1_000.0)
    for ts in (10, 10, 20):
        trade(book, +1, 100.0, 1.0, ts=ts)
        trade(book, -1, 99.0, 1.0, ts=ts)
    assert book.consecutive_losses == 2
    trade(book, +1, 100.0, 1.0, ts=30)
    trade(book, -1, 101.0, 1.0, ts=30)
    assert book.consecutive_losses == 0


def test_the_win_rate_needs_twenty_trades_and_the_sharpe_ratio_thirty_days() -> None:
    book = Portfolio(1_000.0)
    for k in range(20):
        assert book.snapshot(100).win_rate is None
        trade(book, +1, 100.0, 1.0, ts=k)
        trade(book, -1, 101.0 if k % 4 else 99.0, 1.0, ts=k)
    assert book.snapshot(100).win_rate == 0.75
    trade(book, +1, 100.0, 1.0, ts=100)
    for day in range(31):
        book.mark("BTCUSDT", 100.0 + day % 3)
        book.settle(day * DAY_NS + 1)
        assert (book.snapshot(day * DAY_NS + 1).sharpe is None) == (day < 30)


def test_runs_of_days_and_the_profit_of_today() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 1.0, ts=0)
    for day, price in enumerate([100.0, 101.0, 102.0, 101.0, 101.0]):
        book.mark("BTCUSDT", price)
        book.settle(day * DAY_NS + HOUR_NS)
        seen = book.snapshot(day * DAY_NS + HOUR_NS)
        assert (seen.winning_days, seen.losing_days) == [(0, 0), (0, 0), (1, 0), (2, 0), (0, 1)][day]
    trade(book, -1, 103.0, 1.0, fee=0.5, ts=4 * DAY_NS + HOUR_NS)
    assert book.snapshot(4 * DAY_NS + HOUR_NS).realized_pnl_today == pytest.approx(2.5)
    assert book.snapshot(5 * DAY_NS + HOUR_NS).realized_pnl_today == 0.0


def test_funding_counts_as_a_fee_of_its_day() -> None:
    book = Portfolio(1_000.0, 10.0)
    trade(book, +1, 100.0, 4.0, fee=0.4)
    book.pay("BTCUSDT", 50.0, 8 * HOUR_NS)
    book.settle(9 * HOUR_NS)
    assert book.snapshot(9 * HOUR_NS).realized_pnl_today == pytest.approx(-50.4)
    book.pay("BTCUSDT", -20.0, DAY_NS)
    book.settle(DAY_NS + HOUR_NS)
    assert book.snapshot(DAY_NS + HOUR_NS).realized_pnl_today == pytest.approx(20.0)


def test_the_margin_of_a_perpetual_is_its_entry_value_over_the_leverage() -> None:
    book = Portfolio(1_000.0, 10.0)
    trade(book, -1, 100.0, 50.0)
    book.mark("BTCUSDT", 104.0)
    equity = book.settle(2 * HOUR_NS)
    seen = book.snapshot(2 * HOUR_NS)
    assert equity == pytest.approx(800.0)
    assert seen.positions["BTCUSDT"].margin == pytest.approx(500.0)
    assert seen.exposure == pytest.approx(500.0 / 800.0)
    assert seen.leverage == pytest.approx(5_200.0 / 800.0)


def test_all_the_value_of_a_spot_position_is_margin() -> None:
    book = Portfolio(1_000.0)
    trade(book, +1, 100.0, 5.0)
    book.mark("BTCUSDT", 104.0)
    book.settle(2 * HOUR_NS)
    seen = book.snapshot(2 * HOUR_NS)
    assert seen.positions["BTCUSDT"].margin == pytest.approx(520.0)
    assert seen.exposure == seen.leverage == pytest.approx(520.0 / 1_020.0)
