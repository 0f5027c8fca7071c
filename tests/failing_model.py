"""A model that cannot be trained, entered into the table as a package outside would enter one."""

from typing import Any, Self

from consilium.models.prior import PriorForecaster


class Failing(PriorForecaster):
    """Raises in ``fit``, as a solver does that runs out of memory."""

    name = "failing"

    def fit(self, *_: Any, **__: Any) -> Self:
        """Fail."""
        raise RuntimeError("out of memory")
