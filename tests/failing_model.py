"""A model that cannot be trained, entered into the table as a package outside would enter one."""

from typing import Any, Self

from consilium.models.prior import PriorForecaster


class Failing(PriorForecaster):
    """Raises in ``fit``, as a solver does that runs out of memory."""

    name = "failing"

    def fit(self, *_: Any, **__: Any) -> Self:
        """Fail."""
        raise RuntimeError("out of memory")


class Tired(PriorForecaster):
    """Trains on few rows and fails on more, as what needs too much memory does."""

    name = "tired"
    most_rows = 10**9

    def fit(self, X: Any, *rest: Any, **named: Any) -> Self:
        """Fail beyond ``most_rows``."""
        if len(X) > self.most_rows:
            raise RuntimeError("out of memory")
        super().fit(X, *rest, **named)
        return self
