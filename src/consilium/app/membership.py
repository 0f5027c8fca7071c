"""Which of the models that were asked for some data can feed, and what those read beside bars."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from consilium.app.bootstrap import factories
from consilium.app.stages import ProgressCall, silent
from consilium.domain import DataProblem, UsageError
from consilium.models import FORECASTERS

if TYPE_CHECKING:
    # Those who serve ask what a model reads and must not carry the readers of files.
    from consilium.app.observe import Observed

BOOK_MODELS = ("tlob",)
"""Those of our models that read books."""

NO_BOOKS = "it reads windows of order-book snapshots, and no books were given"
"""Why a model of books is left out; see decision 011."""


def reads_books(name: str) -> bool:
    """Tell whether a model reads windows of books; only one of another package is imported for it."""
    if name in FORECASTERS:
        return name in BOOK_MODELS
    try:
        return int(getattr(factories([name], ())[name](), "book_levels", 0)) > 0
    except UsageError:
        return False


def unfed(models: Iterable[str], observed: "Observed") -> dict[str, str]:
    """Return the models that the data cannot feed, and why; that is no failure of theirs."""
    if observed.recordings is not None:
        return {}
    return {name: NO_BOOKS for name in models if reads_books(name)}


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


def with_windows(observed: "Observed", models: Iterable[str], progress: ProgressCall = silent) -> "Observed":
    """Keep the books themselves where one of the models reads windows of them."""
    if not any(reads_books(name) for name in models):
        return observed
    return observed.with_snapshots(progress)
