"""Whether luck explains what an account earned: signals at other times, and all that was tried.

Letters: T days of the lock-box, K variants.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import Economics
from consilium.domain import InvalidValue
from consilium.domain.wording import counted
from consilium.trading.positions import asked_positions, mean_impact
from consilium.trading.signals import SignalSeries
from consilium.training.judge.pbo import BLOCKS, NOT_APPLICABLE, SAME, distinct, overfitting_probability
from consilium.training.judge.permutation import PERMUTATIONS, BarReturns, permutation_test
from consilium.training.judge.sharpe import (
    FEWEST_DAYS,
    Moments,
    deflated_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
)

FloatArray = NDArray[np.float64]
Days = NDArray[np.int64]

TOO_FEW_BARS = "too few bars to permute in blocks"
MEMORY = 4
"""A block lasts at least this many horizons, and a day."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trials:
    """All that was tried on the days of the lock-box.

    Parameters
    ----------
    day
        UTC days since 1970, ascending, shape (T,).
    daily
        Daily returns of this run's variants (rule x trust x preset), shape (T, K).
    names
        Of the variants, K.
    earlier
        Name (``run_id`` or ``run_id/variant``), days and daily returns of all that earlier runs tried over
        some of the same days.
    aborted
        Earlier runs that left no returns, >= 0.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, returns that are not finite.
    """

    day: Days
    daily: FloatArray
    names: tuple[str, ...]
    earlier: Sequence[tuple[str, Days, FloatArray]] = field(default=())
    aborted: int = 0

    def __post_init__(self) -> None:
        if self.daily.shape != (len(self.day), len(self.names)) or not np.all(np.isfinite(self.daily)):
            raise InvalidValue(
                f"daily must be finite, shape ({len(self.day)}, {len(self.names)})",
                self.daily.shape,
                "give one return for each day and variant",
            )
        for name, day, returns in self.earlier:
            if np.shape(day) != np.shape(returns) or not np.all(np.isfinite(returns)):
                raise InvalidValue(
                    f"{name} needs one finite return for each day",
                    f"{np.shape(returns)} for {np.shape(day)}",
                    "leave the run out and count it as aborted",
                )
        if self.aborted < 0:
            raise InvalidValue("aborted must be >= 0", self.aborted, "count the runs without returns")


def on_days(wanted: Days, day: Days, returns: FloatArray) -> FloatArray:
    """Return the rows of the wanted days; a day that is not there is flat.

    Examples
    --------
    >>> on_days(np.array([3, 4, 5]), np.array([4, 5, 6]), np.array([0.1, 0.2, 0.3])).tolist()
    [0.0, 0.1, 0.2]
    """
    kept: FloatArray = np.zeros((len(wanted), *returns.shape[1:]))
    there = np.isin(wanted, day)
    order = np.argsort(day)
    kept[there] = returns[order[np.searchsorted(day, wanted[there], sorter=order)]]
    return kept


def timing(economics: Economics, signals: Sequence[SignalSeries], *, seed: int) -> dict[str, Any]:
    """Compare what the signals earned with the same signals at 1,000 other times.

    Unit positions as asked for, from open to open, with fees, half a spread and mean impact at every change;
    blocks last four horizons and a day at least; all symbols move together. A position that comes to where
    its symbol has no bars yet, or no more, earns the mean of the symbols that have.

    Parameters
    ----------
    economics
        Bars, costs, horizon and the first close.
    signals
        Directions and whether to act on them, one series a symbol.
    seed
        Of the permutations.

    Returns
    -------
    Plain JSON: ``p_value`` (1 without a position; None where the history is too short), ``net_return`` of
    the unit positions, ``median`` and ``high`` of the permuted ones, ``block``, ``way``, ``cost``,
    ``reason``.
    """
    request = economics.request
    asked = asked_positions(economics.tapes, signals, horizon=request.horizon, start_ts=economics.start_ts)
    day = max(tape.bars_per_day for tape in economics.tapes.values())
    block = max(MEMORY * request.horizon, ceil(day))
    fee = max(instrument.taker_fee for instrument in economics.instruments.values())
    notional = request.settings.paper.unit_notional
    slippage = economics.costs.half_spread + mean_impact(asked, economics.tapes, economics.costs, notional)
    cost = fee * economics.costs.fee_scale + slippage
    told = {"block": block, "cost": cost, "permutations": PERMUTATIONS, "reason": None}
    account = BarReturns(asked.returns_anywhere(), cost=cost)
    if len(asked.ts) < 2 * block:
        net = float(account(asked.positions[None])[0])
        p_value = None if asked.positions.any() else 1.0
        return told | {
            "p_value": p_value,
            "net_return": net,
            "median": None,
            "high": None,
            "way": None,
            "reason": f"{TOO_FEW_BARS}: {len(asked.ts)}, {2 * block} are needed",
        }
    return told | asdict(permutation_test(asked.positions, account, block=block, seed=seed))


def deflated(day: Days, returns: FloatArray, trials: Trials) -> dict[str, Any]:
    """Deflate the Sharpe ratio of an account by all trials, as plain JSON.

    A trial of an earlier run counts with its returns where it covers 30 of the days, flat on the others, and
    as a trial of its own without returns where it covers fewer.

    Parameters
    ----------
    day, returns
        Days and returns of the account, shape (T,).
    trials
        Variants and earlier runs; the account itself is added where it is none of the variants.

    Returns
    -------
    ``probability`` and its parts as in `DeflatedSharpe`; ``probabilistic`` (the chance that the true Sharpe
    ratio is above 0, nothing deflated) and ``minimum_track_record`` in days, None where there is none;
    ``variants`` of this run; ``earlier`` runs with returns and the ``earlier_trials`` that they left;
    ``without_returns``: trials that are counted without.
    """
    shared = [(int(np.isin(day, theirs).sum()), name, theirs, r) for name, theirs, r in trials.earlier]
    known = [on_days(day, theirs, r) for days, _, theirs, r in shared if days >= FEWEST_DAYS]
    runs = {name.split("/")[0] for days, name, _, _ in shared if days >= FEWEST_DAYS}
    brief = sum(0 < days < FEWEST_DAYS for days, *_ in shared)
    variants = on_days(day, trials.day, trials.daily)
    # it is one trial, and is told as one
    ours = [] if np.any(np.all(np.abs(variants - returns[:, None]) < SAME, axis=0)) else [returns]
    columns = np.column_stack([*ours, variants, *known])
    found = deflated_sharpe(returns, columns, aborted=trials.aborted + brief)
    moments = Moments.of(returns) if found.reason is None else None
    return asdict(found) | {
        "variants": len(trials.names),
        "earlier": len(runs),
        "earlier_trials": len(known),
        "without_returns": trials.aborted + brief,
        "probabilistic": None if moments is None else probabilistic_sharpe(moments),
        "minimum_track_record": None if moments is None else minimum_track_record(moments),
    }


def overfitting(day: Days, trials: Trials) -> dict[str, Any]:
    """Return the probability of overfitting over this run's variants on the given days, as plain JSON."""
    if len(day) < 2 * BLOCKS:
        return {
            "probability": None,
            "trials": distinct(trials.daily).shape[1],
            "splits": 0,
            "loss": None,
            "reason": f"{NOT_APPLICABLE}: {counted(len(day), 'day')}, {2 * BLOCKS} are needed",
        }
    return asdict(overfitting_probability(on_days(day, trials.day, trials.daily)))
