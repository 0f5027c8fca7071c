"""The table of all rules and trust policies: losses against equal weight, and what each would have traded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import Economics, signals_of
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.playing import Variant, play_all
from consilium.app.stages import ProgressCall, silent
from consilium.domain import DAY_NS, Direction, UsageError, half_brier, log_loss
from consilium.ensemble import PRESETS
from consilium.ensemble.tournament import Played
from consilium.trading.twin import codes_of, lay_out, twin_search
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.comparison import Comparison, compare_half_brier
from consilium.training.judge.spa import SET_LEVEL, confidence_set, superior_ability
from consilium.training.judge.timestamps import NOTHING, mean_by_timestamp

__all__ = ["EQUAL_WEIGHT", "Played", "Variant", "Variants", "play_all", "table_section", "variant_returns"]

EQUAL_WEIGHT: Variant = ("weighted_voting", "uniform")
"""The variant that all others are compared with."""

STAGE = "table of rules and policies"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variants:
    """What unit books on the signals of each variant would have earned on the days of the lock-box.

    Parameters
    ----------
    names
        (rule, trust, gate preset) of the K variants.
    day
        UTC days since 1970, ascending, shape (T,).
    daily
        Daily returns, flat days in, shape (T, K).
    net_return, trades
        Shape (K,): after costs, and round trips that ended.
    """

    names: tuple[tuple[str, str, str], ...]
    day: Ints
    daily: Floats
    net_return: Floats
    trades: Ints


def variant_returns(
    economics: Economics, dataset: Dataset, lockbox: Forecasts, played: Mapping[Variant, Played]
) -> Variants:
    """Trade the signals of every variant under every gate preset as unit books.

    Parameters
    ----------
    economics
        Bars, costs, instruments, horizon and the first close.
    dataset, lockbox
        The rows on which is traded.
    played
        As `play_all` gives it; the last rows are those of the lock-box.

    Raises
    ------
    ConsiliumError
        As in `twin_search`.
    """
    tables = lay_out(economics.tapes)
    start = len(next(iter(played.values())).direction) - len(lockbox.rows)
    names = tuple((*variant, preset) for variant in played for preset in PRESETS)
    cut = {
        name: (played[name[:2]].direction[start:], played[name[:2]].actionable[name[2]][start:])
        for name in names
    }
    # What is not acted on is not traded, so many variants share a book.
    traded = {
        name: np.where(acted, direction, Direction.FLAT).tobytes() for name, (direction, acted) in cut.items()
    }
    books = list(dict.fromkeys(traded.values()))
    first = {book: name for name, book in reversed(traded.items())}
    signals = [signals_of(dataset, lockbox, *cut[first[book]]) for book in books]
    book_of = [books.index(traded[name]) for name in names]
    found = twin_search(
        tables,
        codes_of(tables, signals),
        horizon=economics.request.horizon,
        costs=economics.costs,
        instruments=economics.instruments,
        notional=economics.request.settings.paper.unit_notional,
        start_ts=economics.start_ts,
        # Without numba the same loops run in plain Python: slower, and to the same bits.
        compiled=find_spec("numba") is not None,
    )
    return Variants(
        names=names,
        day=found.day // DAY_NS,
        daily=found.daily[:, book_of],
        net_return=found.net_return[book_of],
        trades=found.trades[book_of],
    )


def table_section(
    request: BacktestRequest,
    dataset: Dataset,
    lockbox: Forecasts,
    played: Mapping[Variant, Played],
    variants: Variants,
    *,
    progress: ProgressCall = silent,
) -> dict[str, Any]:
    """Return the table section of the report as plain JSON.

    Parameters
    ----------
    request
        The registered rule and policy, the horizon and the seed.
    dataset, lockbox
        The rows that are scored: those of the lock-box whose outcome is known.
    played
        As `play_all` gives it, `EQUAL_WEIGHT` among it; the last rows are those of the lock-box.
    variants
        As `variant_returns` gives it.

    Returns
    -------
    ``rows`` (half-Brier and log-loss, the difference to equal weight, the confidence set, trading), ``spa``,
    ``confidence_set`` and ``text``. Statistics that cannot be given are None, with a ``reason``.
    """
    scored = _Scored.of(dataset, lockbox, played)
    horizon, seed = request.horizon, request.settings.training.seed
    steps = len(scored.losses) + 2
    equal = scored.loss(EQUAL_WEIGHT)
    compared: dict[Variant, Comparison] = {}
    for done, (name, loss) in enumerate(scored.losses.items()):
        progress(STAGE, done, steps, told(name))
        compared[name] = compare_half_brier(loss, equal, scored.ts, horizon, seed)
    progress(STAGE, steps - 2, steps, "superior ability")
    every = {told(name): scored.loss(name) for name in played}
    spa = _ability(every, scored.ts, horizon, seed)
    progress(STAGE, steps - 1, steps, "confidence set")
    kept, p_set = _set(every, scored.ts, horizon, seed)
    progress(STAGE, steps, steps)
    return {
        "rows": [
            {
                **scored.named(name),
                **_against_equal(compared[scored.distinct[name]]),
                "in_set": told(name) in kept["names"],
                "p_set": p_set.get(told(name)),
                "primary": name == (request.rule, request.trust),
                "same_as": scored.same_as(name),
                "trading": _trading(name, variants),
            }
            for name in played
        ],
        "spa": spa,
        "confidence_set": kept,
        "text": _text(request, scored.distinct),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scored:
    """Losses of all variants on the lock-box rows whose outcome is known, those that are alike once."""

    y: Ints
    ts: Ints
    distinct: Mapping[Variant, Variant]
    probabilities: Mapping[Variant, Floats]
    losses: Mapping[Variant, Floats]

    @classmethod
    def of(cls, dataset: Dataset, lockbox: Forecasts, played: Mapping[Variant, Played]) -> "_Scored":
        places = np.flatnonzero(dataset.labelled[lockbox.rows])
        rows = lockbox.rows[places]
        # What was played begins in development.
        places = places + len(next(iter(played.values())).direction) - len(lockbox.rows)
        y, distinct = dataset.y[rows], _distinct(played)
        probabilities = {
            name: played[name].probabilities[places] for name in dict.fromkeys(distinct.values())
        }
        return cls(
            y=y,
            ts=dataset.ts_event[rows],
            distinct=distinct,
            probabilities=probabilities,
            losses={name: half_brier(p, y) for name, p in probabilities.items()},
        )

    def loss(self, name: Variant) -> Floats:
        return self.losses[self.distinct[name]]

    def named(self, name: Variant) -> dict[str, float | str | None]:
        """Return rule, policy and mean losses."""
        p = self.probabilities[self.distinct[name]]
        return {
            "rule": name[0],
            "trust": name[1],
            "half_brier": _mean(self.loss(name), self.ts),
            "log_loss": _mean(log_loss(p, self.y), self.ts),
        }

    def same_as(self, name: Variant) -> str | None:
        first = self.distinct[name]
        return None if first == name else told(first)


def told(variant: Variant) -> str:
    """Name a variant for people.

    Examples
    --------
    >>> told(("majority", "uniform"))
    'majority + uniform'
    """
    return " + ".join(variant)


def _distinct(played: Mapping[Variant, Played]) -> dict[Variant, Variant]:
    """Map each variant to the first one with the same forecasts, up to the last bits."""
    first: dict[int, Variant] = {}
    kept: list[Variant] = []
    found: dict[Variant, Variant] = {}
    # Equal weight goes first, so that what equals it is told as such.
    for name in sorted(played, key=lambda name: name != EQUAL_WEIGHT):
        p = played[name].probabilities
        same = first.get(id(p))
        if same is None:
            same = next((other for other in kept if _alike(p, played[other].probabilities)), name)
            first[id(p)] = same
        if same == name:
            kept.append(name)
        found[name] = same
    return found


def _alike(one: Floats, other: Floats) -> bool:
    # Most pairs part within a few rows.
    few = slice(0, 1_000)
    return all(
        bool(np.abs(one[part] - other[part]).max(initial=0.0) <= NOTHING) for part in (few, slice(None))
    )


def _mean(loss: Floats, ts: Ints) -> float | None:
    return float(mean_by_timestamp(loss, ts)[1].mean()) if len(loss) else None


def _against_equal(c: Comparison) -> dict[str, Any]:
    return {
        "difference": c.mean_difference,
        "low": c.low,
        "high": c.high,
        "p_value": c.p_value,
        "reason": c.reason,
    }


def _trading(name: Variant, variants: Variants) -> dict[str, dict[str, Any]]:
    figures = {}
    for preset in PRESETS:
        k = variants.names.index((*name, preset))
        figures[preset] = {"net_return": float(variants.net_return[k]), "trades": int(variants.trades[k])}
    return figures


def _ability(losses: Mapping[str, Floats], ts: Ints, horizon: int, seed: int) -> dict[str, Any]:
    rest = {name: loss for name, loss in losses.items() if name != told(EQUAL_WEIGHT)}
    nothing = dict.fromkeys(("p_value", "p_lower", "p_upper", "best", "best_difference"))
    if not rest:
        return {**nothing, "variants": 0, "reason": "one variant only"}
    try:
        found = superior_ability(losses[told(EQUAL_WEIGHT)], rest, ts, horizon, seed)
    except UsageError as error:
        return {**nothing, "variants": len(rest), "reason": str(error)}
    return asdict(found)


def _set(
    losses: Mapping[str, Floats], ts: Ints, horizon: int, seed: int
) -> tuple[dict[str, Any], Mapping[str, float]]:
    try:
        found = confidence_set(losses, ts, horizon, seed)
    except UsageError as error:
        return {"level": SET_LEVEL, "names": list(losses), "reason": str(error)}, {}
    p_values = {} if found.reason else found.p_values
    return {"level": found.level, "names": list(found.included), "reason": found.reason}, p_values


def _text(request: BacktestRequest, distinct: Mapping[Variant, Variant]) -> str:
    registered = (request.rule, request.trust)
    primary = (
        f"Registered was {told(registered)}. The winner is not re-labelled primary: the best of "
        f"{len(distinct)} is partly luck."
    )
    shares = (
        "Equal weight means the configured allocations here." if request.settings.ensemble.allocations else ""
    )
    return " ".join(filter(None, (primary, _alike_told(distinct), shares)))


def _alike_told(distinct: Mapping[Variant, Variant]) -> str:
    """Say which variants forecast the same: rules often differ in what they act on, and not in the pool."""
    groups: dict[Variant, list[Variant]] = {}
    for name, first in distinct.items():
        groups.setdefault(first, []).append(name)
    if len(groups) == 1 and len(distinct) > 1:
        return f"All {len(distinct)} variants forecast the same."
    policies = dict.fromkeys(trust for _, trust in distinct)
    under: dict[tuple[str, ...], list[str]] = {}
    for group in groups.values():
        always = [
            rule for rule in dict.fromkeys(rule for rule, _ in group) if _everywhere(rule, group, policies)
        ]
        for trust in dict.fromkeys(trust for rule, trust in group if rule not in always):
            rules = [*(r for r, t in group if t == trust and r not in always), *always]
            under.setdefault(tuple(rules), []).append(trust)
        if always:
            under.setdefault(tuple(always), []).append("every policy")
    alike = [
        f"{', '.join(rules)} under {', '.join(trusts)}"
        for rules, trusts in under.items()
        if len(rules) > 1 or trusts == ["every policy"]
    ]
    return f"Forecasting the same, to the last digits: {'; '.join(alike)}." if alike else ""


def _everywhere(rule: str, group: Sequence[Variant], policies: Iterable[str]) -> bool:
    return all((rule, trust) in group for trust in policies)
