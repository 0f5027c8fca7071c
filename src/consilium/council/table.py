"""The table of rules in words, made of the constants that the officers use.

``python -m consilium.council.table`` prints it as docs/council.md shows it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from consilium.council import advice, freezing, ladder, margin
from consilium.council.allocation import CAP, FLOOR, SHRINK_DAYS
from consilium.council.figures import percent
from consilium.council.roles import cfo, cio, cro, researcher, supervisor
from consilium.council.roles.ceo import GONE_FOR, MODE_ROWS
from consilium.council.timers import DAY, HOUR, MINUTE

_NEVER = "never by time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rule: when it sets on, what it does, what ends that, how long it stays at least, and at most.

    Parameters
    ----------
    dwell
        Nanoseconds.
    expiry
        In words.
    """

    rule: str
    officer: str
    trigger: str
    effect: str
    release: str = "–"
    dwell: int = 0
    expiry: str = "–"


def released_by(row: Row) -> str:
    """Return what ends what a row does; for a freeze all that U1 asks for.

    Examples
    --------
    >>> released_by(RULES["P1"])
    'own trigger false and drawdown < 5 % for 24 h: LOW'
    >>> released_by(RULES["F1"]).startswith("no F true")
    True
    """
    return RULES["U1"].trigger if row.release.startswith("U1") else row.release


def span(ns: int) -> str:
    """Return a length of time in words.

    Examples
    --------
    >>> span(120 * MINUTE), span(72 * HOUR), span(14 * DAY), span(0)
    ('120 min', '72 h', '14 d', '–')
    """
    if ns == 0:
        return "–"
    if ns % DAY == 0 and ns > 3 * DAY:
        return f"{ns // DAY} d"
    return f"{ns // HOUR} h" if ns % HOUR == 0 and ns > 2 * HOUR else f"{ns // MINUTE} min"


def _freezes() -> list[Row]:
    triggers = {
        "F0": "an operator's kill switch",
        "F1": f"drawdown > {percent(supervisor.FREEZE_DRAWDOWN)}, also measured since the last rebase",
        "F2": f"daily loss > {percent(supervisor.FREEZE_DAILY_LOSS)}",
        "F3": f"a losing close that makes, or prolongs, a run of {supervisor.FREEZE_LOSSES} or more",
        "F4": "equity < the floor of capital",
        "F5": "ESS CRITICAL or system EMERGENCY",
        "F6": "a source silent, or a required fact unknown, for long with open positions; "
        "a fault of journal or reconciliation",
    }
    return [
        Row(
            rule=rule,
            officer="supervisor",
            trigger=trigger,
            effect=f"FREEZE {freezing.SEVERITIES[rule]}",
            release="U1" if rule != "F2" else "U1, not before the next UTC day",
            dwell=freezing.FREEZE_DWELL,
            expiry=_NEVER,
        )
        for rule, trigger in triggers.items()
    ]


def _facts() -> list[Row]:
    return [
        Row(
            rule=margin.RULE,
            officer="supervisor",
            trigger=f"a CRITICAL freeze in force and margin ratio > {percent(margin.CLOSE_MARGIN)}",
            effect="EMERGENCY: positions are closed, reduce-only",
            release="U1",
            expiry=_NEVER,
        ),
        Row(
            rule="S1",
            officer="supervisor",
            trigger="equity, nav, positions, exposure, drawdown, health or ess unknown or late",
            effect="PAUSED; no officer loosens",
            release="every required fact known and fresh",
        ),
    ]


def _advice() -> list[Row]:
    effects = {
        "A1": ("ceo", advice.PROFILE_FROM, "one profile down from base"),
        "A2": ("cro", advice.EXPOSURE_FROM, f"exposure x {advice.EXPOSURE_FACTOR:g} of base"),
    }
    return [
        Row(
            rule=rule,
            officer=officer,
            trigger=f"a forecast of drawdown that has earned it says >= {percent(bound)}; off by default",
            effect=effect,
            release="its time",
            expiry="the forecast's horizon",
        )
        for rule, (officer, bound, effect) in effects.items()
    ]


