"""The words in which formulas are written: candles, lags, windows, means and ratios.

A term says how a series follows from others. Equal terms are one object, so what several features share is
computed once; how many bars a term needs follows from its parts.
"""

from dataclasses import dataclass

from consilium.market.features import elementwise as of_bar
from consilium.market.features import folds
from consilium.market.features.operation import SMALLEST_MOVE, TINY, Operation
from consilium.market.features.recursive import Adaptive, ParabolicStop, Smooth
from consilium.market.features.rolling import Lag, MeanDeviation, Weighted, Window


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A node of a formula.

    Parameters
    ----------
    operation
        What makes it from its inputs; None for a source.
    inputs
        The terms that it is made from.
    lead
        Rows before its first value: it needs ``lead + 1`` bars.
    source
        Name of the column, of a source.

    Examples
    --------
    >>> (CLOSE - lag(CLOSE, 3)).lead
    3
    >>> lag(CLOSE, 3) is lag(CLOSE, 3)
    True
    """

    operation: Operation | None
    inputs: tuple["Term", ...]
    lead: int
    source: str = ""

    def __add__(self, other: "Term | float") -> "Term":
        if isinstance(other, Term):
            return make(of_bar.ADD, self, other)
        return make(of_bar.Affine(1.0, float(other)), self)

    def __sub__(self, other: "Term") -> "Term":
        return make(of_bar.SUBTRACT, self, other)

    def __mul__(self, other: "Term | float") -> "Term":
        if isinstance(other, Term):
            return make(of_bar.MULTIPLY, self, other)
        return make(of_bar.Affine(float(other)), self)

    def __truediv__(self, other: "Term") -> "Term":
        return make(of_bar.DIVIDE, self, other)


_KNOWN: dict[tuple[Operation, tuple[int, ...]], Term] = {}


def make(operation: Operation, *inputs: Term) -> Term:
    """Return the one term of these parts."""
    key = (operation, tuple(id(term) for term in inputs))
    if key not in _KNOWN:
        lead = max(term.lead for term in inputs) + operation.extra
        _KNOWN[key] = Term(operation, inputs, lead)
    return _KNOWN[key]


OPEN = Term(None, (), 0, "open")
HIGH = Term(None, (), 0, "high")
LOW = Term(None, (), 0, "low")
CLOSE = Term(None, (), 0, "close")
VOLUME = Term(None, (), 0, "volume")
ROOT_BARS_PER_DAY = Term(None, (), 0, "root_bars_per_day")
SOURCES = (OPEN, HIGH, LOW, CLOSE, VOLUME, ROOT_BARS_PER_DAY)


def log(x: Term) -> Term:
    """Natural logarithm of what is always > 0."""
    return make(of_bar.LOG, x)


def log_positive(x: Term) -> Term:
    """Natural logarithm, and 0 where x = 0."""
    return make(of_bar.LOG_POSITIVE, x)


def root(x: Term) -> Term:
    """Square root of what is >= 0."""
    return make(of_bar.SQUARE_ROOT, x)


def absolute(x: Term) -> Term:
    """|x|."""
    return make(of_bar.ABSOLUTE, x)


def rising(x: Term) -> Term:
    """max(x, 0)."""
    return make(of_bar.RISING, x)


def falling(x: Term) -> Term:
    """min(x, 0)."""
    return make(of_bar.FALLING, x)


def within_one(x: Term) -> Term:
    """Clip x to [-1, 1], where exact arithmetic would keep it."""
    return make(of_bar.WITHIN_ONE, x)


def positive(x: Term) -> Term:
    """1 where x > 0, else 0."""
    return make(of_bar.POSITIVE, x)


def larger(x: Term, y: Term) -> Term:
    """max(x, y)."""
    return make(of_bar.MAXIMUM, x, y)


def smaller(x: Term, y: Term) -> Term:
    """min(x, y)."""
    return make(of_bar.MINIMUM, x, y)


def above(x: Term, y: Term) -> Term:
    """1 where x > y by more than rounding (prices), else 0."""
    return make(of_bar.Above(SMALLEST_MOVE), x, y, CLOSE)


def ratio(x: Term, y: Term, floor: float = TINY) -> Term:
    """Quotient x / y, 0 where y <= floor."""
    return make(of_bar.Ratio(floor), x, y)


def log_ratio(x: Term, y: Term, floor: float = TINY) -> Term:
    """Logarithm of x / y, 0 where either is <= floor."""
    return make(of_bar.Ratio(floor, logarithm=True), x, y)


def move_ratio(x: Term, y: Term) -> Term:
    """Quotient of two differences of prices, 0 where the lower is no more than rounding beside the close."""
    return make(of_bar.Ratio(SMALLEST_MOVE), x, y, CLOSE)


def log_move_ratio(x: Term, y: Term) -> Term:
    """Logarithm of the quotient of two differences of prices, 0 where either is no more than rounding."""
    return make(of_bar.Ratio(SMALLEST_MOVE, logarithm=True), x, y, CLOSE)


def lag(x: Term, bars: int) -> Term:
    """x, some bars ago."""
    return make(Lag(bars), x)


def total(x: Term, bars: int) -> Term:
    """Sum over the last bars."""
    return make(Window(folds.SUM, bars), x)


def mean(x: Term, bars: int) -> Term:
    """Mean over the last bars."""
    return total(x, bars) * (1.0 / bars)


def highest(x: Term, bars: int) -> Term:
    """Maximum over the last bars."""
    return make(Window(folds.HIGHEST, bars), x)


def lowest(x: Term, bars: int) -> Term:
    """Minimum over the last bars."""
    return make(Window(folds.LOWEST, bars), x)


def age_of_highest(x: Term, bars: int) -> Term:
    """Bars since the maximum of the last bars; of equals the latest."""
    return pick(make(Window(folds.AGE_OF_HIGHEST, bars), x), 1)


def deviations(x: Term, bars: int) -> Term:
    """Sum of squared deviations from the mean of the last bars."""
    return pick(make(Window(folds.SPREAD, bars), x), 1)


def deviation(x: Term, bars: int) -> Term:
    """Standard deviation of the last bars, with divisor bars - 1."""
    return root(deviations(x, bars) * (1.0 / (bars - 1)))


def co_deviations(x: Term, y: Term, bars: int) -> Term:
    """Sum of products of the deviations of the last bars."""
    return pick(make(Window(folds.TOGETHER, bars), x, y), 2)


def asymmetry(x: Term, bars: int) -> Term:
    """(mean, sum of squared, sum of cubed deviations) of the last bars, to pick from."""
    return make(Window(folds.ASYMMETRY, bars), x)


def counted(counts: Term, x: Term, bars: int) -> Term:
    """(count, mean, sum of squared deviations) of those of the last bars that count, to pick from."""
    return make(Window(folds.COUNTED, bars), counts, x)


def pick(several: Term, position: int) -> Term:
    """One of several values."""
    return make(of_bar.Pick(position), several)


def weighted(x: Term, weights: tuple[float, ...]) -> Term:
    """Weighted sum of the last values, the oldest first."""
    return make(Weighted(weights), x)


def mean_deviation(x: Term, bars: int) -> Term:
    """Mean distance of the last values from their mean."""
    return make(MeanDeviation(bars), x)


def ema(x: Term, bars: int) -> Term:
    """Exponential mean with alpha = 2 / (bars + 1)."""
    return make(Smooth(bars, 2.0 / (bars + 1)), x)


def wilder(x: Term, bars: int) -> Term:
    """Wilder's mean, alpha = 1 / bars."""
    return make(Smooth(bars, 1.0 / bars), x)


def adaptive(x: Term, rate: Term, bars: int) -> Term:
    """Kaufman's mean with a rate for each bar."""
    return make(Adaptive(bars), x, lag(x, 1), rate)


def parabolic_stop() -> Term:
    """Wilder's stop and reverse."""
    return make(ParabolicStop(), HIGH, LOW)
