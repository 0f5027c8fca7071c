"""How the judge divides the data: development, lock-box, and symbols that no model ever sees.

::

    seen symbols    | development 60 %              | lock-box 40 %        |
    unseen symbols  |                                      | last third    |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from consilium.domain import DataProblem
from consilium.training.dataset import Dataset
from consilium.training.labels import NEVER

DEVELOPMENT = 0.6
UNSEEN_EVERY = 5
UNSEEN_FROM = 10
"""With fewer symbols every one is needed to learn from."""
UNSEEN_SHARE = 1 / 3
"""Share of the lock-box, its end, on which the unseen symbols are forecast."""


def unseen_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Return every fifth symbol by name where there are ten or more, else none.

    Examples
    --------
    >>> unseen_symbols([f"S{n:02d}" for n in range(12)])
    ('S04', 'S09')
    >>> unseen_symbols(["BTCUSDT", "ETHUSDT"])
    ()
    """
    names = sorted(symbols)
    return tuple(names[UNSEEN_EVERY - 1 :: UNSEEN_EVERY]) if len(names) >= UNSEEN_FROM else ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """The rows of a judgement and its borders in time.

    Parameters
    ----------
    dataset
        Rows that take part: seen symbols always, unseen ones only from ``ts_unseen`` on.
    seen
        Shape (N,), rows that may be learned from.
    unseen
        Names of the symbols never learned from.
    ts_lockbox, ts_unseen
        First time of the lock-box, and of its part with the unseen symbols; UTC nanoseconds.
    """

    dataset: Dataset
    seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    unseen: tuple[str, ...]
    ts_lockbox: int
    ts_unseen: int

    @classmethod
    def of(cls, dataset: Dataset) -> "Split":
        """Cut a dataset by time across all symbols.

        Raises
        ------
        DataProblem
            Too few times for two parts.
        """
        unseen = unseen_symbols(dataset.symbols)
        learned = np.array([symbol not in unseen for symbol in dataset.symbols])[dataset.symbol_index]
        # Times of unseen symbols alone would move the border to where there is nothing to learn from.
        times = np.unique(dataset.ts_event[learned])
        first = ceil(DEVELOPMENT * len(times))
        if first < 1 or first >= len(times):
            raise DataProblem(
                "a judgement needs a development part and a lock-box",
                f"{len(times)} times with features",
                "give a longer history",
            )
        late = first + int((len(times) - first) * (1.0 - UNSEEN_SHARE))
        taking_part = learned | (dataset.ts_event >= times[late])
        return cls(
            dataset=dataset.where(taking_part),
            seen=learned[taking_part],
            unseen=unseen,
            ts_lockbox=int(times[first]),
            ts_unseen=int(times[late]),
        )

    def development(self) -> Dataset:
        """Return the rows before the lock-box; an outcome that is known only inside it is hidden."""
        d = self.dataset.where(self.dataset.ts_event < self.ts_lockbox)
        known = d.ts_matured < self.ts_lockbox
        return replace(
            d,
            y=np.where(known, d.y, -1),
            realised_return=np.where(known, d.realised_return, np.nan),
            ts_matured=np.where(known, d.ts_matured, NEVER),
        )
