"""The two verdicts, what was registered before them, and how time was split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consilium.app.report.judge.timeline import timeline
from consilium.app.report.markup import Markup, bullets, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, after_label, duration, number, percent
from consilium.app.report.reading import (
    Report,
    chance,
    part,
    real,
    rows,
    word_kind,
    written,
)
from consilium.training.judge.economics import LEAST_DEFLATED_SHARPE, MOST_CHANCE, MOST_OVERFITTING


def verdict_section(report: Report) -> Markup:
    """Both verdicts side by side, each with what decided it."""
    found = part(report, "judgement")
    if not found:
        return Markup()
    word, trading = str(found.get("word") or "no verdict"), str(found.get("trading_word") or "no verdict")
    kind = word_kind(word)
    direction = direction_of(report).get("word")
    if kind == "better" and direction not in (None, "", "better"):
        kind = "even"
    boxes = [
        _box(
            "Forecasts",
            word,
            kind,
            after_label(str(found.get("text") or ""), "Verdict"),
            _why(report),
            which_way(report),
        ),
        _box(
            "Trading",
            trading,
            word_kind(trading),
            after_label(str(found.get("trading_text") or ""), "Trading verdict"),
            conditions(report),
        ),
    ]
    return section("verdict", "Verdicts", Markup(f'<div class="pair">{"".join(boxes)}</div>'))


def direction_of(report: Report) -> Mapping[str, Any]:
    """How much of the gain is about which way prices move."""
    return part(report, "direction") or part(report, "primary", "direction")


def unseen_of(report: Report) -> Mapping[str, Any]:
    """The comparison on symbols that no model was trained on."""
    return part(report, "unseen") or part(report, "primary", "unseen")


def which_way(report: Report) -> str:
    """Say whether the forecast knows which way prices move; nothing where that was not judged.

    Examples
    --------
    >>> which_way({"direction": {"word": "not distinguishable"}}), which_way({"direction": {"word": None}})
    ('which way prices move: not distinguishable', '')
    """
    word = direction_of(report).get("word")
    return f"which way prices move: {word}" if word else ""


def _box(label: str, word: str, kind: str, text: str, why: Markup, below: str = "") -> Markup:
    return Markup(
        f'<div class="verdict {kind}"><h3>{html(label)}</h3><p class="word">{html(word)}</p>'
        f"{paragraph(below, 'way')}{paragraph(text)}{why}</div>"
    )


def _why(report: Report) -> Markup:
    lines = []
    for row in rows(part(report, "primary").get("comparisons")):
        if row.get("excluded"):
            told = f"left out ({row.get('reason') or 'no test'})"
        elif real(row.get("p_value")) is None:
            told = f"{row.get('word') or 'no test'} ({row.get('reason') or 'no test'})"
        else:
            p = chance(real(row.get("p_value")))
            told = f"{row.get('word') or NOTHING} (p {p if p.startswith('<') else f'= {p}'})"
        lines.append(f"against {row.get('against', NOTHING)}: {told}")
    return bullets(lines)


def conditions(report: Report) -> Markup:
    """The four conditions of `pays after costs`, each with what was found."""
    economics = part(report, "economics")
    if not economics:
        return Markup()
    account: Mapping[str, Any] = next(iter(rows(economics.get("accounts"))), {})
    held = [
        _Condition("Net return", account, "net_return", ">", 0.0, percent),
        *(
            _Condition(name, part(economics, key), field, sign, bound, chance)
            for name, key, field, sign, bound in (
                ("Deflated Sharpe", "deflated_sharpe", "probability", ">", LEAST_DEFLATED_SHARPE),
                ("Chance of overfitting (PBO)", "overfitting", "probability", "<", MOST_OVERFITTING),
                ("Permutation p-value", "permutation", "p_value", "<", MOST_CHANCE),
            )
        ),
    ]
    return table("All four must hold", ("Condition", "Needed", "Found", "Held"), [c.row() for c in held])


@dataclass(frozen=True, slots=True)
class _Condition:
    """One figure and the bound that it has to keep; a missing figure does not keep it."""

    name: str
    found: Mapping[str, Any]
    field: str
    sign: str
    bound: float
    write: Callable[[float], str]

    def row(self) -> tuple[object, ...]:
        """What stands in the table."""
        value = real(self.found.get(self.field))
        if value is None:
            held, shown = False, NOTHING
        else:
            held = value > self.bound if self.sign == ">" else value < self.bound
            shown = self.write(value)
        reason = self.found.get("reason") if value is None else None
        return self.name, f"{self.sign} {self.bound:g}", shown, _met(held, reason)


def _met(held: bool, reason: Any) -> Markup:
    told = "yes" if held else "no"
    return Markup(
        f'<span class="{"better" if held else "worse"}-text">{told}</span>'
        f"{f'<small>{html(reason)}</small>' if reason else ''}"
    )


def registration_section(report: Report) -> Markup:
    """What was fixed before the lock-box was opened, and how often it had been opened before."""
    config, data = part(report, "config"), part(report, "data")
    run = part(report, "run")
    facts: list[tuple[str, object]] = [
        ("Hash", Markup(f"<code>{html(report.get('config_hash') or NOTHING)}</code>")),
        ("Run", f"{run.get('id') or NOTHING}; trials so far: {number('trials', run.get('trials'))}"),
        ("Symbols", _names(config.get("universe") or data.get("symbols"))),
        ("Unseen symbols", _names(data.get("unseen"), "none: fewer than ten symbols")),
        ("Bar and horizon", _horizon(config, data)),
        ("Label", f"{config.get('label_id') or NOTHING} (names the rule that tells UP, FLAT and DOWN apart)"),
        ("Features", f"{data.get('features') or config.get('features') or NOTHING}"),
        ("Models", _names(config.get("models"))),
        ("Rule, trust, gates", " · ".join(str(config.get(k) or NOTHING) for k in ("rule", "trust", "gates"))),
        ("Costs", _costs(config)),
        ("Comparators", "; ".join(map(str, config.get("comparators") or [])) or NOTHING),
        ("Alpha", NOTHING if config.get("alpha") is None else f"{config.get('alpha')} {_ALPHA}"),
    ]
    earlier = table(
        "Earlier openings of the same lock-box",
        ("Run", "Kind", "Started"),
        [
            tuple(str(row.get(key) or NOTHING) for key in ("run", "kind", "started"))
            for row in rows(part(report, "split", "lockbox").get("opened_by"))
        ],
        "text",
    )
    return section(
        "registered",
        "What was registered",
        paragraph(
            "All this was written down, and its hash kept, before this run read the lock-box."
            + (" Nothing here was chosen after seeing the result." if _first_time(report) else ""),
            "soft",
        ),
        table("Fixed beforehand", ("What", "Value"), facts, "text"),
        paragraph(opened(report), "opened"),
        earlier,
    )


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
    return f"{bar}; forecasts {horizon:,.0f} bar{'' if horizon == 1 else 's'} ahead"


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


def split_section(report: Report) -> Markup:
    """The split of time, drawn and as a table."""
    split = part(report, "split")
    lines: list[tuple[object, ...]] = []
    for key, name in (("development", "development"), ("lockbox", "lock-box")):
        stage = part(split, key)
        if stage:
            lines.append(
                (Markup(f"<strong>{name}</strong>"), *_ends(stage), written("rows", stage.get("rows")))
            )
        for place, fold in enumerate(rows(stage.get("folds"))):
            ends = (fold.get("test_first") or NOTHING, fold.get("test_last") or NOTHING)
            skilled = part(fold, "skilled")
            silent = ", ".join(model for model, has in skilled.items() if not has)
            lines.append(
                (
                    f"{name} fold {place + 1}",
                    *ends,
                    written("rows", fold.get("rows")),
                    written("rows", fold.get("fit_rows")),
                    silent or ("all have skill" if skilled else NOTHING),
                )
            )
    unseen = part(split, "unseen")
    if unseen:
        lines.append(
            (Markup("<strong>unseen symbols</strong>"), *_ends(unseen), written("rows", unseen.get("rows")))
        )
    lines = [(*line, *("" for _ in range(6 - len(line)))) for line in lines]
    heads = ("Part", "First", "Last", "Rows", "Trained on", "Without skill (no_skill)")
    return section(
        "split",
        "How time was split",
        timeline(split),
        table("Parts and folds", heads, lines, "tight"),
        paragraph(
            "Each fold is forecast by models trained only on what came before it, with a gap as long as the "
            "label. Everything was tuned on development; this run forecast the lock-box afterwards, once. A "
            "model without skill in a fold says what climatology says there.",
            "soft under",
        )
        if lines
        else "",
        paragraph(_unseen_names(unseen) if unseen else _NO_UNSEEN, "soft under") if split else "",
    )


_NO_UNSEEN = "No symbols were kept unseen: that needs ten or more."


def _unseen_names(unseen: Mapping[str, Any]) -> str:
    names = unseen.get("symbols")
    listed = ", ".join(map(str, names)) if isinstance(names, list) else NOTHING
    return f"Unseen symbols, in the last third of the lock-box, never trained on: {listed}."


def _ends(stage: Mapping[str, Any]) -> tuple[str, str]:
    return str(stage.get("first") or NOTHING), str(stage.get("last") or NOTHING)
