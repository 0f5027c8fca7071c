"""The paper account of the service, and the shadow books beside it, over one set of tapes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consilium.app.bootstrap import make_costs, make_instruments
from consilium.app.live.shadow import ShadowBook
from consilium.app.settings import Settings
from consilium.council.policy import policy_for
from consilium.domain import Candle, Consensus, PoolChanged, Prediction
from consilium.trading.paper import paper_account
from consilium.trading.strategy import Strategy
from consilium.trading.tape import Tape

PERFORMANCE = "model.performance_updated"


class Accounts:
    """Trades consensuses on paper, and each model's own directions in its shadow book.

    Parameters
    ----------
    settings
        Costs, equity, capital profile and unit size.
    symbols, interval_ns, bars_per_day
        Whose bars come.
    horizon
        Bars that a position lasts.
    """

    def __init__(
        self,
        settings: Settings,
        symbols: Sequence[str],
        interval_ns: int,
        bars_per_day: Mapping[str, float],
        *,
        horizon: int,
    ) -> None:
        self._settings = settings
        self._costs = make_costs(settings)
        self._instruments = make_instruments(settings, symbols)
        self.tapes = {symbol: Tape(symbol, interval_ns, bars_per_day.get(symbol)) for symbol in symbols}
        self.trading = paper_account(
            settings.paper.equity,
            policy=policy_for(settings.paper.profile),
            horizon=horizon,
            costs=self._costs,
            instruments=self._instruments,
            bars_per_day=bars_per_day,
        )
        for tape in self.tapes.values():
            self.trading.open_desk(tape)
        self.books: dict[str, ShadowBook] = {}
        self._acting: frozenset[str] = frozenset()

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Take in bars from before the first step: for ranges and volumes, not for trades."""
        for candle in candles:
            self.tapes[candle.symbol].push(candle)

    def models(self, change: PoolChanged, horizon: int) -> None:
        """Open books for models that have none, and let positions last ``horizon`` bars from now on.

        A model without skill has a book and does not trade: it only says climatology.
        """
        self._acting = frozenset(change.models).difference(change.unskilled)
        self._open(change.models, horizon)

    def _open(self, names: Iterable[str], horizon: int) -> None:
        self.trading.strategy = Strategy(horizon=horizon)
        for name in names:
            if name not in self.books:
                self.books[name] = self._book(name, horizon)
        for book in self.books.values():
            book.horizon(horizon)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "trading": self.trading.state(),
            "horizon": self.trading.strategy.horizon,
            "books": {name: book.state() for name, book in self.books.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self.trading.restore(state["trading"])
        self._open(state["books"], int(state["horizon"]))
        for name, saved in state["books"].items():
            self.books[name].restore(saved, self.tapes)

    def step(
        self,
        ts: int,
        candles: Sequence[Candle],
        predictions: Sequence[Prediction],
        consensuses: Sequence[Consensus],
    ) -> list[Any]:
        """Live through one close; return orders, what became of them, and the account's snapshot.

        Parameters
        ----------
        ts
            The close.
        candles
            Those that close there.
        predictions
            Of all models.
        consensuses
            Reached at it.
        """
        out: list[Any] = []
        for candle in candles:
            out += self.trading.handle(candle)
        for consensus in consensuses:
            out += self.trading.handle(consensus)
        out += self.trading.finish()
        symbols = [candle.symbol for candle in candles]
        said: dict[str, dict[str, Prediction]] = {}
        for prediction in predictions:
            if prediction.model not in self._acting:
                continue
            said.setdefault(prediction.model, {})[prediction.symbol] = prediction
        for name, book in self.books.items():
            figures = book.step(ts, symbols, said.get(name, {}))
            if figures is not None:
                out.append(figures)
        return out

    def _book(self, name: str, horizon: int) -> ShadowBook:
        return ShadowBook(
            name,
            notional=self._settings.paper.unit_notional,
            tapes=self.tapes,
            horizon=horizon,
            costs=self._costs,
            instruments=self._instruments,
        )
