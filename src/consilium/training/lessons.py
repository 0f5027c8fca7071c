"""What a network is given to learn from a dataset; torch is imported when there is one to be taught."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Forecaster
from consilium.training.dataset import Dataset
from consilium.training.reading import Reading
from consilium.training.scaler import Scaler
from consilium.training.snapshots import nothing_after
from consilium.training.teaching import Teaching

if TYPE_CHECKING:
    from consilium.models.layers.network.learning import Loop

Rows = NDArray[np.int64]

DIRECTION, RETURN = "direction", "expected_return"


def strided(dataset: Dataset, rows: Rows, stride: int) -> Rows:
    """Keep every ``stride``-th bar of each symbol; symbols take turns, so that each time keeps about as many.

    Every n-th row would be the same symbol at every time, wherever n divides the number of symbols.

    Parameters
    ----------
    dataset, rows
        Rows of it, ascending.
    stride
        >= 1.
    """
    if stride == 1:
        return rows
    kept: Rows = rows[(dataset.bar[rows] + dataset.symbol_index[rows]) % stride == 0]
    return kept


def takes_loop(forecaster: Forecaster) -> bool:
    """Tell whether a forecaster is a network that a loop teaches."""
    return "loop" in signature(forecaster.fit).parameters


def teach(
    reading: Reading,
    forecaster: Any,
    scaler: Scaler,
    fit: Rows,
    stop: Rows,
    *,
    teaching: Teaching,
    name: str,
    part: str,
) -> None:
    """Teach a network; windows are cut batch by batch out of one scaled table.

    Parameters
    ----------
    reading, scaler
        What it reads of a dataset, and what standardises it.
    forecaster
        Unfitted, with a fit that takes outcomes and a loop.
    fit, stop
        Rows to learn from, and to stop early by.
    teaching
        How.
    name, part
        Which model of the run, and which part of it; they name its checkpoint.
    """
    dataset, table = reading.dataset, reading.windows(scaler)
    forecaster.fit(
        table.of_rows(fit),
        dataset.y[fit],
        validation=(table.of_rows(stop), dataset.y[stop]),
        outcomes=_outcomes(dataset, fit, forecaster.outcome_names(table.columns)),
        loop=_loop(dataset, forecaster, (fit, stop), teaching, name, part),
    )


def _outcomes(dataset: Dataset, fit: Rows, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return what further heads learn: the return, and where the mid went over some snapshots."""
    outcomes: dict[str, NDArray[Any]] = {}
    if RETURN in names:
        outcomes[RETURN] = dataset.realised_return[fit]
    held = dataset.snapshots
    if held is None:
        return outcomes
    ts_known = nothing_after(dataset.ts_matured[fit])
    for horizon in held.changes:
        found = None
        if f"{DIRECTION}_{horizon}" in names:
            found = held.directions(dataset.position[fit], horizon, ts_known)
        if found is not None:
            outcomes[f"{DIRECTION}_{horizon}"] = found
    return outcomes


def _loop(
    dataset: Dataset, forecaster: Forecaster, rows: tuple[Rows, ...], teaching: Teaching, name: str, part: str
) -> "Loop":
    from consilium.training.network.checkpoint import Checkpoint
    from consilium.training.network.loop import TrainingLoop

    checkpoint = None
    if teaching.checkpoints is not None:
        folder = teaching.checkpoints / f"{name}-{part.replace(' ', '')}"
        checkpoint = Checkpoint(folder, identity(dataset, forecaster, rows, teaching))
    return TrainingLoop(teaching, checkpoint, name=name, part=part)


def identity(
    dataset: Dataset, forecaster: Forecaster, rows: tuple[Rows, ...], teaching: Teaching
) -> Mapping[str, str]:
    """Return all that decides the bits of a training: a checkpoint of anything else is refused."""
    chosen = sha256(b"".join(part.astype("<i8").tobytes() for part in rows))
    return {
        "model": forecaster.name,
        "parameters": json.dumps(forecaster.get_params(deep=False), sort_keys=True, default=str),
        "features": ", ".join(dataset.feature_names),
        "formulas": dataset.features_hash,
        "label": dataset.label_id,
        "data": dataset.digest(),
        "rows": chosen.hexdigest(),
        "device": f"{teaching.device}, {teaching.precision}",
    }
