"""How time was split into development, lock-box and unseen symbols."""

from collections.abc import Iterator, Mapping
from typing import Any

from consilium.app.report.judge.timeline import timeline
from consilium.app.report.markup import Markup, paragraph, section, table
from consilium.app.report.numbers import NOTHING
from consilium.app.report.reading import Report, part, rows, written

HEADS = ("Part", "First", "Last", "Rows", "Trained on", "Without skill (no_skill)")
STAGES = (("development", "development"), ("lockbox", "lock-box"))
Line = tuple[object, object, object, object, object, object]


def split_section(report: Report) -> Markup:
    """The split of time, drawn and as a table."""
    split = part(report, "split")
    lines = list(_lines(split))
    unseen = part(split, "unseen")
    return section(
        "split",
        "How time was split",
        timeline(split),
        table("Parts and folds", HEADS, lines, "tight"),
        paragraph(_TOLD, "soft under") if lines else "",
        paragraph(_unseen_names(unseen) if unseen else _NO_UNSEEN, "soft under") if split else "",
    )


def _lines(split: Mapping[str, Any]) -> Iterator[Line]:
    """Write each part, with its folds under it."""
    for key, name in STAGES:
        stage = part(split, key)
        if stage:
            yield _stage(name, stage)
        for place, fold in enumerate(rows(stage.get("folds")), start=1):
            yield _fold(f"{name} fold {place}", fold)
    unseen = part(split, "unseen")
    if unseen:
        yield _stage("unseen symbols", unseen)


def _stage(name: str, stage: Mapping[str, Any]) -> Line:
    first, last = (str(stage.get(end) or NOTHING) for end in ("first", "last"))
    return Markup(f"<strong>{name}</strong>"), first, last, written("rows", stage.get("rows")), "", ""


def _fold(name: str, fold: Mapping[str, Any]) -> Line:
    skilled = part(fold, "skilled")
    silent = ", ".join(model for model, has in skilled.items() if not has)
    return (
        name,
        fold.get("test_first") or NOTHING,
        fold.get("test_last") or NOTHING,
        written("rows", fold.get("rows")),
        written("rows", fold.get("fit_rows")),
        silent or ("all have skill" if skilled else NOTHING),
    )


_TOLD = (
    "Each fold is forecast by models trained only on what came before it, with a gap as long as the label. "
    "Everything was tuned on development; this run forecast the lock-box afterwards, once. A model without "
    "skill in a fold says what climatology says there."
)
_NO_UNSEEN = "No symbols were kept unseen: that needs ten or more."


def _unseen_names(unseen: Mapping[str, Any]) -> str:
    names = unseen.get("symbols")
    listed = ", ".join(map(str, names)) if isinstance(names, list) else NOTHING
    return f"Unseen symbols, in the last third of the lock-box, never trained on: {listed}."