def _operators() -> list[Row]:
    return [
        Row(
            rule="O1",
            officer="operator",
            trigger="a key with the scope",
            effect="tightens at once; loosens by two persons and never a supervisor's hold",
            release="its time, or operators",
            expiry="of a loosening <= 24 h",
        )
    ]


def _others_of_supervisor() -> list[Row]:
    calm = (
        "no F true; flat or every position with a live stop; "
        f"no loss > {percent(supervisor.CALM_LOSS)} in 15 min; "
        f"drawdown (since the rebase) < {percent(supervisor.CALM_DRAWDOWN)}; "
        f"equity > {supervisor.CALM_FLOORS:g} x floor; ESS NOMINAL; HEALTHY; fresh; all for "
        f"{span(supervisor.CALM_FOR)}; dwell over; reviewed by two, after F3 alone by one"
    )
    return [
        Row(
            rule="U1",
            officer="supervisor",
            trigger=calm,
            effect=f"freezes end; SHADOW {span(supervisor.SHADOW_FOR)}, MICRO {span(supervisor.MICRO_FOR)}",
            release="their time",
            expiry=f"{span(supervisor.SHADOW_FOR)}, {span(supervisor.MICRO_FOR)}",
        ),
        Row(
            rule="V1",
            officer="supervisor",
            trigger="a looser profile, limit, threshold or universe while drawdown > "
            f"{percent(supervisor.OVERRIDE_DRAWDOWN)}; AGGRESSIVE under a hold of supervisor or CRO",
            effect="OVERRIDE of that decision; R2's own release passes",
        ),
    ]


def _modes() -> list[Row]:
    rows = []
    for row in MODE_ROWS:
        causes = [f"ESS {' or '.join(row.levels)}"] * bool(row.levels) + [
            f"system {' or '.join(row.systems)}"
        ]
        rows.append(
            Row(
                rule=row.rule,
                officer="ceo",
                trigger=" or ".join(causes),
                effect=row.mode,
                release=f"cause gone {span(GONE_FOR)}",
                dwell=row.dwell,
                expiry="–" if row.lasts is None else f"{span(row.lasts)}, re-armed while true",
            )
        )
    live = "HEALTHY, ESS below WARNING, facts fresh, no hold on mode"
    return [*rows, Row(rule="M4", officer="ceo", trigger=live, effect="LIVE is told")]


def _profiles() -> list[Row]:
    at = ladder
    up = f"{span(at.UP_EVERY)} since any tightening of profile or limits, and since the last step up"
    p3 = (
        f">= {at.UP_DAYS} profit days and drawdown < {percent(at.UP_DRAWDOWN)} and "
        f"win rate > {percent(at.UP_WIN_RATE)} and Sharpe > {at.UP_SHARPE:g}; no supervisor or CRO hold "
        f"but R1's last step (to AGGRESSIVE none); {up}"
    )
    return [
        Row(
            rule="P0",
            officer="ceo",
            trigger="a fresh start",
            effect="MICRO",
            release="P3 or P4",
            dwell=at.UP_EVERY,
        ),
        Row(
            rule="P1",
            officer="ceo",
            trigger=f"drawdown > {percent(at.MICRO_DRAWDOWN)} or "
            f"max drawdown (30 d) > {percent(at.MICRO_MAX_DRAWDOWN)}",
            effect="MICRO at once",
            release="own trigger false and "
            f"drawdown < {percent(at.MICRO_UNTIL)} for {span(at.MICRO_DWELL)}: LOW",
            dwell=at.MICRO_DWELL,
        ),
        Row(
            rule="P2",
            officer="ceo",
            trigger=f">= {at.DOWN_DAYS} loss days, or drawdown > {percent(at.DOWN_DRAWDOWN)}, "
            f"or win rate < {percent(at.DOWN_WIN_RATE)}: each onset",
            effect=f"one profile down, at most once in {span(at.DOWN_EVERY)}",
            release="own triggers false: one profile up",
            dwell=at.DOWN_EVERY,
        ),
        Row(
            rule="P3",
            officer="ceo",
            trigger=p3,
            effect="one profile up, the only way to AGGRESSIVE",
            release="AGGRESSIVE: P1, P2, or any hold of supervisor or CRO",
            dwell=at.UP_EVERY,
        ),
        Row(
            rule="P4",
            officer="ceo",
            trigger=f"{span(at.QUIET_FOR)} without a trigger of P1 or P2 and "
            f"drawdown < {percent(at.QUIET_DRAWDOWN)}; {up}",
            effect=f"one profile up, never above {at.CEILING}",
            release="P3 or P4",
            dwell=at.UP_EVERY,
        ),
    ]


