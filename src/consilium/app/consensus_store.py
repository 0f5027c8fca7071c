"""Keeps every consensus of a run in one columnar file, with all that it was reached from.

``data_dir/<run_id>/consensus.parquet`` holds a row for each symbol and instant: the consensus, what each
model said and was trusted, the outcome, and under ``terms`` the settings and the lessons of that time. What
is read back is equal to what was written, to the bit.
"""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import nan
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.domain import Consensus, InvalidValue, OutputProblem
from consilium.domain.files import sweep_unfinished, whole_file
from consilium.ensemble import EnsembleService
from consilium.ensemble.explanation import Lessons
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts

FloatArray = NDArray[np.float64]

FORMAT = "consilium.consensus/1"
FILE = "consensus.parquet"

FIGURES = ("p_direction", "confidence", "score", "agreement", "support", "meta_confidence")
_figures = attrgetter(*FIGURES)
CLASSES = ("down", "flat", "up")

ROW_GROUP = 65_536
"""Rows that are read to find one of them."""


def place_of(data_dir: Path, run_id: str) -> Path:
    """Return where the consensuses of a run are kept."""
    return data_dir / run_id / FILE


class _Codes(dict[str, int]):
    """Numbers texts in the order of their first appearance."""

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code


class _Layout:
    """All consensuses that were put to the same gates, one row of numbers after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows = array("d")


class ConsensusKeeper:
    """Takes the consensuses of one run while it goes on, and writes them at its end.

    Give it to `pool` as ``keeper``, then call `write`. Each consensus is taken apart at once into flat
    memory: objects that wait would keep the garbage collector busy. Texts repeat, so each is kept once.

    Parameters
    ----------
    dataset, forecasts
        What is pooled; the rows of the file are ``forecasts.rows``.
    """

    def __init__(self, dataset: Dataset, forecasts: Forecasts) -> None:
        self._dataset, self._forecasts = dataset, forecasts
        self._codes = _Codes()
        self._which = array("I")
        self._limits = array("d")
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._terms: list[tuple[int, str]] = []
        self._done = 0
        self._pooled: tuple[FloatArray, NDArray[np.int8], NDArray[np.bool_]] | None = None

    def begin(self, ensemble: EnsembleService, models: Sequence[str]) -> None:
        """Take the ensemble whose consensuses are to be kept, before its first one."""
        self._ensemble, self._models = ensemble, tuple(models)
        self._hindsight = ensemble.hindsight(self._dataset.horizon_ns, self._dataset.label_id)
        self._conformal = self._hindsight.conformal
        self._allocations: Mapping[str, float] | None = None
        self._settings: tuple[object, ...] = ()
        self._lessons = Lessons()

    def learned(self) -> None:
        """Note settings and lessons, if they have changed."""
        ensemble = self._ensemble
        settings = ensemble.rule, ensemble.gates, ensemble.prior, self._allocations
        lessons = Lessons.of(self._hindsight)
        if settings != self._settings:
            self._settings, self._settings_text = settings, self._told_settings()
        elif lessons == self._lessons:
            return
        self._lessons = lessons
        text = f'{self._settings_text}, "lessons": {json.dumps(lessons)}}}'
        self._terms.append((self._done, text))

    def keep(self, consensus: Consensus) -> None:
        """Take the next consensus, in the order of the test rows."""
        allocations, trust = self._ensemble.weighed
        if allocations != self._allocations:
            self._allocations = allocations
            self.learned()
        if self._conformal is not None:
            limit = self._conformal.limit(consensus.symbol)
            self._limits.append(nan if limit is None else limit)
        weights, gates, models, code = consensus.weights, consensus.gates, self._models, self._codes
        names = tuple(gates)
        layout = self._layouts.get(names)
        if layout is None:
            layout = self._layouts[names] = _Layout(len(self._layouts))
        all_vote = len(weights) == len(models) == len(trust)
        row = [
            *_figures(consensus),
            *(map(weights.__getitem__, models) if all_vote else [weights.get(m, nan) for m in models]),
            *(map(trust.__getitem__, models) if all_vote else [trust.get(m, nan) for m in models]),
            code[consensus.level],
            code[consensus.reason],
            *map(code.__getitem__, gates.values()),
        ]
        layout.rows.fromlist(row)
        self._which.append(layout.number)
        self._done += 1

    def end(
        self, probabilities: FloatArray, direction: NDArray[np.int8], actionable: NDArray[np.bool_]
    ) -> None:
        """Take what the pool has kept itself, after the last consensus: shapes (N, 3), (N,) and (N,)."""
        self._pooled = probabilities, direction, actionable

    def _told_settings(self) -> str:
        """Write the settings as a JSON object that is still open."""
        ensemble, dataset = self._ensemble, self._dataset
        told = {
            "format": FORMAT,
            "horizon_ns": dataset.horizon_ns,
            "label_id": dataset.label_id,
            "interval_ns": dataset.interval_ns,
            "rule": [ensemble.rule.name, settings_of(ensemble.rule)],
            "gates": [ensemble.gates.name, settings_of(ensemble.gates)],
            "prior": list(ensemble.prior),
            "allocations": None if self._allocations is None else dict(self._allocations),
            "models": {name: settings_of(of) for name, of in ensemble.models.items()},
        }
        return json.dumps(told)[:-1]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        path
            As `place_of` gives it; its folder is made.

        Raises
        ------
        OutputProblem
            The folder cannot be written to or is full.
        """
        frame = self._frame()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep_unfinished(path.parent)
            with whole_file(path) as out:
                frame.write_parquet(out, compression="zstd", row_group_size=ROW_GROUP)
        except OSError as error:
            raise OutputProblem(
                f"{path.name} must be written whole",
                error.strerror or error,
                "free space or choose another data_dir",
            ) from None

    def _frame(self) -> pl.DataFrame:
        if self._pooled is None:
            raise InvalidValue("a keeper writes what it was given", "nothing", "give it to pool() first")
        d, rows = self._dataset, self._forecasts.rows
        probabilities, direction, actionable = self._pooled
        known = d.labelled[rows]
        texts = pl.Series(list(self._codes), dtype=pl.String)
        numbers, gates = self._columns()
        *numbers, level, reason = numbers
        columns: list[pl.Series] = [
            pl.Series(d.symbols, dtype=pl.String).gather(pl.Series(d.symbol_index[rows])).alias("symbol"),
            pl.Series("ts_event", d.ts_event[rows]),
            _gathered("level", texts, level),
            _gathered("reason", texts, reason),
            self._terms_series(),
            pl.Series("direction", direction),
            *_per_class("", probabilities),
            *(pl.Series(name, numbers[place]) for place, name in enumerate(FIGURES)),
            pl.Series("actionable", actionable),
            self._order_series(),
            *(_gathered(f"gate:{name}", texts, of) for name, of in gates.items()),
            _nullable("limit", np.frombuffer(self._limits) if self._limits else np.full(len(rows), nan)),
            _nullable("volatility", d.volatility[rows]),
        ]
        models = self._models
        for place, name in enumerate(models, start=len(FIGURES)):
            columns += [
                *_per_class(f"{name}:", self._forecasts.probabilities[name]),
                pl.Series(f"{name}:expected_return", self._forecasts.expected_return[name]),
                pl.Series(f"{name}:skilled", self._forecasts.skilled[name]),
                _nullable(f"{name}:weight", numbers[place]),
                _nullable(f"{name}:trust", numbers[place + len(models)]),
            ]
        columns += [
            pl.Series("outcome", np.where(known, d.y[rows], -1).astype(np.int8)),
            pl.Series("ts_matured", np.where(known, d.ts_matured[rows], -1)),
            _nullable("realised_return", np.where(known, d.realised_return[rows], nan)),
        ]
        return pl.DataFrame(columns)

    def _columns(self) -> tuple[list[FloatArray], dict[str, FloatArray]]:
        """Put the rows of all layouts in their order: numbers and labels, and the codes of each gate."""
        which = np.frombuffer(self._which, dtype=np.uint32)
        fixed = len(FIGURES) + 2 * len(self._models) + 2
        columns = [np.empty(len(which)) for _ in range(fixed)]
        gates: dict[str, FloatArray] = {}
        for names, layout in self._layouts.items():
            here = np.flatnonzero(which == layout.number)
            table = np.frombuffer(layout.rows).reshape(len(here), fixed + len(names)).T
            for column, values in zip(columns, table, strict=False):
                column[here] = values
            for name, values in zip(names, table[fixed:], strict=True):
                gates.setdefault(name, np.full(len(which), nan))[here] = values
        return columns, gates

    def _order_series(self) -> pl.Series:
        """Say which gates there were, in their order."""
        listed = pl.Series([json.dumps(names) for names in self._layouts], dtype=pl.String)
        return listed.gather(pl.Series(np.frombuffer(self._which, dtype=np.uint32))).alias("gates")

    def _terms_series(self) -> pl.Series:
        """Repeat the terms from each row on which they were new to the next."""
        starts = [start for start, _ in self._terms]
        lengths = np.diff([*starts, self._done])
        codes = np.repeat(np.arange(len(starts), dtype=np.uint32), lengths)
        texts = pl.Series([text for _, text in self._terms], dtype=pl.String)
        return texts.gather(pl.Series(codes)).alias("terms")


def settings_of(value: object) -> dict[str, Any]:
    """Return the settings of a rule, of gates or of a model as JSON values.

    Examples
    --------
    >>> from consilium.ensemble import Gates
    >>> settings_of(Gates.seed())["min_voters"]
    2
    """
    if not is_dataclass(value):
        return {}
    found = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    return {name: dict(of) if isinstance(of, Mapping) else of for name, of in found.items()}


def _per_class(prefix: str, p: FloatArray) -> list[pl.Series]:
    return [pl.Series(f"{prefix}{name}", np.ascontiguousarray(p[:, k])) for k, name in enumerate(CLASSES)]


def _gathered(name: str, texts: pl.Series, codes: FloatArray) -> pl.Series:
    """Turn codes into texts, NaN into null."""
    return texts.gather(pl.Series(codes).fill_nan(None).cast(pl.UInt32)).alias(name)


def _nullable(name: str, column: FloatArray) -> pl.Series:
    return pl.Series(name, column).fill_nan(None)
