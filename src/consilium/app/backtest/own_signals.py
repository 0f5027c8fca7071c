"""A backtest of the user's own signals: no model is trained, no forecast judged, only orders are filled."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from consilium import __version__
from consilium.app.backtest.book_fills import at_closes
from consilium.app.backtest.economics import Economics, account_daily, drawdown, pairs, plain_figures
from consilium.app.backtest.fills_section import book_fills, filled_by_books
from consilium.app.backtest.registration import Material, registered
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.signal_files import read_signals
from consilium.app.observe import Observed, observe
from consilium.app.stages import ProgressCall, silent
from consilium.domain import UsageError, to_iso
from consilium.models import DEFAULT_POOL
from consilium.trading.backtest import BacktestResult
from consilium.trading.signals import SignalSeries
from consilium.training.judge.economics import trading_verdict

SCHEMA = "consilium.backtest/1"
NO_FORECAST = "no forecast"
TEXT = "the signals came from a file, so no forecast was judged."


def run_signals(request: BacktestRequest, path: Path, *, progress: ProgressCall = silent) -> dict[str, Any]:
    """Trade signals of a file and return the report as plain JSON.

    Parameters
    ----------
    request
        Data, books, costs, limits and horizon; its models are not used.
    path
        The signals; see `read_signals`.
    progress
        Called as the stages advance.

    Raises
    ------
    ConsiliumError
        Data, books or signals that do not allow it; one line with the cure.
    """
    if request.models != DEFAULT_POOL:
        raise UsageError("--signals takes the place of models", "--models too", "leave one of them out")
    progress("read candles", 0, 1)
    seed = request.settings.training.seed
    observed = observe(
        request.data, request.symbols, repair=request.repair, seed=seed, books=request.books, bar=request.bar
    )
    progress("read candles", 1, 1)
    books = book_fills(request, observed)
    signals = read_signals(path, _spans(observed, books.markets if books else {}))
    known = _told_signals(path, signals)
    material = Material(request=request, observed=observed, features="none")
    config = material.registration(signals=known)
    table = material.run_table()
    with registered("backtest", material, table, config) as entry:
        first = min(int(series.ts_close[0]) for series in observed.panel.values())
        economics = Economics(request, observed.panel, first, books)
        if books is None:
            signals = [at_closes(series, economics.tapes[series.symbol]) for series in signals]
        progress("paper account", 0, 1)
        account = economics.account(signals, limits=request.limits)
        progress("paper account", 1, 1)
        entry.row.keep_returns(*account_daily(account), "account")
        report = _report(request, observed, economics, signals, account)
        entry.row.record({"net_return": report["trading"]["net_return"], "trades": len(account.trades)})
    return entry.signed(report, table.trials("backtest"))


def _spans(observed: Observed, markets: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return when each symbol can be traded: while its books last, else while its bars do."""
    return {
        symbol: markets[symbol].span if symbol in markets else (int(s.ts_close[0]), int(s.ts_close[-1]))
        for symbol, s in observed.panel.items()
    }


def _told_signals(path: Path, signals: Sequence[SignalSeries]) -> dict[str, Any]:
    state = sha256()
    for series in signals:
        state.update(series.symbol.encode())
        for column in (series.ts_event, series.direction, series.actionable):
            state.update(column.tobytes())
    return {
        "file": path.name,
        "digest": state.hexdigest(),
        "signals": {series.symbol: len(series.ts_event) for series in signals},
        "actionable": {series.symbol: int(series.actionable.sum()) for series in signals},
    }


def _report(
    request: BacktestRequest,
    observed: Observed,
    economics: Economics,
    signals: Sequence[SignalSeries],
    account: BacktestResult,
) -> dict[str, Any]:
    held = economics.hold()
    trading = plain_figures(account) | {
        "equity": pairs(account.ts, account.equity),
        "buy_and_hold": held,
        "drawdown": drawdown(account),
    }
    other = economics.account(signals, limits=not request.limits)
    filled, told = filled_by_books(economics, signals, account)
    traded = trading_verdict(
        trading["net_return"], held[-1][1] / trading["equity"][0][1] - 1.0, trading["trades"]
    )
    return {
        "schema": SCHEMA,
        "version": __version__,
        "data": _data(observed, signals),
        "trading": trading,
        "trading_variants": {f"limits={'off' if request.limits else 'on'}": plain_figures(other)},
        **filled,
        "verdict": f"{TEXT} {traded.text}",
        "judgement": {"word": NO_FORECAST, "text": TEXT} | traded.as_dict(),
        "notes": told,
        "failures": [],
    }


def _data(observed: Observed, signals: Sequence[SignalSeries]) -> dict[str, Any]:
    panel = observed.panel
    return {
        "source": observed.source,
        "symbols": sorted(panel),
        "bars": observed.bars,
        "rows": sum(len(series.ts_event) for series in signals),
        "interval_ns": next(iter(panel.values())).interval_ns,
        "first": to_iso(min(int(series.ts_open[0]) for series in panel.values())),
        "last": to_iso(max(int(series.ts_close[-1]) for series in panel.values())),
        "findings": list(observed.findings),
    }
