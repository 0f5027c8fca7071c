"""The figures of every forecaster in the lock-box, the secondary hypotheses, and calibration."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.markup import Markup, chart_place, html, paragraph, section, table
from consilium.app.report.numbers import FIGURE_TITLES, NOTHING, number, percent
from consilium.app.report.reading import (
    Footnotes,
    Report,
    chance,
    digits_of,
    gap,
    part,
    real,
    reals,
    rows,
    span,
    word_kind,
)
from consilium.app.report.sections import figure_cell
from consilium.app.report.sets import sets_table
from consilium.domain.wording import counted, listed


def forecasts_section(report: Report) -> Markup:
    """Figures with intervals, of the consensus, the models and the baselines."""
    everybody = everyone(report)
    if not everybody:
        return Markup()
    reasons: list[str] = []
    best = best_in_hindsight(report)
    lines = []
    for name, (kind, figures) in everybody.items():
        cells = [figure_cell(key, part(figures, key), reasons) for key in FIGURE_TITLES]
        told = _kind(kind, *no_skill(report, name, figures))
        if name in best:
            told += "; best of the pool in hindsight, never a comparator"
        lines.append((Markup(f"{html(name)} <small>{html(told)}</small>"), *cells))
    heads = ["Forecaster", *(f"{title}\u00a0{arrow}".strip() for title, arrow in FIGURE_TITLES.values())]
    told_why = "".join(f"<li>{html(reason)}</li>" for reason in reasons)
    outcomes = real(part(report, "consensus", "log_loss").get("n"))
    known = counted(outcomes, "outcome") if outcomes else "outcomes"
    return section(
        "forecasts",
        "Forecasts in the lock-box",
        table("Figures of every forecaster", heads, lines),
        Markup(f'<ol class="soft reasons" aria-label="Reasons">{told_why}</ol>' if told_why else ""),
        paragraph(
            f"On {known} that no model had seen. ↓ lower is better, ↑ higher is better; in brackets the "
            "95\u00a0% interval. Log-loss and Brier: how far the probabilities missed. Calibration error: "
            "stated confidence less how often it was right. MCC: stated against real direction, 0 is a "
            "guess, 1 is perfect. Macro F1: how well UP, FLAT and DOWN are hit, each counted alike. Rank IC: "
            "does a higher forecast rise more? MCC and rank IC of 0.02 to 0.08 are normal in markets; a "
            "result that looks too good is a bug until shown otherwise. Coverage: the share of outcomes on "
            "which it spoke (the consensus: on which it would have traded).",
            "soft under",
        ),
        _oracle(report),
        _levels(report),
        _gates(report),
        sets_table(report),
        _weights(report),
    )


def everyone(report: Report) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """All forecasters by name, the consensus first: what they are, and their figures."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    if part(report, "consensus"):
        found["consensus"] = ("pool", part(report, "consensus"))
    for key, kind in (("models", "model"), ("baselines", "baseline")):
        found |= {name: (kind, part(report, key, name)) for name in part(report, key)}
    return found


