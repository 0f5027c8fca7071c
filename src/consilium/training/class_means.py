"""Class shares and mean returns of a training part: they turn probabilities into an expected return.

Letters: p (n, 3) probabilities (down, flat, up), r the realised log return, m_k = E[r | class k].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.training.calibration import class_prior


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMeans:
    """Class shares and mean log returns of the fit part; they turn probabilities into an expected return.

    Parameters
    ----------
    prior
        Shares (down, flat, up), none 0.
    down, flat, up
        E[r | class]; 0 for a class without rows.
    """

    prior: tuple[float, float, float]
    down: float
    flat: float
    up: float

    def expected_return(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``p_down m_down + p_flat m_flat + p_up m_up``, shape (n,).

        Examples
        --------
        >>> means = ClassMeans(prior=(0.3, 0.4, 0.3), down=-0.01, flat=0.0, up=0.02)
        >>> means.expected_return(np.array([[0.25, 0.25, 0.5]])).tolist()
        [0.0075]
        """
        return p[:, 0] * self.down + p[:, 1] * self.flat + p[:, 2] * self.up

    def climatology(self, n: int) -> NDArray[np.float64]:
        """Return the prior n times, shape (n, 3)."""
        return np.tile(np.asarray(self.prior), (n, 1))


def class_means(y: NDArray[np.int64], returns: NDArray[np.float64]) -> ClassMeans:
    """Measure class shares and mean returns of labelled rows.

    Parameters
    ----------
    y
        Shape (n,), classes 0, 1, 2.
    returns
        Shape (n,), realised log returns.
    """
    down, flat, up = (float(returns[y == k].mean()) if np.any(y == k) else 0.0 for k in range(3))
    p_down, p_flat, p_up = (float(share) for share in class_prior(y))
    return ClassMeans(prior=(p_down, p_flat, p_up), down=down, flat=flat, up=up)
