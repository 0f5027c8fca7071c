"""What a forecast from books is about: the direction of the smoothed mid over the next snapshots.

Letters: m_t the mid of snapshot t, k the horizon in snapshots, w_t the spread, alpha the threshold.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, UnknownName
from consilium.domain.checks import require_at_least
from consilium.market.book.series import BookSeries
from consilium.training.labels import NEVER, UNKNOWN, hash_definition

HORIZONS = (10, 30, 50)
"""The three horizons of the book models, in snapshots."""

PASTS = ("mean", "mid")
THRESHOLDS = ("terciles", "spread")
NOTHING = 1e-13
"""A relative change below this is rounding: the mid did not move."""

FEWEST_ROWS = 30

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookLabels:
    """Labels of the books of one symbol, row t for snapshot t.

    Parameters
    ----------
    direction
        Shape (n,), int8: 0 down, 1 flat, 2 up, -1 where change or threshold is unknown.
    change
        Shape (n,), the smoothed relative change l_t that the direction is read from; NaN where unknown.
    realised_return
        Shape (n,), ln(m_{t+k} / m_t), what a trade at the mid would have earned; NaN where unknown.
    threshold
        Shape (n,), what |l_t| must exceed to be no FLAT; NaN where unknown.
    ts_matured
        Shape (n,), time of snapshot t+k; NEVER where there is none in the session.
    """

    direction: NDArray[np.int8]
    change: Floats
    realised_return: Floats
    threshold: Floats
    ts_matured: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLabelSpec:
    r"""Direction of the smoothed mid: UP if l > u, DOWN if l < -u, else FLAT.

    .. math:: m^+_t = \tfrac1k \sum_{i=1}^{k} m_{t+i}, \quad m^-_t = \tfrac1k \sum_{i=0}^{k-1} m_{t-i}, \quad
              l_t = \frac{m^+_t - m^-_t}{m^-_t} \ \text{or}\ \frac{m^+_t - m_t}{m_t}

    Parameters
    ----------
    horizon
        k, snapshots ahead that are averaged, >= 1; 10, 30 and 50 are the usual ones.
    past
        What the future is compared with: ``mean`` of the last k mids (smooth, but a part of the change has
        already happened at t) or the ``mid`` at t.
    threshold
        ``terciles``: u = alpha, one number learned on the training part. ``spread``: u = factor w_t / m_t,
        known at t, so that UP and DOWN move by more than it costs to cross to the mid.
    spread_factor
        Factor of the spread, >= 0, default one half; used by ``spread`` alone.

    Raises
    ------
    InvalidValue
        A number outside its bound.
    UnknownName
        No such past or threshold.

    References
    ----------
    Ntakaris, Magris, Kanniainen, Gabbouj and Iosifidis 2018, section 3 (``mid``: mean of the next k mids
    against the current one); Zhang, Zohren and Roberts 2019 (DeepLOB), eqs. 3 and 4 (``mid`` and ``mean``);
    Berti and Kasneci 2025 (TLOB), section on labels (a threshold by the spread; theirs is its mean, ours is
    half the spread of the moment).

    Examples
    --------
    >>> BookLabelSpec(horizon=10).label_id(10**8) == BookLabelSpec(horizon=10, past="mid").label_id(10**8)
    False
    """

    kind: ClassVar[str] = "smoothed_mid"

    horizon: int = 10
    past: str = "mean"
    threshold: str = "terciles"
    spread_factor: float = 0.5

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InvalidValue("horizon must be >= 1 snapshot", self.horizon, "use 10, 30 or 50")
        for name, known in (("past", PASTS), ("threshold", THRESHOLDS)):
            if getattr(self, name) not in known:
                raise UnknownName(name, getattr(self, name), known)
        require_at_least("spread_factor", self.spread_factor, 0.0)

    def as_dict(self) -> dict[str, float | int | str]:
        """Return kind and parameters; the factor of the spread only where it is used."""
        fields = asdict(self)
        if self.threshold != "spread":
            del fields["spread_factor"]
        return {"kind": self.kind, **fields}

    def label_id(self, interval_ns: int) -> str:
        """Return 12 hex digits that name this definition on snapshots of a distance.

        The learned alpha is no part of it: it belongs to the training part, as the scaler does.
        """
        return hash_definition(self.as_dict(), interval_ns)


def smoothed_change(book: BookSeries, horizon: int, past: str = "mean") -> tuple[Floats, NDArray[np.int64]]:
    """Return l_t and the time at which it is known, shapes (n,); NaN and NEVER where a session ends it.

    Parameters
    ----------
    book
        Of one symbol.
    horizon
        k, snapshots.
    past
        ``mean`` or ``mid``, as in `BookLabelSpec`.
    """
    mid, session = book.mid, book.session
    n = len(mid)
    change = np.full(n, np.nan)
    matured = np.full(n, NEVER, dtype=np.int64)
    back = horizon - 1 if past == "mean" else 0
    rows = np.arange(back, n - horizon)
    if not len(rows):
        return change, matured
    rows = rows[session[rows - back] == session[rows + horizon]]
    now = mid[rows]
    # sums of differences from the mid at t: a mid that stands still gives 0 to the last bit
    ahead = sum((mid[rows + i] - now for i in range(1, horizon + 1)), np.zeros(len(rows))) / horizon
    behind = sum((mid[rows - i] - now for i in range(1, back + 1)), np.zeros(len(rows))) / (back + 1)
    moved = (ahead - behind) / (now + behind)
    change[rows] = np.where(np.abs(moved) < NOTHING, 0.0, moved)
    matured[rows] = book.ts_event[rows + horizon]
    unknown = np.isnan(change)
    matured[unknown] = NEVER
    return change, matured


def tercile_alpha(book: BookSeries, spec: BookLabelSpec, train_until: int) -> float:
    """Return alpha, the first tercile of abs(l_t) over the training part: a third of its rows is FLAT.

    Only rows whose change is known by the end of the training part count, so nothing of what follows is read.
    Where more than a third of the mids stand still alpha is 0, and FLAT is exactly those.

    Parameters
    ----------
    book
        Of one symbol.
    spec
        Horizon and past.
    train_until
        End of the training part, UTC nanoseconds; a row known at that time still counts.

    Raises
    ------
    InvalidValue
        Fewer than 30 such rows.
    """
    change, matured = smoothed_change(book, spec.horizon, spec.past)
    known = np.abs(change[matured <= train_until])
    if len(known) < FEWEST_ROWS:
        raise InvalidValue(
            f"a threshold needs >= {FEWEST_ROWS} labelled rows in the training part",
            len(known),
            "end the training part later, or shorten the horizon",
        )
    return float(np.quantile(known, 1.0 / 3.0, method="lower"))


def make_book_labels(book: BookSeries, spec: BookLabelSpec, *, alpha: float | None = None) -> BookLabels:
    """Label each snapshot with the direction of the smoothed mid; no row reads across a session.

    Parameters
    ----------
    book
        Of one symbol.
    spec
        The definition.
    alpha
        The threshold of ``terciles``, from `tercile_alpha` on the training part; not for ``spread``.

    Raises
    ------
    InvalidValue
        alpha is missing, negative, or given for ``spread``.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> book, spec = simulate_book(snapshots=2_000, seed=1).book, BookLabelSpec(horizon=30)
    >>> alpha = tercile_alpha(book, spec, train_until=int(book.ts_event[1_200]))
    >>> labels = make_book_labels(book, spec, alpha=alpha)
    >>> set(labels.direction[-30:].tolist()), labels.direction.dtype
    ({-1}, dtype('int8'))
    """
    change, matured = smoothed_change(book, spec.horizon, spec.past)
    known = np.isfinite(change)
    threshold = np.full(len(book), np.nan)
    if spec.threshold == "spread":
        if alpha is not None:
            raise InvalidValue("the spread sets the threshold, not alpha", alpha, "leave alpha out")
        width = spec.spread_factor * (book.ask_price[:, 0] - book.bid_price[:, 0]) / book.mid
        threshold[known] = width[known]
    else:
        if alpha is None:
            raise InvalidValue(
                "terciles need alpha", None, "learn it with `tercile_alpha` on the training part"
            )
        require_at_least("alpha", alpha, 0.0)
        threshold[known] = alpha
    rows = np.flatnonzero(known)
    realised = np.full(len(book), np.nan)
    realised[rows] = np.log(book.mid[rows + spec.horizon] / book.mid[rows])
    direction = np.full(len(book), UNKNOWN, dtype=np.int8)
    direction[known] = 1
    direction[known & (change > threshold)] = 2
    direction[known & (change < -threshold)] = 0
    return BookLabels(
        direction=direction,
        change=change,
        realised_return=realised,
        threshold=threshold,
        ts_matured=matured,
    )
