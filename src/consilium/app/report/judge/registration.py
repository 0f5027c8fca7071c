"""What was fixed before the lock-box was opened, and how often it had been opened before."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, duration, number, percent
from consilium.app.report.reading import Report, part, real, rows
from consilium.app.report.sets import target_of
from consilium.domain.wording import counted


def registration_section(report: Report) -> Markup:
    """What was fixed before the lock-box was opened, and how often it had been opened before."""
    return section(
        "registered",
        "What was registered",
        paragraph(
            "All this was written down, and its hash kept, before this run read the lock-box."
            + (" Nothing here was chosen after seeing the result." if _first_time(report) else ""),
            "soft",
        ),
        table("Fixed beforehand", ("What", "Value"), [*_run_facts(report), *_asked_facts(report)], "text"),
        paragraph(opened(report), "opened"),
        _earlier_openings(report),
    )


def _run_facts(report: Report) -> list[tuple[str, object]]:
    config, data, run = part(report, "config"), part(report, "data"), part(report, "run")
    return [
        ("Hash", Markup(f"<code>{html(report.get('config_hash') or NOTHING)}</code>")),
        ("Run", f"{run.get('id') or NOTHING}; trials so far: {number('trials', run.get('trials'))}"),
        ("Symbols", _names(config.get("universe") or data.get("symbols"))),
        ("Unseen symbols", _names(data.get("unseen"), "none: fewer than ten symbols")),
        ("Bar and horizon", _horizon(config, data)),
    ]


def _asked_facts(report: Report) -> list[tuple[str, object]]:
    config, data = part(report, "config"), part(report, "data")
    alpha = config.get("alpha")
    return [
        ("Label", _label(config)),
        ("Features", f"{data.get('features') or config.get('features') or NOTHING}"),
        ("Models", _names(config.get("models"))),
        ("Rule, trust, gates", " · ".join(str(config.get(k) or NOTHING) for k in ("rule", "trust", "gates"))),
        ("Meta-labelling", _switch(part(config, "settings", "ensemble").get("meta"))),
        ("Conformal gate", _conformal(report)),
        ("Risk limits", _limits(config)),
        ("Costs", _costs(config)),
        ("Comparators", "; ".join(map(str, config.get("comparators") or [])) or NOTHING),
        ("Alpha", NOTHING if alpha is None else f"{alpha} {_ALPHA}"),
    ]


def _earlier_openings(report: Report) -> Markup:
    return table(
        "Earlier openings of the same lock-box",
        ("Run", "Kind", "Started"),
        [
            tuple(str(row.get(key) or NOTHING) for key in ("run", "kind", "started"))
            for row in rows(part(report, "split", "lockbox").get("opened_by"))
        ],
        "text",
    )


def _label(config: Mapping[str, Any]) -> str:
    """Write the label out, with the id that names it in every forecast."""
    label, name = part(config, "label"), config.get("label_id") or NOTHING
    k, span, floor, horizon = (real(label.get(key)) for key in ("k", "span", "floor", "horizon"))
    if k is None or span is None or horizon is None:
        return f"{name} (names the rule that tells UP, FLAT and DOWN apart)"
    width = f"{k * sqrt(horizon):.4g} times the volatility of a bar (span {counted(span, 'bar')})"
    least = f", at least {percent(floor, 2)}" if floor else ""
    return f"UP or DOWN if the return is beyond ± {width}{least}, else FLAT; {name}"


def _conformal(report: Report) -> str:
    """Say how much the sets are to hold; that there is no such gate is a fact too."""
    target = target_of(report)
    if target is not None:
        return f"on; its sets are to hold {percent(target)} of outcomes"
    return "off" if "conformal" in part(report, "config", "settings", "ensemble") else NOTHING


def _limits(config: Mapping[str, Any]) -> str:
    profile = part(config, "settings", "paper").get("profile")
    told = _switch(config.get("limits"))
    return f"{told}, capital profile {profile}" if told == "on" and profile else told


def _switch(value: Any) -> str:
    return NOTHING if value is None else "on" if value else "off"


_ALPHA = "(how often a test may find something where there is nothing)"


def _first_time(report: Report) -> bool:
    return real(part(report, "split", "lockbox").get("openings")) == 0


def opened(report: Report) -> str:
    """Say how often the lock-box had been opened before."""
    lockbox = part(report, "split", "lockbox")
    if not lockbox:
        return ""
    count = real(lockbox.get("openings"))
    if count is None:
        told = "How often the lock-box had been opened before is not known."
    elif count == 0:
        return str(lockbox.get("text") or "The lock-box was opened for the first time.")
    else:
        told = (
            f"The lock-box had been opened {'once' if count == 1 else f'{count:,.0f} times'} before. Each "
            "look is a trial: the more looks, the less a good result means."
        )
    return f"{told} {lockbox.get('text') or ''}".strip()


def _names(found: Any, nothing: str = NOTHING) -> str:
    names = [str(name) for name in found] if isinstance(found, list) else []
    if not names:
        return nothing
    return f"{len(names)}: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"


def _horizon(config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    bar = duration(int(real(config.get("interval_ns")) or real(data.get("interval_ns")) or 0))
    horizon = real(config.get("horizon"))
    if horizon is None:
        return bar
    return f"{bar}; forecasts {counted(horizon, 'bar')} ahead"


_COSTS = {
    "maker_fee": "maker fee {}",
    "taker_fee": "taker fee {}",
    "half_spread": "half spread {}",
    "participation": "at most {} of a bar's volume",
}


def _costs(config: Mapping[str, Any]) -> str:
    costs = part(config, "settings", "costs") or part(config, "costs")
    parts = [
        told.format(percent(found, 2))
        for key, told in _COSTS.items()
        if (found := real(costs.get(key))) is not None
    ]
    return ", ".join(parts) or NOTHING