def _risk() -> list[Row]:
    floors = ", ".join(f"{key.removeprefix('max_')} {value:g}" for key, value in cro.FLOORS.items())
    return [
        Row(
            rule="R1",
            officer="cro",
            trigger=f"drawdown up > {percent(cro.RISE)} in 24 h, or exposure > {percent(cro.EXPOSURE)}, "
            "or ESS escalates: each onset, those of one briefing once",
            effect=f"base x {cro.LIMIT_FACTOR:g}^k, k <= {cro.MOST_ONSETS} (floors: {floors}); "
            f"stop x {cro.STOP_FACTOR:g}^k",
            release=f"{span(cro.QUIET_FOR)} without onset, own trigger false, "
            f"drawdown < {percent(cro.V1_DRAWDOWN)}: +{percent(cro.BACK_STEP)} of base a day",
            dwell=cro.R1_DWELL,
        ),
        Row(
            rule="R2",
            officer="cro",
            trigger=f"drawdown > {percent(cro.REDUCE_DRAWDOWN)}",
            effect=f"reduce only, leverage {cro.REDUCE_LEVERAGE:g}",
            release=f"drawdown < {percent(cro.REDUCE_UNTIL)} for {span(cro.REDUCE_DWELL)}, or flat "
            f"{span(cro.FLAT_FOR)} and one review: MICRO {span(cro.MICRO_FOR)}",
            dwell=cro.REDUCE_DWELL,
        ),
        Row(
            rule="R3",
            officer="cro",
            trigger=f"drawdown < {percent(cro.BACK_DRAWDOWN)} and win rate > {percent(cro.BACK_WIN_RATE)} "
            f"and Sharpe > {cro.BACK_SHARPE:g} for {span(cro.BACK_FOR)}; no supervisor hold, R2 or E1",
            effect=f"R1's limits back by at most {percent(cro.BACK_STEP)} of base a day",
            release="R1",
            dwell=cro.STEP_EVERY,
        ),
        Row(
            rule="E1",
            officer="cro",
            trigger=f"drawdown > {percent(cro.ESS_DRAWDOWN)} or max drawdown (30 d) > "
            f"{percent(cro.ESS_MAX_DRAWDOWN)}, since the last rebase",
            effect=f"ESS thresholds {percent(cro.ESS_CAUTION)}, {percent(cro.ESS_WARNING)}, "
            f"min({percent(cro.ESS_CRITICAL_MOST)}, max({percent(cro.ESS_CRITICAL)}, loss + "
            f"{percent(cro.ESS_MARGIN)})), computed once",
            release=f"drawdown < {percent(cro.ESS_UNTIL)} "
            f"(and < {percent(cro.V1_DRAWDOWN)} without the rebase) "
            f"and max drawdown < {percent(cro.ESS_MAX_DRAWDOWN)} for {span(cro.ESS_DWELL)}",
            dwell=cro.ESS_DWELL,
        ),
    ]


