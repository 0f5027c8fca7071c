"""All rules x policies: differences to equal weight as a heat table, and what each would have traded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, count_told, percent
from consilium.app.report.reading import (
    Report,
    chance,
    digits_of,
    gap,
    part,
    real,
    rows,
    span,
)

Row = Mapping[str, Any]


def variants_section(report: Report) -> Markup:
    """The heat table, the two tests over all variants, and the trading under both presets."""
    found = part(report, "table")
    every = rows(found.get("rows"))
    if not every:
        return section(
            "variants",
            "Every rule with every trust policy",
            paragraph(found.get("reason") or found.get("text")),
        )
    return section(
        "variants",
        "Every rule with every trust policy",
        paragraph(ability(part(found, "spa"))),
        paragraph(_set(part(found, "confidence_set"), every)),
        paragraph(found.get("text")),
        _heat(
            "Half-Brier less that of equal weight, in points of 0.0001; below 0 is better",
            every,
            lambda row: real(row.get("difference")),
            _points,
            lower_is_better=True,
            members=True,
        ),
        paragraph(
            "Framed: the registered one, the only one the verdict speaks of. 0: the same forecast as equal "
            "weight. ● belongs to the set that holds the best variant with the stated chance: these cannot "
            "be told apart. Picking the best cell afterwards would be luck.",
            "soft under",
        ),
        *(_traded(every, preset) for preset in presets(every)),
        _all(every),
    )


def ability(spa: Row) -> str:
    """Say whether any variant beats equal weight, all of them counted."""
    p = real(spa.get("p_value"))
    best = spa.get("best")
    if not spa:
        return ""
    gained = real(spa.get("best_difference"))
    by = "" if gained is None else f", {gap(gained, digits_of([{'difference': gained}]))}"
    shown = f" (best in the table: {best}{by})" if best else ""
    if p is None:
        return (
            f"Test for superior ability against equal weight: none, {spa.get('reason') or 'not run'}{shown}."
        )
    p_told = f"p {chance(p)}" if p < 1e-4 else f"p = {chance(p)}"
    count = spa.get("variants")
    tried = f" {count}" if isinstance(count, int) else ""
    if p < 0.05:
        return (
            f"At least one of the{tried} variants beats equal weight even though so many were tried "
            f"({p_told}, Hansen's test){shown}. It is not re-labelled primary."
        )
    return (
        f"None of the{tried} variants is shown to beat equal weight once all are counted ({p_told}, Hansen's "
        f"test){shown}."
    )


def _set(found: Row, every: Sequence[Row]) -> str:
    level = real(found.get("level"))
    if not found:
        return ""
    count = sum(bool(row.get("in_set")) for row in every)
    named = "Confidence set" if level is None else f"{percent(level, 0)} confidence set"
    told = f"{named}: {count} of {len(every)} variants"
    return f"{told} ({found['reason']})." if found.get("reason") else f"{told} cannot be told from the best."


def presets(every: Sequence[Row]) -> list[str]:
    """Gate presets under which the variants traded."""
    return list(dict.fromkeys(name for row in every for name in part(row, "trading")))


def _traded(every: Sequence[Row], preset: str) -> Markup:
    if all(part(row, "trading", preset).get("trades") == 0 for row in every):
        return paragraph(f"Under gates '{preset}' none of the variants made a trade.")
    return Markup(
        _heat(
            f"Net return and trades under gates '{preset}', after costs",
            every,
            lambda row: real(part(row, "trading", preset).get("net_return")),
            lambda value, row: _money(value, part(row, "trading", preset)),
            lower_is_better=False,
        )
        + paragraph(
            "What a fixed stake on each of these signals would have made, without the account's limits and "
            "sizes: so the net return differs from that of the accounts below. The best of many is mostly "
            "luck.",
            "soft under",
        )
    )


def _heat(
    caption: str,
    every: Sequence[Row],
    value_of: Callable[[Row], float | None],
    write: Callable[[float, Row], str],
    *,
    lower_is_better: bool,
    members: bool = False,
) -> Markup:
    rules = list(dict.fromkeys(str(row.get("rule") or "?") for row in every))
    policies = list(dict.fromkeys(str(row.get("trust") or "?") for row in every))
    at = {(str(row.get("rule") or "?"), str(row.get("trust") or "?")): row for row in every}
    largest = max((abs(v) for row in every if (v := value_of(row)) is not None), default=0.0)
    lines = [
        (
            rule,
            *(
                _cell(at.get((rule, policy)), value_of, write, largest, lower_is_better, members)
                for policy in policies
            ),
        )
        for rule in rules
    ]
    return table(caption, ("Rule", *policies), lines, "heat")


def _cell(
    row: Row | None,
    value_of: Callable[[Row], float | None],
    write: Callable[[float, Row], str],
    largest: float,
    lower_is_better: bool,
    members: bool,
) -> Markup:
    value = None if row is None else value_of(row)
    if row is None or value is None:
        reason = None if row is None else row.get("reason")
        kind = "cell registered" if row is not None and row.get("primary") else "cell"
        return Markup(f'<span class="{kind}" title="{html(reason or "not run")}">{NOTHING}</span>')
    good = (value < 0.0) == lower_is_better
    share = 0.0 if largest == 0.0 else abs(value) / largest
    kinds = ["cell", "good" if good else "bad"]
    if row.get("primary"):
        kinds.append("registered")
    mark = (
        ' <b class="member" aria-label="in the confidence set">●</b>' if members and row.get("in_set") else ""
    )
    told = (
        f"difference {gap(real(row.get('difference')), 6)} "
        f"{span(real(row.get('low')), real(row.get('high')), 6)}, "
        f"p {chance(real(row.get('p_value')))}{', registered' if row.get('primary') else ''}"
    )
    return Markup(
        f'<span class="{" ".join(kinds)}" style="--heat:{60.0 * share:.1f}%" title="{html(told)}">'
        f"{write(value, row)}{mark}</span>"
    )


def _points(value: float, _: Row) -> str:
    shown = f"{1e4 * value:+.2f}" if value else "0"
    return "0.00" if shown in ("+0.00", "-0.00") else shown


def _money(value: float, account: Row) -> str:
    return f"{html(percent(value))} <small>{html(count_told(account.get('trades'), 'trade'))}</small>"


def _all(every: Sequence[Row]) -> Markup:
    lines = [
        (
            Markup(
                f"{html(row.get('rule') or '?')} + {html(row.get('trust') or '?')}"
                f"{'<small>registered</small>' if row.get('primary') else ''}"
            ),
            _loss(row.get("half_brier"), 5),
            _loss(row.get("log_loss"), 4),
            gap(real(row.get("difference")), digits_of([row])),
            span(real(row.get("low")), real(row.get("high")), digits_of([row])),
            chance(real(row.get("p_value"))),
            chance(real(row.get("p_set"))),
            "yes" if row.get("in_set") else "no",
            row.get("same_as") or "",
        )
        for row in every
    ]
    heads = (
        "Rule + trust",
        "Half-Brier",
        "Log-loss",
        "Difference",
        "95 % interval",
        "p",
        "p (set)",
        "In set",
        "Same as",
    )
    inner = table("Every variant with its figures", heads, lines)
    return Markup(
        f"<details><summary>Every variant with its interval ({len(every)})</summary>{inner}</details>"
    )


def _loss(value: Any, digits: int) -> str:
    found = real(value)
    return NOTHING if found is None else f"{found:.{digits}f}"
