"""A forecast of drawdown over the next bars, learned walk-forward and scored beside what is known without it.

    P(nav falls by more than d within h bars) = 1 / (1 + exp(-(b + w z)))

z are standardised figures of the account and of the market, known at the close. Weights are fitted again
each week on rows whose outcome is known by then; until there is enough to learn from, the past rate is said.
Beside it stand two forecasts that anyone can make: the past rate, and the past rate given whether the fixed
rule R1 would fire (drawdown up by more than 2 points in 24 hours).
"""

import base64
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.council.advice import Advice
from consilium.domain import DAY_NS, Candle

Floats = NDArray[np.float64]

DEPTH = 0.02
REFIT = 168
"""Rows from one fit to the next."""

FEWEST_ROWS, FEWEST_EVENTS = 500, 20
KEPT = 4_380
"""Rows that are learned from, and scored, at most: half a year of hours."""

RIDGE = 1.0
NEWTON_STEPS = 25
RISE = 0.02
"""The fixed rule: points of drawdown in 24 hours."""

EARNED_ERRORS = 2.0
FEWEST_SCORED, FEWEST_FALLS = 30, 10
"""Horizons that must have passed, and separate falls that must have come, before a score is evidence."""

FEATURES = (
    "drawdown", "fall_24", "rise_24", "exposure", "nav_volatility", "market_volatility", "market_calm",
    "market_fall",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Brier scores of three forecasts of the same events; lower is better.

    Parameters
    ----------
    learned, rate, rule
        Of the learned model, of the past rate, of the fixed rule; None before any outcome.
    over_rate, over_rule
        Learned less the other, < 0 where it is better, with standard errors that know of overlap.
    events, rows
        After how many closes the fall came, of how many.
    falls
        Separate ones: closes in a row after which it came count once.
    """

    learned: float | None
    rate: float | None
    rule: float | None
    over_rate: float | None
    over_rate_se: float | None
    over_rule: float | None
    over_rule_se: float | None
    events: int
    falls: int
    rows: int
    earned: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


class DrawdownForecaster:
    """Learns from one account and one market, close by close, and from no outcome before it is known.

    Parameters
    ----------
    horizon
        h in bars, >= 1.
    interval_ns
        Length of a bar.
    depth
        d, a fraction.

    Examples
    --------
    >>> forecaster = DrawdownForecaster(horizon=24, interval_ns=3600 * 10**9)
    >>> said = forecaster.update(0, nav=1.0, drawdown=0.0, exposure=0.0, market=0.0)
    >>> said.probability, said.earned
    (0.5, False)
    """

    def __init__(self, *, horizon: int, interval_ns: int, depth: float = DEPTH) -> None:
        self.horizon, self.interval_ns, self.depth = horizon, interval_ns, depth
        self._navs: deque[float] = deque(maxlen=max(horizon + 1, 25))
        self._drawdowns: deque[float] = deque(maxlen=25)
        self._market: deque[float] = deque(maxlen=168)
        self._open: deque[tuple[Floats, float, bool, tuple[float, float, float]]] = deque()
        self._rows: deque[tuple[Floats, float]] = deque(maxlen=KEPT)
        self._losses: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        self._counts = [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
        self._came: deque[float] = deque(maxlen=KEPT)
        self.newest: float | None = None
        """The newest probability; None before the first close."""
        self._since = 0
        self._weights: Floats | None = None
        self._centre = self._scale = np.zeros(0)
        self._earned = False

    def update(self, ts: int, *, nav: float, drawdown: float, exposure: float, market: float) -> Advice:
        """Take the figures of a close; return the forecast that is made at it.

        Parameters
        ----------
        ts
            The close; UTC nanoseconds.
        nav, drawdown, exposure
            Of the account.
        market
            Mean log return of all symbols over the bar.
        """
        self._navs.append(nav)
        self._drawdowns.append(drawdown)
        self._market.append(market)
        self._mature()
        if self._since >= REFIT:
            self._fit()
        row = self._features(exposure)
        fires = drawdown - min(self._drawdowns) > RISE
        said = self._said(row, fires)
        self.newest = said[0]
        self._open.append((row, nav, fires, said))
        return Advice(
            source="logistic",
            ts_event=ts,
            horizon_ns=self.horizon * self.interval_ns,
            depth=self.depth,
            probability=said[0],
            earned=self._earned,
        )

    def _mature(self) -> None:
        """Learn the outcome of the row that is now a horizon old."""
        if len(self._open) < self.horizon:
            return
        row, nav, fires, said = self._open.popleft()
        lowest = min(list(self._navs)[-self.horizon :])
        came = float(1.0 - lowest / nav > self.depth)
        self._came.append(came)
        self._losses.append(tuple((p - came) ** 2 for p in said))  # type: ignore[arg-type]  # three of them
        for place in (0, 1 + fires):
            self._counts[place][0] += came
            self._counts[place][1] += 1.0
        self._rows.append((row, came))
        self._since += 1

    def _said(self, row: Floats, fires: bool) -> tuple[float, float, float]:
        rate = self._counts[0][0] / self._counts[0][1]
        given = self._counts[1 + fires][0] / self._counts[1 + fires][1]
        if self._weights is None:
            return rate, rate, given
        z = np.append((row - self._centre) / self._scale, 1.0)
        return float(_sigmoid(z @ self._weights)), rate, given

    def _features(self, exposure: float) -> Floats:
        navs = list(self._navs)[-25:]
        market = list(self._market)
        day = market[-24:]
        path = np.cumsum(day)
        usual = _spread(market)
        return np.array(
            [
                self._drawdowns[-1],
                1.0 - navs[-1] / max(navs),
                self._drawdowns[-1] - min(self._drawdowns),
                exposure,
                _spread([log(b / a) for a, b in pairwise(navs)]),
                _spread(day),
                _spread(day) / usual if usual > 0.0 else 1.0,
                float(max(path.max(), 0.0) - path[-1]),
            ]
        )

    def _fit(self) -> None:
        """Fit again on all rows whose outcome is known, and look how the scores stand."""
        self._since = 0
        self._earned = self.score().earned
        events = sum(came for _, came in self._rows)
        if len(self._rows) < FEWEST_ROWS or not FEWEST_EVENTS <= events <= len(self._rows) - FEWEST_EVENTS:
            return
        x = np.stack([row for row, _ in self._rows])
        y = np.array([came for _, came in self._rows])
        self._centre, scale = x.mean(axis=0), x.std(axis=0)
        self._scale = np.where(scale > 0.0, scale, 1.0)
        z = np.column_stack([(x - self._centre) / self._scale, np.ones(len(x))])
        self._weights = _logistic(z, y)

    def score(self) -> Score:
        """Return how the three forecasts have done so far, by standard errors that know of the overlap."""
        rows = len(self._losses)
        if not rows:
            return Score(
                learned=None, rate=None, rule=None, over_rate=None, over_rate_se=None,
                over_rule=None, over_rule_se=None, events=0, falls=0, rows=0, earned=False,
            )  # fmt: skip
        losses = np.array(self._losses)
        # SciPy comes with it: a service must not wait for that at its start
        from consilium.training.judge.diebold_mariano import mean_test

        over_rate = mean_test(losses[:, 0] - losses[:, 1], self.horizon)
        over_rule = mean_test(losses[:, 0] - losses[:, 2], self.horizon)
        both = (over_rate.statistic, over_rule.statistic)
        learned, rate, rule = losses.mean(axis=0).tolist()
        falls = sum(now > before for before, now in pairwise([0.0, *self._came]))
        return Score(
            learned=learned,
            rate=rate,
            rule=rule,
            over_rate=over_rate.mean,
            over_rate_se=over_rate.standard_error,
            over_rule=over_rule.mean,
            over_rule_se=over_rule.standard_error,
            events=int(sum(self._came)),
            falls=falls,
            rows=rows,
            earned=rows >= FEWEST_SCORED * self.horizon
            and falls >= FEWEST_FALLS
            and all(s is not None and s < -EARNED_ERRORS for s in both),
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        rows = [[*row.tolist(), came] for row, came in self._rows]
        return {
            "navs": list(self._navs),
            "drawdowns": list(self._drawdowns),
            "market": list(self._market),
            "open": [[row.tolist(), nav, fires, list(said)] for row, nav, fires, said in self._open],
            "rows": packed(np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES) + 1)),
            "losses": packed(np.array(self._losses, dtype=np.float64).reshape(-1, 3)),
            "came": list(self._came),
            "counts": [list(counts) for counts in self._counts],
            "since": self._since,
            "fit": None
            if self._weights is None
            else [self._weights.tolist(), self._centre.tolist(), self._scale.tolist()],
            "earned": self._earned,
            "newest": self.newest,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        for name in ("navs", "drawdowns", "market", "came"):
            kept = getattr(self, f"_{name}")
            kept.clear()
            kept.extend(state[name])
        self._open.clear()
        for row, nav, fires, said in state["open"]:
            self._open.append((np.array(row), nav, fires, (said[0], said[1], said[2])))
        self._rows.clear()
        self._rows.extend((row[:-1], float(row[-1])) for row in unpacked(state["rows"], len(FEATURES) + 1))
        self._losses.clear()
        self._losses.extend((a, b, c) for a, b, c in unpacked(state["losses"], 3).tolist())
        self._counts = [list(counts) for counts in state["counts"]]
        self._since, self._earned, self.newest = int(state["since"]), state["earned"], state["newest"]
        self._weights = None
        if state["fit"] is not None:
            self._weights, self._centre, self._scale = (np.array(part) for part in state["fit"])

    def weights(self) -> dict[str, float]:
        """Return what the newest fit weighs by, per standard deviation of each figure; empty before one."""
        if self._weights is None:
            return {}
        return dict(zip((*FEATURES, "constant"), self._weights.tolist(), strict=True))


def packed(rows: Floats) -> str:
    """Write floats as text that keeps every bit."""
    return base64.b64encode(np.ascontiguousarray(rows, dtype="<f8").tobytes()).decode()


def unpacked(text: str, width: int) -> Floats:
    """Return the rows that `packed` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64).reshape(-1, width)


