"""No past number of the whole pipeline depends on a future bar."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.app.backtest.economics import Economics
from consilium.app.backtest.pooling import pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import Consensus, Fill, Order
from consilium.market.candles import CandleSeries
from consilium.market.simulator import simulate
from consilium.trading.signals import as_series
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec

BARS = 1400
SETTINGS = Settings.model_validate({"training": {"folds": 3}})
REQUEST = BacktestRequest.checked(settings=SETTINGS, gates="seed", horizon=2)
REQUEST = replace(REQUEST, baselines=("prior", "logistic"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """All numbers of a run, each with the time at which it was known."""

    features: dict[tuple[str, int], tuple[float, ...]]
    predictions: dict[tuple[str, str, int], tuple[float, ...]]
    consensuses: dict[tuple[str, str, int], Consensus]
    orders: list[Order]
    fills: list[Fill]
    equity: dict[int, float]
    borders: list[int]


def pipeline(panel: dict[str, CandleSeries]) -> Run:
    dataset = build_dataset(panel, "core14", LabelSpec(horizon=REQUEST.horizon))
    forecasts = forecast(REQUEST, dataset)
    spoken: list[Consensus] = []
    by_edge: list[Consensus] = []
    pool(REQUEST, dataset, forecasts, "seed", silent, spoken.append)
    pool(REQUEST, dataset, forecasts, "edge", silent, by_edge.append)
    bold = as_series([replace(c, actionable=True, reason="") for c in spoken], panel)
    start = int(dataset.ts_event[forecasts.rows[0]])
    account = Economics(REQUEST, panel, start).account(list(bold.values()), limits=True)
    names = [dataset.symbols[i] for i in dataset.symbol_index]
    times = dataset.ts_event.tolist()
    return Run(
        features={
            (names[row], times[row]): tuple(dataset.matrix[dataset.position[row]])
            for row in range(len(dataset))
        },
        predictions={
            (model, names[row], times[row]): tuple(p[place])
            for model, p in forecasts.probabilities.items()
            for place, row in enumerate(forecasts.rows.tolist())
        },
        consensuses={
            (gates, c.symbol, c.ts_event): c
            for gates, said in (("seed", spoken), ("edge", by_edge))
            for c in said
        },
        orders=list(account.orders),
        fills=list(account.fills),
        equity=dict(zip(account.ts.tolist(), account.equity.tolist(), strict=True)),
        borders=[fold.ts_test for fold in forecasts.folds],
    )


def with_another_future(panel: dict[str, CandleSeries], cut: int, seed: int) -> dict[str, CandleSeries]:
    """Replace every bar from ``cut`` on by wild ones that are still possible bars."""
    rng = np.random.default_rng(seed)
    changed = {}
    for symbol, series in panel.items():
        steps = np.exp(np.cumsum(rng.normal(0.0, 0.05, size=len(series) - cut)))
        close = np.concatenate([series.close[:cut], series.close[cut - 1] * steps])
        jumps = np.exp(rng.normal(0.0, 0.05, size=len(series) - cut))
        opens = np.concatenate([series.open[:cut], np.roll(close, 1)[cut:] * jumps])
        spread = 1.0 + rng.uniform(0.0, 0.1, size=len(series))
        high = np.where(np.arange(len(series)) < cut, series.high, np.maximum(opens, close) * spread)
        low = np.where(np.arange(len(series)) < cut, series.low, np.minimum(opens, close) / spread)
        volume = np.where(np.arange(len(series)) < cut, series.volume, rng.uniform(0, 1e6, size=len(series)))
        changed[symbol] = CandleSeries(
            symbol=symbol, interval_ns=series.interval_ns, ts_open=series.ts_open, open=opens, high=high,
            low=low, close=close, volume=volume, bars_per_day=series.bars_per_day,
        )  # fmt: skip
    return changed


@pytest.fixture(scope="module")
def market() -> dict[str, CandleSeries]:
    return simulate(symbols=["AAA", "BBB"], bars=BARS, seed=5, signal_ic=0.3).series


@pytest.fixture(scope="module")
def first(market: dict[str, CandleSeries]) -> Run:
    return pipeline(market)


def upto(known: dict[Any, Any], cut_ts: int) -> dict[Any, Any]:
    return {
        key: value for key, value in known.items() if (key[-1] if isinstance(key, tuple) else key) <= cut_ts
    }


@settings(max_examples=10)
@given(cut=st.integers(600, BARS - 2), seed=st.integers(0, 2**31))
def test_changing_any_future_bar_changes_no_past_feature_prediction_consensus_or_fill(
    market: dict[str, CandleSeries], first: Run, cut: int, seed: int
) -> None:
    assert_blind(market, first, cut, seed)


def test_nothing_leaks_through_the_border_of_a_fold(market: dict[str, CandleSeries], first: Run) -> None:
    """The open that follows the border is what the first test forecast fills at: no part may know it."""
    for border in first.borders:
        cut = int(np.searchsorted(market["AAA"].ts_close, border)) + 1
        assert_blind(market, first, cut, seed=cut)


def assert_blind(market: dict[str, CandleSeries], first: Run, cut: int, seed: int) -> None:
    now = int(market["AAA"].ts_close[cut - 1])
    assert_same_past(first, pipeline(with_another_future(market, cut, seed)), now)


def decided(run: Run, now: int) -> list[Order]:
    return [
        order
        for order in run.orders
        if order.ts_event < now or (order.ts_event == now and not order.cause_id.startswith("protect"))
    ]


def assert_same_past(first: Run, second: Run, now: int) -> None:
    """An order decided at this close is the past; a fill at this instant, and its stop, is the next bar."""
    for name in ("features", "predictions", "consensuses", "equity"):
        past, other = upto(getattr(first, name), now), upto(getattr(second, name), now)
        assert past == other, name
    assert decided(first, now) == decided(second, now)
    assert [f for f in first.fills if f.ts_event < now] == [f for f in second.fills if f.ts_event < now]


def test_the_run_that_is_compared_does_trade(first: Run) -> None:
    assert len(first.fills) > 10


def one_bar_early(series: CandleSeries) -> CandleSeries:
    columns = {name: getattr(series, name)[1:] for name in ("open", "high", "low", "close", "volume")}
    return replace(series, ts_open=series.ts_open[:-1], **columns)


def test_a_leak_of_one_bar_would_be_seen(market: dict[str, CandleSeries]) -> None:
    """The control of the control: with every bar told one bar early, the same comparison must fail."""
    cut = 900
    now = int(market["AAA"].ts_close[cut - 1])
    futures = (market, with_another_future(market, cut, seed=1))
    one, other = (pipeline({s: one_bar_early(series) for s, series in panel.items()}) for panel in futures)
    with pytest.raises(AssertionError, match="features"):
        assert_same_past(one, other, now)


def test_the_registration_is_made_of_plain_values(tmp_path: Path) -> None:
    assert json.loads(json.dumps(REQUEST.config(features="core14")))["rule"] == "smart_vote"
