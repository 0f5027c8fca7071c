"""Which of the models that were asked for some data can feed."""

from collections.abc import Iterable, Mapping

from consilium.domain import DataProblem

BOOK_MODEL = "tlob"
NOT_BARS = "it reads windows of order-book snapshots, and these rows are windows of bars"
"""Why the model of books is left out; see decision 011."""


def unfed(models: Iterable[str]) -> dict[str, str]:
    """Return the models that cannot be fed, and why; that is no failure of theirs."""
    return {name: NOT_BARS for name in models if name == BOOK_MODEL}


def fed(models: Iterable[str], skipped: Mapping[str, str]) -> tuple[str, ...]:
    """Return the models that are left.

    Raises
    ------
    DataProblem
        None is.
    """
    asked = tuple(models)
    left = tuple(name for name in asked if name not in skipped)
    if asked and not left:
        raise DataProblem(
            "a run needs at least 1 model that its data can feed",
            "; ".join(f"{name}: {why}" for name, why in skipped.items()),
            "name other models, or give what they read",
        )
    return left
