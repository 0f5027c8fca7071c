"""What the pool says of a row, and why a model says nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ConsiliumError, Prediction
from consilium.models.served import ServedModel
from consilium.models.serving.jobs import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolForecast:
    """What the pool says of one row.

    Parameters
    ----------
    predictions
        Of the models that spoke, in the pool's order.
    versions
        By model that spoke, the version that did.
    left_out
        By model that did not, why.
    coverage
        ``full``, ``partial`` or ``none``: how many of the pool's models spoke.
    """

    predictions: tuple[Prediction, ...]
    versions: Mapping[str, str]
    left_out: Mapping[str, str]
    coverage: str


def not_finite(bad: NDArray[np.bool_], names: Sequence[str]) -> str:
    """Say which number of a window is not finite, the newest of them."""
    bad_rows, bad_columns = np.nonzero(bad)
    ago = len(bad) - 1 - int(bad_rows[-1])
    place = "in the newest bar" if ago == 0 else f"{ago} bars ago"
    return f"{names[int(bad_columns[-1])]} is not a finite number {place}"


def answer(model: ServedModel, symbol: str, ts_event: int, found: Forecast) -> Prediction | Exception:
    """Return a forecast as the message that votes, or why it cannot be one."""
    p = found.probabilities
    try:
        return Prediction(
            model=model.name,
            symbol=symbol,
            ts_event=ts_event,
            horizon_ns=model.horizon_ns,
            label_id=model.label_id,
            probabilities=(float(p[0, 0]), float(p[0, 1]), float(p[0, 2])),
            expected_return=float(found.expected_return[0]),
        )
    except ConsiliumError as error:
        return error
