"""Reads back what a run has kept of its consensuses, and reaches any of them again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from consilium.app.consensus_store import CLASSES, FIGURES, FORMAT
from consilium.domain import ArtefactRefused, Consensus, Direction, Outcome, Prediction, UnknownName
from consilium.ensemble import (
    Explanation,
    Gates,
    ModelSetting,
    Rule,
    explain,
    make_gates,
    make_rule,
    reach_consensus,
)
from consilium.ensemble.explanation import Lessons, Recalled

DIRECTIONS = tuple(Direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConsensus:
    """One consensus with all that it was reached from, and what came of it.

    Parameters
    ----------
    consensus, predictions
        Equal to those of the run.
    skilled
        By model, whether it spoke for itself or emitted climatology.
    trust, allocations
        What the votes were weighed with; allocations are None where all were equal.
    volatility
        Daily, None if unknown.
    rule, gates, models, prior
        The settings then in force.
    lessons, limit
        What hindsight had learned; the conformal limit of the symbol.
    interval_ns
        Length of a bar.
    outcome
        None where it is not known in the data of the run.
    """

    consensus: Consensus
    predictions: tuple[Prediction, ...]
    skilled: Mapping[str, bool]
    trust: Mapping[str, float]
    allocations: Mapping[str, float] | None
    volatility: float | None
    rule: Rule
    gates: Gates
    models: Mapping[str, ModelSetting]
    prior: tuple[float, float, float]
    lessons: Lessons
    limit: float | None
    interval_ns: int
    outcome: Outcome | None

    def reached_again(
        self, predictions: Sequence[Prediction], models: Mapping[str, ModelSetting] | None = None
    ) -> Consensus:
        """Reach the consensus that other predictions, or other settings of models, would have led to."""
        return reach_consensus(predictions, **self._terms(self.models if models is None else models))

    def explained(self) -> Explanation:
        """Say who said what, and which change of a single vote would have changed the outcome.

        Raises
        ------
        ArtefactRefused
            The stored consensus does not follow from what is stored beside it.
        """
        if self.reached_again(self.predictions) != self.consensus:
            raise ArtefactRefused(
                "a stored consensus must follow from what is stored with it",
                f"another one for {self.consensus.symbol}",
                "it was written by another version, or damaged: run the command again",
            )
        return explain(self.consensus, self.predictions, **self._terms(self.models))

    def _terms(self, models: Mapping[str, ModelSetting]) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "allocations": self.allocations,
            "trust": self.trust,
            "volatility": self.volatility,
            "gates": self.gates,
            "models": models,
            "prior": self.prior,
            "hindsight": Recalled(self.lessons, self.consensus, self.limit),
        }


class StoredConsensuses:
    """The consensuses of one run, read from its file.

    Parameters
    ----------
    path
        As `place_of` gives it; it exists.

    Raises
    ------
    ArtefactRefused
        The file is damaged or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        spans = self._read(
            pl.scan_parquet(path)
            .group_by("symbol")
            .agg(first=pl.col("ts_event").min(), last=pl.col("ts_event").max())
            .sort("symbol")
        )
        self.spans: dict[str, tuple[int, int]] = {
            row["symbol"]: (row["first"], row["last"]) for row in spans.to_dicts()
        }
        """First and last time of each symbol, UTC nanoseconds."""

    def at(self, symbol: str, ts: int) -> StoredConsensus | None:
        """Return the consensus at a time, or the latest before it; None before the first.

        Raises
        ------
        UnknownName
            A symbol of which the run has no consensus.
        """
        if symbol not in self.spans:
            raise UnknownName("symbol", symbol, self.spans)
        mine = pl.scan_parquet(self.path).filter(pl.col("symbol") == symbol, pl.col("ts_event") <= ts)
        newest = self._read(mine.select(pl.col("ts_event").max())).item()
        if newest is None:
            return None
        row = pl.scan_parquet(self.path).filter(
            pl.col("symbol") == symbol, pl.col("ts_event") == newest
        )  # fmt: skip
        return stored_from(self._read(row).to_dicts()[0])

    def __iter__(self) -> Iterator[StoredConsensus]:
        for row in self._read(pl.scan_parquet(self.path)).iter_rows(named=True):
            yield stored_from(row)

    def _read(self, query: pl.LazyFrame) -> pl.DataFrame:
        try:
            return query.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtefactRefused(
                "stored consensuses must be a whole file", f"{self.path} ({told})", "run the command again"
            ) from None


