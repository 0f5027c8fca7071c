"""How often each model was right, as counted from outcomes, beside what was reported of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consilium.domain import InvalidValue, Outcome, PerformanceReported, Prediction


class Records:
    """Counts right directions, and keeps the newest report of each model; neither enters a weight.

    Parameters
    ----------
    models
        Whose records are kept.

    Examples
    --------
    >>> records = Records(["cnn_lstm"])
    >>> records.accuracy("cnn_lstm") is None
    True
    >>> report = PerformanceReported(model="cnn_lstm", accuracy=0.73, profit_factor=1.95, by="a", ts_event=1)
    >>> records.report("cnn_lstm", report)
    >>> records.accuracy("cnn_lstm"), records.reported("cnn_lstm")["profit_factor"]
    (0.73, 1.95)

    References
    ----------
    Seed 004, 5, Update Model Performance.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._counts: dict[str, list[int]] = {model: [0, 0] for model in models}
        self._reports: dict[str, dict[str, Any]] = {}

    def count(self, predictions: Sequence[Prediction], outcome: Outcome) -> None:
        """Count the forecasts of a round whose outcome came."""
        for p in predictions:
            counts = self._counts[p.model]
            counts[0] += p.direction is outcome.direction
            counts[1] += 1

    def report(self, model: str, report: PerformanceReported) -> None:
        """Keep what was reported of a model; a figure that is not told stays as it was."""
        kept = self._reports.setdefault(model, {"accuracy": None, "profit_factor": None})
        for name in ("accuracy", "profit_factor"):
            if getattr(report, name) is not None:
                kept[name] = getattr(report, name)
        kept.update(by=report.by, ts_event=report.ts_event)

    def accuracy(self, model: str) -> float | None:
        """Return the accuracy as reported, else as counted; None without either."""
        reported = self.reported(model)
        if reported and reported["accuracy"] is not None:
            return float(reported["accuracy"])
        measured: float | None = self.measured(model)["accuracy"]
        return measured

    def reported(self, model: str) -> dict[str, Any] | None:
        """Return accuracy, profit_factor, by and ts_event as reported; None without a report."""
        return dict(self._reports[model]) if model in self._reports else None

    def measured(self, model: str) -> dict[str, Any]:
        """Return accuracy (None without outcomes) and how many outcomes it was counted on."""
        right, outcomes = self._counts[model]
        return {"accuracy": right / outcomes if outcomes else None, "outcomes": outcomes}

    def state(self) -> dict[str, Any]:
        """Return counts and reports, as JSON values."""
        return {
            "counts": {model: list(counts) for model, counts in self._counts.items()},
            "reports": {model: dict(report) for model, report in sorted(self._reports.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, of the same models."""
        try:
            counts = {model: [int(n) for n in state["counts"][model]] for model in self._counts}
            reports = {str(model): dict(report) for model, report in state["reports"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidValue(
                "the state must be one of the records", type(state).__name__, "restore a whole state"
            ) from None
        self._counts, self._reports = counts, reports
