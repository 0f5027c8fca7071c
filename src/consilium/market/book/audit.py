"""The kept book held against the best prices that the exchange sends besides its diffs."""

from bisect import bisect_right
from collections import deque

from consilium.market.book.messages import BestPrices, Level

MOST_KEPT = 20_000


class TopAudit:
    """Compare the best bid and ask of each book, sizes too, with the last best prices that are not newer.

    Best prices and diffs come in streams of their own. A book after update u is compared once best prices
    newer than u have come, so that none not newer is still on its way; until then it waits. Best prices that
    got lost make a comparison fail: an alarm, not a proof.

    Examples
    --------
    >>> audit = TopAudit()
    >>> audit.saw_best(BestPrices("BTCUSDT", 0, 5, (100, 1), (-102, 4)))
    True
    >>> audit.saw_book(7, (100, 1), (-101, 4))
    True
    >>> audit.saw_best(BestPrices("BTCUSDT", 0, 9, (100, 1), (-101, 4)))
    False
    >>> audit.compared, audit.wrong, audit.unknown
    (1, 1, 0)
    """

    def __init__(self) -> None:
        self.compared = self.wrong = self.unknown = self.late = 0
        self._updates: list[int] = []
        self._best: list[tuple[Level, Level]] = []
        self.waiting: deque[tuple[int, Level, Level]] = deque()

    def saw_book(self, last: int, bid: Level, ask: Level) -> bool:
        """Take in a book after its update ``last``; return False if a comparison failed."""
        self.waiting.append((last, bid, ask))
        if len(self.waiting) > MOST_KEPT:
            self.waiting.popleft()
            self.unknown += 1
        return self._compare()

    def saw_best(self, best: BestPrices) -> bool:
        """Take in best prices; return False if a comparison failed."""
        if self._updates and best.last <= self._updates[-1]:
            self.late += 1
            return True
        self._updates.append(best.last)
        self._best.append((best.bid, best.ask))
        if len(self._updates) > MOST_KEPT:
            self._forget(MOST_KEPT // 2)
        return self._compare()

    def finish(self) -> bool:
        """Compare the books that wait as well: no more best prices will come."""
        return self._compare(to_the_end=True)

    def begin_again(self) -> None:
        """Forget the books and best prices that wait, as after a lost connection; the counts stay."""
        self.unknown += len(self.waiting)
        self.waiting.clear()
        self._forget(len(self._updates))

    def _forget(self, n: int) -> None:
        del self._updates[:n], self._best[:n]

    def _compare(self, *, to_the_end: bool = False) -> bool:
        right = True
        while self.waiting and self._updates and (to_the_end or self.waiting[0][0] < self._updates[-1]):
            last, bid, ask = self.waiting.popleft()
            i = bisect_right(self._updates, last) - 1
            if i < 0:
                self.unknown += 1
                continue
            self.compared += 1
            if self._best[i] != (bid, ask):
                self.wrong += 1
                right = False
            self._forget(i)
        return right
