"""What the report says of an account."""

import numpy as np

from consilium.app.backtest.economics import Economics, plain_figures
from consilium.app.backtest.request import BacktestRequest
from consilium.app.settings import Settings
from consilium.market.simulator import simulate
from consilium.trading.signals import SignalSeries

REQUEST = BacktestRequest.checked(settings=Settings(), horizon=5)


def test_a_position_whose_bars_end_is_named_with_its_time() -> None:
    panel = simulate(symbols=["AAA", "BBB"], bars=200, seed=2).series
    panel["AAA"] = panel["AAA"].slice(0, 100)
    ts = panel["AAA"].ts_close[97:98]
    up = SignalSeries(
        symbol="AAA", ts_event=ts, direction=np.array([2], dtype=np.int8), actionable=np.array([True])
    )
    economics = Economics(REQUEST, panel, int(panel["BBB"].ts_close[30]))
    figures = plain_figures(economics.account([up], limits=True))
    assert len(figures["stranded"]) == 1
    assert figures["stranded"][0].startswith("AAA since 2024-01-05T")
    assert figures["open_positions"] == 1


def test_buy_and_hold_is_measured_from_the_cash_it_began_with() -> None:
    panel = simulate(symbols=1, bars=200, seed=2).series
    (series,) = panel.values()
    held = Economics(REQUEST, panel, int(series.ts_close[30])).hold()
    assert held[0][1] < 10_000.0 < held[0][1] * 1.01


def test_an_account_without_a_fill_has_a_return_of_exactly_zero() -> None:
    panel = simulate(symbols=1, bars=200, seed=2).series
    (series,) = panel.values()
    figures = plain_figures(Economics(REQUEST, panel, int(series.ts_close[30])).account([], limits=True))
    assert (figures["net_return"], figures["trades"], figures["fees"]) == (0.0, 0, 0.0)
