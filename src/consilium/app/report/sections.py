"""The sections of the page about the verdict and the forecasts."""

from collections.abc import Mapping, Sequence
from typing import Any

from consilium.app.report.markup import Markup, chart_place, html, paragraph, section, table
from consilium.app.report.numbers import FIGURE_TITLES, NOTHING, after_label, number, percent
from consilium.app.report.sets import sets_table
from consilium.domain.wording import counted

Report = Mapping[str, Any]
CONSENSUS = "consensus"


def forecasters(report: Report) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """All forecasters by name: what they are, and their figures; the consensus first."""
    found = {CONSENSUS: ("pool", report.get("consensus", {}))}
    found |= {name: ("model", row) for name, row in report.get("models", {}).items()}
    return found | {name: ("baseline", row) for name, row in report.get("baselines", {}).items()}


def verdict_section(report: Report) -> Markup:
    """The verdict in a box, at the top."""
    found = report.get("judgement", {})
    word = found.get("word", "")
    kind = word if word in ("better", "worse") else "even"
    if kind == "better" and found.get("direction") not in (None, "better"):
        kind = "even"
    rows = [
        (
            row["against"],
            _signed(row.get("difference")),
            f"{_signed(row.get('low'))} to {_signed(row.get('high'))}"
            if row.get("low") is not None
            else NOTHING,
            row.get("word", ""),
        )
        for row in found.get("comparisons", [])
    ]
    heads = ("Consensus against", "Half-Brier difference", "95 % interval", "Word")
    inner = section(
        "verdict",
        "Verdict",
        paragraph(word, "word"),
        paragraph(f"which way prices move: {found['direction']}" if found.get("direction") else "", "way"),
        paragraph(after_label(found.get("text", ""), "Verdict")),
        paragraph(found.get("trading_word"), "word trading"),
        paragraph(after_label(found.get("trading_text", ""), "Trading verdict")),
        table(
            "Loss of the consensus less the loss of the other; below 0 the consensus is better", heads, rows
        ),
    )
    return Markup(inner.replace("<section ", f'<section class="verdict {kind}" ', 1))


def figures_section(report: Report) -> Markup:
    """The figures of all forecasters, with intervals and reasons for what is missing; nothing without one."""
    if not any(figures for _, figures in forecasters(report).values()):
        return Markup()
    reasons: list[str] = []
    rows = []
    folds = len(report.get("split", {}).get("folds", []))
    for name, (kind, figures) in forecasters(report).items():
        cells = [figure_cell(key, figures.get(key), reasons) for key in FIGURE_TITLES]
        rows.append((Markup(f"{html(name)} <small>{html(_kind(kind, figures, folds))}</small>"), *cells))
    heads = ["Forecaster", *(f"{title}\u00a0{arrow}".strip() for title, arrow in FIGURE_TITLES.values())]
    outcomes = report.get("consensus", {}).get("log_loss", {}).get("n")
    known = counted(outcomes, "outcome") if outcomes else "outcomes"
    notes = "".join(f"<li>{html(reason)}</li>" for reason in reasons)
    return section(
        "forecasts",
        "Forecasts",
        paragraph(
            f"On {known} none of them knew. ↓ lower is better, ↑ higher is better; in brackets the 95\u00a0% "
            "interval. "
            "MCC and rank IC of 0.02 to 0.08 are normal in markets; a result that looks too good is a bug "
            "until shown otherwise.",
            "soft",
        ),
        table("Figures of every forecaster", heads, rows),
        Markup(f'<ol class="soft" aria-label="Reasons">{notes}</ol>' if notes else ""),
        _books(report),
        calibration_figure(report),
        weights_figure(report),
    )


def _kind(kind: str, figures: Mapping[str, Any], folds: int) -> str:
    silent = figures.get("no_skill_folds")
    return f"{kind}, no_skill in {silent} of {folds}" if silent else kind


def figure_cell(key: str, figure: Mapping[str, Any] | None, reasons: list[str]) -> Markup:
    """Write a figure with its interval, and the number of its reason among ``reasons``."""
    if not figure:
        return html(NOTHING)
    mark = ""
    if figure.get("reason"):
        if figure["reason"] not in reasons:
            reasons.append(figure["reason"])
        mark = f"<sup>{reasons.index(figure['reason']) + 1}</sup>"
    value = html(number(key, figure.get("value")))
    low, high = figure.get("low"), figure.get("high")
    if low is None or high is None or low == high:
        return Markup(f"{value}{mark}")
    ends = f"[{number(key, low)}, {number(key, high)}]".replace(" %,", ",")
    return Markup(f"{value}{mark}<small>{html(ends)}</small>")


def _books(report: Report) -> Markup:
    rows = [
        (name, *(number(key, book.get(key)) for key in ("net_return", "sharpe", "trades")))
        for name, (_, figures) in forecasters(report).items()
        if (book := figures.get("paper_book"))
    ]
    return table("What each forecaster would have traded alone, after costs", _BOOK_HEADS, rows)


_BOOK_HEADS = ("Forecaster", "Net return", "Sharpe", "Trades")


def consensus_section(report: Report) -> Markup:
    """How often the models agreed, and how often each preset of gates opened."""
    consensus = report.get("consensus", {})
    levels: Mapping[str, int] = consensus.get("levels", {})
    total = sum(levels.values())
    by_level = [(name, f"{count:,}", percent(count / total)) for name, count in levels.items() if total]
    by_gate = [
        (name, number("actionable", row.get("actionable")), number("share", row.get("share")))
        for name, row in consensus.get("gates", {}).items()
    ]
    return section(
        "consensus",
        "Consensus",
        table("How much the models agreed", ("Level", "Times", "Share"), by_level),
        table(
            "How often each preset of gates let a signal through", ("Gates", "Actionable", "Share"), by_gate
        ),
        sets_table(report),
    )


def calibration_figure(report: Report) -> Markup:
    """The place of the calibration chart; its text says how far the consensus is off."""
    curves = report.get("calibration", {})
    if not any(curve.get("predicted") for curve in curves.values()):
        return Markup()
    text = "Observed frequency against forecast probability for " + ", ".join(curves)
    off = _mean_gap(curves.get(CONSENSUS, {}))
    if off is not None:
        text += f"; the consensus is off by {off:.3f} on average"
    return chart_place("chart-calibration", "Calibration: points on the dotted line are calibrated", text)


def _mean_gap(curve: Mapping[str, Sequence[float]]) -> float | None:
    count = curve.get("count") or []
    if not sum(count):
        return None
    points = zip(curve["predicted"], curve["observed"], count, strict=True)
    return sum(abs(p - o) * n for p, o, n in points) / sum(count)


def weights_figure(report: Report) -> Markup:
    """The place of the chart of weights; its text gives the last weights."""
    series = report.get("weights", {})
    models = [name for name in series if name != "ts"]
    if not series.get("ts") or not models:
        return Markup()
    last = ", ".join(f"{name} {series[name][-1]:.2f}" for name in models if series[name][-1] is not None)
    return chart_place("chart-weights", "Weight of each model over time", f"Weights at the end: {last}")


def _signed(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:+.5f}" if value else "0"