def no_skill(report: Report, name: str, figures: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Count the folds of the lock-box without skill, and all; from the figures or from the split."""
    folds = rows(part(report, "split", "lockbox").get("folds"))
    known = [part(fold, "skilled")[name] for fold in folds if name in part(fold, "skilled")]
    silent, of = figures.get("no_skill_folds"), figures.get("folds")
    if silent is None and known:
        silent = sum(has is False for has in known)
    return silent, of or len(folds) or None


def _kind(kind: str, silent: int | None, folds: int | None) -> str:
    return f"{kind}, no_skill in {silent} of {folds or NOTHING} folds" if silent else kind


def best_in_hindsight(report: Report) -> list[str]:
    """Return the models of which no other turned out better; none where climatology was as good."""
    oracle = part(report, "secondary", "oracle")
    return [str(name) for name in oracle.get("alike") or [oracle["name"]]] if oracle.get("name") else []


def _oracle(report: Report) -> Markup:
    oracle = part(report, "secondary", "oracle")
    if not oracle.get("name"):
        return paragraph(f"Oracle: {oracle['text']}") if oracle.get("text") else Markup()
    alike = best_in_hindsight(report)
    loss = real(oracle.get("half_brier"))
    told = "" if loss is None else f" (half-Brier {loss:.5f})"
    were = "was the best model" if len(alike) == 1 else "were alike the best models"
    return paragraph(
        f"Oracle: {listed(alike)}{told} {were} of the lock-box, known only in hindsight: shown to say what "
        "perfect choice would have given, never a comparator."
    )


def _levels(report: Report) -> Markup:
    levels = {k: v for k, v in part(report, "consensus", "levels").items() if real(v) is not None}
    total = sum(levels.values())
    lines = [(_level(name), f"{count:,}", percent(count / total)) for name, count in levels.items() if total]
    return Markup(
        table("How much the models agreed", ("Level", "Times", "Share"), lines)
        + (
            paragraph(
                f"{_counted_over(report, total, 'Levels')}Agreement by head says little where the models err "
                "together: see the effective number of models below.",
                "soft under",
            )
            if lines
            else ""
        )
    )


_LEVELS = {
    "unanimous": "all models say the same",
    "strong": "nearly all say the same",
    "split": "half against half",
    "weak": "too few say the same",
    "none": "nobody had a vote",
}
_HELD = "_volatility_hold"


def _level(name: str) -> Markup:
    told = _LEVELS.get(name.removesuffix(_HELD), "")
    if name.endswith(_HELD):
        told += f"{'; ' if told else ''}held back: too volatile for such confidence"
    return Markup(f"{html(name)}{f' <small>{html(told)}</small>' if told else ''}")


def _counted_over(report: Report, total: float, what: str) -> str:
    """Say so where more than the lock-box was counted."""
    own = real(part(report, "split", "lockbox").get("rows"))
    if own is None or total <= own:
        return ""
    return f"{what} are counted over development and lock-box together. "


_REASONS = {
    "flat": "nothing to trade",
    "tie": "two directions equally probable",
    "volatility_hold": "too volatile for such confidence",
    "conflict_resolved_to_hold": "the models contradict each other",
    "below_min_consensus": "too few models agree",
    "not_unanimous": "not all agree",
    "below_edge": "expected gain below 1.5 times the costs",
    "below_break_even": "odds of a profit too low",
    "below_min_voters": "too few models spoke",
    "below_min_agreement": "too little agreement",
    "below_confidence_threshold": "too little confidence",
    "below_neutral_threshold": "UP and DOWN nearly as probable",
    "not_singleton": "the conformal set holds several directions",
    "no_voter": "no model spoke",
    "no_weight": "no model that spoke is trusted",
}


def _gates(report: Report) -> Markup:
    seen: list[str] = []
    lines, most = [], 0.0
    for name in part(report, "consensus", "gates"):
        row = part(report, "consensus", "gates", name)
        reasons = sorted(
            ((k, v) for k, v in part(row, "reasons").items() if real(v) is not None),
            key=lambda item: -item[1],
        )
        most = max(most, sum(count for _, count in reasons))
        seen += [reason for reason, _ in reasons[:4] if reason not in seen]
        told = "; ".join(f"{reason} {count:,}" for reason, count in reasons[:4])
        lines.append(
            (name, number("actionable", row.get("actionable")), number("share", row.get("share")), told)
        )
    return Markup(
        table(
            "How often each preset of gates let a signal through",
            ("Gates", "Actionable", "Share", "Most frequent reasons"),
            lines,
        )
        + (
            paragraph(
                f"{_counted_over(report, most, 'Reasons')}{_meanings(seen)}No trade at all is a valid "
                "result: the gates open only where an edge is seen.",
                "soft under",
            )
            if lines
            else ""
        )
    )


def _meanings(seen: list[str]) -> str:
    told = [f"{reason}: {_REASONS[reason]}" for reason in seen if reason in _REASONS]
    return f"What held back: {'; '.join(told)}. " if told else ""


def _weights(report: Report) -> Markup:
    series = report.get("weights")
    if not isinstance(series, Mapping) or not series.get("ts"):
        return Markup()
    last = ", ".join(
        f"{name} {values[-1]:.2f}"
        for name, values in series.items()
        if name != "ts" and reals(values) and real(values[-1]) is not None
    )
    return (
        chart_place("chart-weights", "Weight of each model over time", f"Weights at the end: {last}")
        if last
        else Markup()
    )


_SECONDARY = (
    "Figure",
    "Against",
    "Consensus",
    "Other",
    "Difference",
    "95 % interval",
    "p",
    "p (Holm)",
    "Word",
)


def secondary_section(report: Report) -> Markup:
    """The secondary hypotheses with corrected p-values, ICIR, calibration and abstention."""
    found = part(report, "secondary")
    notes, lines = Footnotes(), []
    for row in rows(found.get("rows")):
        reason, word = row.get("reason"), row.get("word")
        low, high, p = (real(row.get(key)) for key in ("low", "high", "p_value"))
        digits = digits_of([row])
        lines.append(
            (
                _title(row.get("figure")),
                row.get("against") or NOTHING,
                *(notes.missing(row.get(key), _four(row.get(key)), reason) for key in ("ours", "other")),
                notes.missing(row.get("difference"), gap(real(row.get("difference")), digits), reason),
                notes.missing(low, span(low, high, digits), reason),
                notes.missing(p, chance(p), reason),
                chance(real(row.get("p_holm"))),
                Markup(f'<span class="{word_kind(word)}-text">{notes.mark(word or NOTHING, reason)}</span>'),
            )
        )
    return section(
        "secondary",
        "Secondary figures, calibration and abstention",
        table("Secondary comparisons, corrected for their number", _SECONDARY, lines, "tight"),
        notes.listed(),
        paragraph(
            "Difference is consensus less other. Looking at many figures finds something by luck; 'p (Holm)' "
            "is corrected for that, and the word rests on it. None of these decides the verdict. Log-loss "
            "here is the mean over instants, in which all symbols together count once; ICIR is over the "
            "instants in which both rank the symbols.",
            "soft under",
        )
        if lines
        else "",
        paragraph(found.get("text")),
        "" if "Not compared" in str(found.get("text")) else _absent(rows(found.get("absent"))),
        _figures("Ranking the symbols of one instant", part(found, "icir"), _ICIR, _ICIR_TOLD),
        _calibration(report),
        _figures("Is the stated confidence true?", part(found, "recalibration"), _SLOPE, _SLOPE_TOLD),
        _coverage(curve_of(report)),
    )


def _absent(found: list[Mapping[str, Any]]) -> Markup:
    told = "; ".join(f"{row.get('name') or '?'} ({row.get('reason') or 'no reason given'})" for row in found)
    return paragraph(f"Not compared with: {told}." if told else "")


_ICIR = {"mean_ic": "Mean rank IC", "icir": "ICIR"}
_ICIR_TOLD = (
    "Mean rank IC: does the symbol with the higher forecast rise more? ICIR: the same divided by its spread, "
    "so how steadily. 0 is nothing."
)
_SLOPE = {"slope": "Slope", "intercept": "Intercept"}
_SLOPE_TOLD = (
    "Perfect: slope 1, intercept 0. A slope below 1 says that confidence is exaggerated, above 1 that it is "
    "too cautious; an intercept below 0 that it is too high throughout, above 0 that it is too low."
)


def _figures(caption: str, found: Mapping[str, Any], titles: Mapping[str, str], told: str) -> Markup:
    notes = Footnotes()
    lines = []
    for key, title in titles.items():
        figure = found.get(key)
        row = figure if isinstance(figure, Mapping) else {"value": figure}
        reason = row.get("reason") or found.get("reason")
        value, low, high = (real(row.get(end)) for end in ("value", "low", "high"))
        ends = NOTHING if low is None or high is None else f"[{low:.4f}, {high:.4f}]"
        lines.append((title, notes.mark(_four(value), reason), ends, number("n", row.get("n"))))
    if not found:
        return Markup()
    return Markup(
        table(caption, ("Figure", "Value", "95 % interval", "Outcomes"), lines, "tight")
        + notes.listed()
        + paragraph(found.get("text"))
        + paragraph(told, "soft under")
    )


def curve_of(report: Report) -> Mapping[str, Any]:
    """The curve of accuracy against coverage."""
    found = part(report, "secondary", "coverage")
    return part(found, "curve") or found


def _coverage(curve: Mapping[str, Any]) -> Markup:
    coverage, accuracy, threshold = (reals(curve.get(key)) for key in ("coverage", "accuracy", "threshold"))
    if not coverage or len(coverage) != len(accuracy):
        return (
            paragraph(f"Accuracy when silent if unsure: {curve['reason']}.")
            if curve.get("reason")
            else Markup()
        )
    told = (
        f"{percent(accuracy[0])} right on the surest {percent(coverage[0])}, {percent(accuracy[-1])} on all"
    )
    step = max(1, len(coverage) // 10)
    places = sorted({0, *range(len(coverage) - 1, -1, -step)})
    lines = [
        (
            percent(coverage[k]),
            percent(accuracy[k]),
            f"{threshold[k]:.3f}" if len(threshold) == len(coverage) else NOTHING,
        )
        for k in places
    ]
    return Markup(
        chart_place("chart-coverage", f"Speaking only when sure: {told}", told)
        + table(
            "Accuracy on the surest share of rows", ("Share spoken on", "Accuracy", "Least confidence"), lines
        )
        + paragraph("If confidence means something, the line falls from left to right.", "soft under")
    )


def _calibration(report: Report) -> Markup:
    curves = part(report, "calibration")
    if not any(reals(part(curves, name).get("predicted")) for name in curves):
        return Markup()
    text = "Observed frequency against forecast probability for " + ", ".join(curves)
    return chart_place("chart-calibration", "Calibration: points on the dotted line are calibrated", text)


def _title(key: object) -> str:
    if key in _ICIR:
        return _ICIR[str(key)]
    return FIGURE_TITLES.get(str(key), (str(key or NOTHING).replace("_", " "), ""))[0]


def _four(value: Any) -> str:
    found = real(value)
    return NOTHING if found is None else f"{found:.4f}"
