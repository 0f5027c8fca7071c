"""A market, hand-made forecasts of its last part, and what the economics of a verdict are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import Economics, signals_of
from consilium.app.backtest.pooling import Pooled
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.economics import Trials, account_daily, economics_section
from consilium.app.settings import Settings
from consilium.market.candles import CandleSeries
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.labels import LabelSpec

FEATURES = ("return_1",)
Directions = NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A panel with forecasts of all rows from some share of its time on."""

    request: BacktestRequest
    dataset: Dataset
    forecasts: Forecasts
    economics: Economics

    def pooled(self, direction: Directions, actionable: NDArray[np.bool_]) -> dict[str, Pooled]:
        """Pool that says the same under both presets."""
        said = Pooled(
            probabilities=np.full((len(direction), 3), 1 / 3),
            direction=direction,
            actionable=actionable,
            signals=signals_of(self.dataset, self.forecasts, direction, actionable),
            levels={},
            reasons={},
            weights={},
        )
        return {"edge": said, "seed": replace(said)}

    def trials(self, seed: int = 0, **more: Any) -> Trials:
        """Twelve variants without skill, as calm as the market is wild."""
        day, _ = account_daily(self.economics.account([], limits=True))
        daily = np.random.default_rng(seed).normal(0.0, 0.001, (len(day), 12))
        return Trials(day=day, daily=daily, names=tuple(f"v{k}" for k in range(12)), **more)

    def section(self, pooled: Mapping[str, Pooled], trials: Trials | None = None) -> dict[str, Any]:
        """Return the section of the report."""
        return economics_section(
            self.request,
            self.dataset,
            self.forecasts,
            pooled,
            self.economics,
            trials=self.trials() if trials is None else trials,
            seed=3,
        )


def case(panel: dict[str, CandleSeries], *, horizon: int = 1, share: float = 0.4, seed: int = 0) -> Case:
    """Forecast the last part of a panel by chance."""
    request = BacktestRequest.checked(settings=Settings(), horizon=horizon)
    dataset = build_dataset(panel, FEATURES, LabelSpec(horizon=horizon))
    times = np.unique(dataset.ts_event)
    begin = int(times[int(len(times) * share)])
    rows = np.flatnonzero(dataset.ts_event >= begin)
    p = np.random.default_rng(seed).dirichlet([2.0, 2.0, 2.0], len(rows))
    forecasts = Forecasts(
        rows=rows,
        probabilities={"chance": p},
        expected_return={"chance": np.zeros(len(rows))},
        skilled={"chance": np.ones(len(rows), dtype=np.bool_)},
        climatology=np.full((len(rows), 3), 1 / 3),
        folds=(),
        failures=(),
    )
    return Case(
        request=request, dataset=dataset, forecasts=forecasts, economics=Economics(request, panel, begin)
    )


def nobody_acts(case: Case) -> dict[str, Pooled]:
    """Pool in which no forecast may be acted on."""
    n = len(case.forecasts.rows)
    return case.pooled(np.full(n, 2, dtype=np.int8), np.zeros(n, dtype=np.bool_))


def by_chance(case: Case, seed: int, often: float = 0.1) -> dict[str, Pooled]:
    """Pool that acts on a coin."""
    rng, n = np.random.default_rng(seed), len(case.forecasts.rows)
    return case.pooled(rng.integers(0, 3, n).astype(np.int8), rng.random(n) < often)


def knowing(case: Case, worth: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> dict[str, Pooled]:
    """Pool that sees what a bar earns from the next open to the one after, and acts if that is worth it."""
    comes = np.full(len(case.dataset), np.nan)
    for index, symbol in enumerate(case.dataset.symbols):
        series, mine = case.economics.panel[symbol], np.flatnonzero(case.dataset.symbol_index == index)
        earned = np.append(series.open[2:] / series.open[1:-1] - 1.0, [np.nan, np.nan])
        comes[mine] = earned[np.searchsorted(series.ts_close, case.dataset.ts_event[mine])]
    with np.errstate(invalid="ignore"):
        act = worth(comes[case.forecasts.rows])
    return case.pooled(np.full(len(act), 2, dtype=np.int8), act)
