"""Keeps every consensus of a run in one columnar file, with all that it was reached from.

``data_dir/<run_id>/consensus.parquet`` holds a row for each symbol and instant: the consensus, what each
model said and was trusted, the outcome, and under ``terms`` the settings and the lessons of that time. What
is read back is equal to what was written, to the bit.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
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
TEXTS = ("level", "reason")
CLASSES = ("down", "flat", "up")

CHUNK = 64
"""Consensuses turned into columns at once: with more the garbage collector would run more often."""

ROW_GROUP = 65_536
"""Rows that are read to find one of them."""


def place_of(data_dir: Path, run_id: str) -> Path:
    """Return where the consensuses of a run are kept."""
    return data_dir / run_id / FILE


class _Codes(dict[str | None, int]):
    """Numbers texts in the order of their first appearance."""

    def __missing__(self, text: str | None) -> int:
        self[text] = code = len(self)
        return code


class _Texts:
    """A column of texts that repeat: each is kept once."""

    def __init__(self, rows: int) -> None:
        self._codes = _Codes({None: 0})
        self._column = np.zeros(rows, dtype=np.uint32)

    def put(self, where: slice | NDArray[np.int64], texts: Iterable[str]) -> None:
        self._column[where] = list(map(self._codes.__getitem__, texts))

    def series(self, name: str) -> pl.Series:
        return pl.Series(list(self._codes), dtype=pl.String).gather(pl.Series(self._column)).alias(name)


class ConsensusKeeper:
    """Takes the consensuses of one run while it goes on, and writes them at its end.

    Give it to `pool` as ``keeper``, then call `write`.

    Parameters
    ----------
    dataset, forecasts
        What is pooled; the rows of the file are ``forecasts.rows``.
    """

    def __init__(self, dataset: Dataset, forecasts: Forecasts) -> None:
        self._dataset, self._forecasts = dataset, forecasts
        rows = len(forecasts.rows)
        self._figures = {name: np.empty(rows) for name in FIGURES}
        self._texts = {name: _Texts(rows) for name in (*TEXTS, "gates")}
        self._verdicts: dict[str, _Texts] = {}
        self._limit = np.full(rows, np.nan)
        self._weight: dict[str, FloatArray] = {}
        self._trust: dict[str, FloatArray] = {}
        self._said: list[Consensus] = []
        self._trusted: list[Mapping[str, float]] = []
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
        rows = len(self._forecasts.rows)
        self._weight = {name: np.empty(rows) for name in models}
        self._trust = {name: np.empty(rows) for name in models}

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
        self._terms.append((self._done + len(self._said), text))

    def keep(self, consensus: Consensus) -> None:
        """Take the next consensus, in the order of the test rows."""
        allocations, trust = self._ensemble.weighed
        if allocations != self._allocations:
            self._allocations = allocations
            self.learned()
        said = self._said
        if self._conformal is not None:
            limit = self._conformal.limit(consensus.symbol)
            self._limit[self._done + len(said)] = np.nan if limit is None else limit
        said.append(consensus)
        self._trusted.append(trust)
        if len(said) == CHUNK:
            self._flush()

    def end(
        self, probabilities: FloatArray, direction: NDArray[np.int8], actionable: NDArray[np.bool_]
    ) -> None:
        """Take what the pool has kept itself, after the last consensus: shapes (N, 3), (N,) and (N,)."""
        self._flush()
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

    def _flush(self) -> None:
        said = self._said
        if not said:
            return
        start, stop = self._done, self._done + len(said)
        here = slice(start, stop)
        for name, column in self._figures.items():
            column[here] = list(map(attrgetter(name), said))
        for name in TEXTS:
            self._texts[name].put(here, map(attrgetter(name), said))
        self._keep_gates([c.gates for c in said], start)
        weights = [c.weights for c in said]
        for name in self._models:
            self._weight[name][here] = [w.get(name, np.nan) for w in weights]
            self._trust[name][here] = [t.get(name, np.nan) for t in self._trusted]
        self._done = stop
        self._said, self._trusted = [], []

    def _keep_gates(self, gates: Sequence[Mapping[str, str]], start: int) -> None:
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, names in enumerate(map(tuple, gates)):
            groups.setdefault(names, []).append(place)
        for names, places in groups.items():
            where = np.array(places) + start
            self._texts["gates"].put(where, [json.dumps(names)] * len(places))
            columns = zip(*[gates[place].values() for place in places], strict=True)
            for name, verdicts in zip(names, columns, strict=True):
                if name not in self._verdicts:
                    self._verdicts[name] = _Texts(len(self._limit))
                self._verdicts[name].put(where, verdicts)

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
        symbols = pl.Series("symbol", d.symbols, dtype=pl.String).gather(pl.Series(d.symbol_index[rows]))
        known = d.labelled[rows]
        columns: list[pl.Series] = [
            symbols.alias("symbol"),
            pl.Series("ts_event", d.ts_event[rows]),
            *(of.series(name) for name, of in self._texts.items()),
            self._terms_series(),
            pl.Series("direction", direction),
            *_per_class("", probabilities),
            *(pl.Series(name, column) for name, column in self._figures.items()),
            pl.Series("actionable", actionable),
            *(of.series(f"gate:{name}") for name, of in self._verdicts.items()),
            _nullable("limit", self._limit),
            _nullable("volatility", d.volatility[rows]),
        ]
        for name in self._models:
            columns += [
                *_per_class(f"{name}:", self._forecasts.probabilities[name]),
                pl.Series(f"{name}:expected_return", self._forecasts.expected_return[name]),
                pl.Series(f"{name}:skilled", self._forecasts.skilled[name]),
                _nullable(f"{name}:trust", self._trust[name]),
                _nullable(f"{name}:weight", self._weight[name]),
            ]
        columns += [
            pl.Series("outcome", np.where(known, d.y[rows], -1).astype(np.int8)),
            pl.Series("ts_matured", np.where(known, d.ts_matured[rows], -1)),
            _nullable("realised_return", np.where(known, d.realised_return[rows], np.nan)),
        ]
        return pl.DataFrame(columns)

    def _terms_series(self) -> pl.Series:
        """Repeat the terms from each row on which they were new to the next."""
        starts = [start for start, _ in self._terms]
        lengths = np.diff([*starts, len(self._limit)])
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


def _nullable(name: str, column: FloatArray) -> pl.Series:
    return pl.Series(name, column).fill_nan(None)
