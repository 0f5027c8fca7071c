"""What is gained by keeping silent when unsure: accuracy against coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from consilium.domain import InvalidValue

POINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageCurve:
    """Accuracy of the most confident share of the rows.

    Parameters
    ----------
    coverage
        Share of rows on which one speaks, ascending up to 1.
    accuracy
        Share of those that are right.
    threshold
        Least confidence among those.
    area
        Mean accuracy over all coverages 1/N .. 1: above that at full coverage if confidence ranks.
    """

    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]
    threshold: tuple[float, ...]
    area: float | None

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain JSON for a chart."""
        return {
            "coverage": list(self.coverage),
            "accuracy": list(self.accuracy),
            "threshold": list(self.threshold),
        }


def coverage_against_accuracy(
    confidence: ArrayLike, right: ArrayLike, *, points: int = POINTS
) -> CoverageCurve:
    """Speak on the most confident rows only: the accuracy for each share of rows.

    ``A(q) = mean(right | c among the highest q N)``; rows of equal confidence share their mean, so the order
    of rows changes nothing.

    Parameters
    ----------
    confidence
        Shape (N,), finite.
    right
        Shape (N,), whether the stated direction was realised.
    points
        Points of the curve, >= 1: coverages 1/points .. 1.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, a confidence that is not finite, ``points`` < 1.

    Examples
    --------
    >>> curve = coverage_against_accuracy([0.9, 0.8, 0.5, 0.4], [1, 1, 1, 0], points=2)
    >>> curve.coverage, curve.accuracy, curve.threshold
    ((0.5, 1.0), (1.0, 0.75), (0.8, 0.4))

    References
    ----------
    El-Yaniv and Wiener (2010), the risk-coverage curve; Geifman and El-Yaniv (2017).
    """
    c, y = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool).astype(np.float64)
    if c.ndim != 1 or c.shape != y.shape or not np.all(np.isfinite(c)):
        raise InvalidValue(
            "confidence and right must be finite, one shape (N,)",
            f"{c.shape} and {y.shape}",
            "give one value for each row",
        )
    if points < 1:
        raise InvalidValue("points must be >= 1", points, "use 20")
    count = len(c)
    if count == 0:
        return CoverageCurve(coverage=(), accuracy=(), threshold=(), area=None)
    _, group, size = np.unique(c, return_inverse=True, return_counts=True)
    shared = (np.bincount(group, weights=y) / size)[group]
    order = np.argsort(-c, kind="stable")
    accuracy = np.cumsum(shared[order]) / np.arange(1, count + 1)
    last = np.unique(np.ceil(np.arange(1, points + 1) * count / points - 1e-9).astype(np.int64)) - 1
    return CoverageCurve(
        coverage=tuple(((last + 1) / count).tolist()),
        accuracy=tuple(accuracy[last].tolist()),
        threshold=tuple(c[order][last].tolist()),
        area=float(accuracy.mean()),
    )
