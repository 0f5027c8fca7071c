"""Shadow books: each model's own directions, traded on paper at one fixed size and without limits."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from consilium.domain import Instrument, Policy, Prediction
from consilium.trading.books import CUSHION
from consilium.trading.days import day_of_close
from consilium.trading.execution import CostModel
from consilium.trading.metrics import sharpe_ratio
from consilium.trading.paper import paper_account
from consilium.trading.strategy import Strategy
from consilium.trading.tape import Tape

DAYS_KEPT = 365


class ShadowBook:
    """The unit-size account of one model: the figures of `run_unit_book`, step by step.

    Parameters
    ----------
    model
        Whose directions.
    notional
        Value of a position in quote units.
    tapes
        Bars by symbol, pushed by the account that shares them.
    horizon
        Bars that a position lasts.
    costs, instruments
        As in the account.
    """

    def __init__(
        self,
        model: str,
        *,
        notional: float,
        tapes: Mapping[str, Tape],
        horizon: int,
        costs: CostModel,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self.model = model
        self._capital = notional * max(len(tapes), 1)
        cash = self._capital * CUSHION
        self._service = paper_account(
            cash,
            policy=Policy(),
            horizon=horizon,
            costs=costs,
            limits=False,
            notional=notional,
            instruments=instruments,
            keep_trades=True,
        )
        self._desks = {symbol: self._service.open_desk(tape) for symbol, tape in tapes.items()}
        self._daily: deque[float] = deque(maxlen=DAYS_KEPT)
        self._day: int | None = None
        self._day_equity = cash
        self._equity = cash
        self._trades = self._wins = 0
        self._told: tuple[float | None, float | None] = (None, None)

    def horizon(self, bars: int) -> None:
        """Let positions last so many bars from now on."""
        self._service.strategy = Strategy(horizon=bars, notional=self._service.strategy.notional)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values; the tapes are kept by their owner."""
        return {
            "service": self._service.state(tapes=False),
            "daily": list(self._daily),
            "scalars": [self._day, self._day_equity, self._equity, self._trades, self._wins],
            "told": list(self._told),
        }

    def restore(self, state: Mapping[str, Any], tapes: Mapping[str, Tape]) -> None:
        """Take up what ``state`` returned."""
        self._service.restore(state["service"], tapes)
        self._daily.clear()
        self._daily.extend(state["daily"])
        self._day, self._day_equity, self._equity, self._trades, self._wins = state["scalars"]
        sharpe, win_rate = state["told"]
        self._told = sharpe, win_rate

    def step(
        self, ts: int, symbols: list[str], predictions: Mapping[str, Prediction]
    ) -> dict[str, Any] | None:
        """Live through the newest bars of some symbols and act; return the figures where they changed.

        Parameters
        ----------
        ts
            The close.
        symbols
            Those that have a bar there.
        predictions
            By symbol, what the model said at it.
        """
        service = self._service
        for symbol in symbols:
            desk = self._desks[symbol]
            if desk.lane.orders or desk.holding is not None:
                service.bar(desk)
        self._turn(ts)
        self._equity = service.settle(ts)
        for symbol, said in predictions.items():
            service.signal(self._desks[symbol], said.direction, ts)
        service.leave(ts)
        service.out.clear()
        self._count()
        return self._changed(ts)

    def _turn(self, ts: int) -> None:
        """Book the profit of a UTC day when a later one has begun; days without a close earn nothing."""
        day = day_of_close(ts)
        if self._day is not None and day > self._day:
            self._daily.append((self._equity - self._day_equity) / self._capital)
            self._daily.extend([0.0] * min(day - self._day - 1, DAYS_KEPT))
            self._day_equity = self._equity
        self._day = day

    def _count(self) -> None:
        for trade in self._service.trades:
            self._trades += 1
            self._wins += trade.net_pnl > 0
        self._service.trades.clear()

    def _changed(self, ts: int) -> dict[str, Any] | None:
        figures = self.figures()
        told = figures["sharpe_ratio"], figures["win_rate"]
        if told == self._told:
            return None
        self._told = told
        return figures | {"ts_event": ts}

    @property
    def days(self) -> int:
        """Days that are over, at most 365."""
        return len(self._daily)

    def figures(self) -> dict[str, Any]:
        """Return name, Sharpe ratio, win rate, trades and net return, as plain JSON."""
        return {
            "model_name": self.model,
            "sharpe_ratio": sharpe_ratio(np.array(self._daily)),
            "win_rate": self._wins / self._trades if self._trades else None,
            "trades": self._trades,
            "net_return": (self._equity - self._capital * CUSHION) / self._capital,
        }
