"""Simulated books of several symbols, made anew at each call, so that memory holds one symbol's."""

from dataclasses import dataclass, field

from consilium.domain.errors import InvalidValue, UnknownName
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.simulator.books import SimulatedBook, simulate_book

SNAPSHOT_NS = SECOND_NS // 10
SEEDS = 1_000
"""Symbols of one seed share none of their randomness with those of another."""


@dataclass(slots=True, kw_only=True)
class SimulatedBooks:
    """A market of independent simulated books, one each 100 ms.

    Parameters
    ----------
    count
        Symbols, in [1, 1000]; they are named SIM00, SIM01, ...
    span_ns
        How long the market lasts, > 0.
    strength
        How much the order flow knows of the next move, in [0, 1]; 0 is a control without signal.
    seed
        Of all of it, >= 0.

    Raises
    ------
    InvalidValue
        A number outside its bound.

    Examples
    --------
    >>> market = SimulatedBooks(count=2, span_ns=20 * SECOND_NS, strength=0.6, seed=7)
    >>> market.symbols, len(market.book("SIM01"))
    (('SIM00', 'SIM01'), 201)
    """

    count: int
    span_ns: int
    strength: float = 0.0
    seed: int = 7
    _newest: dict[str, SimulatedBook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= SEEDS:
            raise InvalidValue(f"symbols must lie in [1, {SEEDS}]", self.count, "use 4")
        if self.span_ns < SNAPSHOT_NS:
            raise InvalidValue("a simulated market must last 100 ms at least", self.span_ns, "ask for more")
        if self.seed < 0:
            raise InvalidValue("seed must be >= 0", self.seed, "use 7")

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names in alphabetical order."""
        return tuple(f"SIM{number:02}" for number in range(self.count))

    def market(self, symbol: str) -> SimulatedBook:
        """Return a symbol's market; only the one asked for last is kept.

        Raises
        ------
        UnknownName
            No such symbol.
        """
        self._require(symbol)
        if symbol not in self._newest:
            self._newest = {
                symbol: simulate_book(
                    symbol=symbol,
                    snapshots=1 + self.span_ns // SNAPSHOT_NS,
                    seed=self.seed * SEEDS + self.symbols.index(symbol),
                    strength=self.strength,
                )
            }
        return self._newest[symbol]

    def book(self, symbol: str) -> BookSeries:
        """Return the books of a symbol."""
        return self.market(symbol).book

    def trades(self, symbol: str) -> TradeSeries:
        """Return the trades of a symbol."""
        return self.market(symbol).trades

    def trade_gaps(self, symbol: str) -> list[tuple[int, int]]:
        """Return nothing: no trade of a simulated market is missing."""
        self._require(symbol)
        return []

    def _require(self, symbol: str) -> None:
        if symbol not in self.symbols:
            raise UnknownName("symbol", symbol, self.symbols)
