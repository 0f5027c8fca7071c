"""The part of a report about fills from recorded books, beside the same signals filled on candles."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from consilium.app.backtest.book_fills import BookFills, covered, markets_of
from consilium.app.backtest.economics import Economics, plain_figures
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import make_costs
from consilium.app.observe import Observed
from consilium.domain import Instrument
from consilium.domain.wording import counted
from consilium.trading.backtest import BacktestResult
from consilium.trading.book.figures import ended_without_fill, fill_figures
from consilium.trading.signals import SignalSeries
from consilium.trading.tape import Tape

MULTIPLES = (1.0, 2.0, 3.0)


def book_fills(request: BacktestRequest, observed: Observed) -> BookFills | None:
    """Read the books of a run that asks for them; None where orders are filled from candles.

    Raises
    ------
    DataProblem
        Nothing is recorded of a symbol of the candles, or something that cannot be.
    """
    if request.fills != "book" or observed.recordings is None:
        return None
    markets = markets_of(observed.recordings, observed.panel)
    return BookFills.of(markets, request.settings, request.policy, request.horizon)


def filled_by_books(
    economics: Economics, signals: Sequence[SignalSeries], account: BacktestResult
) -> tuple[dict[str, Any], list[str]]:
    """Return the section about fills, and notes; both empty where orders are filled from candles."""
    books = economics.recorded
    if books is None:
        return {}, []
    kept, gone = covered(signals, books.markets, economics.start_ts)
    section = fills_section(
        books, account, economics.tapes, kept, limits=economics.request.limits, start_ts=economics.start_ts
    )
    notes = notes_on_fills(books)
    if gone:
        notes.append(f"{counted(gone, 'signal')} outside the time of the books left out.")
    return {"fills": section}, notes


def fills_of(economics: Economics, signals: Sequence[SignalSeries]) -> dict[str, Any]:
    """Run the account of some signals and return the section about its fills; empty without books."""
    if economics.recorded is None:
        return {}
    account = economics.account(signals, limits=economics.request.limits)
    return filled_by_books(economics, signals, account)[0]


def fills_section(
    books: BookFills,
    account: BacktestResult,
    tapes: Mapping[str, Tape],
    signals: Sequence[SignalSeries],
    *,
    limits: bool,
    start_ts: int | None = None,
) -> dict[str, Any]:
    """Describe the fills of an account on books, as plain JSON.

    Parameters
    ----------
    books
        The recorded markets and how orders met them.
    account
        What `BookFills.account` gave for the same signals and limits.
    tapes, signals, limits, start_ts
        As there.
    """
    figures = fill_figures(account, books.markets, tapes, make_costs(books.settings), books.instruments)
    candles = books.on_candles(tapes, signals, limits=limits, start_ts=start_ts)
    costs = [{"multiple": 1.0, "book": _earned(account), "candles": _earned(candles)}]
    for factor in MULTIPLES[1:]:
        book = books.account(tapes, signals, limits=limits, costs=factor, start_ts=start_ts)
        bars = books.on_candles(tapes, signals, limits=limits, costs=factor, start_ts=start_ts)
        costs.append({"multiple": factor, "book": _earned(book), "candles": _earned(bars)})
    chosen = books.settings.costs
    ended = ended_without_fill(account.order_events)
    return {
        "how": "book",
        "settings": books.settings.book.model_dump(mode="json")
        | {"maker_fee": chosen.maker_fee, "taker_fee": chosen.taker_fee},
        "instruments": {symbol: _told_terms(of) for symbol, of in books.instruments.items()},
        "figures": {purpose: asdict(found) for purpose, found in figures.items()},
        "refused": _refused(account, ended["rejected"]),
        "ended": ended,
        "accounts": {"book": _account(account), "candles": None if candles is None else _account(candles)},
        "costs": costs,
    }


def notes_on_fills(books: BookFills) -> list[str]:
    """Say what fills from books assume."""
    book = books.settings.book
    notes = [
        f"Orders reach the exchange {book.latency_ms:g} ms after their signal and take what the books showed "
        "then; others are assumed not to have answered them.",
    ]
    if any(of.market == "perp" for of in books.instruments.values()):
        notes.append(
            "Perpetuals: the mid stands for the mark price, and 0.01 % of funding is paid every 8 h; neither "
            "was recorded."
        )
    if book.shorts:
        notes.append("Candles fill no short positions, so there is no account on candles beside this one.")
    return notes


def _refused(account: BacktestResult, rejected: Mapping[str, int]) -> dict[str, int]:
    """Return what the gate refused before it was sent, and trades that passed resting orders, by reason."""
    left = {why: count - rejected.get(why, 0) for why, count in account.rejections.items()}
    return {why: count for why, count in left.items() if count > 0}


def _earned(account: BacktestResult | None) -> float | None:
    if account is None:
        return None
    return account.net_return if account.fills else 0.0


def _account(account: BacktestResult) -> dict[str, Any]:
    return plain_figures(account) | {
        "fills": len(account.fills),
        "orders_filled": len({fill.order_id for fill in account.fills}),
        "traded_value": account.traded_value,
    }


def _told_terms(of: Instrument) -> dict[str, Any]:
    return {
        "market": of.market,
        "venue": of.venue,
        "tick_size": of.tick_size,
        "lot_size": of.lot_size,
        "min_notional": of.min_notional,
    }