def stored_from(row: Mapping[str, Any]) -> StoredConsensus:
    """Make the objects of one row.

    Raises
    ------
    ArtefactRefused
        The row is of another format.
    """
    try:
        terms = json.loads(row["terms"])
        if terms["format"] != FORMAT:
            raise ValueError(terms["format"])  # noqa: TRY301 - the same refusal as for a missing column
        return _stored(row, terms)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(
            f"stored consensuses must be {FORMAT}", f"{type(error).__name__} {error}", "run the command again"
        ) from None


def _stored(row: Mapping[str, Any], terms: Mapping[str, Any]) -> StoredConsensus:
    question = {
        "symbol": row["symbol"],
        "ts_event": row["ts_event"],
        "horizon_ns": terms["horizon_ns"],
        "label_id": terms["label_id"],
    }
    names = tuple(terms["models"])
    gates, gate_settings = terms["gates"]
    rule, rule_settings = terms["rule"]
    return StoredConsensus(
        consensus=_consensus(row, question, rule, names),
        predictions=_predictions(row, question, names),
        skilled={name: row[f"{name}:skilled"] for name in names},
        trust={name: t for name in names if (t := row[f"{name}:trust"]) is not None},
        allocations=terms["allocations"],
        volatility=row["volatility"],
        rule=make_rule(rule, **rule_settings),
        gates=make_gates(gates, **gate_settings),
        models={name: ModelSetting(**of) for name, of in terms["models"].items()},
        prior=tuple(terms["prior"]),
        lessons=_lessons(terms["lessons"]),
        limit=row["limit"],
        interval_ns=terms["interval_ns"],
        outcome=_outcome(row, question),
    )


def _consensus(
    row: Mapping[str, Any], question: Mapping[str, Any], rule: str, names: Sequence[str]
) -> Consensus:
    return Consensus(
        **question,
        rule=rule,
        level=row["level"],
        direction=DIRECTIONS[row["direction"]],
        probabilities=_classes(row, ""),
        **{name: row[name] for name in FIGURES},
        weights={name: w for name in sorted(names) if (w := row[f"{name}:weight"]) is not None},
        gates={name: row[f"gate:{name}"] for name in json.loads(row["gates"])},
        actionable=row["actionable"],
        reason=row["reason"],
    )


def _predictions(
    row: Mapping[str, Any], question: Mapping[str, Any], names: Sequence[str]
) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(
            model=name,
            **question,
            probabilities=_classes(row, f"{name}:"),
            expected_return=row[f"{name}:expected_return"],
        )
        for name in names
    )


def _lessons(stored: Sequence[Any]) -> Lessons:
    """Read back what JSON has turned into lists."""
    recalibration, model, alpha = stored
    return Lessons(
        None if recalibration is None else tuple(None if m is None else tuple(m) for m in recalibration),
        None if model is None else tuple(model),
        alpha,
    )


def _outcome(row: Mapping[str, Any], question: Mapping[str, Any]) -> Outcome | None:
    if row["outcome"] < 0:
        return None
    return Outcome(
        **question,
        ts_matured=row["ts_matured"],
        direction=DIRECTIONS[row["outcome"]],
        realised_return=row["realised_return"],
    )


def _classes(row: Mapping[str, Any], prefix: str) -> tuple[float, float, float]:
    down, flat, up = (row[f"{prefix}{name}"] for name in CLASSES)
    return down, flat, up
