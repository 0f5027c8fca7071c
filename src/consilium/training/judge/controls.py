"""Does the judge keep its word? How often a verdict falls on data whose truth is known."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import beta

from consilium.domain import InvalidValue

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often a word was said.

    Parameters
    ----------
    ic
        Planted information coefficient; 0 for a negative control.
    hits, runs
        Runs with the word, and all runs.
    low, high
        Exact 95 % interval of the rate.
    words
        Every word with its number, in the order of first use.
    """

    ic: float
    hits: int
    runs: int
    low: float
    high: float
    words: tuple[tuple[str, int], ...]

    @property
    def rate(self) -> float:
        """Hits over runs."""
        return self.hits / self.runs


def binomial_interval(hits: int, runs: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a rate: the rates under which ``hits`` of ``runs`` is not in a tail of (1 - level)/2.

    Parameters
    ----------
    hits, runs
        0 <= hits <= runs, runs >= 1.
    level
        In (0, 1).

    Raises
    ------
    InvalidValue
        A parameter outside its bound.

    Examples
    --------
    >>> [round(end, 4) for end in binomial_interval(10, 200)]
    [0.0242, 0.09]

    References
    ----------
    Clopper and Pearson (1934).
    """
    if runs < 1 or not 0 <= hits <= runs:
        raise InvalidValue("hits must lie in [0, runs], runs >= 1", f"{hits} of {runs}", "count the runs")
    if not 0.0 < level < 1.0:
        raise InvalidValue("level must lie in (0, 1)", level, "use .95")
    tail = (1.0 - level) / 2.0
    low = float(beta.ppf(tail, hits, runs - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, runs - hits)) if hits < runs else 1.0
    return low, high


def rejection_rate(
    verdict_of: Callable[[int, float], str],
    seeds: Iterable[int],
    *,
    ic: float = 0.0,
    words: Sequence[str] = ("better",),
) -> Rate:
    """Run a verdict on many seeds of one world and count how often it says one of the words.

    Parameters
    ----------
    verdict_of
        Takes (seed, ic), simulates a world with that information coefficient, gives the verdict's word.
    seeds
        At least one.
    ic
        Planted information coefficient; 0: no signal, the rate is that of false findings.
    words
        Words that count.

    Raises
    ------
    InvalidValue
        No seeds.

    Examples
    --------
    >>> rejection_rate(lambda seed, ic: "better" if seed % 20 == 0 else "worse", range(200)).rate
    0.05
    """
    said: dict[str, int] = {}
    for seed in seeds:
        word = verdict_of(seed, ic)
        said[word] = said.get(word, 0) + 1
    runs = sum(said.values())
    if runs == 0:
        raise InvalidValue("a rate needs >= 1 seed", 0, "give seeds")
    hits = sum(said.get(word, 0) for word in words)
    low, high = binomial_interval(hits, runs)
    return Rate(ic=ic, hits=hits, runs=runs, low=low, high=high, words=tuple(said.items()))


def power_table(
    verdict_of: Callable[[int, float], str],
    seeds: Sequence[int],
    ics: Sequence[float] = (0.0, 0.03, 0.06),
    *,
    words: Sequence[str] = ("better",),
) -> tuple[Rate, ...]:
    """Rates of a word for each planted information coefficient; that at 0 is the rate of false findings.

    Parameters and errors are those of `rejection_rate`.

    Examples
    --------
    >>> table = power_table(lambda seed, ic: "better" if seed < 1_000 * ic else "-", range(60))
    >>> [(r.ic, r.hits) for r in table]
    [(0.0, 0), (0.03, 30), (0.06, 60)]
    """
    return tuple(rejection_rate(verdict_of, seeds, ic=ic, words=words) for ic in ics)
