"""What a council would have done to a historical paper run, and what each of its rules was worth there."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from consilium import __version__
from consilium.app.backtest.request import BacktestRequest
from consilium.app.council.forecasting import Adviser
from consilium.app.council_replay.evidence import SAME, paired_difference
from consilium.app.council_replay.history import History, history_of, history_of_signals
from consilium.app.council_replay.playing import Played, Theatre
from consilium.app.settings import Settings
from consilium.app.stages import ProgressCall, silent
from consilium.council.table import RULES
from consilium.domain import UnknownName, to_iso
from consilium.domain.time import HOUR_NS

SCHEMA = "consilium.council_replay/1"
KEPT = ("O1", "P0", "U1")
"""Rows that cannot be left out: what persons ask for, where a desk begins, the only way out of a freeze."""

TABLE = (*(rule for rule in RULES if rule not in KEPT), "A1", "A2")
"""Rows that can be left out."""

HALTED = ("PAUSED", "SHADOW", "REDUCING", "EMERGENCY", "FROZEN")
SHOWN = 20
"""Times of one rule that a report lists."""

ONE_PATH = (
    "One history is one sample. Intervals are of days drawn again in blocks, the same days for both "
    "accounts; they say what luck of days explains, and nothing of markets unlike this one."
)
MANY_LOOKS = "{count} rules were looked at: at 95 %, about {expected:.1f} of them leave 0 out by luck alone."


def replay(
    request: BacktestRequest,
    *,
    run: str | None = None,
    signals: Path | None = None,
    without: Collection[str] = (),
    review_hours: float | None = 4.0,
    progress: ProgressCall = silent,
) -> dict[str, Any]:
    """Play a historical paper run with the council, without it, and without each rule that fired.

    Parameters
    ----------
    request
        Data, symbols, models and costs, as of a backtest.
    run
        A stored run whose forecasts are taken; None for an equal one that is stored, else a new backtest.
    signals
        Signals of the user's own in place of forecasts.
    without
        Rows of the table to leave out, one after the other; empty for all that fired.
    review_hours
        From a freeze to its review by two persons; None for nobody who reviews.
    progress
        Called as the stages advance.

    Raises
    ------
    UnknownName
        A row that is not in the table.
    ConsiliumError
        As a backtest refuses.
    """
    for rule in without:
        if rule not in TABLE:
            raise UnknownName("rule", rule, TABLE)
    history = (
        history_of(request, run, progress)
        if signals is None
        else history_of_signals(request, signals, progress)
    )
    settings = request.settings
    seed = settings.training.seed

    def played(rows: Collection[str] = (), *, council: bool = True, profile: str = "") -> Played:
        section = settings.council.model_copy(update={"enabled": council})
        paper = settings.paper.model_copy(update={"profile": profile or settings.paper.profile})
        own = settings.model_copy(update={"council": section, "paper": paper})
        return Theatre(history, own, without=frozenset(rows), review_hours=review_hours).play()

    progress("the council in force", 0, 1)
    whole = played()
    progress("the council in force", 1, 1)
    fired = [rule for rule in TABLE if rule in whole.fired]
    asked = list(dict.fromkeys(without)) or fired
    alone = played(council=False)
    worth = {"council": _worth(whole, alone, seed)}
    start = settings.council.start_profile
    small = None
    if start != settings.paper.profile:
        small = _worth(whole, played(council=False, profile=start), seed) | {"profile": start}
    for done, rule in enumerate(asked):
        progress("without each rule", done, len(asked), rule)
        # A row that never fired changes nothing: to play without it is to play again.
        other = played([rule]) if rule in fired else whole
        worth[rule] = _worth(whole, other, seed) | {"fired": len(whole.fired.get(rule, ()))}
    progress("without each rule", len(asked), len(asked))
    return {
        "schema": SCHEMA,
        "version": __version__,
        "data": _data(history),
        "council": _account(whole),
        "no_council": _account(alone),
        "no_council_small": small,
        "worth": worth,
        "rules": {rule: _times(whole.fired[rule]) for rule in sorted(whole.fired)},
        "figures": _figures(whole, history),
        "advice": _advice(history, whole),
        "decisions": _log(whole),
        "notes": _notes(history, whole, asked, review_hours, settings),
    }


def _data(history: History) -> dict[str, Any]:
    return {
        "source": history.source,
        "run": history.run_id,
        "trained": history.trained,
        "symbols": sorted(history.panel),
        "models": list(history.models),
        "closes": len(history.closes),
        "days": history.days,
        "first": to_iso(history.closes[0].ts),
        "last": to_iso(history.closes[-1].ts),
        "interval_ns": history.interval_ns,
        "horizon": history.horizon,
        "digest": history.data_digest,
    }


def _account(played: Played) -> dict[str, Any]:
    modes, profiles = Counter(played.modes), Counter(played.profiles)
    closes = len(played.modes)
    return {
        "net_return": played.net_return,
        "max_drawdown": played.worst,
        "fills": played.fills,
        "halted": played.share(*HALTED),
        "paused": played.share("PAUSED", "SHADOW"),
        "frozen": played.share("FROZEN"),
        "modes": {name: count / closes for name, count in modes.most_common()},
        "profiles": {name: count / closes for name, count in profiles.most_common()},
        "ended": played.modes[-1],
        "holds_left": list(played.holds_left),
    }


def _worth(with_it: Played, without: Played, seed: int) -> dict[str, Any]:
    """Return what the account came to without something, and what having it changed."""
    found = paired_difference(with_it.daily(), without.daily(), seed=seed)
    same = found.word == SAME and with_it.modes == without.modes
    return {
        "without": _account(without),
        "difference": found.as_dict(),
        "word": "changed nothing" if same else found.word,
    }


def _times(fired: Sequence[int]) -> dict[str, Any]:
    return {
        "count": len(fired),
        "first": to_iso(fired[0]),
        "times": [to_iso(ts) for ts in fired[:SHOWN]],
        "most_in_a_day": _most_in_a_day(fired),
    }


def _most_in_a_day(fired: Sequence[int]) -> int:
    times = np.array(sorted(fired))
    ends = np.searchsorted(times, times + 24 * HOUR_NS, side="left")
    return int((ends - np.arange(len(times))).max())


def _figures(played: Played, history: History) -> dict[str, Any]:
    """Return the key metrics of seed 001, measured and not tuned to."""
    decided = sum(played.decisions.values())
    hours = max(history.days * 24.0, 1e-9)

    def of_kind(kind: str) -> int:
        return sum(count for (_, name, _), count in played.decisions.items() if name == kind)

    return {
        "decisions": decided,
        "decisions_an_hour": decided / hours,
        "conflicts_share": played.conflicts / decided if decided else None,
        "overrides_share": of_kind("OVERRIDE") / decided if decided else None,
        "freezes_a_week": sum(len(played.fired.get(f"F{k}", ())) for k in range(1, 7)) / hours * 168.0,
        "reviews": played.reviews,
        "by_officer": dict(
            Counter(officer for (officer, _, _), n in played.decisions.items() for _ in range(n))
        ),
    }


def _advice(history: History, played: Played) -> dict[str, Any]:
    """Score the learned forecast of drawdown on this account, beside the fixed rule and the past rate."""
    adviser = Adviser(history.interval_ns)
    adviser.warm_up(history.warm)
    for k, close in enumerate(history.closes):
        adviser.close(
            close.ts,
            close.candles,
            nav=played.nav[k],
            drawdown=played.drawdown[k],
            exposure=played.exposure[k],
        )
    return adviser.shown()


def _log(played: Played) -> list[dict[str, Any]]:
    return [
        {
            "at": to_iso(decision.ts_event),
            "officer": decision.officer,
            "kind": decision.kind,
            "rule": decision.rule,
            "reason": decision.reason,
            "payload": dict(decision.payload),
        }
        for decision in played.log
    ]


def _notes(
    history: History, whole: Played, asked: Sequence[str], review_hours: float | None, settings: Settings
) -> list[str]:
    notes = [ONE_PATH, MANY_LOOKS.format(count=len(asked), expected=0.05 * len(asked))]
    if not whole.fills:
        notes.append(
            "The account never traded: no consensus was actionable, or none was allowed. There was nothing "
            "to govern, and no rule of drawdown could fire."
        )
    if review_hours is None:
        notes.append("Nobody reviewed: a freeze lasts to the end.")
    else:
        notes.append(f"Two persons reviewed each freeze {review_hours:g} hours after it came.")
    if settings.council.start_profile != settings.paper.profile:
        notes.append(
            f"The council starts in {settings.council.start_profile}; without it the account trades in "
            f"{settings.paper.profile} from its first bar. Whether the council did more than trade less is "
            f"what the account that is always in {settings.council.start_profile} tells."
        )
    if history.models:
        notes.append("Weights of the CIO reach the consensus; its trust and gates stay those of the run.")
    return notes
