"""What trust is taught in a backtest was known when it was taught."""

from dataclasses import replace

import numpy as np
import pytest

from consilium.app.backtest.pooling import pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import forecast
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.ensemble import TRUST
from consilium.market.simulator import simulate
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from watching_trust import NOTES

HORIZON = 4


def test_no_outcome_is_learned_before_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUST, "watcher", "watching_trust:Watcher")
    settings = Settings.model_validate({"training": {"folds": 2}})
    request = BacktestRequest.checked(
        settings=settings, models=["lightgbm"], trust="watcher", gates="seed", horizon=HORIZON
    )
    panel = simulate(symbols=2, bars=1_000, seed=3, kind="garch").series
    dataset = build_dataset(panel, "core14", LabelSpec(horizon=HORIZON))
    forecasts = forecast(replace(request, baselines=()), dataset)
    NOTES.clear()
    pool(request, dataset, forecasts, "seed", silent)
    now = -1
    learned = 0
    # Read backwards: what was learned just before a consensus must have been known when that was said.
    for what, ts in reversed(NOTES):
        if what == "said":
            now = ts
        elif now >= 0:
            learned += 1
            assert ts < now
    rows = forecasts.rows
    assert learned == sum(dataset.labelled[rows] & (dataset.ts_matured[rows] < dataset.ts_event[rows[-1]]))


def test_a_gap_in_one_symbol_makes_its_outcome_late_and_stops_nothing() -> None:
    request = BacktestRequest(
        settings=Settings.model_validate({"training": {"folds": 2}}), models=("logistic",), baselines=()
    )
    panel = dict(simulate(symbols=2, bars=900, seed=3).series)
    symbol, series = next(iter(panel.items()))
    kept = np.ones(len(series), dtype=bool)
    kept[700:712] = False
    panel[symbol] = replace(
        series,
        **{
            name: getattr(series, name)[kept]
            for name in ("ts_open", "open", "high", "low", "close", "volume")
        },
    )
    dataset = build_dataset(panel, "core14", LabelSpec(horizon=HORIZON))
    forecasts = forecast(replace(request, horizon=HORIZON), dataset)
    late = dataset.ts_matured[forecasts.rows] > dataset.ts_event[forecasts.rows] + 2 * dataset.horizon_ns
    assert np.any(late & dataset.labelled[forecasts.rows])
    pooled = pool(replace(request, horizon=HORIZON), dataset, forecasts, "seed", silent)
    assert len(pooled.direction) == len(forecasts.rows)
