"""A label of books for the rows of bars: where the mid goes over the next snapshots."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np

from consilium.domain import DataProblem, InvalidValue
from consilium.domain.checks import require_at_least, require_positive
from consilium.market.book.rows import BookRows
from consilium.market.candles import CandleSeries
from consilium.market.features import last_snapshots
from consilium.training.book_labels import BookLabelSpec, make_book_labels, smoothed_change
from consilium.training.labels import NEVER, OF_BOOKS, UNKNOWN, Labels, hash_definition

MILLISECOND_NS = 1_000_000
FEWEST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLabelSpec:
    """Direction of the smoothed mid against that at the close of a bar; see `BookLabelSpec`.

    Parameters
    ----------
    horizon
        k, snapshots ahead that are averaged, >= 1.
    snapshot_ns
        Nominal time from one snapshot to the next, > 0.
    alpha
        Relative change beyond which a row is UP or DOWN, >= 0; learned before anything is tested, and no part
        of the ``label_id``, as the scaler is none.

    Raises
    ------
    InvalidValue
        A number outside its bound.

    Examples
    --------
    >>> spec = SnapshotLabelSpec(horizon=30)
    >>> spec.span_ns(10**9) == 3 * 10**9, spec.label_id(10**9) == spec.label_id(10**8)
    (True, True)
    """

    kind: ClassVar[str] = OF_BOOKS

    horizon: int = 30
    snapshot_ns: int = 100 * MILLISECOND_NS
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InvalidValue("horizon must be >= 1 snapshot", self.horizon, "use 10, 30 or 50")
        require_positive("snapshot_ns", self.snapshot_ns)
        require_at_least("alpha", self.alpha, 0.0)

    @classmethod
    def learned(
        cls, horizon: int, panel: Mapping[str, CandleSeries], rows: Mapping[str, BookRows], fraction: float
    ) -> Self:
        """Learn the threshold on the first part of the time: a third of its rows is FLAT.

        Parameters
        ----------
        horizon
            Snapshots.
        panel, rows
            Bars and books, by symbol.
        fraction
            Share of the time, in (0, 1]; nothing that becomes known later is read.

        Raises
        ------
        DataProblem
            Fewer than 30 rows are known by then.
        """
        closes = np.concatenate([panel[symbol].ts_close for symbol in rows])
        until = closes.min() + fraction * (closes.max() - closes.min())
        found = []
        for symbol, of in rows.items():
            change, matured = smoothed_change(of.touch, horizon, "mid")
            last = last_snapshots(panel[symbol], of.touch.ts_event)
            at = last[last >= 0]
            found.append(np.abs(change[at][matured[at] <= until]))
        known = np.concatenate(found)
        if len(known) < FEWEST:
            raise DataProblem(
                f"a threshold needs >= {FEWEST} bars with books in {100 * fraction:.0f} % of the time",
                len(known),
                "give a longer recording or shorter bars",
            )
        alpha = float(np.quantile(known, 1.0 / 3.0, method="lower"))
        return cls(horizon=horizon, snapshot_ns=_usual_distance(rows), alpha=alpha)

    def label_id(self, interval_ns: int) -> str:  # noqa: ARG002 - the label of books is one on bars of any length
        """Return 12 hex digits that name this definition, whatever the length of the bars."""
        fields = {name: value for name, value in self.as_dict().items() if name != "alpha"}
        return hash_definition(fields, self.snapshot_ns)

    def span_ns(self, interval_ns: int) -> int:  # noqa: ARG002 - it counts snapshots
        """Return the horizon as a nominal time."""
        return self.horizon * self.snapshot_ns

    def as_dict(self) -> dict[str, float | int | str]:
        """Return kind and parameters."""
        return {"kind": self.kind, **asdict(self)}

    def label(self, series: CandleSeries) -> Labels:
        """Refuse candles alone.

        Raises
        ------
        DataProblem
            Always.
        """
        raise DataProblem("a label of books needs books", f"none of {series.symbol}", "give --books")

    def of_books(self, series: CandleSeries, rows: BookRows | None) -> Labels:
        """Label each bar by the book at its close; a bar without one, at most 1 s old, has no label."""
        n = len(series)
        labels = Labels(
            direction=np.full(n, UNKNOWN, dtype=np.int8),
            realised_return=np.full(n, np.nan),
            threshold=np.full(n, np.nan),
            ts_matured=np.full(n, NEVER, dtype=np.int64),
        )
        if rows is None:
            return labels
        spec = BookLabelSpec(horizon=self.horizon, past="mid")
        known = make_book_labels(rows.touch, spec, alpha=self.alpha)
        last = last_snapshots(series, rows.touch.ts_event)
        there = last >= 0
        labels.threshold[there] = self.alpha
        for name in ("direction", "realised_return", "ts_matured"):
            getattr(labels, name)[there] = getattr(known, name)[last[there]]
        return labels


def _usual_distance(rows: Mapping[str, BookRows]) -> int:
    """Return the median time between snapshots, to the millisecond, at least one."""
    steps = np.concatenate([np.diff(of.touch.ts_event) for of in rows.values()])
    return max(1, round(float(np.median(steps)) / MILLISECOND_NS)) * MILLISECOND_NS
