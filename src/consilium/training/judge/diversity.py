"""How many opinions stand behind an agreement."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from consilium.domain import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """The effective number of independent models.

    Parameters
    ----------
    effective
        Between 1 and the number of models that said something; None if none did.
    models
        All models.
    speaking
        Models whose errors vary: one that always says climatology adds no opinion.
    mean_correlation
        Mean correlation of the errors of two models; None below two.
    """

    effective: float | None
    models: int
    speaking: int
    mean_correlation: float | None

    def remark(self, agreeing: int) -> str:
        """Say what an agreement of so many is worth; whether they agree, and how often, is not looked at.

        Examples
        --------
        >>> Diversity(effective=2.3, models=7, speaking=7, mean_correlation=0.6).remark(7)
        'When 7 of 7 agree, their errors are those of 2.3 independent models.'
        """
        if self.models == 1:
            return "One model only: there is nobody to agree with."
        counted = f"When {agreeing} of {self.models} agree"
        if self.speaking == 1:
            return f"1 of {self.models} models says more than climatology: there is nobody to agree with."
        if 0 < self.speaking < self.models:
            counted = f"{self.speaking} of {self.models} models say more than climatology. When these agree"
        if self.effective is None:
            return f"{counted}, that means nothing: none of them says more than climatology."
        if self.speaking > 1 and self.effective >= 0.9 * self.speaking:
            return f"{counted}, their errors are nearly independent ({self.effective:.1f})."
        noun = "model" if round(self.effective, 1) == 1.0 else "independent models"
        return f"{counted}, their errors are those of {self.effective:.1f} {noun}."


def effective_models(errors: ArrayLike) -> Diversity:
    """Count independent models by the participation ratio of the error correlation's eigenvalues.

    ``n = (sum_i l_i)^2 / sum_i l_i^2 = K^2 / sum_ij rho_ij^2``: K for uncorrelated errors, 1 for equal ones,
    ``K / (1 + (K - 1) rho^2)`` if all correlations are rho.

    Parameters
    ----------
    errors
        Shape (n, K), one column a model: its loss minus that of climatology. (Plain losses share how hard the
        row was, which is no agreement.)

    Raises
    ------
    InvalidValue
        Not a finite matrix with at least one column.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> common, own = rng.normal(size=(5_000, 1)), rng.normal(size=(5_000, 7))
    >>> round(effective_models(own).effective, 1), round(effective_models(common + own).effective, 1)
    (7.0, 2.8)

    References
    ----------
    Bretherton, Widmann, Dymnikov, Wallace and Blade (1999), eq. 5.
    """
    x = np.asarray(errors, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] < 1 or not np.all(np.isfinite(x)):
        raise InvalidValue("errors must be finite, shape (n, K), K >= 1", x.shape, "one column a model")
    said = x[:, np.ptp(x, axis=0) > 1e-12] if len(x) > 1 else x[:, :0]
    count = said.shape[1]
    if count == 0:
        return Diversity(effective=None, models=x.shape[1], speaking=0, mean_correlation=None)
    centred = said - said.mean(axis=0)
    unit = centred / np.sqrt((centred**2).sum(axis=0))
    correlation = unit.T @ unit
    pairs = correlation[np.triu_indices(count, 1)]
    return Diversity(
        effective=float(count**2 / (correlation**2).sum()),
        models=x.shape[1],
        speaking=count,
        mean_correlation=float(pairs.mean()) if len(pairs) else None,
    )
