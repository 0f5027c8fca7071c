"""What each part is worth, how many models stand behind it, and whether they hold in other histories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from consilium.app.backtest.assessment import Judged
from consilium.app.backtest.economics import Economics, plain_figures, signals_of
from consilium.app.backtest.pooling import Pooled, pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.economics_daily import daily_difference, days_of
from consilium.app.stages import ProgressCall, silent
from consilium.domain import Direction, half_brier
from consilium.domain.wording import counted, listed
from consilium.ensemble.rules.smart_vote import SmartVote
from consilium.training.cross_validation import CrossValidated
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.ablation import HARMS, HELPS, SAME, ablation
from consilium.training.judge.diversity import effective_models
from consilium.training.workers import spread

FULL = "full"
ALONE = "one model only: nothing can be left out"
SAME_SIGNALS = "identical signals"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lockbox:
    """What an ablation is made on.

    Parameters
    ----------
    dataset
        All rows.
    whole
        Forecasts of development and lock-box: trust must be as warm in a variant as it was.
    first_place
        Place in ``whole.rows`` at which the lock-box begins.
    forecasts
        Those of the lock-box alone, the last rows of ``whole``.
    pooled
        What the ensemble said on the lock-box under the gates of the request.
    judged
        The labelled rows of the lock-box.
    economics
        Accounts over the lock-box.
    """

    dataset: Dataset
    whole: Forecasts
    first_place: int
    forecasts: Forecasts
    pooled: Pooled
    judged: Judged
    economics: Economics


def ablations_section(
    request: BacktestRequest, lockbox: Lockbox, *, seed: int, progress: ProgressCall = silent
) -> dict[str, Any]:
    """Leave out one part at a time on the same forecasts, and tell what that changed.

    Forecasts: trust (equal weights instead), and each model of two or more; half-Brier of the full system
    less that of the variant, corrected by Holm: below 0 the part helps. Trading: gates (every UP and DOWN is
    acted on), boosts, meta-labelling and trust; daily return of the full account less that of the variant:
    above 0 the part helps. Calibration is no part here: models are calibrated before they are forecasts.

    Parameters
    ----------
    request
        Of the run; the variants differ from it in one thing.
    lockbox
        The forecasts and what was made of them.
    seed
        Of the draws.
    progress
        Called after each variant.

    Returns
    -------
    Plain JSON: ``forecast`` and ``trading`` rows, ``full`` and ``text``.
    """
    members = [name for name in request.models if name in lockbox.whole.probabilities]
    variants = _Variants(request, lockbox, members, progress)
    forecast = _forecast_rows(request, lockbox, variants, members, seed)
    full, trading = _trading_rows(request, lockbox, variants, seed)
    return {"forecast": forecast, "trading": trading, "full": full, "text": _ablation_text(forecast, trading)}


class _Variants:
    """The ensemble with one part changed, replayed from the first forecast on; the lock-box of it is kept."""

    def __init__(
        self, request: BacktestRequest, lockbox: Lockbox, members: list[str], progress: ProgressCall
    ) -> None:
        self.absent: dict[str, str] = {}
        changed: dict[str, BacktestRequest] = {}
        settings = request.settings.ensemble
        if request.trust == "uniform":
            self.absent["trust"] = "trust is uniform already"
        else:
            changed["trust"] = _with_ensemble(replace(request, trust="uniform"), trust_options={})
        if len(members) < 2:
            self.absent["one model"] = ALONE
        else:
            changed |= {f"without {name}": _without(request, members, name) for name in members}
        if request.rule == "smart_vote":
            changed["boosts"] = request
        else:
            self.absent["boosts"] = f"the rule {request.rule} has none"
        if settings.meta:
            changed["meta"] = _with_ensemble(request, meta=False)
        else:
            self.absent["meta"] = "meta-labelling is off already"
        self.said = _pooled(changed, lockbox, request.settings.training.jobs, progress)


def _pooled(
    changed: Mapping[str, BacktestRequest], box: Lockbox, jobs: int, progress: ProgressCall
) -> dict[str, Pooled]:
    """Replay every variant, several at once where the settings allow more than one process."""
    asked = [
        (box.dataset, box.whole, part, request, SmartVote(boosts=False) if part == "boosts" else None)
        for part, request in changed.items()
    ]
    found: dict[str, Pooled] = {}
    for part, said in spread([partial(_replay, *each) for each in asked], min(jobs, max(1, len(asked)))):
        found[part] = _since(said, box)
        progress("ablations", len(found), len(asked), part)
    return {part: found[part] for part in changed}


def _replay(
    dataset: Dataset, whole: Forecasts, part: str, request: BacktestRequest, rule: SmartVote | None
) -> tuple[str, Pooled]:
    return part, pool(request, dataset, whole, request.gates, silent, rule=rule)


def _since(said: Pooled, box: Lockbox) -> Pooled:
    direction, actionable = said.direction[box.first_place :], said.actionable[box.first_place :]
    return replace(
        said,
        probabilities=said.probabilities[box.first_place :],
        direction=direction,
        actionable=actionable,
        signals=signals_of(box.dataset, box.forecasts, direction, actionable),
    )


def _with_ensemble(request: BacktestRequest, **changed: object) -> BacktestRequest:
    ensemble = request.settings.ensemble.model_copy(update=changed)
    return replace(request, settings=request.settings.model_copy(update={"ensemble": ensemble}))


def _without(request: BacktestRequest, members: list[str], name: str) -> BacktestRequest:
    """Leave one model out of the request, and of the settings that name it."""
    rest = tuple(member for member in members if member != name)
    ensemble = request.settings.ensemble
    allocations = {member: ensemble.allocations.get(member, 0.0) for member in rest}
    kept = allocations if ensemble.allocations and sum(allocations.values()) > 0.0 else {}
    floors = {member: floor for member, floor in ensemble.min_confidence.items() if member in rest}
    return _with_ensemble(replace(request, models=rest), allocations=kept, min_confidence=floors)


def _forecast_rows(
    request: BacktestRequest, box: Lockbox, variants: _Variants, members: list[str], seed: int
) -> list[dict[str, Any]]:
    y, ts = box.dataset.y[box.judged.rows], box.dataset.ts_event[box.judged.rows]
    parts = (
        ["trust", *(f"without {name}" for name in members)] if len(members) > 1 else ["trust", "one model"]
    )
    losses = {FULL: half_brier(box.judged.probabilities["consensus"], y)}
    losses |= {
        part: half_brier(variants.said[part].probabilities[box.judged.places], y)
        for part in parts
        if part in variants.said
    }
    found = ablation(losses, FULL, ts, request.horizon, seed)
    rows = []
    for part in parts:
        c = found[part].comparison if part in found else None
        rows.append(
            {
                "part": part,
                "difference": c.mean_difference if c else None,
                "low": c.low if c else None,
                "high": c.high if c else None,
                "p_value": c.p_value if c else None,
                "p_holm": found[part].p_holm if c else None,
                "word": found[part].word if c else SAME,
                "reason": c.reason if c else variants.absent[part],
            }
        )
    return rows


def _trading_rows(
    request: BacktestRequest, box: Lockbox, variants: _Variants, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    economics = box.economics
    account = economics.account(box.pooled.signals, limits=request.limits)
    full = _net(plain_figures(account))
    moved = box.pooled.direction != Direction.FLAT
    ungated = replace(
        box.pooled,
        actionable=moved,
        signals=signals_of(box.dataset, box.forecasts, box.pooled.direction, moved),
    )
    said = {"gates": ungated} | variants.said
    days = days_of(request.horizon, next(iter(economics.panel.values())))
    rows: list[dict[str, Any]] = []
    nothing: dict[str, Any]
    for part in ("gates", "boosts", "meta", "trust"):
        if part not in said:
            nothing = {"difference": None, "low": None, "high": None, "reason": variants.absent[part]}
            rows.append({"part": part, "net_return": None, "trades": None, **nothing})
            continue
        if _same_signals(said[part], box.pooled):
            nothing = {"difference": 0.0, "low": None, "high": None, "reason": SAME_SIGNALS}
            rows.append({"part": part, **full, **nothing})
            continue
        other = economics.account(said[part].signals, limits=request.limits)
        found = daily_difference(account, other, seed=seed, horizon_days=days)
        told = {key: found[key] for key in ("difference", "low", "high", "reason")}
        rows.append({"part": part, **_net(plain_figures(other)), **told})
    return full, rows


def _net(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"net_return": figures["net_return"], "trades": figures["trades"]}


def _same_signals(one: Pooled, other: Pooled) -> bool:
    """Tell whether both act on the same rows in the same direction."""
    acts = np.array_equal(one.actionable, other.actionable)
    return acts and np.array_equal(one.direction[one.actionable], other.direction[one.actionable])


def _ablation_text(forecast: list[dict[str, Any]], trading: list[dict[str, Any]]) -> str:
    tested = [row for row in forecast if row["p_holm"] is not None]
    told = []
    for word, one, many in (
        (HELPS, "helps the forecasts", "help the forecasts"),
        (HARMS, "harms the forecasts", "harm the forecasts"),
        (SAME, "is not distinguishable", "are not distinguishable"),
    ):
        parts = [row["part"].removeprefix("without ") for row in tested if row["word"] == word]
        if parts:
            told.append(f"{listed(parts)} {one if len(parts) == 1 else many}")
    said = f"Of the parts, {'; '.join(told)}." if told else "No part could be told from nothing."
    shown = [row for row in trading if row["low"] is not None and not row["low"] <= 0.0 <= row["high"]]
    money = [f"{row['part']} {'earned' if row['difference'] > 0 else 'cost'} something" for row in shown]
    return (
        f"{said} In the account "
        f"{listed(money) if money else 'no part made a difference whose interval leaves out 0'}. "
        "A part that is not distinguishable may be left out without a loss that could be seen."
    )


def diversity_section(dataset: Dataset, judged: Judged, pool_models: Sequence[str]) -> dict[str, Any]:
    """Count the independent models behind an agreement, by the correlation of their errors.

    Parameters
    ----------
    pool_models
        Members of the pool; those without forecasts are left out.

    Returns
    -------
    Plain JSON: ``models``, ``speaking``, ``effective``, ``mean_correlation``, ``text``.
    """
    y = dataset.y[judged.rows]
    climatology = half_brier(judged.climatology, y)
    names = [name for name in pool_models if name in judged.probabilities]
    if not names:
        none = {"models": 0, "speaking": 0, "effective": None, "mean_correlation": None}
        return {**none, "text": "No model of the pool could be trained."}
    errors = np.column_stack([half_brier(judged.probabilities[name], y) - climatology for name in names])
    found = effective_models(errors)
    return {
        "models": found.models,
        "speaking": found.speaking,
        "effective": found.effective,
        "mean_correlation": found.mean_correlation,
        "text": found.remark(found.models),
    }


def cross_validation_section(found: CrossValidated, interval_ns: int) -> dict[str, Any]:
    """Return the cross-validation of the development part as plain JSON.

    Parameters
    ----------
    found
        What every model did on every path.
    interval_ns
        Length of a bar.
    """
    return {
        "groups": found.groups,
        "tested": found.tested,
        "splits": found.splits,
        "paths": found.paths,
        "embargo_bars": found.embargo_ns // interval_ns,
        "max_fit_rows": found.max_fit_rows,
        "skipped": [{"groups": [g + 1 for g in s.groups], "reason": s.reason} for s in found.skipped],
        "models": {
            name: {
                "differences": list(scores.differences),
                "log_losses": list(scores.log_losses),
                "mean": scores.mean,
                "worst": scores.worst,
                "best": scores.best,
                "no_skill_splits": scores.no_skill,
                "reason": scores.reason,
            }
            for name, scores in found.models.items()
        },
        "text": _paths_text(found, interval_ns),
    }


def _paths_text(found: CrossValidated, interval_ns: int) -> str:
    said = [
        f"{name} {sum(d < 0.0 for d in scores.differences)} of {len(scores.differences)}"
        for name, scores in found.models.items()
        if scores.differences
    ]
    bars = found.embargo_ns // interval_ns
    rows = f", on at most {found.max_fit_rows:,} rows a fit" if found.max_fit_rows else ""
    text = (
        f"The development part was cut into {found.groups} groups; models trained without {found.tested} of "
        f"them ({found.splits} splits{rows}) forecast those, which gives {found.paths} histories of tests. "
    )
    text += (
        f"Paths with a half-Brier below climatology's: {', '.join(said)}." if said else "No model was scored."
    )
    if found.skipped:
        text += (
            f" {len(found.skipped)} of {found.splits} splits left too little to learn from beside the "
            f"embargo of {counted(bars, 'bar')}; the paths lack the groups that these would have forecast."
        )
    return (
        text + " The paths share their data: they show whether a result hangs on one period, and are no test."
    )