class MarketMoves:
    """Mean log return of all symbols from one close to the next."""

    def __init__(self) -> None:
        self._closes: dict[str, float] = {}

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Take in the closes from before the first step."""
        self._closes |= {candle.symbol: candle.close for candle in candles}

    def close(self, candles: Iterable[Candle]) -> float:
        """Return how the market moved with these candles; 0 where no symbol was seen before."""
        moved = []
        for candle in candles:
            if candle.symbol in self._closes:
                moved.append(log(candle.close / self._closes[candle.symbol]))
            self._closes[candle.symbol] = candle.close
        return sum(moved) / len(moved) if moved else 0.0

    def state(self) -> dict[str, float]:
        """Return all that is remembered, as JSON values."""
        return dict(self._closes)

    def restore(self, state: Mapping[str, float]) -> None:
        """Take up what ``state`` returned."""
        self._closes = dict(state)


class Adviser:
    """Brings a forecaster the figures of each close of a service or of a replay.

    Parameters
    ----------
    interval_ns
        Length of a bar; a day ahead is forecast.
    """

    def __init__(self, interval_ns: int) -> None:
        self.forecaster = DrawdownForecaster(
            horizon=max(round(DAY_NS / interval_ns), 1), interval_ns=interval_ns
        )
        self._moves = MarketMoves()

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Take in the closes from before the first step."""
        self._moves.warm_up(candles)

    def close(
        self, ts: int, candles: Iterable[Candle], *, nav: float, drawdown: float, exposure: float
    ) -> Advice:
        """Return the advice of one close, from its candles and the account."""
        return self.forecaster.update(
            ts, nav=nav, drawdown=drawdown, exposure=exposure, market=self._moves.close(candles)
        )

    def shown(self) -> dict[str, Any]:
        """Return the newest forecast, and how forecasts have done beside the fixed rule, as plain JSON."""
        forecaster = self.forecaster
        return forecaster.score().as_dict() | {
            "probability": forecaster.newest,
            "depth": forecaster.depth,
            "horizon_bars": forecaster.horizon,
            "weights": forecaster.weights(),
        }

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {"closes": self._moves.state(), "forecaster": self.forecaster.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self._moves.restore(state["closes"])
        self.forecaster.restore(state["forecaster"])


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values)) if len(values) > 1 else 0.0


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))


def _logistic(z: Floats, y: Floats) -> Floats:
    """Fit by Newton's method with a ridge on all weights but the constant."""
    penalty = np.full(z.shape[1], RIDGE)
    penalty[-1] = 0.0
    weights = np.zeros(z.shape[1])
    for _ in range(NEWTON_STEPS):
        p = _sigmoid(z @ weights)
        slope = z.T @ (y - p) - penalty * weights
        curve = (z * (p * (1.0 - p))[:, np.newaxis]).T @ z + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return weights
