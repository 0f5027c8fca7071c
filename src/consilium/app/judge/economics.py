"""The economics of a verdict: what the account earned, at what costs, and whether luck explains it."""

from collections.abc import Mapping
from typing import Any

from consilium.app.backtest.economics import Economics, account_daily, drawdown, pairs, plain_figures
from consilium.app.backtest.pooling import Pooled
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.economics_daily import daily_difference
from consilium.app.judge.economics_luck import Trials, deflated, overfitting, timing
from consilium.app.judge.economics_measure import capacity, held_equal_volatility
from consilium.app.stages import ProgressCall, silent
from consilium.trading.backtest import BacktestResult
from consilium.trading.metrics import FEWEST_DAYS
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.economics import trading_judgement
from consilium.training.judge.sharpe import TOO_SHORT

__all__ = ["Trials", "account_daily", "daily_difference", "economics_section"]

STAGE = "accounts of the verdict"
MAIN, TWICE, LATE = "1x costs", "2x costs", "one bar later"
TRIALS_OF_STRENGTH = ((TWICE, "At twice the costs"), (LATE, "With every signal one bar later"))


def economics_section(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    pooled: Mapping[str, Pooled],
    economics: Economics,
    *,
    trials: Trials,
    seed: int,
    progress: ProgressCall = silent,
) -> dict[str, Any]:
    """Judge what the consensus earned on paper: the trading verdict and all that it rests on.

    Parameters
    ----------
    request
        Gate preset, limits, horizon.
    dataset, forecasts, pooled, economics
        Rows, forecasts, consensus by gate preset, and the panel with its costs; of the lock-box.
    trials
        This run's variants and earlier runs, for the deflated Sharpe ratio and the probability of
        overfitting.
    seed
        Of the permutations.
    progress
        Called as the accounts are run.

    Returns
    -------
    Plain JSON; ``word`` is ``pays after costs`` or ``does not pay``.
    """
    accounts = _accounts(request, pooled, economics, progress)
    main, signals = accounts[MAIN], pooled[request.gates].signals
    books = economics.unit_books(dataset, forecasts, progress)
    progress("could it be luck?", 0, 3, "signals at other times")
    permuted = timing(economics, signals, seed=seed)
    progress("could it be luck?", 1, 3, "all that was tried")
    day, returns = account_daily(main)
    luck, fitted = deflated(day, returns, trials), overfitting(day, trials)
    progress("could it be luck?", 2, 3, "with more money")
    section = {
        "accounts": [{"name": name, **_figures(account)} for name, account in accounts.items()],
        "equity": pairs(main.ts, main.equity),
        "drawdown": drawdown(main),
        "daily": [[int(d), float(r)] for d, r in zip(day.tolist(), returns.tolist(), strict=True)],
        **_rivals(economics, main),
        "permutation": permuted,
        "deflated_sharpe": luck,
        "overfitting": fitted,
        "capacity": capacity(economics, signals, main, limits=request.limits),
        "books": books,
    }
    progress("could it be luck?", 3, 3)
    return section | _judged(section, accounts)


def _rivals(economics: Economics, main: BacktestResult) -> dict[str, Any]:
    """Return what needs no forecast: doing nothing, and holding the basket, also as much as moves alike."""
    basket = economics.basket()
    return {
        "flat": {"net_return": 0.0},
        "buy_and_hold": pairs(*basket),
        "buy_and_hold_return": float(basket[1][-1]) / main.initial_cash - 1.0,
        "held_equal_volatility": held_equal_volatility(main, basket, traded=bool(main.fills)),
    }


def _accounts(
    request: BacktestRequest, pooled: Mapping[str, Pooled], economics: Economics, progress: ProgressCall
) -> dict[str, BacktestResult]:
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        MAIN: (request.gates, {}),
        TWICE: (request.gates, {"costs": 2.0}),
        "3x costs": (request.gates, {"costs": 3.0}),
        LATE: (request.gates, {"delay": 1}),
        **{f"{name} gates": (name, {}) for name in pooled if name != request.gates},
    }
    # the account that is judged runs as the request says, so its counterpart is the other way
    other_way = "no limits" if request.limits else "with limits"
    variants[other_way] = (request.gates, {"limits": not request.limits})
    found = {}
    for done, (name, (gates, terms)) in enumerate(variants.items()):
        progress(STAGE, done, len(variants), name)
        found[name] = economics.account(pooled[gates].signals, **({"limits": request.limits} | terms))
    progress(STAGE, len(variants), len(variants))
    return found


def _figures(account: BacktestResult) -> dict[str, Any]:
    _, returns = account_daily(account)
    found, reason = plain_figures(account), None
    if len(returns) < FEWEST_DAYS:
        reason = TOO_SHORT
    elif not account.trades:
        reason = "no trade ended" if account.fills else "no trade"
    return found | {"days": len(returns), "reason": reason}


def _judged(section: Mapping[str, Any], accounts: Mapping[str, BacktestResult]) -> dict[str, str]:
    """Return the word and the text of the trading verdict."""
    main = accounts[MAIN]
    net = _earned(main)
    found = trading_judgement(
        net,
        section["buy_and_hold_return"],
        # a position that is still open was a trade as well: "no trade" would be untrue
        len(main.trades) + len(main.positions),
        deflated_sharpe=section["deflated_sharpe"]["probability"],
        overfitting=section["overfitting"]["probability"],
        permutation=section["permutation"]["p_value"],
    )
    told = [found.text]
    if net > 0.0:
        told += [_turned(net, _earned(accounts[name]), cause) for name, cause in TRIALS_OF_STRENGTH]
    if main.fills:
        told += [_told_of_holding(section), _told_of_timing(section, net), section["capacity"]["text"]]
    return {"word": found.word, "text": " ".join(filter(None, told))}


def _earned(account: BacktestResult) -> float:
    return account.net_return if account.fills else 0.0


def _turned(net: float, changed: float, cause: str) -> str:
    if changed >= 0.0:
        return ""
    return f"{cause} the profit of {100 * net:.2f} % becomes a loss of {-100 * changed:.2f} %."


def _told_of_holding(section: Mapping[str, Any]) -> str:
    held = section["held_equal_volatility"]
    if held["share"] is None:
        return f"There is no Sharpe ratio and no comparison at equal volatility: {held['reason']}."
    how = "All of the basket" if held["share"] == 1.0 else "As much of the basket as moves alike"
    return f"{how} ({100 * held['share']:.0f} %), held, would have returned {100 * held['net_return']:.2f} %."


def _told_of_timing(section: Mapping[str, Any], net: float) -> str:
    permuted = section["permutation"]
    if permuted["p_value"] is None:
        return f"Whether the timing was luck cannot be said: {permuted['reason']}."
    unit = f"Positions of one unit on these signals {_made(permuted['net_return'])} after costs"
    return (
        f"{unit} and make as much at other times with a chance of {100 * permuted['p_value']:.1f} %; "
        f"the account, with its own sizes and stops, {_made(net)}, and that chance is not its own."
    )


def _made(change: float) -> str:
    return f"{'lost' if change < 0.0 else 'made'} {100 * abs(change):.2f} %"
