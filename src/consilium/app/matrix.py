"""The feature matrix as a file: what models read, row by row, before it is scaled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.app.observe import Observed
from consilium.app.stages import ProgressCall, silent
from consilium.domain import InvalidValue, OutputProblem
from consilium.domain.files import whole_file
from consilium.market.features import FEATURES, compute_matrix, feature_names, features_hash, of_books

FULL = 112
KNOWN = "book_known"
"""Whether a bar has a book; false where its columns of books are masked."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """The features of all bars of all symbols, ordered by symbol and time.

    Parameters
    ----------
    features, names, features_hash
        Name of the set, its F features, and the hash of them and their formulas.
    interval_ns
        Length of a bar.
    symbol, ts_event
        Of each row, shape (n,); the close of its bar in UTC nanoseconds.
    values
        Shape (n, F); NaN where a bar is cold, or its book masked.
    findings
        What was noticed about the data, one line each.
    """

    features: str
    names: tuple[str, ...]
    features_hash: str
    interval_ns: int
    symbol: NDArray[np.str_]
    ts_event: NDArray[np.int64]
    values: NDArray[np.float64]
    findings: tuple[str, ...]

    @classmethod
    def of(cls, observed: Observed, features: str, progress: ProgressCall = silent) -> "Matrix":
        """Compute a feature set over all bars.

        Parameters
        ----------
        observed
            Candles, and books if the set reads them.
        features
            Name of the set.
        progress
            Called after each symbol.

        Raises
        ------
        ConsiliumError
            Books that cannot be used.
        InvalidValue
            full112 without its 112 columns.
        """
        names = feature_names(features)
        observed = observed.with_books(names, progress)
        panel = observed.panel
        parts = [
            compute_matrix(series, names, observed.books.get(symbol)) for symbol, series in panel.items()
        ]
        values = np.concatenate(parts)
        if features == "full112" and values.shape[1] != FULL:
            raise InvalidValue(f"full112 must have {FULL} columns", values.shape[1], "report it")
        return cls(
            features=features,
            names=names,
            features_hash=features_hash(names),
            interval_ns=next(iter(panel.values())).interval_ns,
            symbol=np.repeat(list(panel), [len(part) for part in parts]),
            ts_event=np.concatenate([series.ts_close for series in panel.values()]),
            values=values,
            findings=observed.findings,
        )

    def __len__(self) -> int:
        return len(self.ts_event)

    def groups(self) -> list[dict[str, Any]]:
        """Return a row for each family: features, share of NaN, and the range of what is there."""
        families = np.array([FEATURES[name].family for name in self.names])
        rows = []
        for family in dict.fromkeys(families.tolist()):
            values = self.values[:, families == family]
            there = values[np.isfinite(values)]
            rows.append(
                {
                    "family": family,
                    "features": values.shape[1],
                    "nan": 1.0 - there.size / values.size,
                    "min": float(there.min()) if there.size else None,
                    "max": float(there.max()) if there.size else None,
                }
            )
        return rows

    def write(self, path: Path) -> None:
        """Write a parquet file, whole or not at all; what identifies the features is in its metadata.

        Raises
        ------
        OutputProblem
            It cannot be written.
        """
        metadata = {
            "consilium.features": self.features,
            "consilium.features_hash": self.features_hash,
            "consilium.interval_ns": str(self.interval_ns),
        }
        try:
            with whole_file(path) as out:
                self._frame().write_parquet(out, compression="zstd", metadata=metadata)
        except OSError as error:
            raise OutputProblem(
                f"{path.name} must be written whole",
                error.strerror or error,
                "free space or choose another folder",
            ) from None

    def _frame(self) -> pl.DataFrame:
        columns: dict[str, Any] = {
            "symbol": self.symbol,
            "ts_event": self.ts_event,
            **{name: self.values[:, column] for column, name in enumerate(self.names)},
        }
        maskable = of_books(self.names)
        if not maskable.any():
            return pl.DataFrame(columns)
        return pl.DataFrame({**columns, KNOWN: np.isfinite(self.values[:, maskable]).all(axis=1)})
