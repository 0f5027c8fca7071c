"""What the accounts tell the council at each close: figures of account and models, and volumes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from consilium.app.council.forecasting import MarketMoves
from consilium.app.live.account import Accounts
from consilium.app.live.turnover import Turnover
from consilium.domain import (
    DAY_NS,
    AccountReported,
    Candle,
    ModelReported,
    PoolChanged,
    ProfitSplit,
    VolumesReported,
)
from consilium.trading.days import day_of_close

ACCOUNT_SOURCE, SHADOW_SOURCE = "account:paper", "shadow"
FEWEST_DAYS = 5
"""Days with a close, before runs of winning or losing ones are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTold:
    """What is told of one close; who hears it numbers the reports.

    Parameters
    ----------
    ts_event
        The close.
    account
        Figures of the account.
    models
        Figures of the shadow books that changed; all of them on the first close of a day.
    volumes
        30-day volumes, on the first close of a day; None else.
    nav, drawdown, market
        What learned advice reads: of the account, and the mean log return of all symbols over the bar.
    """

    ts_event: int
    account: AccountReported
    models: tuple[ModelReported, ...] = ()
    volumes: VolumesReported | None = None
    nav: float
    drawdown: float
    market: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "ts_event": self.ts_event,
            "account": asdict(self.account),
            "models": [asdict(model) for model in self.models],
            "volumes": None if self.volumes is None else dict(self.volumes.volumes),
            "nav": self.nav,
            "drawdown": self.drawdown,
            "market": self.market,
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "CloseTold":
        """Read what ``as_dict`` wrote."""
        ts, volumes = int(body["ts_event"]), body["volumes"]
        return cls(
            ts_event=ts,
            account=AccountReported(**body["account"]),
            models=tuple(ModelReported(**model) for model in body["models"]),
            volumes=None if volumes is None else VolumesReported(ts_event=ts, volumes=volumes),
            nav=body["nav"],
            drawdown=body["drawdown"],
            market=body["market"],
        )


class CloseReports:
    """Tells of each close of the accounts, and sets profit aside on the first one of a UTC day.

    Parameters
    ----------
    accounts
        The paper account and the shadow books.
    interval_ns
        Length of a bar.
    """

    def __init__(self, accounts: Accounts, interval_ns: int) -> None:
        self._accounts = accounts
        self._interval_ns = interval_ns
        self._turnover = Turnover()
        self._moves = MarketMoves()
        self._learned_until: dict[str, int] = {}
        self._day: int | None = None

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """Count what was traded before the first step."""
        candles = list(candles)
        for candle in candles:
            self._turnover.add(candle)
        self._moves.warm_up(candles)

    def pool(self, change: PoolChanged) -> None:
        """Know how old the models are."""
        self._learned_until = dict(change.learned_until)

    def close(
        self, ts: int, fresh: Sequence[Candle], traded: Sequence[Any]
    ) -> tuple[ProfitSplit | None, CloseTold]:
        """Return the profit that was set aside, if any was, and what is told.

        Parameters
        ----------
        ts
            The close.
        fresh
            Candles that close there.
        traded
            What the accounts concluded.
        """
        for candle in fresh:
            self._turnover.add(candle)
        trading = self._accounts.trading
        day = day_of_close(ts)
        split = trading.split_profit(ts) if self._day is not None and day != self._day else None
        new_day, self._day = day != self._day, day
        return split, CloseTold(
            ts_event=ts,
            account=self._of_account(ts),
            models=tuple(self._of_models(ts, traded, everyone=new_day)),
            volumes=VolumesReported(ts_event=ts, volumes=self._turnover.volumes()) if new_day else None,
            nav=trading.portfolio.nav,
            drawdown=trading.portfolio.drawdown,
            market=self._moves.close(fresh),
        )

    def _of_account(self, ts: int) -> AccountReported:
        trading = self._accounts.trading
        told = trading.portfolio.snapshot(ts)
        enough = trading.portfolio.days >= FEWEST_DAYS
        return AccountReported(
            source=ACCOUNT_SOURCE,
            sequence=0,
            ts_event=ts,
            interval_ns=self._interval_ns,
            equity=max(told.equity, 0.0),
            nav=told.nav if told.nav > 0.0 else None,
            realized_pnl_today=told.realized_pnl_today,
            exposure=told.exposure,
            leverage=told.leverage,
            margin_ratio=trading.margin_ratio,
            positions=len(told.positions),
            unprotected=trading.unprotected,
            win_rate=told.win_rate,
            sharpe=told.sharpe,
            consecutive_losses=told.consecutive_losses,
            winning_days=told.winning_days if enough else None,
            losing_days=told.losing_days if enough else None,
            locked=told.locked,
            reserve=told.reserve,
            profit=trading.unsplit,
        )

    def _of_models(self, ts: int, traded: Sequence[Any], *, everyone: bool) -> list[ModelReported]:
        books = self._accounts.books
        changed = {m["model_name"] for m in traded if isinstance(m, Mapping)}
        return [self._of_model(name, ts) for name in sorted(books) if everyone or name in changed]

    def _of_model(self, name: str, ts: int) -> ModelReported:
        book, learned = self._accounts.books[name], self._learned_until.get(name)
        figures = book.figures()
        return ModelReported(
            source=SHADOW_SOURCE,
            sequence=0,
            ts_event=ts,
            model=name,
            sharpe=figures["sharpe_ratio"],
            win_rate=figures["win_rate"],
            days=book.days,
            trades=figures["trades"],
            staleness_days=None if learned is None else max(ts - learned, 0) / DAY_NS,
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values."""
        return {
            "turnover": self._turnover.state(),
            "moves": self._moves.state(),
            "learned_until": dict(self._learned_until),
            "day": self._day,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self._turnover.restore(state["turnover"])
        self._moves.restore(state["moves"])
        self._learned_until = {name: int(ts) for name, ts in state["learned_until"].items()}
        self._day = state["day"]