def _investment() -> list[Row]:
    return [
        Row(
            rule="C1",
            officer="cio",
            trigger=f"every {span(cio.REBALANCE_EVERY)}, or a weight would change by > "
            f"{percent(cio.REBALANCE_CHANGE)}, or another pool of models",
            effect=f"weights by Sharpe x n/(n + {SHRINK_DAYS}) + 2 (win rate - .5), >= {percent(FLOOR)}, "
            f"<= max({percent(CAP)}, 1/n); all <= 0: equal, and an alert",
            release="the next allocation",
            dwell=cio.REBALANCE_DWELL,
        ),
        Row(
            rule="C2",
            officer="cio",
            trigger=f"drawdown > {percent(cio.FEW_DRAWDOWN)} or win rate < {percent(cio.FEW_WIN_RATE)}",
            effect=f"the {cio.FEW_SYMBOLS} symbols of base with the greatest 30-day volume, ties by name",
            release=f"drawdown < {percent(cio.FEW_UNTIL)} and win rate > {percent(cio.FEW_WIN_RATE)} for "
            f"{span(cio.FEW_DWELL)}",
            dwell=cio.FEW_DWELL,
        ),
        Row(
            rule="C3",
            officer="cio",
            trigger=f"drawdown < {percent(cio.MANY_DRAWDOWN)} and "
            f"win rate > {percent(cio.MANY_WIN_RATE)} and "
            f"positions < {cio.MANY_POSITIONS}, no supervisor or CRO hold, for {span(cio.MANY_DWELL)}",
            effect=f"beyond base, {cio.MANY_SYMBOLS} symbols in all",
            release=f"C2 at once, or own trigger false {span(cio.MANY_DWELL)}",
            dwell=cio.MANY_DWELL,
        ),
    ]


def _profit() -> list[Row]:
    triggers = {
        "B1": f"drawdown > {percent(cfo.LOCK_DRAWDOWN)}",
        "B2": f"else reserves < {percent(cfo.LOW_RESERVE)}",
        "B3": f"else reserves > {percent(cfo.HIGH_RESERVE)}",
        "B4": "else",
    }
    return [
        Row(
            rule=rule,
            officer="cfo",
            trigger=trigger,
            effect="profit above the last high: lock {}, reinvest {}, reserve {}".format(
                *(percent(share) for share in cfo.SPLITS[rule].shares)
            ),
            release="another of B1 to B4",
            dwell=cfo.SPLIT_DWELL,
        )
        for rule, trigger in triggers.items()
    ]


def _research() -> list[Row]:
    return [
        Row(
            rule="Q1",
            officer="researcher",
            trigger=f"of a model: Sharpe < {researcher.POOR_SHARPE:g} hyperparameter_tuning, win rate < "
            f"{percent(researcher.POOR_WIN_RATE)} feature_engineering, older than {researcher.OLD_DAYS} d "
            "model_retraining; of the account: "
            f"drawdown > {percent(researcher.DEEP_DRAWDOWN)} risk_analysis, "
            f"win rate < {percent(researcher.LOSING_WIN_RATE)} backtest_strategy",
            effect=f"a task, one of a kind and model in {span(researcher.ONE_EVERY)}",
        )
    ]


RULES: Mapping[str, Row] = MappingProxyType(
    {
        row.rule: row
        for rows in (
            _freezes(), _facts(), _others_of_supervisor(), _modes(), _profiles(), _risk(), _investment(),
            _profit(), _research(), _advice(), _operators(),
        )
        for row in rows
    }
)  # fmt: skip
"""By id, in order of authority."""


def page() -> str:
    """Return the table as Markdown."""
    lines = [
        "| id | officer | trigger | effect | release | dwell | expiry |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rule} | {r.officer} | {r.trigger} | {r.effect} | {r.release} | {span(r.dwell)} | {r.expiry} |"
        for r in RULES.values()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
