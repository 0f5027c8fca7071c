"""Checks of what comes into fit and predict, with errors that name the row and the column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import NotFittedError

from consilium.domain import InvalidValue

CLASSES = 3
LARGEST = 1e30
"""Learners work in single precision, and squares must stay finite; no feature comes near it."""

_ROWS_AT_ONCE = 2_048


class NotFitted(InvalidValue, NotFittedError):  # type: ignore[misc]  # sklearn is untyped
    """A forecast was asked of a model that has not learnt yet."""


def checked_rows(X: Any, dimensions: int) -> NDArray[np.floating[Any]]:
    """Return X as a float array of 2 or 3 dimensions without copying floats; refuse everything else.

    Parameters
    ----------
    X
        Shape (n, F), or (n, window, F) where ``dimensions`` is 3; float32 and float64 stay as they are.
    dimensions
        2 or 3.

    Raises
    ------
    InvalidValue
        Sparse, complex or non-numeric input, another number of dimensions, no features, NaN, inf or
        numbers beyond 1e30.

    Examples
    --------
    >>> checked_rows([[0.0, float("nan")]], 2)
    Traceback (most recent call last):
    ...
    consilium.domain.errors.InvalidValue: X must not hold NaN, ...; got nan in row 0, column 1: ...
    """
    rows = _as_floats(X)
    if rows.ndim != dimensions:
        shape = "(n, F)" if dimensions == 2 else "(n, window, F)"
        raise InvalidValue(
            f"X must have shape {shape}",
            rows.shape,
            "Reshape your data: one row for each forecast, one column for each feature",
        )
    if rows.shape[-1] == 0:
        raise InvalidValue(
            f"X has 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required.",
            "none",
            "choose a feature set",
        )
    _require_finite(rows)
    return rows


def _as_floats(X: Any) -> NDArray[np.floating[Any]]:
    if sparse.issparse(X):
        raise InvalidValue("X must be dense", "a sparse matrix", "call .toarray() first")
    array = np.asarray(X)
    if np.iscomplexobj(array):
        raise InvalidValue("Complex data not supported: X must be real", array.dtype, "take the real part")
    if array.dtype in (np.float32, np.float64):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as reason:
        # scikit-learn's checks tell a TypeError (cannot be a number at all) from a ValueError.
        if isinstance(reason, TypeError):
            raise
        raise InvalidValue("X must hold numbers", f"{array.dtype} ({reason})", "encode words first") from None


def _require_finite(rows: NDArray[np.floating[Any]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        good = np.abs(block) <= LARGEST
        if good.all():
            continue
        first = np.argwhere(~good)[0]
        row, column = start + int(first[0]), int(first[-1])
        step = f", step {int(first[1])}" if rows.ndim == 3 else ""
        raise InvalidValue(
            f"X must not hold NaN, inf or numbers beyond {LARGEST:g}",
            f"{block[tuple(first)]} in row {row}{step}, column {column}",
            "leave out warm-up rows before fit and predict",
        )


def require_features(owner: str, rows: NDArray[np.floating[Any]], expected: int) -> None:
    """Refuse another number of features than the model was fitted on."""
    if rows.shape[-1] != expected:
        raise InvalidValue(
            f"X has {rows.shape[-1]} features, but {owner} is expecting {expected} features as input",
            f"shape {rows.shape}",
            "give the columns that it was fitted on",
        )


def checked_labels(y: Any, n: int) -> NDArray[np.int64]:
    """Return y as n directions 0, 1, 2; refuse everything else.

    Raises
    ------
    InvalidValue
        y is missing, not one-dimensional, of another length, or holds anything but 0, 1 and 2.

    Examples
    --------
    >>> checked_labels([0, 2.0], 2).tolist()
    [0, 2]
    """
    if y is None:
        raise InvalidValue("fit requires y to be passed, but the target y is None", None, "give directions")
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise InvalidValue(f"y must have shape ({n},)", labels.shape, "give one direction for each row of X")
    if n == 0:
        raise InvalidValue("fit needs at least 1 row", 0, "give rows with known outcomes")
    numeric = labels.dtype.kind in "iufb"
    if labels.dtype.kind == "f" and np.any(labels != np.floor(labels)):
        raise InvalidValue("y must hold whole numbers", "Unknown label type: continuous", "use Direction")
    if not numeric or not np.all((labels >= 0) & (labels < CLASSES)):
        seen = sorted({str(v) for v in labels.tolist()})[:5]
        raise InvalidValue(
            "y must hold only DOWN 0, FLAT 1, UP 2", ", ".join(seen), "drop rows whose outcome is not known"
        )
    return labels.astype(np.int64)


def checked_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Return n weights >= 0 with a positive sum; ones if none are given.

    Raises
    ------
    InvalidValue
        Another length, a weight that is negative or not finite, or all of them 0.

    Examples
    --------
    >>> checked_weights(None, 2).tolist()
    [1.0, 1.0]
    """
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,):
        raise InvalidValue(f"sample_weight must have shape ({n},)", weights.shape, "give one for each row")
    if not np.all(np.isfinite(weights)) or np.any(weights < 0.0):
        bad = int(np.argmax(~(np.isfinite(weights) & (weights >= 0.0))))
        raise InvalidValue(
            "sample_weight must be finite and >= 0", f"{weights[bad]} in row {bad}", "correct the weights"
        )
    if not weights.any():
        raise InvalidValue(
            "sample_weight must not be zero in every row", "all zero", "weigh at least one row"
        )
    return weights
