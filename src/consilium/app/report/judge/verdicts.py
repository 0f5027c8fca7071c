"""The two verdicts, each with what decided it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consilium.app.report.markup import Markup, bullets, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING, after_label, percent
from consilium.app.report.reading import (
    Report,
    chance,
    part,
    real,
    rows,
    word_kind,
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
