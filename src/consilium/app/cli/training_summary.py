"""What a training tells when it is over: FULL, PARTIAL or FAILED, and what to do about each model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from consilium.app.deploy import TrainingResult

COLUMNS = ("model", "log-loss", "climatology", "accuracy", "folds without skill", "now")
NEXT = {
    "FULL": "all models are ready: run consilium predict",
    "PARTIAL": "the ensemble will run in degraded mode: mend what failed and train again",
    "FAILED": "no model is ready: mend what failed and train again",
}


def tell_training(result: "TrainingResult", console: "Console") -> None:
    """Print the figures of what was trained, what became of the rest, and the summary."""
    if result.models:
        console.print(_figures(result))
    for line in _lines(result):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(result: "TrainingResult") -> Iterator[str]:
    for found in result.models.values():
        yield f"Written: {found['folder']}"
    for name, found in result.models.items():
        kept = "served" if found["served"] else "not served"
        yield f"{name} version {found['version']} is {kept}: {found['promotion']}"
    for name, error in result.failures.items():
        yield f"{name} failed: {error}{_otherwise(name, error)}"
    for name, why in result.skipped.items():
        yield f"{name} is left out: {why}"
    if result.checkpoints is not None:
        yield (
            f"Checkpoints are kept in {result.checkpoints}: the same command goes on from them, "
            "other parameters begin anew."
        )
    yield summary_line(result)


def summary_line(result: "TrainingResult") -> str:
    """Tell how many models were trained, and what to do next.

    Examples
    --------
    >>> from consilium.app.deploy import TrainingResult
    >>> summary_line(TrainingResult(models={"xgboost": {}}, failures={}, skipped={"tlob": "it reads books"}))
    'FULL, without tlob: 1 of 1 models trained; all models are ready: run consilium predict'
    """
    total = len(result.models) + len(result.failures)
    without = f", without {', '.join(result.skipped)}" if result.skipped else ""
    return (
        f"{result.summary}{without}: {len(result.models)} of {total} models trained; {NEXT[result.summary]}"
    )


def _otherwise(name: str, error: str) -> str:
    """Say what to do where the error does not: ours end with a cure."""
    if "; got " in error:
        return ""
    return f" (an unforeseen error: try --set {name}.NAME=VALUE, or leave {name} out of --models)"


def _figures(result: "TrainingResult") -> Table:
    table = Table(title="Trained models, judged on bars they had not seen")
    for column in COLUMNS:
        table.add_column(column)
    for name, found in result.models.items():
        table.add_row(
            name,
            _number(found["test_log_loss"]),
            _number(found["climatology_log_loss"]),
            _number(found["test_accuracy"]),
            f"{found['no_skill_folds']} of {found['folds']}",
            "skilled" if found["skilled_now"] else "no_skill",
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
