"""What happened on the development part: the choice of the best single model, and cross-validation paths."""

from collections.abc import Mapping
from typing import Any

from consilium.app.report.judge.strips import Scale, strip
from consilium.app.report.markup import Markup, html, paragraph, section, table
from consilium.app.report.numbers import NOTHING
from consilium.app.report.reading import Footnotes, Report, gap, part, real, reals, written
from consilium.domain.wording import counted


def development_section(report: Report) -> Markup:
    """The models on development, and how their gain varies over the paths of cross-validation."""
    found = part(report, "development")
    return section(
        "development",
        "Development: what the choice was based on",
        _models(report, found),
        _paths(part(found, "cross_validation")),
    )


def _models(report: Report, found: Mapping[str, Any]) -> Markup:
    notes = Footnotes()
    lines = []
    for name in part(found, "models"):
        row = part(found, "models", name)
        ours, base = real(row.get("half_brier")), real(row.get("climatology"))
        silent, folds = row.get("no_skill_folds"), row.get("folds")
        lines.append(
            (
                Markup(f"{html(name)}{_mark(report, name)}"),
                notes.missing(ours, written("half_brier", ours), row.get("reason")),
                written("half_brier", base),
                gap(None if ours is None or base is None else ours - base),
                written("log_loss", row.get("log_loss")),
                NOTHING if silent is None else f"{silent} of {folds or NOTHING}",
            )
        )
    heads = ("Model", "Half-Brier ↓", "Climatology", "Difference", "Log-loss ↓", "Folds without skill")
    return Markup(
        table("Models on the development folds", heads, lines)
        + notes.listed()
        + paragraph(
            "Half-Brier is the squared miss of the forecast probabilities. The lowest of the pool is the "
            "rival in the lock-box: the single model that the consensus has to beat there, chosen before the "
            "lock-box was opened. Baselines are shown beside it and cannot be chosen.",
            "soft under",
        )
        if lines
        else ""
    )


def _mark(report: Report, name: str) -> str:
    """Say whether a model belongs to the pool, and whether it is the rival."""
    registered = part(report, "config").get("models")
    pool = {*part(report, "models"), *(registered if isinstance(registered, list) else ())}
    told = [
        "" if not pool else "pool" if name in pool else "baseline",
        "the rival in the lock-box" if name == part(report, "development").get("best_single") else "",
    ]
    shown = "; ".join(filter(None, told))
    return f" <small>{shown}</small>" if shown else ""


def _paths(found: Mapping[str, Any]) -> Markup:
    models = {name: part(found, "models", name) for name in part(found, "models")}
    if not models:
        return Markup()
    notes = Footnotes()
    every = {name: reals(row.get("differences")) for name, row in models.items()}
    scale = Scale.over(value for values in every.values() for value in values)
    lines = [_path_line(name, row, every[name], scale, notes) for name, row in models.items()]
    axis = Markup('<span class="ends"><span>← better</span><span>worse →</span></span>')
    heads = ("Model", axis, "Mean", "Best path", "Worst path", "Paths below 0")
    return Markup(
        "<h3>Combinatorial purged cross-validation</h3>"
        + paragraph(_how_it_was_cut(found), "soft")
        + table("Half-Brier of the model less climatology, on each path through development", heads, lines)
        + notes.listed()
        + paragraph(found.get("text"))
        + paragraph(_PATHS_TOLD, "soft under")
    )


_PATHS_TOLD = (
    "Each path strings together test blocks from different trainings: one history becomes several. Small "
    "ticks are paths, the dot is their mean. A model whose ticks lie on both sides of the line has no steady "
    "gain."
)


def _path_line(
    name: str, row: Mapping[str, Any], differences: list[float], scale: Scale, notes: Footnotes
) -> tuple[object, ...]:
    mean, worst, best = (real(row.get(key)) for key in ("mean", "worst", "best"))
    text = f"{counted(len(differences), 'path')}, mean {gap(mean)}, from {gap(best)} to {gap(worst)}"
    return (
        name,
        strip(scale, mean, best, worst, kind=_steady(best, worst), text=text, ticks=differences),
        notes.missing(mean, gap(mean), row.get("reason")),
        gap(best),
        gap(worst),
        f"{sum(v < 0.0 for v in differences)} of {len(differences)}",
    )


def _steady(best: float | None, worst: float | None) -> str:
    """Return the colour of a model: one only where all its paths lie on one side."""
    if worst is not None and worst < 0.0:
        return "better"
    return "worse" if best is not None and best > 0.0 else "even"


_CUT = {
    "groups": "groups of time",
    "tested": "tested together",
    "splits": "splits",
    "paths": "paths",
    "embargo_bars": "bars of embargo",
    "max_fit_rows": "rows a fit at most",
}


def _how_it_was_cut(found: Mapping[str, Any]) -> str:
    known = {key: title for key, title in _CUT.items() if found.get(key) is not None}
    return ", ".join(f"{written(key, found.get(key))} {title}" for key, title in known.items())
